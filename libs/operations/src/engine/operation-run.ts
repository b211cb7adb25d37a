import { assert, MuonError, toMuonError, type ErrorRecord, type Logger } from '#core';
import { sqlState, type Database } from '#database';
import type { OperationRegistry } from '../kind/operation-registry.js';
import type { OperationStep, StepContext } from '../kind/operation-kind.js';
import type { ChildOperation, CommitWork, StepDone, StepFanOut, StepResult, StepWait } from '../kind/step-result.js';
import { StepFailed, UNDO_ALL } from '../kind/step-result.js';
import { childKey, childLocks, childRows, compensationFailure, compensations, fanOutFailure, fanOutOutput, lastOfEach } from './children.js';
import { readChildren, readUncompensated, type ChildRow } from './engine.sql.js';
import { WorkFailed, type EngineStore, type MoveExtras } from './engine-store.js';
import { blockerFrom, failureOf, givenUp, retryDelayMs, waitedTooLong, type RetryTimes } from './failure.js';
import type { HeldOperation } from './held-operation.js';
import { LeaseLost, SimulatedCrash, type EngineHooks, type HookPoint } from './hooks.js';
import {
  abandoned,
  blockerOf,
  childrenStarted,
  finished,
  nextAction,
  onceMore,
  stepDone,
  stepUndone,
  stuck,
  tryAgain,
  turnBack,
  withoutEnd,
  type Move,
} from './progress.js';
import { executeStep, type ExecutionOptions } from './step-execution.js';

export interface RunOptions extends Omit<ExecutionOptions, 'reader'> {
  database: Database;
  registry: OperationRegistry;
  hooks: EngineHooks;
  retry: RetryTimes;
  log: Logger;
  /** Asked between steps: true gives the operation back. */
  stopping(): boolean;
}

/** The worker gives the operation back in the middle of a step, because it drains. */
export class Drained extends Error {}

/** Data exceptions, broken constraints, wrong statements: nothing was written, and nothing will be. */
const DEFECT = /^(22|23|42)/;
const MIN_WAIT_MS = 5;
const MAX_WAIT_MS = 3_600_000;

function isDefect(error: unknown): boolean {
  const origin = error instanceof MuonError ? error.cause : error;
  return DEFECT.test(sqlState(origin) ?? '');
}

/** One operation in the hands of a worker, from the claim until the lease is given up. */
export class OperationRun {
  constructor(
    private readonly held: HeldOperation,
    private readonly store: EngineStore,
    private readonly options: RunOptions,
  ) {}

  /**
   * Goes from step to step until the operation waits or has ended.
   * @returns in how many ms it wants to go on; null when not by itself
   * @throws LeaseLost, SimulatedCrash, Drained
   */
  async drive(): Promise<number | null> {
    for (;;) {
      const move = await this.nextOrShow();
      if (move?.release === true) return move.wake_after_ms;
      if (this.options.stopping()) throw new Drained();
    }
  }

  /**
   * A write that PostgreSQL has refused for good is a defect; one that a constraint refuses at the commit is in the way of
   * others. Nothing was written: it is shown on the operation, which is tried again.
   */
  private async nextOrShow(): Promise<Move | undefined> {
    try {
      return await this.next();
    } catch (error) {
      const refused = isDefect(error) ? new MuonError('INTERNAL', 'An internal error occurred.', { cause: error }) : error;
      if (!(refused instanceof MuonError) || refused.code === 'UNAVAILABLE') throw error;
      this.options.log.error({ err: error }, 'an outcome could not be written');
      const wait = { afterMs: this.options.retry.maxMs, blocker: blockerFrom(failureOf(refused).record) };
      return this.write(() => tryAgain(this.held.progress, wait));
    }
  }

  private async next(): Promise<Move | undefined> {
    const { progress, row } = this.held;
    const action = nextAction(progress, row.abandonment !== null);
    switch (action.type) {
      case 'ABANDON':
        return this.settle(() => abandoned(progress, this.abandonedError(), row.resource_id));
      case 'TURN_BACK':
        return this.settle(() => turnBack(progress, null));
      case 'FINISH':
        return this.finish();
      case 'JUDGE':
        return this.judge();
      case 'RUN':
        return this.run(action.index);
      case 'UNDO':
        return this.undo(action.index);
    }
  }

  private async run(index: number): Promise<Move | undefined> {
    const step = this.stepAt(index);
    const { progress } = this.held;
    const outcome = await this.attempt(step, (context) => step.run(context));
    if (outcome instanceof Error) return this.failed(outcome);
    const { commit } = outcome;
    return this.commit(step, () => {
      switch (outcome.type) {
        case 'DONE':
          return this.settle(() => stepDone(progress, outcome.output ?? null, this.held.mustTurnBack), { commit });
        case 'WAIT':
          return this.wait(step, outcome);
        case 'FAN_OUT':
          return this.fanOut(outcome);
      }
    });
  }

  /** What has succeeded in this attempt already is not started again, unless the step itself looks again and wants it. */
  private async fanOut({ children, policy, memo, commit }: StepFanOut): Promise<Move | undefined> {
    const { progress, row } = this.held;
    if (policy.type === 'AGAIN') {
      assert(children.length > 0, `step ${progress.step_index} of ${row.id} would run again at once`);
      return this.startChildren(children, () => childrenStarted(progress, policy, children.length, memo), commit);
    }
    const earlier = lastOfEach(await this.options.database.rows(readChildren, row.id, row.attempt, progress.step_index, false));
    const succeeded = new Set(earlier.filter((child) => child.state === 'SUCCEEDED').map(childKey));
    const wanted = children.filter((child) => !succeeded.has(childKey({ ...child, resource_id: child.resourceId })));
    if (wanted.length === 0) {
      return this.settle(() => stepDone(progress, fanOutOutput(earlier), this.held.mustTurnBack), { commit });
    }
    return this.startChildren(wanted, () => childrenStarted(progress, policy, wanted.length), commit);
  }

  private async startChildren(children: readonly ChildOperation[], make: () => Move, commit: CommitWork | undefined): Promise<Move | undefined> {
    const rows = this.rowsOf(children.map((child) => ({ child, compensatesId: null })));
    return this.settle(make, { commit, children: rows, childLocks: childLocks(rows, children) });
  }

  private async undo(index: number): Promise<Move | undefined> {
    const step = this.stepAt(index);
    const { row } = this.held;
    if (step.compensate !== undefined) {
      const succeeded = await this.options.database.rows(readUncompensated, row.id, row.attempt, index);
      if (succeeded.length > 0) return this.compensate(step, succeeded);
    }
    return this.undoOwn(step);
  }

  private async compensate(step: OperationStep<unknown>, succeeded: readonly ChildRow[]): Promise<Move | undefined> {
    const { progress } = this.held;
    let children: Record<string, unknown>[];
    try {
      children = this.rowsOf(compensations(step, succeeded));
    } catch (error) {
      return this.failed(this.kindsOwn(error));
    }
    if (children.length === 0) return this.undoOwn(step);
    return this.settle(() => childrenStarted(progress, UNDO_ALL, children.length), { children });
  }

  private async undoOwn(step: OperationStep<unknown>): Promise<Move | undefined> {
    const { progress } = this.held;
    const undo = step.undo?.bind(step);
    if (undo === undefined) return this.settle(() => stepUndone(progress));
    const outcome = await this.attempt<StepDone | StepWait>(step, (context) => undo(context));
    if (outcome instanceof Error) return this.failed(outcome);
    return this.commit(step, () => {
      if (outcome.type === 'WAIT') return this.wait(step, outcome);
      return this.settle(() => stepUndone(progress, outcome.notRestored), { commit: outcome.commit });
    });
  }

  /** Commits a step's outcome; what the kind's code throws in it is the step's error. */
  private async commit(step: OperationStep<unknown>, work: () => Promise<Move | undefined>): Promise<Move | undefined> {
    const point = this.point(step);
    let move: Move | undefined;
    try {
      move = await work();
    } catch (error) {
      return this.failed(this.kindsOwn(error));
    }
    await this.options.hooks.afterCommit?.(point);
    return move;
  }

  /** The children have ended. */
  private async judge(): Promise<Move | undefined> {
    const { progress, row } = this.held;
    const { fan_out: fanOut } = progress;
    assert(fanOut !== null, 'only a fan-out is judged');
    const compensating = fanOut.direction === 'UNDO';
    if (fanOut.policy.type === 'AGAIN') return this.settle(() => onceMore(progress));
    const children = lastOfEach(await this.options.database.rows(readChildren, row.id, row.attempt, fanOut.step, compensating));
    if (compensating) {
      const failure = compensationFailure(children);
      return this.settle(() => (failure === undefined ? onceMore(progress) : stuck(progress, failure)));
    }
    const failure = fanOutFailure(fanOut.policy, children);
    if (failure === undefined) {
      return this.settle(() => stepDone(progress, fanOutOutput(children), this.held.mustTurnBack));
    }
    return this.settle(() => (progress.pivot_passed ? stuck(progress, failure) : turnBack(progress, failure)));
  }

  /** All steps are done or undone and only the end is owed, because it could not be committed with the last of them. */
  private async finish(): Promise<Move | undefined> {
    const { progress } = this.held;
    const forward = progress.direction === 'FORWARD' && !progress.pivot_passed;
    try {
      return await this.write(() => finished(progress));
    } catch (error) {
      if (!(error instanceof WorkFailed)) throw error;
      const failure = failureOf(error.cause);
      this.warn(error.cause, 'the end could not be committed');
      if (!failure.retryable && forward) return this.settle(() => turnBack(progress, failure.record));
      return this.failed(error.cause);
    }
  }

  private async wait(step: OperationStep<unknown>, outcome: StepWait): Promise<Move | undefined> {
    const { progress } = this.held;
    const { blocker, commit, signal, memo, notRestored } = outcome;
    const extras = { commit };
    if (this.held.mustTurnBack) return this.settle(() => turnBack(progress, null), extras);
    const bounded = progress.direction === 'FORWARD' && !progress.pivot_passed;
    const remaining = bounded ? this.held.deadlineAt - performance.now() : Number.POSITIVE_INFINITY;
    if (remaining <= 0) {
      const cause = waitedTooLong(step.name, blocker, this.held.kind.deadlineMs);
      return this.settle(() => turnBack(progress, cause), extras);
    }
    const afterMs = Math.min(Math.max(outcome.afterMs, MIN_WAIT_MS), remaining, MAX_WAIT_MS);
    const again = { afterMs, blocker, notRestored, ...(signal === undefined ? {} : { signal }), ...(memo === undefined ? {} : { memo }) };
    // A cancel that comes between does not wait for the time to pass.
    return this.settle(() => (this.held.mustTurnBack ? turnBack(progress, null) : tryAgain(progress, again)), extras);
  }

  /** What an error of the kind's own code means: once more later, back, or stuck. */
  private async failed(error: unknown): Promise<Move | undefined> {
    const { progress } = this.held;
    // Whatever a run says that was told to stop, the cancel is the reason.
    if (this.held.mustTurnBack) return undefined;
    const failure = failureOf(error);
    this.warn(error, failure.retryable ? 'a step failed and is tried again' : 'a step failed');
    const forward = progress.direction === 'FORWARD';
    const bounded = forward && !progress.pivot_passed;
    if (failure.retryable && !(bounded && this.held.deadlineAt <= performance.now())) {
      const tries = progress.steps.get(progress.step_index)?.tries ?? 0;
      const delay = retryDelayMs(failure, tries, this.options.retry);
      const afterMs = bounded ? Math.min(delay, Math.max(this.held.deadlineAt - performance.now(), MIN_WAIT_MS)) : delay;
      const wait = { afterMs, blocker: blockerFrom(failure.record), error: failure.record };
      return this.settle(() => (this.held.mustTurnBack ? turnBack(progress, null) : tryAgain(progress, wait)));
    }
    if (!bounded) return this.settle(() => stuck(progress, failure.record, error instanceof StepFailed ? error.memo : undefined));
    const cause = failure.retryable ? givenUp(failure.record, this.held.kind.deadlineMs) : failure.record;
    return this.settle(() => turnBack(progress, cause));
  }

  /**
   * Writes a move; the end that goes with it is put off when the finisher cannot be committed.
   * @returns undefined when a cancel came between: then what is to be done next is to be asked anew
   */
  private async settle(make: () => Move, extras: MoveExtras = {}): Promise<Move | undefined> {
    try {
      return await this.write(make, extras);
    } catch (error) {
      if (!(error instanceof WorkFailed) || error.part !== 'FINISH') throw error;
      this.warn(error.cause, 'the end could not be committed with the last step');
      return this.write(() => this.endOwed(make(), error.cause), extras);
    }
  }

  private async write(make: () => Move, extras: MoveExtras = {}): Promise<Move | undefined> {
    // A cancel that comes between is known from then on, and the move is made anew with it.
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const starts = extras.children !== undefined && this.held.mustTurnBack;
      if (starts) return undefined;
      const move = make();
      const before = this.held.progress.state;
      if (!(await this.store.write(this.held, move, extras))) continue;
      if (move.state === 'STUCK' && before !== 'STUCK') this.alarm(move);
      return move;
    }
    return undefined;
  }

  private endOwed(move: Move, cause: unknown): Move {
    const failure = failureOf(cause);
    const blocker = blockerOf(this.held.progress, blockerFrom(failure.record));
    const afterMs = retryDelayMs(failure, 2, this.options.retry);
    if (this.held.row.abandonment !== null) return withoutEnd(move, { state: 'STUCK', afterMs, blocker });
    const back = move.direction === 'UNDO';
    if (failure.retryable) return withoutEnd(move, { state: back ? 'UNDOING' : 'WAITING', afterMs, blocker });
    // Going forward it will be asked once more, and turns back if that fails as well.
    if (!back && !move.pivot_passed) return withoutEnd(move, { state: 'WAITING', afterMs: 0, blocker });
    return withoutEnd(move, { state: 'STUCK', afterMs: null, blocker });
  }

  private async attempt<Result extends StepResult>(
    step: OperationStep<unknown>,
    code: (context: StepContext<unknown>) => Promise<Result>,
  ): Promise<Result | Error> {
    const { hooks, database } = this.options;
    await hooks.beforeStep?.(this.point(step));
    let outcome: Result | Error;
    try {
      outcome = await executeStep(this.held, { ...this.options, reader: database }, code);
    } catch (error) {
      if (error instanceof LeaseLost || error instanceof SimulatedCrash) throw error;
      outcome = error instanceof Error ? error : new Error(String(error));
    }
    if (this.held.lost.signal.aborted) throw new LeaseLost(this.held.id);
    await hooks.afterRun?.(this.point(step), outcome);
    if (outcome instanceof Error && this.options.drain.aborted) throw new Drained();
    return outcome;
  }

  private rowsOf(children: Parameters<typeof childRows>[2]): Record<string, unknown>[] {
    try {
      return childRows(this.options.registry, this.held, children);
    } catch (error) {
      throw new WorkFailed('COMMIT', error);
    }
  }

  private point(step: OperationStep<unknown>): HookPoint {
    const { row, progress } = this.held;
    return {
      operationId: row.id,
      kind: row.kind,
      resourceId: row.resource_id,
      attempt: row.attempt,
      step: step.name,
      direction: progress.direction,
    };
  }

  private stepAt(index: number): OperationStep<unknown> {
    const step = this.held.kind.steps[index];
    assert(step !== undefined, `${this.held.kind.handler} has no step ${index}`);
    return step;
  }

  /** Only what the kind's code threw is its failure; all else is for the engine. */
  private kindsOwn(error: unknown): unknown {
    if (error instanceof WorkFailed) return error.cause;
    throw error;
  }

  private abandonedError(): ErrorRecord {
    const { blocker } = this.held.progress;
    return {
      code: blocker?.code ?? 'INTERNAL',
      message: blocker?.message ?? 'The operation was abandoned.',
      fault: blocker?.fault ?? 'OPERATOR',
      retryable: false,
    };
  }

  private alarm({ blocker }: Move): void {
    this.options.log.error({ blocker }, 'ALARM: an operation is stuck until an operator retries or abandons it');
  }

  private warn(error: unknown, message: string): void {
    const muon = toMuonError(error);
    const unexpected = muon.code === 'INTERNAL' ? { err: error } : {};
    this.options.log.warn({ code: muon.code, reason: muon.message, detail: muon.detail, ...unexpected }, message);
  }
}

