import { Args, Context, Field, ID, InputType, Mutation, ObjectType, registerEnumType, Resolver } from '@nestjs/graphql';
import { ErrorCode, Fault, type ErrorRecord, type JsonObject } from '#core';
import { Authenticated, DateTime, JsonObjectScalar, type GraphqlContext } from '#graphql';
import { accessOf } from '../access/access.graphql.js';
import { CommandRunner, type CommandResult, type StoredPlan } from './command-runner.js';

registerEnumType(ErrorCode, {
  name: 'ErrorCode',
  description: 'Every code that an error can have.',
  valuesMap: Object.fromEntries(
    Object.keys(ErrorCode).map((code) => [code, { description: `See \`extensions.code\`: ${code.toLowerCase().replaceAll('_', ' ')}.` }]),
  ),
});
registerEnumType(Fault, {
  name: 'Fault',
  description: 'Whose it is to mend.',
  valuesMap: {
    USER: { description: 'Whoever asked.' },
    ADMIN: { description: 'The owner of the tenant or project.' },
    OPERATOR: { description: 'Whoever runs the datacenter.' },
    SYSTEM: { description: 'Muon itself.' },
  },
});

@ObjectType({ description: 'Why something was refused, failed, or cannot go on.' })
export class Problem {
  @Field(() => ErrorCode, { description: 'From a closed list.' })
  readonly code!: ErrorCode;

  @Field(() => String, { description: 'What happened and what would be right, for people.' })
  readonly message!: string;

  @Field(() => Fault, { description: 'Whose it is to mend.' })
  readonly fault!: Fault;

  @Field(() => Boolean, { description: 'Whether trying again later can help.' })
  readonly retryable!: boolean;

  @Field(() => String, { nullable: true, description: 'The input field at fault.' })
  readonly field!: string | null;

  @Field(() => JsonObjectScalar, { nullable: true, description: 'Numbers and names that explain it.' })
  readonly data!: JsonObject | null;
}

/** The wire form of a stored error. */
export function toProblem(record: ErrorRecord): Problem {
  return { ...record, field: record.field ?? null, data: record.data ?? null };
}

const PlannedActionType = { CREATE: 'CREATE', UPDATE: 'UPDATE', DELETE: 'DELETE' } as const;
registerEnumType(PlannedActionType, {
  name: 'PlannedAction',
  description: 'What a plan does to a resource.',
  valuesMap: {
    CREATE: { description: 'It would be made.' },
    UPDATE: { description: 'It would be changed.' },
    DELETE: { description: 'It would be deleted.' },
  },
});

@ObjectType('PlannedResource', { description: 'One thing that a plan would make, change or delete.' })
export class PlannedResourceType {
  @Field(() => PlannedActionType, { description: 'What would happen to it.' })
  readonly action!: 'CREATE' | 'UPDATE' | 'DELETE';

  @Field(() => String, { description: 'What kind of thing, as `virtual machine`.' })
  readonly kind!: string;

  @Field(() => ID, { description: 'The id that it has or would get.' })
  readonly id!: string;

  @Field(() => String, { description: 'Its name.' })
  readonly name!: string;

  @Field(() => JsonObjectScalar, { nullable: true, description: 'Where it would go and what it would take.' })
  readonly data!: JsonObject | null;
}

@ObjectType('PlanReason', { description: 'Why a plan chose what it chose.' })
export class PlanReasonType {
  @Field(() => String, { description: 'What the reason speaks of.' })
  readonly subject!: string;

  @Field(() => String, { description: 'The reason, for people.' })
  readonly message!: string;

  @Field(() => JsonObjectScalar, { nullable: true, description: 'Numbers behind it.' })
  readonly data!: JsonObject | null;
}

@ObjectType({ description: 'What a mutation would do, from a dry run. `applyPlan` does exactly this or refuses.' })
export class Plan {
  @Field(() => ID, { description: 'Give it to `applyPlan`.' })
  readonly id!: string;

  @Field(() => DateTime, { description: 'It can be applied until then.' })
  readonly expiresAt!: Date;

  @Field(() => String, { description: 'The snapshot of the database that it rests on.' })
  readonly snapshot!: string;

  @Field(() => [PlannedResourceType], { description: 'What would be made, changed and deleted, in this order.' })
  readonly resources!: PlannedResourceType[];

  @Field(() => [PlanReasonType], { description: 'Why these places, addresses and amounts.' })
  readonly reasons!: PlanReasonType[];

  @Field(() => [Problem], { description: 'Why it would fail now; empty when it would not.' })
  readonly problems!: Problem[];
}

export function toPlan(plan: StoredPlan): Plan {
  const { changes } = plan;
  return {
    id: plan.id,
    expiresAt: plan.expiresAt,
    snapshot: plan.snapshot,
    resources: changes.resources.map((each) => ({ ...each, data: each.data ?? null })),
    reasons: changes.reasons.map((each) => ({ ...each, data: each.data ?? null })),
    problems: changes.problems.map(toProblem),
  };
}

/** What mutations have in common; a room's payload extends it with the resource under its own name. */
@ObjectType({ isAbstract: true })
export abstract class CommandPayload {
  @Field(() => Plan, { nullable: true, description: 'Of a dry run: what would be done. Nothing has been.' })
  readonly plan!: Plan | null;

  /** Ids that field resolvers of the payload look up, under the caller's current rights. */
  readonly result!: JsonObject;
}

/** @returns the base of any mutation's payload; `result` holds what field resolvers need. */
export function toPayload(outcome: CommandResult): { plan: Plan | null; result: JsonObject } {
  return { plan: outcome.plan === null ? null : toPlan(outcome.plan), result: outcome.result };
}

/** An id that the command has answered with; null of a dry run. */
export function resultId(result: JsonObject, name = 'id'): string | null {
  const value = result[name];
  return typeof value === 'string' ? value : null;
}

@InputType({ description: 'Which plan to apply.' })
export class ApplyPlanInput {
  @Field(() => ID, { description: 'From the `plan` of a dry run.' })
  readonly planId!: string;
}

@ObjectType({ description: 'A plan was applied exactly as it was shown.' })
export class ApplyPlanPayload {
  @Field(() => ID, { nullable: true, description: 'The resource that the plan was about; `node` finds it.' })
  readonly resourceId!: string | null;

  @Field(() => ID, { nullable: true, description: 'The operation that the plan started, if any; `node` finds it.' })
  readonly operationId!: string | null;
}

@Authenticated()
@Resolver()
export class PlanResolver {
  constructor(private readonly commands: CommandRunner) {}

  @Mutation(() => ApplyPlanPayload, {
    description: 'Does what a dry run has shown: exactly that, or PLAN_STALE naming the fact that has changed since.',
  })
  async applyPlan(
    @Args('input', { type: () => ApplyPlanInput, description: 'Which plan.' }) input: ApplyPlanInput,
    @Context() context: GraphqlContext,
  ): Promise<ApplyPlanPayload> {
    const { result } = await this.commands.applyPlan(accessOf(context), input.planId, context.idempotencyKey);
    return { resourceId: resultId(result), operationId: resultId(result, 'operationId') };
  }
}
