import { MuonError, type ErrorCode, type JsonObject, type JsonValue } from '#core';
import type { ChangeSet, Transaction } from '#database';
import type { Outcome } from '#drivers';
import type { BlockerReason, FanOutPolicy, NotRestored } from '../operation/operation.js';

/** Applies a change set inside the transaction that commits the outcome, in the house's lock order. */
export type ApplyChanges = (changes: ChangeSet) => Promise<void>;

/**
 * Writes that commit together with the step's outcome, under the lock that checks the fence. May be run again when the
 * transaction restarts after a deadlock: it must have no other effect. An error here is the step's error.
 */
export type CommitWork = (transaction: Transaction, apply: ApplyChanges) => Promise<void>;

/** Something that an undo could not put back as it was before. */
export type Unrestored = Omit<NotRestored, 'step'>;

export interface StepDone {
  type: 'DONE';
  /** Only of an undo; shown with the operation, also when it was cancelled. Instead of what an earlier run of it has said. */
  notRestored: readonly Unrestored[] | undefined;
  /**
   * Read by later steps as `context.outputs[name]`; public, small, never a secret. What it names `proof`, an object, is shown
   * with the step to everybody who may see the operation.
   */
  output: JsonValue | undefined;
  commit: CommitWork | undefined;
}

export interface StepWait {
  type: 'WAIT';
  /** As of `StepDone`: said when it is known, in the step's own transaction. */
  notRestored: readonly Unrestored[] | undefined;
  afterMs: number;
  blocker: BlockerReason;
  /** Wakes earlier when `OperationService.signal` names it; `afterMs` is then only the fallback. */
  signal: string | undefined;
  /** Given back as `context.step.memo` on the next run of this step. */
  memo: JsonValue | undefined;
  commit: CommitWork | undefined;
}

export interface ChildOperation {
  kind: string;
  resourceKind: string;
  resourceId: string;
  input: JsonObject;
  /** Defaults to the parent's. */
  tenantId?: string | null;
  projectId?: string | null;
  /** The backend whose tokens the child takes; null for none. */
  backendId?: string | null;
  deadlineMs?: number;
  /**
   * Resources that it holds by itself until it ends, and not its root: a deletion of one of them asks this child to cancel, and
   * nobody else. While somebody else has one the step is tried again.
   */
  locks?: readonly string[];
}

export interface StepFanOut {
  type: 'FAN_OUT';
  children: ChildOperation[];
  policy: FanOutPolicy;
  /** As of `StepWait`, for a step that runs again after its children. */
  memo: JsonValue | undefined;
  commit: CommitWork | undefined;
}

export type StepResult = StepDone | StepWait | StepFanOut;
/** An undo ends or waits; it takes back a fan-out by the step's `compensate`. */
export type UndoResult = StepDone | StepWait;

/** The step has done what it is for. */
export function done(result: { output?: JsonValue; commit?: CommitWork; notRestored?: readonly Unrestored[] } = {}): StepDone {
  return { type: 'DONE', output: result.output, commit: result.commit, notRestored: result.notRestored };
}

/**
 * Not yet: gives up slot and lease, and runs the same step again later.
 * @param blocker shown to people as the reason; a plain text stands for "the backend works on it"
 */
export function wait(result: {
  afterMs: number;
  blocker: BlockerReason | string;
  signal?: string;
  memo?: JsonValue;
  commit?: CommitWork;
  notRestored?: readonly Unrestored[];
}): StepWait {
  const { blocker } = result;
  return {
    type: 'WAIT',
    afterMs: result.afterMs,
    blocker: typeof blocker === 'string' ? waitingFor(blocker) : blocker,
    signal: result.signal,
    memo: result.memo,
    commit: result.commit,
    notRestored: result.notRestored,
  };
}

/**
 * Starts one child operation for each resource and waits until all have ended. What succeeded is judged by the policy;
 * the children's outcomes become the step's output (`{ children: ChildOutcome[] }` without their inputs).
 */
export function fanOut(result: { children: ChildOperation[]; policy: FanOutPolicy; memo?: JsonValue; commit?: CommitWork }): StepFanOut {
  return { type: 'FAN_OUT', children: result.children, policy: result.policy, memo: result.memo, commit: result.commit };
}

/** One child that fails takes all back with it. */
export const UNDO_ALL: FanOutPolicy = { type: 'UNDO_ALL' };
/** Fewer than `atLeast` successes fail the step; beyond that, failed children are left out. */
export const keep = (atLeast: number): FanOutPolicy => ({ type: 'KEEP', atLeast });
/** However the children end, the step runs again and looks for itself; it bounds by its memo how often it starts them. */
export const AGAIN: FanOutPolicy = { type: 'AGAIN' };

/**
 * Thrown by a step that has failed for good, with what it is to know if it is told to go on all the same: where there is no
 * way back, its operation comes to rest STUCK, and after an operator's retry `context.step.memo` is this one.
 */
export class StepFailed extends MuonError {
  constructor(
    error: MuonError,
    readonly memo: JsonValue,
  ) {
    const { code, message, fault, retryable, field, data, detail } = error;
    const known = { ...(field === undefined ? {} : { field }), ...(data === undefined ? {} : { data }), ...(detail === undefined ? {} : { detail }) };
    super(code, message, { fault, retryable, cause: error, ...known });
  }
}

/** A driver's answer as a step's: DONE goes on, PENDING waits for as long as the backend asked. */
export function fromOutcome<Value>(
  outcome: Outcome<Value>,
  blocker: BlockerReason | string,
  finish: (value: Value) => StepDone = () => done(),
): StepDone | StepWait {
  if (outcome.state === 'DONE') return finish(outcome.value);
  return wait({ afterMs: outcome.retryAfterMs, blocker });
}

/** The blocker of something that is merely under way. */
export function waitingFor(message: string, code: ErrorCode = 'UNAVAILABLE'): BlockerReason {
  return { code, message, fault: 'SYSTEM' };
}
