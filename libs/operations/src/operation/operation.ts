import { defineId, type ErrorCode, type ErrorRecord, type Fault, type Id, type JsonObject, type JsonValue } from '#core';

export const operationId = defineId('op');
export type OperationId = Id<'op'>;

export const OperationState = {
  /** Accepted, not begun; `blocker` names the operation that it waits for, if any. */
  QUEUED: 'QUEUED',
  RUNNING: 'RUNNING',
  /** Begun and waiting: for a backend, for a later try, or for its children. `blocker` says which. */
  WAITING: 'WAITING',
  /** Taking back what was started, last first. */
  UNDOING: 'UNDOING',
  SUCCEEDED: 'SUCCEEDED',
  /** Everything that was started is undone (or was abandoned by an operator, with the list of what is left). */
  FAILED: 'FAILED',
  CANCELLED: 'CANCELLED',
  /** A terminal error where there is no way back; keeps charges, claims and locks until an operator decides. */
  STUCK: 'STUCK',
} as const;
export type OperationState = (typeof OperationState)[keyof typeof OperationState];

export const END_STATES: readonly OperationState[] = ['SUCCEEDED', 'FAILED', 'CANCELLED'];

export const StepState = {
  /** Committed before the step's first run: whatever comes, its undo is owed. */
  STARTED: 'STARTED',
  DONE: 'DONE',
  FAILED: 'FAILED',
  UNDONE: 'UNDONE',
} as const;
export type StepState = (typeof StepState)[keyof typeof StepState];

export const OperationOrigin = { USER: 'USER', RECONCILER: 'RECONCILER', SYSTEM: 'SYSTEM' } as const;
export type OperationOrigin = (typeof OperationOrigin)[keyof typeof OperationOrigin];

export const Direction = { FORWARD: 'FORWARD', UNDO: 'UNDO' } as const;
export type Direction = (typeof Direction)[keyof typeof Direction];

/** Why an operation does not move on just now; public. */
export interface BlockerReason {
  code: ErrorCode;
  message: string;
  fault: Fault;
  /** What would let it go on, for people. */
  remedy?: string;
  data?: JsonObject;
}

export interface Blocker extends BlockerReason {
  /** ISO time since when this same reason holds. */
  since: string;
}

/** What a fan-out demands of its children. After one that says AGAIN its step runs once more, however they have ended. */
export type FanOutPolicy = { type: 'UNDO_ALL' } | { type: 'KEEP'; atLeast: number } | { type: 'AGAIN' };

/** How a child of a fan-out ended. */
export interface ChildOutcome {
  id: string;
  kind: string;
  resourceKind: string;
  resourceId: string;
  input: JsonObject;
  state: 'SUCCEEDED' | 'FAILED' | 'CANCELLED';
  error: ErrorRecord | null;
  /** Outputs of its steps by name. */
  outputs: Record<string, JsonValue>;
}

/** What is stored of a running fan-out. */
export interface FanOutRecord {
  step: number;
  direction: Direction;
  policy: FanOutPolicy;
  since: string;
}

/** What an undo could not put back as it was before, or what an operation that was given up may have left. */
export interface NotRestored {
  step: string;
  resourceId: string;
  /** What is otherwise than before, and why, for people. */
  message: string;
}

/** Steps that were started and never undone, listed when an operator abandons an operation. */
export interface Leftover {
  step: string;
  state: StepState;
  error: ErrorRecord | null;
}
