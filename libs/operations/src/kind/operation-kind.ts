import { createHash } from 'node:crypto';
import type { z } from 'zod';
import type { ErrorRecord, JsonObject, JsonValue, Logger } from '#core';
import type { ChangeSet, Reader, Transaction } from '#database';
import type { DriverCall } from '#drivers';
import type { ChildOutcome, Direction, Leftover, OperationOrigin } from '../operation/operation.js';
import { declared } from './declared.js';
import type { ApplyChanges, ChildOperation, StepResult, UndoResult } from './step-result.js';

/** What steps and finishers see of their operation. */
export interface OperationView<Input> {
  readonly id: string;
  readonly kind: string;
  readonly input: Input;
  readonly resourceKind: string;
  readonly resourceId: string;
  readonly tenantId: string | null;
  readonly projectId: string | null;
  readonly rootId: string;
  readonly parentId: string | null;
  readonly backendId: string | null;
  readonly origin: OperationOrigin;
  /** Who asked; null for the system's own work. */
  readonly principalId: string | null;
  readonly requestId: string | null;
  /** 1 for the first; each retry of a failed operation is a new one. */
  readonly attempt: number;
}

export interface StepContext<Input> {
  readonly operation: OperationView<Input>;
  /** Outside of any transaction; what a step writes goes into its result's `commit`. */
  readonly reader: Reader;
  /** Outputs of the steps that are done in this attempt, by name. In an undo: of the steps not yet undone and of this one. */
  readonly outputs: Readonly<Record<string, JsonValue | undefined>>;
  /** Of a child: its parent's outputs so far. */
  readonly parentOutputs: Readonly<Record<string, JsonValue | undefined>>;
  readonly step: {
    readonly name: string;
    /** Whether this is its run or its undo. */
    readonly direction: Direction;
    /** How often this step (or its undo) has ended in a retryable error or in a wait before. */
    readonly tries: number;
    /** When the step was first started; for an undo, when its undo was. */
    readonly since: Date;
    /** What the last `wait` of this step (or of its undo) left, or the `StepFailed` that an operator's retry came after. */
    readonly memo: JsonValue | undefined;
  };
  /** Aborts when the lease is lost, the worker drains, or the operation is cancelled and may still be undone. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /**
   * What a driver call needs. Ask anew for each call: the timeout ends before the lease as it was last renewed.
   * @param resourceId the resource that the call is about; part of the idempotency key
   * @throws when the lease is lost or the step has ended: then no call may be made any more
   */
  readonly call: (resourceId: string) => DriverCall;
}

/**
 * One step. `STARTED` is committed before its first run, and a run may be repeated at any point of it, also while an
 * earlier one's call is still on its way: run and undo must be idempotent.
 */
export interface OperationStep<Input> {
  /** Lower-case words with hyphens, unique in the kind; shown to people. */
  readonly name: string;
  /**
   * Once this step has started, the operation only goes forward: no cancel, no deadline, and a terminal error is STUCK.
   * At most one step of a kind.
   */
  readonly pivot?: true;
  /**
   * What the admission has written is taken back by this step's undo, so it also runs when the operation ends before any
   * step has begun. Only the first step of a kind.
   */
  readonly undoesAdmission?: true;
  /**
   * @throws MuonError retryable: tried again with back-off until the deadline; any other: everything started is undone
   */
  run(context: StepContext<Input>): Promise<StepResult>;
  /**
   * Ensures that nothing of the step is left: waits for or cancels pending work on the name, deletes, and looks again
   * after a settling time (`wait` with a `memo`). Runs also when the step's run has failed or its outcome is unknown.
   * A step that leaves no trace needs none.
   */
  undo?(context: StepContext<Input>): Promise<UndoResult>;
  /**
   * Takes back one succeeded child of this step's fan-out: the kind of operation to run on the child's resource with the
   * child's input, or a function that says so in full (undefined: nothing to take back).
   */
  readonly compensate?: string | ((child: ChildOutcome) => ChildOperation | undefined);
}

/** What is known when an operation ends. */
export interface FinishContext<Input> {
  readonly operation: OperationView<Input>;
  /** The root cause; null when it succeeded or was cancelled. */
  readonly error: ErrorRecord | null;
  readonly outputs: Readonly<Record<string, JsonValue | undefined>>;
  /** Set when an operator gave it up: why, and the steps whose traces may be left. */
  readonly abandoned: { readonly reason: string; readonly leftovers: readonly Leftover[] } | null;
  readonly apply: ApplyChanges;
}

export interface ReadmitContext<Input> {
  readonly operation: OperationView<Input>;
  readonly reader: Reader;
  /** Why the last attempt failed. */
  readonly error: ErrorRecord | null;
}

/**
 * Finishers write the resource's final observed state in the transaction that ends the operation. An error in one is
 * tried again; a terminal one makes the operation STUCK.
 */
export interface OperationDefinition<Input> {
  /** `<room>.<resource>.<verb>`, as `compute.vm.create`. */
  readonly kind: string;
  /** Rises when the steps or the input change; the code of a version stays until none of it is unfinished. */
  readonly version: number;
  readonly input: z.ZodType<Input>;
  readonly steps: readonly OperationStep<Input>[];
  /** How long retryable errors and waits may go on before they are terminal; counted from the first start. */
  readonly deadlineMs: number;
  onSucceeded?(transaction: Transaction, context: FinishContext<Input>): Promise<void>;
  /** All is undone: refund, release, and say on the resource why. */
  onFailed?(transaction: Transaction, context: FinishContext<Input>): Promise<void>;
  /** Without it a cancelled operation ends by `onFailed` (with `error` null). */
  onCancelled?(transaction: Transaction, context: FinishContext<Input>): Promise<void>;
  /** Admits a failed operation again (charges, claims, locks, states) for a new attempt. Without it there is no retry. */
  readmit?(context: ReadmitContext<Input>): Promise<ChangeSet>;
}

export interface OperationKind<Input> extends OperationDefinition<Input> {
  /** What an operation row is served by: kind, version and a digest of the step names, which are frozen in the row. */
  readonly handler: string;
  readonly stepNames: readonly string[];
  readonly pivotIndex: number | null;
}

const KIND = /^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){1,3}$/;
const STEP_NAME = /^[a-z][a-z0-9-]{0,62}$/;
const MAX_STEPS = 50;

export function handlerOf(kind: string, version: number, stepNames: readonly string[]): string {
  const digest = createHash('sha256').update(JSON.stringify(stepNames)).digest('hex').slice(0, 8);
  return `${kind}@${version}:${digest}`;
}

/** Declares a kind of operation; hand it to the `OperationRegistry` of every process that submits or runs it. */
export function defineOperation<Input extends object = JsonObject>(
  definition: OperationDefinition<Input>,
): OperationKind<Input> {
  const { kind, version, steps } = definition;
  declared(KIND.test(kind), `operation kind "${kind}" must read like room.resource.verb`);
  declared(Number.isInteger(version) && version > 0, `operation kind "${kind}" needs a version from 1 on`);
  declared(steps.length > 0 && steps.length <= MAX_STEPS, `operation kind "${kind}" needs 1 to ${MAX_STEPS} steps`);
  declared(definition.deadlineMs > 0, `operation kind "${kind}" needs a deadline`);
  const stepNames = steps.map((step) => step.name);
  for (const name of stepNames) declared(STEP_NAME.test(name), `step "${name}" of ${kind} must be lower-case words with hyphens`);
  declared(new Set(stepNames).size === stepNames.length, `operation kind "${kind}" has two steps of one name`);
  declared(steps.filter((step) => step.pivot === true).length <= 1, `operation kind "${kind}" has two pivots`);
  const undoing = steps.filter((step, index) => step.undoesAdmission === true && (index > 0 || step.undo === undefined));
  declared(undoing.length === 0, `only a first step of ${kind} with an undo can take back what the admission has written`);
  const pivot = steps.findIndex((step) => step.pivot === true);
  return {
    ...definition,
    handler: handlerOf(kind, version, stepNames),
    stepNames,
    pivotIndex: pivot === -1 ? null : pivot,
  };
}
