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

/**
 * As `settleAll`, of calls that ask hosts.
 * @returns also the names of dead hosts, which have not answered
 */
export async function settleHosts(calls: readonly Promise<Outcome<{ pendingHostNames: string[] }>>[]): Promise<{ again: number | null; pending: string[] }> {
  const pending = new Set<string>();
  const again = await settleAll(
    calls.map(async (call) => {
      const outcome = await call;
      if (outcome.state === 'DONE') for (const name of outcome.value.pendingHostNames) pending.add(name);
      return outcome;
    }),
  );
  return { again, pending: [...pending].sort() };
}

/** Of a call that asks hosts for a part: what the backend does not have, no host can lack. That it shall have it is another's to see. */
export async function unlessMissing(call: Promise<Outcome<{ pendingHostNames: string[] }>>): Promise<Outcome<{ pendingHostNames: string[] }>> {
  try {
    return await call;
  } catch (error) {
    if (isMissing(error)) return { state: 'DONE', value: { pendingHostNames: [] } };
    throw error;
  }
}

/** Whether the backend says that what the call builds on is not there. */
export function isMissing(error: unknown): boolean {
  return error instanceof MuonError && error.code === 'NOT_FOUND';
}
