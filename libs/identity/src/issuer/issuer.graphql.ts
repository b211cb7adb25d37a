import { Args, ArgsType, Context, Field, ID, Info, InputType, Mutation, ObjectType, Query, registerEnumType, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { Database } from '#database';
import { Authenticated, connectionOf, DateTime, Long, Node, NodeRegistry, PageArguments, pageRequest, requestedFields, toConnection, type Connection, type GraphqlContext } from '#graphql';
import { accessOf } from '../access/access.graphql.js';
import { placeOfRow } from '../access/access.js';
import { CommandInput, commandOf, optionsOf } from '../command/command-input.graphql.js';
import { CommandPayload, toPayload } from '../command/plan.graphql.js';
import { SigningAlgorithm, type IssuerRow } from './issuer.js';
import { IssuerService } from './issuer.service.js';
import { findIssuers, issuers } from './issuer.sql.js';

registerEnumType(SigningAlgorithm, {
  name: 'SigningAlgorithm',
  description: 'How an issuer may sign its tokens (RFC 7518, RFC 8037).',
  valuesMap: Object.fromEntries(Object.keys(SigningAlgorithm).map((name) => [name, { description: `The \`alg\` ${name}.` }])),
});

@ObjectType({
  implements: () => [Node],
  description:
    'Who vouches for people: an OpenID Connect provider that the system or a tenant trusts. People it signs in are principals of that scope, and hold no role until one is granted to them or to a group of theirs.',
})
export class Issuer extends Node {
  @Field(() => String, { description: 'Unique in its scope.' })
  readonly name!: string;

  @Field(() => ID, { description: 'The system or the tenant.' })
  readonly scopeId!: string;

  @Field(() => String, { description: 'Exactly the `iss` of its tokens.' })
  readonly url!: string;

  @Field(() => String, { description: 'What the `aud` of its tokens must hold. Unique together with the URL.' })
  readonly audience!: string;

  @Field(() => String, { nullable: true, description: 'Where its keys are; null when its discovery document says.' })
  readonly jwksUri!: string | null;

  @Field(() => String, { nullable: true, description: 'The public client with which the `muon` command signs people in.' })
  readonly clientId!: string | null;

  @Field(() => String, { description: 'The claim that tells people apart. A JSON pointer where it stands deeper, as `/person/id`.' })
  readonly subjectClaim!: string;

  @Field(() => String, { description: 'The claim that a principal is named by.' })
  readonly nameClaim!: string;

  @Field(() => String, { nullable: true, description: 'The claim with the names of groups; null when none are heeded.' })
  readonly groupsClaim!: string | null;

  @Field(() => [SigningAlgorithm], { description: 'How its tokens may be signed.' })
  readonly algorithms!: SigningAlgorithm[];

  @Field(() => Boolean, { description: 'Whether its tokens are taken.' })
  readonly enabled!: boolean;

  @Field(() => Long, { description: 'Rises with every change of what is wanted.' })
  readonly version!: number;

  @Field(() => Long, { description: 'Rises with every change.' })
  readonly revision!: number;

  @Field(() => DateTime, { description: 'When it was made.' })
  readonly createdAt!: Date;
}

function toIssuer(row: IssuerRow): Issuer {
  const { id, name, url, audience, algorithms, enabled, version, revision } = row;
  return {
    id,
    home: placeOfRow(row),
    name,
    scopeId: row.scope_id,
    url,
    audience,
    jwksUri: row.jwks_uri,
    clientId: row.client_id,
    subjectClaim: row.subject_claim,
    nameClaim: row.name_claim,
    groupsClaim: row.groups_claim,
    algorithms,
    enabled,
    version,
    revision,
    createdAt: row.created_at,
  };
}

const IssuerConnection = connectionOf(Issuer);

@ArgsType()
class IssuersArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only those of this system or tenant.' })
  readonly scopeId?: string | null;
}

@InputType({ description: 'A new issuer.' })
export class CreateIssuerInput extends CommandInput {
  @Field(() => ID, { nullable: true, description: 'The tenant that trusts it; the system if not given.' })
  readonly scopeId?: string | null;

  @Field(() => String, { description: 'Unique in its scope.' })
  readonly name!: string;

  @Field(() => String, { description: 'Exactly the `iss` of its tokens, as https://login.example/realm.' })
  readonly url!: string;

  @Field(() => String, { description: 'What the `aud` of its tokens must hold.' })
  readonly audience!: string;

  @Field(() => String, { nullable: true, description: 'Where its keys are, if its discovery document shall not be asked.' })
  readonly jwksUri?: string | null;

  @Field(() => String, { nullable: true, description: 'The public client with which the `muon` command signs people in; anybody may read that of the system.' })
  readonly clientId?: string | null;

  @Field(() => String, { nullable: true, description: 'The claim that tells people apart; `sub` if not given.' })
  readonly subjectClaim?: string | null;

  @Field(() => String, { nullable: true, description: 'The claim that a principal is named by; `name` if not given.' })
  readonly nameClaim?: string | null;

  @Field(() => String, { nullable: true, description: 'The claim with the names of groups; none are heeded if not given.' })
  readonly groupsClaim?: string | null;

  @Field(() => [SigningAlgorithm], { nullable: true, description: 'How its tokens may be signed; RS256, PS256, ES256 and EdDSA if not given.' })
  readonly algorithms?: SigningAlgorithm[] | null;

  @Field(() => Boolean, { nullable: true, description: 'Whether its tokens are taken; they are if not given.' })
  readonly enabled?: boolean | null;
}

@InputType({ description: 'What to change of an issuer; what is not given stays.' })
export class UpdateIssuerInput extends CommandInput {
  @Field(() => ID, { description: 'Which.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refuse with CONFLICT if it has another version.' })
  readonly expectedVersion?: number | null;

  @Field(() => String, { nullable: true, description: 'Unique in its scope.' })
  readonly name?: string | null;

  @Field(() => String, { nullable: true, description: 'What the `aud` of its tokens must hold.' })
  readonly audience?: string | null;

  @Field(() => String, { nullable: true, description: 'Where its keys are; null to ask its discovery document.' })
  readonly jwksUri?: string | null;

  @Field(() => String, { nullable: true, description: 'The public client of the `muon` command; null for none.' })
  readonly clientId?: string | null;

  @Field(() => String, { nullable: true, description: 'The claim that a principal is named by.' })
  readonly nameClaim?: string | null;

  @Field(() => String, { nullable: true, description: 'The claim with the names of groups; null to heed none.' })
  readonly groupsClaim?: string | null;

  @Field(() => [SigningAlgorithm], { nullable: true, description: 'How its tokens may be signed.' })
  readonly algorithms?: SigningAlgorithm[] | null;

  @Field(() => Boolean, { nullable: true, description: 'Whether its tokens are taken; when not, its people are out within a second.' })
  readonly enabled?: boolean | null;
}

@InputType({ description: 'Which issuer to delete.' })
export class DeleteIssuerInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@ObjectType({ description: 'The issuer that was made, changed or deleted.' })
export class IssuerPayload extends CommandPayload {
  @Field(() => Issuer, { nullable: true, description: 'It as it is now; null of a dry run that would make it, and when it is gone.' })
  readonly issuer!: Issuer | null;
}

/** Null says something for these; for all others it is as if they were not given. */
const CLEARABLE = ['jwksUri', 'clientId', 'groupsClaim'] as const;

@Authenticated()
@Resolver(() => Issuer)
export class IssuerResolver {
  constructor(
    private readonly database: Database,
    private readonly service: IssuerService,
    registry: NodeRegistry,
  ) {
    registry.register({ prefix: 'iss', typeName: 'Issuer', load: (ids, context) => this.load(ids, context) });
  }

  @Query(() => IssuerConnection, { description: 'The issuers of the scopes that the caller may see, by name.' })
  async issuers(
    @Args() args: IssuersArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<Issuer>> {
    const parameters: Parameters<typeof issuers.count>[1] = [...accessOf(context).filter('issuer'), args.scopeId ?? null];
    const page = await issuers.page(this.database, parameters, 'NAME', pageRequest(args));
    const total = requestedFields(info).has('totalCount') ? await issuers.count(this.database, parameters) : undefined;
    return toConnection(page, toIssuer, total);
  }

  @Mutation(() => IssuerPayload, { description: 'Trusts an issuer to sign people in, for the system or for one tenant.' })
  async createIssuer(
    @Args('input', { type: () => CreateIssuerInput, description: 'What to make.' }) input: CreateIssuerInput,
    @Context() context: GraphqlContext,
  ): Promise<IssuerPayload> {
    const { command, options } = commandOf(input, context, CLEARABLE);
    const outcome = await this.service.create(accessOf(context), command, options);
    return { ...toPayload(outcome), issuer: await this.loadOne(outcome.result.id, context) };
  }

  @Mutation(() => IssuerPayload, { description: 'Changes an issuer. Tokens that it has issued are checked anew within a second.' })
  async updateIssuer(
    @Args('input', { type: () => UpdateIssuerInput, description: 'What to change.' }) input: UpdateIssuerInput,
    @Context() context: GraphqlContext,
  ): Promise<IssuerPayload> {
    const { command, options } = commandOf(input, context, CLEARABLE);
    const outcome = await this.service.update(accessOf(context), command, options);
    return { ...toPayload(outcome), issuer: await this.loadOne(input.id, context) };
  }

  @Mutation(() => IssuerPayload, {
    description: 'Trusts an issuer no longer, and removes the people that it signed in. INVALID_STATE while any of them, or a group of its, holds a role.',
  })
  async deleteIssuer(
    @Args('input', { type: () => DeleteIssuerInput, description: 'Which.' }) input: DeleteIssuerInput,
    @Context() context: GraphqlContext,
  ): Promise<IssuerPayload> {
    const outcome = await this.service.delete(accessOf(context), input.id, optionsOf(input, context));
    return { ...toPayload(outcome), issuer: await this.loadOne(input.id, context) };
  }

  private async loadOne(id: unknown, context: GraphqlContext): Promise<Issuer | null> {
    return typeof id === 'string' ? ((await this.load([id], context)).get(id) ?? null) : null;
  }

  private async load(ids: readonly string[], context: GraphqlContext): Promise<Map<string, Issuer>> {
    const access = accessOf(context);
    const rows = await this.database.rows(findIssuers, [...ids]);
    return new Map(
      rows
        .filter((row) => access.sees('issuer', placeOfRow(row)))
        .map((row) => [row.id, toIssuer(row)]),
    );
  }
}
