import type { ErrorRecord, JsonValue } from '#core';
import type { Unrestored } from '../kind/step-result.js';
import { StepState, type Blocker, type BlockerReason, type FanOutPolicy, type Leftover, type NotRestored } from '../operation/operation.js';
import type { LoadedOperation, LoadedStep, MovePatch, StepPatch } from './engine.sql.js';

/**
 * The rules of how an operation moves: pure functions from where it is and what happened to the row as it shall be.
 * Whoever calls them writes the result under the fence.
 */

/** An operation in the hands of a worker, as far as its moving parts go. */
export type Progress = Pick<
  LoadedOperation,
  | 'state'
  | 'direction'
  | 'step_index'
  | 'pivot_passed'
  | 'pivot_index'
  | 'step_names'
  | 'cancel_requested'
  | 'fan_out'
  | 'blocker'
  | 'error'
  | 'not_restored'
> & {
  steps: Map<number, LoadedStep>;
  /** Whether the kind has something to take back for a step. */
  canUndo(index: number): boolean;
  /** Whether the undo of the first step is owed even when nothing has begun. */
  undoesAdmission: boolean;
};

/** What is to be done next. */
export type Action =
  | { type: 'ABANDON' }
  | { type: 'TURN_BACK' }
  | { type: 'JUDGE' }
  | { type: 'RUN'; index: number }
  | { type: 'UNDO'; index: number }
  | { type: 'FINISH' };

/** A row as it shall be; the lease's length is the writer's. */
export type Move = Omit<MovePatch, 'lease_ms' | 'heed_cancel'>;

export function nextAction(progress: Progress, abandoned: boolean): Action {
  if (abandoned) return { type: 'ABANDON' };
  const forward = progress.direction === 'FORWARD';
  if (forward && progress.cancel_requested && !progress.pivot_passed) return { type: 'TURN_BACK' };
  if (progress.fan_out !== null) return { type: 'JUDGE' };
  if (forward) {
    if (progress.step_index >= progress.step_names.length) return { type: 'FINISH' };
    return { type: 'RUN', index: progress.step_index };
  }
  if (progress.step_index < 0) return { type: 'FINISH' };
  return { type: 'UNDO', index: progress.step_index };
}

function still(progress: Progress, changes: Partial<Move>): Move {
  const move: Move = {
    state: progress.state,
    direction: progress.direction,
    step_index: progress.step_index,
    steps_done: 0,
    pivot_passed: progress.pivot_passed,
    pending_children: 0,
    fan_out: progress.fan_out,
    blocker: progress.blocker,
    error: progress.error,
    leftovers: null,
    not_restored: progress.not_restored,
    wake_signal: null,
    release: false,
    wake_after_ms: null,
    ended: false,
    steps: [],
    ...changes,
  };
  return { ...move, steps_done: countDone(progress, move.steps) };
}

function countDone(progress: Progress, patches: readonly StepPatch[]): number {
  const states = new Map([...progress.steps].map(([index, step]) => [index, step.state]));
  for (const patch of patches) states.set(patch.index, patch.state);
  return [...states.values()].filter((state) => state === StepState.DONE).length;
}

function patchOf(progress: Progress, index: number, changes: Partial<StepPatch>): StepPatch {
  const step = progress.steps.get(index);
  return {
    index,
    name: progress.step_names[index] ?? '',
    state: step?.state ?? StepState.STARTED,
    tries: step?.tries ?? 0,
    memo: step?.memo ?? null,
    output: step?.output ?? null,
    error: step?.error ?? null,
    begins: false,
    ends: false,
    ...changes,
  };
}

/** Beyond so many nobody reads on. */
const MAX_NOT_RESTORED = 100;

const FRESH = { tries: 0, memo: null, begins: true } as const;

/**
 * The step's run has ended well: on to the next, or to the end.
 * @param stop begins nothing new, because the operation will turn back
 */
export function stepDone(progress: Progress, output: JsonValue, stop = false): Move {
  const index = progress.step_index;
  const next = index + 1;
  const steps = [patchOf(progress, index, { state: 'DONE', output, error: null, memo: null, ends: true })];
  if (stop) return still(progress, { state: 'RUNNING', step_index: next, blocker: null, fan_out: null, steps });
  const last = next >= progress.step_names.length;
  if (!last) steps.push(patchOf(progress, next, { ...FRESH, state: 'STARTED', output: null, error: null }));
  return still(progress, {
    state: last ? 'SUCCEEDED' : 'RUNNING',
    step_index: next,
    pivot_passed: progress.pivot_passed || (!last && progress.pivot_index !== null && next >= progress.pivot_index),
    blocker: null,
    fan_out: null,
    steps,
    ...(last ? { ended: true, release: true } : {}),
  });
}

/** Not yet: the same step, or its undo, once more later. Also after an error that may pass. */
export function tryAgain(
  progress: Progress,
  wait: { afterMs: number; blocker: BlockerReason; signal?: string; memo?: JsonValue; error?: ErrorRecord; notRestored?: readonly Unrestored[] | undefined },
): Move {
  const index = progress.step_index;
  const step = progress.steps.get(index);
  const { afterMs, blocker, signal, memo, error } = wait;
  const inside = index >= 0 && index < progress.step_names.length;
  const patch = patchOf(progress, index, {
    tries: (step?.tries ?? 0) + 1,
    memo: memo ?? step?.memo ?? null,
    ...(error === undefined ? {} : { error }),
  });
  return still(progress, {
    state: progress.direction === 'FORWARD' ? 'WAITING' : 'UNDOING',
    release: true,
    wake_after_ms: Math.round(afterMs),
    wake_signal: signal ?? null,
    not_restored: lossesOf(progress, wait.notRestored),
    blocker: blockerOf(progress, blocker),
    steps: inside ? [patch] : [],
  });
}

/** A reason that already held goes on holding since then. */
export function blockerOf(progress: Pick<Progress, 'blocker'>, reason: BlockerReason): Blocker {
  const same = progress.blocker?.code === reason.code;
  return { ...reason, since: same && progress.blocker !== null ? progress.blocker.since : new Date().toISOString() };
}

/**
 * Children take over until the last of them has ended.
 * @param memo for the step, when it runs again after them
 */
export function childrenStarted(progress: Progress, policy: FanOutPolicy, count: number, memo?: JsonValue): Move {
  return still(progress, {
    steps: memo === undefined ? [] : [patchOf(progress, progress.step_index, { memo })],
    state: progress.direction === 'FORWARD' ? 'WAITING' : 'UNDOING',
    release: true,
    pending_children: count,
    blocker: null,
    fan_out: {
      step: progress.step_index,
      direction: progress.direction,
      policy,
      since: new Date().toISOString(),
    },
  });
}

/**
 * Forward goes back: from the highest step that was started and has something to undo. What lies above it, and has
 * nothing to undo, counts as undone.
 * @param cause why; null when it was cancelled
 */
export function turnBack(progress: Progress, cause: ErrorRecord | null): Move {
  const failed = cause === null ? undefined : progress.step_index;
  const from = progress.step_names.length - 1;
  const error = progress.error ?? cause;
  return backTo(progress, from, error, (index) =>
    index === failed && progress.steps.get(index)?.state !== StepState.DONE
      ? { state: StepState.FAILED, error: cause, ends: true }
      : {},
  );
}

/**
 * The undo of this step has ended well: on to the next below, or to the end.
 * @param notRestored what it could not put back as it was; undefined: as it has said before
 */
export function stepUndone(progress: Progress, notRestored?: readonly Unrestored[]): Move {
  const losses = lossesOf(progress, notRestored);
  return backTo({ ...progress, not_restored: losses }, progress.step_index, progress.error, () => ({ ends: true }), progress.step_index);
}

/** With what the step at hand says; as long as it says nothing, what it has said before holds. */
function lossesOf(progress: Progress, said: readonly Unrestored[] | undefined): NotRestored[] {
  if (said === undefined || progress.direction === 'FORWARD') return progress.not_restored;
  const step = progress.step_names[progress.step_index] ?? '';
  const others = progress.not_restored.filter((each) => each.step !== step);
  return [...others, ...said.map((each) => ({ step, ...each }))].slice(0, MAX_NOT_RESTORED);
}

/** Whoever reads only the error, as an earlier attempt's or a resource's, finds there what is not as it was. */
function naming(error: ErrorRecord, losses: readonly NotRestored[]): ErrorRecord {
  if (losses.length === 0) return error;
  const known = (error.data?.['notRestored'] ?? []) as unknown as NotRestored[];
  const all = new Map([...known, ...losses].map((each) => [`${each.step}/${each.resourceId}/${each.message}`, each]));
  const notRestored = [...all.values()].slice(0, MAX_NOT_RESTORED) as unknown as JsonValue;
  return { ...error, data: { ...error.data, notRestored } };
}

function backTo(
  progress: Progress,
  from: number,
  error: ErrorRecord | null,
  extra: (index: number) => Partial<StepPatch>,
  undone?: number,
): Move {
  const steps: StepPatch[] = [];
  const common = { direction: 'UNDO', blocker: null, fan_out: null, error } as const;
  for (let index = from; index >= 0; index -= 1) {
    const step = progress.steps.get(index);
    const isOwed = step !== undefined || (index === 0 && progress.undoesAdmission);
    if (!isOwed || step?.state === StepState.UNDONE) continue;
    if (index !== undone && progress.canUndo(index)) {
      steps.push(patchOf(progress, index, { ...FRESH, ...extra(index) }));
      return still(progress, { ...common, state: 'UNDOING', step_index: index, steps });
    }
    steps.push(patchOf(progress, index, { ...extra(index), state: 'UNDONE', memo: null }));
  }
  const end = error === null ? { state: 'CANCELLED' as const } : { state: 'FAILED' as const, error: naming(error, progress.not_restored) };
  return still(progress, { ...common, ...end, step_index: -1, steps, ended: true, release: true });
}

/**
 * No way forward and none back: it rests until an operator retries or abandons it.
 * @param memo for the step, if it is retried; otherwise the one that it has
 */
export function stuck(progress: Progress, error: ErrorRecord, memo?: JsonValue): Move {
  const index = progress.step_index;
  const inside = progress.steps.has(index);
  const remedy = 'An operator can retry it once the cause is mended, or abandon it with a reason.';
  return still(progress, {
    state: 'STUCK',
    release: true,
    fan_out: null,
    blocker: blockerOf(progress, { code: error.code, message: error.message, fault: error.fault, remedy, ...dataOf(error) }),
    steps: inside ? [patchOf(progress, index, { error, ...(memo === undefined ? {} : { memo }) })] : [],
  });
}

/** Its children have ended, and it is for the same step to go on: its undo, after compensations, or its run. */
export function onceMore(progress: Progress): Move {
  return still(progress, { fan_out: null, blocker: null });
}

/** All steps are done, or all undone: only the end is left to commit. */
export function finished(progress: Progress): Move {
  const ended = { blocker: null, fan_out: null, ended: true, release: true };
  if (progress.direction === 'FORWARD') return still(progress, { ...ended, state: 'SUCCEEDED' });
  if (progress.error === null) return still(progress, { ...ended, state: 'CANCELLED' });
  return still(progress, { ...ended, state: 'FAILED', error: naming(progress.error, progress.not_restored) });
}

/**
 * An operator gave it up: it ends as it is, and says what may be left.
 * @param resourceId what it works on
 */
export function abandoned(progress: Progress, error: ErrorRecord, resourceId: string): Move {
  const leftovers = leftoversOf(progress);
  const given = leftovers.map(({ step, error: reason }) => {
    const why = reason === null ? '' : `: ${reason.message}`;
    return { step, resourceId, message: `It was given up with this step begun, which may have left traces${why}` };
  });
  const losses = [...progress.not_restored, ...given].slice(0, MAX_NOT_RESTORED);
  return still(progress, {
    state: 'FAILED',
    blocker: null,
    fan_out: null,
    error: naming(progress.error ?? error, losses),
    not_restored: losses,
    leftovers: leftovers as unknown as JsonValue,
    ended: true,
    release: true,
  });
}

export function leftoversOf(progress: Pick<Progress, 'steps'>): Leftover[] {
  return [...progress.steps.values()]
    .filter((step) => step.state !== StepState.UNDONE)
    .sort((one, other) => one.index - other.index)
    .map((step) => ({ step: step.name, state: step.state, error: step.error }));
}

/** The same outcome, but the end is still owed: used when the finisher could not be committed with it. */
export function withoutEnd(move: Move, end: { state: 'WAITING' | 'UNDOING' | 'STUCK'; afterMs: number | null; blocker: Blocker }): Move {
  return { ...move, state: end.state, ended: false, release: true, wake_after_ms: end.afterMs, blocker: end.blocker, leftovers: null };
}

function dataOf(error: ErrorRecord): { data?: NonNullable<ErrorRecord['data']> } {
  return error.data === undefined ? {} : { data: error.data };
}

/** Takes a written move over into memory. */
export function applyMove(progress: Progress, move: Move): void {
  progress.state = move.state;
  progress.direction = move.direction;
  progress.step_index = move.step_index;
  progress.pivot_passed = move.pivot_passed;
  progress.fan_out = move.fan_out;
  progress.blocker = move.blocker;
  progress.error = move.error;
  progress.not_restored = move.not_restored;
  for (const { begins, ends: _ends, ...patch } of move.steps) {
    const since = begins ? new Date().toISOString() : (progress.steps.get(patch.index)?.since ?? new Date().toISOString());
    progress.steps.set(patch.index, { ...patch, since });
  }
}
