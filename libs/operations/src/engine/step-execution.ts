import { MuonError, sleep, type Logger } from '#core';
import type { Reader } from '#database';
import type { DriverCall } from '#drivers';
import type { StepContext } from '../kind/operation-kind.js';
import type { HeldOperation } from './held-operation.js';
import { LeaseLost } from './hooks.js';

export interface ExecutionOptions {
  reader: Reader;
  log: Logger;
  /** Aborts when the worker can wait no longer for steps to end. */
  drain: AbortSignal;
  /** The longest that one driver call may take. */
  callTimeoutMs: number;
  /** With so little left of the lease no call begins any more, for clocks and the way to the database. */
  leaseMarginMs: number;
  /** The longest that one run of a step may take; longer work is for `wait`. */
  stepTimeoutMs: number;
  /** How long a run that was told to stop may take to do so. */
  graceMs: number;
}

/**
 * Runs a step's code once, bounded in time. After it nothing can be called through its context any more, whatever the
 * code still does.
 */
export async function executeStep<Result>(
  held: HeldOperation,
  options: ExecutionOptions,
  code: (context: StepContext<unknown>) => Promise<Result>,
): Promise<Result> {
  const stop = new AbortController();
  const abort = (): void => stop.abort();
  let tookTooLong = false;
  const timer = setTimeout(() => {
    tookTooLong = true;
    abort();
  }, options.stepTimeoutMs);
  const { progress } = held;
  const reasons = [held.lost.signal, options.drain];
  if (progress.direction === 'FORWARD' && !progress.pivot_passed) reasons.push(held.cancelled.signal);
  // Listened to one by one: combined signals and their timers would pile up at hundreds of steps a second.
  for (const reason of reasons) {
    if (reason.aborted) abort();
    reason.addEventListener('abort', abort, { once: true });
  }
  try {
    const running = code(contextOf(held, options, stop.signal));
    const ended = await firstOf(running, stop.signal, options.graceMs);
    if (ended !== undefined) return ended.result;
    throw new MuonError('CANCELLED', 'The step was told to stop.');
  } catch (error) {
    if (held.lost.signal.aborted) throw new LeaseLost(held.id);
    // What a run throws because it was told to stop says nothing; that it took too long does.
    if (tookTooLong) {
      throw new MuonError('TIMEOUT', `A step did not answer within ${options.stepTimeoutMs} ms.`, { fault: 'SYSTEM', cause: error });
    }
    throw error;
  } finally {
    clearTimeout(timer);
    for (const reason of reasons) reason.removeEventListener('abort', abort);
    abort();
  }
}

/** The run's end; after the signal it still has the grace. undefined when even that was not enough. */
async function firstOf<Result>(
  running: Promise<Result>,
  signal: AbortSignal,
  graceMs: number,
): Promise<{ result: Result } | undefined> {
  const settled = running.then((result) => ({ result }));
  // Raced below; an error that comes after everything is over has nobody left to hear it.
  settled.catch(() => undefined);
  const over = new AbortController();
  const late = (async () => {
    if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true, signal: over.signal }));
    await sleep(graceMs, over.signal);
    return undefined;
  })();
  try {
    return await Promise.race([settled, late]);
  } finally {
    over.abort();
  }
}

function contextOf(held: HeldOperation, options: ExecutionOptions, signal: AbortSignal): StepContext<unknown> {
  const step = held.stepAt(held.progress.step_index);
  const { direction } = held.progress;
  const part = direction === 'FORWARD' ? step.name : `undo-${step.name}`;
  return {
    operation: held.view,
    reader: options.reader,
    outputs: held.outputs,
    parentOutputs: held.row.parent_outputs,
    step: { name: step.name, direction, tries: step.tries, since: new Date(step.since), memo: step.memo ?? undefined },
    signal,
    log: options.log,
    call(resourceId: string): DriverCall {
      if (held.leaseRemainingMs <= options.leaseMarginMs) {
        // Given up here and now: whatever the kind's code makes of the error, it is not the operation's failure.
        held.lost.abort();
        throw new LeaseLost(held.id);
      }
      if (signal.aborted) throw new MuonError('CANCELLED', 'The step was told to stop.');
      return {
        idempotencyKey: `${held.id}/${held.row.attempt}/${part}/${resourceId}`,
        // Not what is left of the lease: a slow backend would be asked for ever and never be heard. It is renewed meanwhile,
        // and losing it aborts the call.
        timeoutMs: options.callTimeoutMs,
        signal,
      };
    },
  };
}
