import type { Database, Transaction } from '#database';
import { closeAudit, pruneAudit } from './audit.sql.js';

const DAY_MS = 86_400_000;

/** Writes into the entries of the commands that are waiting for this operation what became of it. */
export async function closeAuditEntries(
  transaction: Transaction,
  end: { operationId: string; state: string; errorCode: string | null },
): Promise<void> {
  await transaction.execute(closeAudit, end.operationId, end.state, end.errorCode);
}

/** Deletes one batch of entries that are older than the policy keeps them; the caller repeats while it returns something. */
export async function pruneAuditEntries(database: Database, keptDays: number, limit = 1000): Promise<number> {
  const before = new Date(Date.now() - keptDays * DAY_MS);
  return database.transaction(async (transaction) => (await transaction.first(pruneAudit, before, limit))?.removed ?? 0);
}
