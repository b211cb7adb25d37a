import type { Transaction } from '#database';
import { dropLocks, handOverLocks, lockOperations, wakeSuccessors } from './resource-lock.sql.js';

/**
 * At a root's end: its locks go to whoever stands in line, the others are dropped. A successor's row is locked before its
 * locks are touched: of two roots that end at the same time, the later one sees what the earlier one handed over, and so
 * one of them wakes the successor.
 * @param resourceId only the lock of that one
 * @returns whether anybody was waiting
 */
export async function handOver(transaction: Transaction, rootId: string, resourceId: string | null = null): Promise<boolean> {
  const waiting = await transaction.rows(dropLocks, rootId, resourceId);
  if (waiting.length === 0) return false;
  const successors = waiting.map((row) => row.successor_operation_id);
  await transaction.rows(lockOperations, successors);
  await transaction.rows(handOverLocks, rootId, resourceId);
  await transaction.rows(wakeSuccessors, successors);
  return true;
}

/**
 * For the finisher of a child whose root may go on for long and does not touch the child's resource any more: whoever waits
 * for that, or wants it, need not wait for the root.
 */
export async function releaseLock(transaction: Transaction, child: { rootId: string; resourceId: string }): Promise<void> {
  await handOver(transaction, child.rootId, child.resourceId);
}
