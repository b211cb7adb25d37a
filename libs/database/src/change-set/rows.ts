import { allInOrder, assert } from '#core';
import { insertRows, updateVersioned, versionConflict } from '../guarded.js';
import { derived, statement } from '../statement.js';
import type { Transaction } from '../transaction.js';
import type { ChangeSetApplier, Section } from './change-set.js';
import { findTaken } from './taken-names.js';

/**
 * A write of one row of a room's own table. Inserts of one table go together in one statement; tables are written in
 * the order of their first item, so parents come before children. A version in an update or delete is the fact that
 * the plan rests on.
 */
export type RowChange =
  | { table: string; insert: Record<string, unknown> }
  | { table: string; update: Record<string, unknown>; id: string; version: number }
  | { table: string; remove: true; id: string; version: number };

export const ROWS: Section<RowChange> = { name: 'rows' };

export async function applyRows(transaction: Transaction, items: readonly RowChange[]): Promise<void> {
  const inserts = new Map<string, Record<string, unknown>[]>();
  for (const item of items) {
    if (!('insert' in item)) continue;
    const rows = inserts.get(item.table);
    if (rows === undefined) inserts.set(item.table, [item.insert]);
    else rows.push(item.insert);
  }
  const writes = [...inserts].map(([table, rows]) => insertRows(transaction, table, rows));
  for (const item of items) {
    if ('update' in item) writes.push(updateVersioned(transaction, item.table, item, item.update));
    else if ('remove' in item) writes.push(removeVersioned(transaction, item));
  }
  await allInOrder(writes);
}

export function registerRowSections(applier: ChangeSetApplier): void {
  applier.register(ROWS, applyRows, { sendsAtOnce: () => true, preview: findTaken });
}

async function removeVersioned(
  transaction: Transaction,
  item: { table: string; id: string; version: number },
): Promise<void> {
  assert(/^[a-z][a-z0-9_]{0,62}$/.test(item.table), `"${item.table}" is no table name`);
  const remove = derived(`${item.table}.remove`, `DELETE FROM ${item.table} WHERE id = $1 AND version = $2`);
  if ((await transaction.execute(remove, item.id, item.version)) !== 1) throw versionConflict(item.table, item);
}

/** The transaction's snapshot, which names what a plan rested on. */
export const currentSnapshot = statement<{ snapshot: string }>(
  'database.snapshot',
  'SELECT pg_current_snapshot()::text AS snapshot',
);
