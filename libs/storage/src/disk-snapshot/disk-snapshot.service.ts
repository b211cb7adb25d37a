import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { MAX_SNAPSHOTS_PER_DISK, MuonError, nameSchema, parseInput } from '#core';
import { ChangeSet, constraintMeans, ROWS, type Reader } from '#database';
import { Action, CommandRunner, type Access, type CommandOptions, type CommandResult, type Place } from '#identity';
import { DriverRegistry } from '#infrastructure';
import { busyOr, lockResources, operationId, OPERATIONS, succeedResources } from '#operations';
import { CHARGES, QuotaLedger, ResourceKey } from '#quota';
import { SCOPES } from '#scopes';
import { isRootDisk, type DiskRow } from '../disk/disk.js';
import { findDisks, findVisibleDisks } from '../disk/disk.sql.js';
import { DISK_SNAPSHOT_CREATE, DISK_SNAPSHOT_DELETE } from './disk-snapshot.operations.js';
import { diskSnapshotId, type DiskSnapshotRow } from './disk-snapshot.js';
import { findSnapshotsOfDisks, findVisibleDiskSnapshots } from './disk-snapshot.sql.js';

const nameTaken = (): MuonError => new MuonError('ALREADY_EXISTS', 'A snapshot of this name exists already of the disk.', { field: 'input.name' });
constraintMeans('disk_snapshot_name', nameTaken);

const createDiskSnapshotInput = z.strictObject({ diskId: z.string().max(100), name: nameSchema });
export type CreateDiskSnapshotInput = z.input<typeof createDiskSnapshotInput>;

/** The rules of snapshots of disks of their own, attached or not. */
@Injectable()
export class DiskSnapshotService {
  constructor(
    private readonly commands: CommandRunner,
    private readonly ledger: QuotaLedger,
    private readonly drivers: DriverRegistry,
  ) {}

  /** @throws NOT_FOUND, FORBIDDEN; INVALID_STATE, RESOURCE_BUSY of the disk; UNSUPPORTED; LIMIT_EXCEEDED; ALREADY_EXISTS; QUOTA_EXCEEDED */
  async create(access: Access, raw: CreateDiskSnapshotInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createDiskSnapshotInput, raw);
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name: 'createDiskSnapshot', input, place, ...options }, async (reader) => {
      const disk = await findParent(reader, access, input.diskId);
      const { tenant_id: tenantId, project_id: projectId, zone_id: zoneId } = disk;
      Object.assign(place, { tenantId, projectId });
      await this.drivers.requireCapability(reader, disk.backend_id, 'snapshot', 'input.diskId');
      const others = await reader.rows(findSnapshotsOfDisks, [disk.id]);
      if (others.length >= MAX_SNAPSHOTS_PER_DISK) {
        const message = `The disk "${disk.name}" has ${others.length} snapshots, and may have no more.`;
        throw new MuonError('LIMIT_EXCEEDED', message, { field: 'input.diskId', data: { limit: MAX_SNAPSHOTS_PER_DISK } });
      }
      const id = diskSnapshotId.create();
      const changes = new ChangeSet();
      if (others.some((each) => each.name === input.name)) changes.problems.push(nameTaken().toRecord());
      changes.add(SCOPES, { scopeId: tenantId, need: 'ACTIVE' }, { scopeId: projectId, need: 'ACTIVE' });
      const row = { id, tenant_id: tenantId, project_id: projectId, disk_id: disk.id, name: input.name, size_gib: disk.size_gib, lifecycle: 'CREATING' };
      changes.add(ROWS, { table: 'disk_snapshot', insert: row });
      const amounts = { [ResourceKey.SNAPSHOT_COUNT]: 1 };
      changes.add(CHARGES, { action: 'CHARGE', resourceId: id, resourceKind: diskSnapshotId.prefix, tenantId, projectId, zoneId, amounts });
      changes.resources.push({ action: 'CREATE', kind: 'disk snapshot', id, name: input.name, data: { diskId: disk.id, sizeGib: disk.size_gib } });
      const operation = startOperation(changes, DISK_SNAPSHOT_CREATE, { id, disk_id: disk.id }, disk);
      lockResources(changes, operation, [id, disk.id]);
      await this.ledger.previewPlan(reader, changes);
      return changes;
    });
  }

  /** @throws NOT_FOUND, FORBIDDEN; INVALID_STATE of one that is being deleted; RESOURCE_BUSY of the disk */
  async delete(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name: 'deleteDiskSnapshot', input: { id }, place, ...options }, async (reader) => {
      const [row] = await reader.rows(findVisibleDiskSnapshots, ...access.filter('disk snapshot'), [id]);
      const known = row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
      const snapshot = access.require(Action.DELETE, 'disk snapshot', known, id, 'input.id');
      Object.assign(place, { tenantId: snapshot.tenant_id, projectId: snapshot.project_id });
      if (snapshot.lifecycle === 'DELETING') throw new MuonError('INVALID_STATE', `The snapshot "${snapshot.name}" is being deleted already.`);
      const [disk] = await reader.rows(findDisks, [snapshot.disk_id]);
      if (disk === undefined || disk.lifecycle === 'DELETING') {
        throw new MuonError('INVALID_STATE', `The snapshot "${snapshot.name}" is going with its disk.`, { data: { diskId: snapshot.disk_id } });
      }
      const changes = new ChangeSet();
      changes.add(ROWS, { table: 'disk_snapshot', update: { lifecycle: 'DELETING' }, id, version: snapshot.version });
      const operation = startOperation(changes, DISK_SNAPSHOT_DELETE, snapshot, disk);
      succeedResources(changes, operation, [id]);
      changes.resources.push({ action: 'DELETE', kind: 'disk snapshot', id, name: snapshot.name });
      return changes;
    });
  }
}

async function findParent(reader: Reader, access: Access, id: string): Promise<DiskRow> {
  const [row] = await reader.rows(findVisibleDisks, ...access.filter('disk'), [id]);
  const known = row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
  const disk = access.requireChild('disk snapshot', 'disk', known, id, 'input.diskId');
  if (isRootDisk(disk)) throw new MuonError('INVALID_STATE', `The disk "${disk.name}" is the root disk of a machine; only disks of their own have snapshots.`, { field: 'input.diskId' });
  if (disk.lifecycle === 'PRESENT') return disk;
  const message = `The disk "${disk.name}" is ${disk.lifecycle.toLowerCase()}; only of a disk that is there a snapshot is taken.`;
  throw await busyOr(reader, disk.id, new MuonError('INVALID_STATE', message, { data: { state: disk.lifecycle } }));
}

function startOperation(changes: ChangeSet, kind: string, { id, disk_id: diskId }: Pick<DiskSnapshotRow, 'id' | 'disk_id'>, disk: DiskRow): string {
  const operation = operationId.create();
  const { tenant_id: tenantId, project_id: projectId, backend_id: backendId } = disk;
  const input = { snapshotId: id, diskId };
  changes.add(OPERATIONS, { id: operation, kind, resourceKind: diskSnapshotId.prefix, resourceId: id, tenantId, projectId, backendId, input });
  changes.result = { id, operationId: operation };
  return operation;
}
