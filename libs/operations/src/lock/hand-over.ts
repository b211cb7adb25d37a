import type { Transaction } from '#database';
import { dropLocks, handOverLocks, lockOperations, wakeSuccessors } from './resource-lock.sql.js';

/**
 * At the end of whoever holds locks, a root or a child with some of its own: they go to whoever stands in line, the others are
 * dropped. A successor's row is locked before its locks are touched: of two roots that end at the same time, the later one
 * sees what the earlier one handed over, and so one of them wakes the successor.
 * @returns whether anybody was waiting
 */
export async function handOver(transaction: Transaction, rootId: string): Promise<boolean> {
  const waiting = await transaction.rows(dropLocks, rootId);
  if (waiting.length === 0) return false;
  const successors = waiting.map((row) => row.successor_operation_id);
  await transaction.rows(lockOperations, successors);
  await transaction.rows(handOverLocks, rootId);
  await transaction.rows(wakeSuccessors, successors);
  return true;
}
