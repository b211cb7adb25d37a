import { ChangeSet, type Reader } from '#database';
import { ContentsOrder, type GoingScope, type ScopeContents } from '#tenancy';
import { planDiskDeletion } from './disk/disk-change-plan.js';
import { countSnapshotsInScope, listSnapshotsInScope } from './disk-snapshot/disk-snapshot.sql.js';
import { countDisksInScope, findDeletableDisks, findDisks, listDisksInScope } from './disk/disk.sql.js';

async function planDeletion(reader: Reader, scope: GoingScope, limit: number): Promise<ChangeSet> {
  const ids = await reader.rows(findDeletableDisks, scope.tenantId, scope.projectId, limit);
  const changes = new ChangeSet();
  if (ids.length === 0) return changes;
  for (const row of await reader.rows(findDisks, ids.map((each) => each.id))) changes.include(planDiskDeletion(row));
  return changes;
}

/** What this room keeps in tenants and projects; disks of machines go with them, and snapshots with their disks. */
export const storageScopeContents: readonly ScopeContents[] = [
  {
    kind: 'disk',
    order: ContentsOrder.DISK,
    count: async (reader, scope) => (await reader.first(countDisksInScope, scope.tenantId, scope.projectId))?.count ?? 0,
    list: (reader, scope, limit) => reader.rows(listDisksInScope, scope.tenantId, scope.projectId, limit),
    planDeletion,
  },
  {
    kind: 'disk snapshot',
    order: ContentsOrder.CLAIM,
    count: async (reader, scope) => (await reader.first(countSnapshotsInScope, scope.tenantId, scope.projectId))?.count ?? 0,
    list: (reader, scope, limit) => reader.rows(listSnapshotsInScope, scope.tenantId, scope.projectId, limit),
  },
];
