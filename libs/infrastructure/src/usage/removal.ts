import { ChangeSet, ROWS } from '#database';
import type { Use } from './usage.js';

/** Deletes what nobody uses; what is used takes no new users from now on and goes with its last one. */
export function planRemoval(
  table: 'zone' | 'rack' | 'backend' | 'datastore',
  row: { id: string; name: string; version: number },
  uses: readonly Use[],
): ChangeSet {
  const { id, version } = row;
  const isUsed = uses.length > 0;
  const changes = new ChangeSet().add(
    ROWS,
    isUsed ? { table, update: { state: 'PENDING_DELETE' }, id, version } : { table, remove: true, id, version },
  );
  changes.resources.push({ action: 'DELETE', kind: table, id, name: row.name });
  if (isUsed) {
    const list = uses.map((use) => `${use.count} ${use.users}`).join(', ');
    const data = Object.fromEntries(uses.map((use) => [use.users, use.count]));
    changes.reasons.push({ subject: row.name, message: `It is in use (${list}) and goes with the last of them.`, data });
  }
  changes.result = { id, isPending: isUsed };
  return changes;
}
