/**
 * Waits for all of it, and throws what the first in this order has thrown: what goes on at once fails in the same way
 * whoever is quickest, and nothing of it is still under way afterwards.
 */
export async function allInOrder<Work extends readonly unknown[] | []>(
  work: Work,
): Promise<{ -readonly [Index in keyof Work]: Awaited<Work[Index]> }> {
  const outcomes = await Promise.allSettled(work);
  const results = outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value as unknown;
  });
  return results as { -readonly [Index in keyof Work]: Awaited<Work[Index]> };
}

/** Resolves when the signal aborts. */
export async function aborted(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true })));
}
