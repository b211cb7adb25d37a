import { ChangeSet, ROWS } from '#database';
import { lockResources, operationId, OPERATIONS, succeedResources, type NewOperation } from '#operations';
import { planDiskGrowth } from './disk-plan.js';
import { diskId, type DiskRow } from './disk.js';
import { DISK_DELETE, DISK_LIMIT, DISK_RESIZE } from './disk.operations.js';

/** What makes a disk of its own larger. */
export function planDiskResize(disk: DiskRow, toGib: number): ChangeSet {
  const { id, size_gib: fromGib } = disk;
  const changes = planDiskGrowth(disk, toGib);
  const operation = startDiskOperation(changes, DISK_RESIZE, disk, { diskId: id, fromGib, toGib });
  lockResources(changes, operation, [id]);
  return changes;
}

/**
 * What holds a disk that is there to another limit, also a root disk; null lifts it. With the limit that the disk has
 * already, it is held to that anew. The machine that has the disk is kept from other changes meanwhile.
 * @param policy columns that change with it, when it is another storage policy that asks for the limit: they are taken back together
 */
export function planDiskLimit(disk: DiskRow, toLimit: number | null, policy?: Record<string, unknown>): ChangeSet {
  const { id, name, version, owner_id: ownerId, iops_limit: fromLimit, storage_policy_id: storagePolicyId, costs } = disk;
  const changes = new ChangeSet();
  if (toLimit !== fromLimit) {
    changes.add(ROWS, { table: 'disk', update: { iops_limit: toLimit, ...policy }, id, version });
    changes.resources.push({ action: 'UPDATE', kind: 'disk', id, name, data: { fromLimit, toLimit } });
  }
  const before = policy === undefined ? {} : { policyBefore: { storagePolicyId, costs } };
  const operation = startDiskOperation(changes, DISK_LIMIT, disk, { diskId: id, fromLimit, toLimit, ...before });
  lockResources(changes, operation, ownerId === null ? [id] : [id, ownerId]);
  return changes;
}

/** What deletes a disk of its own. */
export function planDiskDeletion(disk: DiskRow): ChangeSet {
  const changes = new ChangeSet();
  changes.add(ROWS, { table: 'disk', update: { lifecycle: 'DELETING' }, id: disk.id, version: disk.version });
  const operation = startDiskOperation(changes, DISK_DELETE, disk, { diskId: disk.id });
  succeedResources(changes, operation, [disk.id]);
  changes.resources.push({ action: 'DELETE', kind: 'disk', id: disk.id, name: disk.name });
  return changes;
}

/** Adds an operation of the kind for the disk, and says so as the result. */
export function startDiskOperation(
  changes: ChangeSet,
  kind: string,
  disk: Pick<DiskRow, 'id' | 'tenant_id' | 'project_id' | 'backend_id'>,
  input: NewOperation['input'],
): string {
  const operation = operationId.create();
  const { id, tenant_id: tenantId, project_id: projectId, backend_id: backendId } = disk;
  changes.add(OPERATIONS, { id: operation, kind, resourceKind: diskId.prefix, resourceId: id, tenantId, projectId, backendId, input });
  changes.result = { id, operationId: operation };
  return operation;
}
