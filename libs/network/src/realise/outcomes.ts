import { MuonError, toMuonError } from '#core';
import type { Outcome } from '#drivers';

/**
 * Waits for all calls, so that none is still on its way when the step ends. Of several errors the one that no retry mends
 * is thrown.
 * @returns in how many milliseconds to look again, or null when all are done
 */
export async function settleAll(calls: readonly Promise<Outcome<unknown>>[]): Promise<number | null> {
  const results = await Promise.allSettled(calls);
  const errors = results.flatMap((result) => (result.status === 'rejected' ? [toMuonError(result.reason)] : []));
  const worst = errors.find((error) => !error.retryable) ?? errors[0];
  if (worst !== undefined) throw worst;
  let again: number | null = null;
  for (const result of results) {
    if (result.status === 'rejected' || result.value.state === 'DONE') continue;
    again = again === null ? result.value.retryAfterMs : Math.min(again, result.value.retryAfterMs);
  }
  return again;
}

/** Whether the backend says that what the call builds on is not there. */
export function isMissing(error: unknown): boolean {
  return error instanceof MuonError && error.code === 'NOT_FOUND';
}
