import { Args, Context, Field, ID, InputType, Int, ObjectType, Query, registerEnumType, Resolver } from '@nestjs/graphql';
import { Database } from '#database';
import type { FirewallDirection, FirewallProtocol } from '#drivers';
import { Authenticated, type GraphqlContext } from '#graphql';
import { SYSTEM_PLACE, type Access } from '#identity';
import { accessOf, given } from '#identity/api';
import { FirewallDirections, FirewallProtocols } from '../security-group/rule.js';
import { explainFirewall, type FirewallCheck as Check } from './explain-firewall.js';
import type { Verdict } from './verdict.js';

const FirewallDecision = {
  FIREWALL_POLICY: 'FIREWALL_POLICY',
  SECURITY_GROUP: 'SECURITY_GROUP',
  NO_RULE: 'NO_RULE',
  NO_SECURITY_GROUP: 'NO_SECURITY_GROUP',
} as const satisfies Record<Verdict['by'], Verdict['by']>;
registerEnumType(FirewallDecision, {
  name: 'FirewallDecision',
  description: 'What decides about a connection at a port.',
  valuesMap: {
    FIREWALL_POLICY: { description: 'A rule of operators.' },
    SECURITY_GROUP: { description: 'A rule of a security group that the port is in.' },
    NO_RULE: { description: 'No rule of the groups that the port is in allows it.' },
    NO_SECURITY_GROUP: { description: 'The port is in no group, and so is open.' },
  },
});

@InputType({ description: 'A connection: who begins it, with whom, and what. Each end is a port or an address.' })
export class ExplainFirewallInput {
  @Field(() => ID, { nullable: true, description: 'The port that begins it.' })
  readonly fromPortId?: string | null;

  @Field(() => String, { nullable: true, description: 'The IPv4 address that it comes from, instead of a port.' })
  readonly fromAddress?: string | null;

  @Field(() => ID, { nullable: true, description: 'The port that it goes to.' })
  readonly toPortId?: string | null;

  @Field(() => String, { nullable: true, description: 'The IPv4 address that it goes to, instead of a port.' })
  readonly toAddress?: string | null;

  @Field(() => FirewallProtocols, { description: 'What it is. ANY is a protocol that rules do not name.' })
  readonly protocol!: FirewallProtocol;

  @Field(() => Int, { nullable: true, description: 'The port of the receiver, for TCP and UDP.' })
  readonly port?: number | null;
}

@ObjectType({ description: 'What the rules of one port say to a connection.' })
export class FirewallCheck {
  @Field(() => FirewallDirections, { description: 'Whether it leaves the port or comes to it.' })
  readonly direction!: FirewallDirection;

  @Field(() => ID, { description: 'The port.' })
  readonly portId!: string;

  @Field(() => Boolean, { description: 'Whether it may.' })
  readonly allowed!: boolean;

  @Field(() => FirewallDecision, { description: 'What decides.' })
  readonly decidedBy!: Verdict['by'];

  @Field(() => ID, { nullable: true, description: 'The group whose rule decides.' })
  readonly securityGroupId!: string | null;

  @Field(() => ID, { nullable: true, description: 'The policy whose rule decides; shown to operators only.' })
  readonly firewallPolicyId!: string | null;

  @Field(() => String, { description: 'The same for people.' })
  readonly message!: string;
}

@ObjectType({ description: 'Whether a connection may begin, and why.' })
export class FirewallExplanation {
  @Field(() => Boolean, { description: 'Whether all that stands over both ends allows it. It says nothing of whether a way leads there.' })
  readonly allowed!: boolean;

  @Field(() => [FirewallCheck], { description: 'One for each end that is a port: who begins first.' })
  readonly checks!: FirewallCheck[];
}

@Authenticated()
@Resolver()
export class ExplainFirewallResolver {
  constructor(private readonly database: Database) {}

  @Query(() => FirewallExplanation, { description: 'Whether security groups and operators let a connection begin, and which rule decides.' })
  async explainFirewall(
    @Args('input', { type: () => ExplainFirewallInput, description: 'The connection.' }) input: ExplainFirewallInput,
    @Context() context: GraphqlContext,
  ): Promise<FirewallExplanation> {
    const access = accessOf(context);
    const checks = await explainFirewall(this.database, access, given(input));
    return { allowed: checks.every(({ verdict }) => verdict.allowed), checks: checks.map((check) => toCheck(check, access)) };
  }
}

function toCheck({ direction, portId, verdict }: Check, access: Access): FirewallCheck {
  const shown = access.sees('firewall policy', SYSTEM_PLACE);
  return {
    direction,
    portId,
    allowed: verdict.allowed,
    decidedBy: verdict.by,
    securityGroupId: verdict.by === 'SECURITY_GROUP' ? verdict.group.id : null,
    firewallPolicyId: verdict.by === 'FIREWALL_POLICY' && shown ? verdict.policy.id : null,
    message: messageOf(verdict, shown),
  };
}

function messageOf(verdict: Verdict, shown: boolean): string {
  switch (verdict.by) {
    case 'FIREWALL_POLICY':
      return `${shown ? `The firewall policy "${verdict.policy.name}"` : 'A rule of operators'} ${verdict.allowed ? 'allows' : 'denies'} it.`;
    case 'SECURITY_GROUP':
      return `The security group "${verdict.group.name}" allows it.`;
    case 'NO_RULE':
      return 'None of the security groups that the port is in allows it.';
    case 'NO_SECURITY_GROUP':
      return 'The port is in no security group, and so is open.';
  }
}
