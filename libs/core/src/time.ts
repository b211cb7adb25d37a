import { setTimeout as sleepTimer } from 'node:timers/promises';
import { MuonError } from './errors.js';

/** Waits; ends early without an error when the signal aborts. */
export async function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  try {
    await sleepTimer(milliseconds, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    if (!(error instanceof Error && error.name === 'AbortError')) throw error;
  }
}

/** Exponential back-off with full jitter: attempt 0 waits up to `baseMs`, and never more than `maxMs`. */
export function backoffMs(attempt: number, baseMs: number, maxMs: number): number {
  const ceiling = Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30));
  return Math.round(ceiling / 2 + (Math.random() * ceiling) / 2);
}

/**
 * Ends with the promise, or with TIMEOUT after `timeoutMs`. The work itself goes on unless it heeds the signal, so give
 * it one: this is the last resort that keeps a loop from hanging.
 */
export async function withTimeout<T>(
  what: string,
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<T>,
  parent?: AbortSignal,
): Promise<T> {
  // Timers take whole milliseconds only.
  const limitMs = Math.ceil(timeoutMs);
  const timeout = AbortSignal.timeout(limitMs);
  const signal = parent === undefined ? timeout : AbortSignal.any([parent, timeout]);
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () =>
      reject(
        timeout.aborted
          ? new MuonError('TIMEOUT', `${what} did not answer within ${limitMs} ms.`)
          : new MuonError('CANCELLED', `${what} was given up.`, { cause: signal.reason }),
      );
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work(signal), aborted]);
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
  }
}
