import { Field, ID, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import { ErrorCode, Fault, type JsonObject } from '#core';
import type { Reader } from '#database';
import { DateTime, forgetLoaded, JsonObjectScalar, loader, Long, Node, type GraphqlContext } from '#graphql';
import { placeOfRow, type CommandResult } from '#identity';
import { accessOf, CommandPayload, Problem, toPayload, toProblem, type Plan } from '#identity/api';
import { findHoldingOperations, findOperations, readBlockers, withoutStranger, type OperationRow } from './operation-queries.sql.js';
import { OperationOrigin, OperationState, StepState, type Blocker } from './operation.js';

registerEnumType(OperationState, {
  name: 'OperationState',
  description: 'How far an operation is.',
  valuesMap: {
    QUEUED: { description: 'Accepted and not begun; `blocker` says what it waits for, if anything.' },
    RUNNING: { description: 'A worker is on it.' },
    WAITING: { description: 'Begun, and waiting: for a backend, for a later try, or for its children. `blocker` says which.' },
    UNDOING: { description: 'Taking back what was started, last first.' },
    SUCCEEDED: { description: 'Done.' },
    FAILED: { description: 'All that was started is undone, but for what `notRestored` names; `error` says why.' },
    CANCELLED: { description: 'All that was started is undone, as somebody asked, but for what `notRestored` names.' },
    STUCK: { description: 'It can go neither forward nor back: an operator must retry or abandon it.' },
  },
});
registerEnumType(OperationOrigin, {
  name: 'OperationOrigin',
  description: 'Who started an operation.',
  valuesMap: {
    USER: { description: 'A request.' },
    RECONCILER: { description: 'Muon, to bring what is back to what shall be.' },
    SYSTEM: { description: 'Muon, for its own upkeep.' },
  },
});

/** A step that has not begun has no row, and is PENDING to people. */
export const OperationStepState = { PENDING: 'PENDING', ...StepState } as const;
export type OperationStepState = (typeof OperationStepState)[keyof typeof OperationStepState];
registerEnumType(OperationStepState, {
  name: 'OperationStepState',
  description: 'How far a step is.',
  valuesMap: {
    PENDING: { description: 'Not begun.' },
    STARTED: { description: 'Begun; it is going on, waiting or being undone.' },
    DONE: { description: 'Done.' },
    FAILED: { description: 'It has failed for good; `error` says why.' },
    UNDONE: { description: 'Taken back.' },
  },
});

@ObjectType({ description: 'One step of an operation.' })
export class OperationStep {
  @Field(() => String, { description: 'What it does, as `place` or `start`.' })
  readonly name!: string;

  @Field(() => OperationStepState, { description: 'How far it is.' })
  readonly state!: OperationStepState;

  @Field(() => Int, { description: 'How often it was tried again or looked at again.' })
  readonly tries!: number;

  @Field(() => DateTime, { nullable: true, description: 'When it was first started.' })
  readonly startedAt!: Date | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was done, or undone.' })
  readonly endedAt!: Date | null;

  @Field(() => Problem, { nullable: true, description: 'Why it failed, or what stopped its last try.' })
  readonly error!: Problem | null;

  @Field(() => JsonObjectScalar, {
    nullable: true,
    description: 'What the step has proven, in numbers: a deletion counts at its end what was removed and what is left. Null of other steps.',
  })
  readonly proof!: JsonObject | null;
}

@ObjectType({ description: 'How an earlier attempt of an operation ended.' })
export class OperationAttempt {
  @Field(() => Int, { description: 'Its number, from 1 on.' })
  readonly attempt!: number;

  @Field(() => OperationState, { description: 'How it ended.' })
  readonly state!: OperationState;

  @Field(() => Problem, { nullable: true, description: 'Why it failed.' })
  readonly error!: Problem | null;

  @Field(() => ID, { nullable: true, description: 'Who asked for it.' })
  readonly principalId!: string | null;

  @Field(() => DateTime, { description: 'When it was asked for.' })
  readonly queuedAt!: Date;

  @Field(() => DateTime, { nullable: true, description: 'When it began.' })
  readonly startedAt!: Date | null;

  @Field(() => DateTime, { description: 'When it ended.' })
  readonly endedAt!: Date;

  @Field(() => [OperationStep], { description: 'The steps that it had begun.' })
  readonly steps!: OperationStep[];
}

@ObjectType('Blocker', { description: 'Why something does not go on just now.' })
export class BlockerType {
  @Field(() => ErrorCode, { description: 'From a closed list.' })
  readonly code!: ErrorCode;

  @Field(() => String, { description: 'The reason, for people.' })
  readonly message!: string;

  @Field(() => Fault, { description: 'Whose it is to mend.' })
  readonly fault!: Fault;

  @Field(() => DateTime, { description: 'Since when this same reason holds.' })
  readonly since!: Date;

  @Field(() => String, { nullable: true, description: 'What would let it go on.' })
  readonly remedy!: string | null;

  @Field(() => JsonObjectScalar, { nullable: true, description: 'Numbers and names that explain it.' })
  readonly data!: JsonObject | null;

  @Field(() => ID, { description: 'The operation that is held up.' })
  readonly operationId!: string;

  @Field(() => String, { description: 'The kind of that operation.' })
  readonly operationKind!: string;

  @Field(() => ID, { description: 'What that operation works on.' })
  readonly resourceId!: string;
}

@ObjectType({ description: 'How much of an operation is done, its children weighed in.' })
export class Progress {
  @Field(() => Int, { description: 'Steps that are done.' })
  readonly done!: number;

  @Field(() => Int, { description: 'Steps that are known so far; a step may start children with steps of their own.' })
  readonly known!: number;

  @Field(() => Int, { description: 'How much of the whole is done, 0 to 100: all steps weigh the same, and children together as much as the step that waits for them.' })
  readonly percent!: number;

  @Field(() => DateTime, {
    nullable: true,
    description: 'When it should end, as the same steps took before; null without such a past, and when it is not going forward.',
  })
  readonly expectedEndAt!: Date | null;
}

@ObjectType({ description: 'That an operator gave an operation up.' })
export class Abandonment {
  @Field(() => DateTime, { description: 'When.' })
  readonly at!: Date;

  @Field(() => ID, { nullable: true, description: 'Who.' })
  readonly principalId!: string | null;

  @Field(() => String, { description: 'Why.' })
  readonly reason!: string;

  @Field(() => [String], { description: 'The steps that may have left traces.' })
  readonly steps!: string[];
}

@ObjectType('NotRestored', { description: 'Something that is not as it was before, although an operation was taken back.' })
export class NotRestoredType {
  @Field(() => String, { description: 'The step whose undo could not put it back.' })
  readonly step!: string;

  @Field(() => ID, { description: 'What it is about.' })
  readonly resourceId!: string;

  @Field(() => String, { description: 'What is otherwise than before, and why.' })
  readonly message!: string;
}

@ObjectType({ implements: () => [Node], description: 'A job that changes a resource, step by step, and ends done or undone.' })
export class Operation extends Node {
  @Field(() => String, { description: 'What it does, as `compute.virtual_machine.create`.' })
  readonly kind!: string;

  @Field(() => OperationState, { description: 'How far it is.' })
  readonly state!: OperationState;

  @Field(() => ID, { description: 'What it works on.' })
  readonly resourceId!: string;

  @Field(() => String, { description: 'The kind of what it works on, as `virtual_machine`.' })
  readonly resourceKind!: string;

  @Field(() => ID, { nullable: true, description: 'The tenant that it belongs to.' })
  readonly tenantId!: string | null;

  @Field(() => ID, { nullable: true, description: 'The project that it belongs to.' })
  readonly projectId!: string | null;

  @Field(() => OperationOrigin, { description: 'Who started it.' })
  readonly origin!: OperationOrigin;

  @Field(() => ID, { nullable: true, description: 'Who asked for the present attempt; null for Muon itself.' })
  readonly principalId!: string | null;

  @Field(() => Int, { description: 'The number of the present attempt; each retry is a new one.' })
  readonly attempt!: number;

  @Field(() => Boolean, { description: 'Whether it is past the step after which it only goes forward and cannot be cancelled.' })
  readonly isPastPivot!: boolean;

  @Field(() => DateTime, { nullable: true, description: 'When it was asked to cancel; null if it was not.' })
  readonly cancelRequestedAt!: Date | null;

  @Field(() => BlockerType, { nullable: true, description: 'What it waits for itself; `blockers` walks down to the root causes.' })
  readonly blocker!: BlockerType | null;

  @Field(() => Problem, { nullable: true, description: 'The root cause, of one that failed, goes back or is stuck.' })
  readonly error!: Problem | null;

  @Field(() => [NotRestoredType], {
    description:
      'Of one that was taken back, also by a cancel: what could not be put back as it was before, because others have changed it meanwhile or the backend cannot; of one that an operator gave up, what may be left. Empty when all is as it was. `error.data.notRestored` has the same.',
  })
  readonly notRestored!: NotRestoredType[];

  @Field(() => Abandonment, { nullable: true, description: 'Set when an operator gave it up.' })
  readonly abandonment!: Abandonment | null;

  @Field(() => DateTime, { description: 'When the present attempt was asked for.' })
  readonly queuedAt!: Date;

  @Field(() => DateTime, { nullable: true, description: 'When the present attempt began.' })
  readonly startedAt!: Date | null;

  @Field(() => DateTime, { nullable: true, description: 'When it ended.' })
  readonly endedAt!: Date | null;

  @Field(() => DateTime, { nullable: true, description: 'Until when it tries; then it is undone. Null before it has begun.' })
  readonly deadlineAt!: Date | null;

  @Field(() => Long, { description: 'Rises with every change of it.' })
  readonly revision!: number;

  /** For field resolvers. */
  readonly row!: OperationRow;
}

export function toOperation(row: OperationRow): Operation {
  return {
    id: row.id,
    home: placeOfRow(row),
    kind: row.kind,
    state: row.state,
    resourceId: row.resource_id,
    resourceKind: row.resource_kind,
    tenantId: row.tenant_id,
    projectId: row.project_id,
    origin: row.origin,
    principalId: row.principal_id,
    attempt: row.attempt,
    isPastPivot: row.pivot_passed,
    cancelRequestedAt: row.cancel_requested_at,
    blocker: row.blocker === null ? null : toBlocker(row.blocker, row.id, row.kind, row.resource_id),
    error: row.error === null ? null : toProblem(row.error),
    notRestored: row.not_restored,
    abandonment: toAbandonment(row.abandonment),
    queuedAt: row.queued_at,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    deadlineAt: row.deadline_at,
    revision: row.revision,
    row,
  };
}

export function toBlocker(blocker: Blocker, operationId: string, operationKind: string, resourceId: string): BlockerType {
  const { code, message, fault, remedy, data, since } = blocker;
  return { code, message, fault, since: new Date(since), remedy: remedy ?? null, data: data ?? null, operationId, operationKind, resourceId };
}

function toAbandonment(abandonment: OperationRow['abandonment']): Abandonment | null {
  if (abandonment === null) return null;
  const { at, by, reason, leftovers } = abandonment;
  return { at: new Date(at), principalId: by, reason, steps: (leftovers ?? []).map((leftover) => leftover.step) };
}

/** Of these operations, those that the caller may see. */
export async function loadOperations(reader: Reader, context: GraphqlContext, ids: readonly string[]): Promise<Map<string, Operation>> {
  const access = accessOf(context);
  const rows = await reader.rows(findOperations, [...ids]);
  return new Map(
    rows
      .filter((row) => access.sees('operation', { tenantId: row.tenant_id, projectId: row.project_id }))
      .map((row) => [row.id, toOperation(row)]),
  );
}

/** One operation, looked up together with all others that the request asks for; null when the caller may not see it. */
export async function loadOperation(reader: Reader, context: GraphqlContext, id: unknown): Promise<Operation | null> {
  if (typeof id !== 'string') return null;
  const load = loader<string, Operation>(context, 'operation', (ids) => loadOperations(reader, context, ids));
  return (await load.load(id)) ?? null;
}

/** For `currentOperation` of any resource: the operation that holds it now. */
export async function loadCurrentOperation(reader: Reader, context: GraphqlContext, resourceId: string): Promise<Operation | null> {
  const access = accessOf(context);
  const load = loader<string, Operation>(context, 'operation.current', async (ids) => {
    const rows = await reader.rows(findHoldingOperations, [...ids]);
    const seen = rows.filter((row) => access.sees('operation', { tenantId: row.tenant_id, projectId: row.project_id }));
    return new Map(seen.map((row) => [row.held_resource_id, toOperation(row)]));
  });
  return (await load.load(resourceId)) ?? null;
}

/** For `blockers` of any operation: what it waits for, walked down to the root causes. */
export async function loadBlockers(reader: Reader, context: GraphqlContext, operationId: string): Promise<BlockerType[]> {
  const access = accessOf(context);
  const load = loader<string, BlockerType[]>(context, 'operation.blockers', async (ids) => {
    const seen = (await reader.rows(readBlockers, [...ids])).map((row) => (access.sees('operation', placeOfRow(row)) ? row : withoutStranger(row)));
    const rows = Map.groupBy(seen, (row) => row.top_id);
    return new Map(
      [...rows].map(([id, found]) => [id, found.map((row) => toBlocker(row.blocker, row.operation_id, row.kind, row.resource_id))]),
    );
  });
  return (await load.load(operationId)) ?? [];
}

/** Payload of a mutation that starts an operation; a room's payload extends it with the resource under its own name. */
@ObjectType({ isAbstract: true })
export abstract class OperationPayload extends CommandPayload {
  @Field(() => Operation, { nullable: true, description: 'The job that was started; null of a dry run, and when there is nothing to do.' })
  readonly operation!: Operation | null;
}

/** @returns the base of such a payload; the resolver adds its resource, looked up after this by `result.id`. */
export async function toOperationPayload(
  reader: Reader,
  context: GraphqlContext,
  outcome: CommandResult,
): Promise<{ plan: Plan | null; result: JsonObject; operation: Operation | null }> {
  forgetLoaded(context);
  const operation = await loadOperation(reader, context, outcome.result.operationId);
  return { ...toPayload(outcome), operation };
}
