import { vi } from 'vitest';
import { statement, type Database, type Transaction } from '#database';

const countWaiting = statement<{ count: number }>(
  'spec.waiting_for_locks',
  `SELECT count(*) AS count FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
);

/**
 * What the second comes to, which begins while the first's transaction is open and waits for it, if anything makes it. The
 * first is committed when the second has ended or waits for a lock.
 */
export async function besides<T>(
  database: Database,
  first: (transaction: Transaction) => Promise<unknown>,
  second: () => Promise<T>,
): Promise<PromiseSettledResult<T>> {
  const [begun, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const open = database.transaction(async (transaction) => {
    await first(transaction);
    begun.resolve();
    await end.promise;
  });
  await Promise.race([begun.promise, open]);
  let isOver = false;
  const outcome = Promise.allSettled([second()]).finally(() => (isOver = true));
  await vi.waitFor(
    async () => {
      if (isOver || ((await database.first(countWaiting))?.count ?? 0) > 0) return;
      throw new Error('the second has neither ended nor come to wait');
    },
    { timeout: 10_000 },
  );
  end.resolve();
  await open;
  return (await outcome)[0];
}
