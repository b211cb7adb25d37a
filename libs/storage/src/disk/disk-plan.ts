import { assert, MuonError, notFound, type ErrorRecord } from '#core';
import { ChangeSet, constraintMeans, LostRace, ROWS, type Reader, type Transaction } from '#database';
import { findBackends, findDatastores, offerOf } from '#infrastructure';
import { DATASTORE_CLAIMS } from '#placement';
import { CHARGES, ResourceKey } from '#quota';
import { policyRules, type StoragePolicyRow } from '../storage-policy/storage-policy.js';
import { STORAGE_POLICIES } from '../storage-policy/policy-section.js';
import { DiskAttachment, diskId, type DiskRow } from './disk.js';
import { findRoom, restoreDiskSize } from './disk.sql.js';

constraintMeans('disk_name', () => new MuonError('ALREADY_EXISTS', 'A disk of this name exists already in the project.', { field: 'input.name' }));

// It went since the plan was made: plan again.
constraintMeans('disk_storage_policy', (detail) => new LostRace('storage policy', detail));

/** What a disk takes of the quota, with what each GiB costs by its policy. */
export function diskAmounts(sizeGib: number, costs: Record<string, number>): Record<string, number> {
  const own = Object.entries(costs).map(([key, amount]) => [key, amount * sizeGib]);
  return { [ResourceKey.DISK_COUNT]: 1, [ResourceKey.DISK_CAPACITY]: sizeGib, ...Object.fromEntries(own) };
}

/** A disk that shall be made, on a datastore that placement chose. */
export interface DiskRequest {
  /** Made when left out. */
  diskId?: string;
  name: string;
  tenantId: string;
  projectId: string;
  datastoreId: string;
  /** What that must still offer when it is claimed; anything when left out. */
  datastoreOffer?: string | undefined;
  /** What it shall keep to; nothing when left out. */
  storagePolicy?: StoragePolicyRow | null;
  zoneId: string | null;
  sizeGib: number;
  /** Reads and writes together in a second; what its policy says when left out. */
  iopsLimit?: number | null;
  /** Set when it begins as a copy of an image. */
  imageReference: string | null;
  /** The machine that it is made for; null for one of its own. */
  ownerId: string | null;
  /** 0 is the root disk. */
  position?: number;
}

export interface PlannedDisk {
  diskId: string;
  ownerId: string | null;
  datastoreId: string;
}

export interface PlannedDisks {
  /** Rows, charges and claims; no operation, no locks, no scope locks. */
  changes: ChangeSet;
  /** In the order of the requests. */
  disks: PlannedDisk[];
}

/**
 * Plans any number of disks by one statement.
 * @param options.showDatastores names them in the plan, for those who may see where things are
 */
export async function planDisks(
  reader: Reader,
  requests: readonly DiskRequest[],
  options: { showDatastores: boolean },
): Promise<PlannedDisks> {
  const changes = new ChangeSet();
  const ids = [...new Set(requests.map((request) => request.datastoreId))];
  const datastores = new Map((ids.length === 0 ? [] : await reader.rows(findDatastores, ids)).map((row) => [row.id, row]));
  const limited = requests.filter((request) => limitOf(request) !== null);
  await requireDiskLimits(reader, limited.map(({ datastoreId }) => datastores.get(datastoreId)?.backend_id ?? ''));
  const disks = requests.map((request): PlannedDisk => {
    const datastore = datastores.get(request.datastoreId);
    if (datastore === undefined) throw notFound('datastore', request.datastoreId);
    assert(request.sizeGib > 0, 'a disk needs a size');
    const id = request.diskId ?? diskId.create();
    const { tenantId, projectId, sizeGib, datastoreOffer: offer, storagePolicy: policy = null } = request;
    const iopsLimit = limitOf(request);
    const costs = policy?.costs ?? {};
    if (policy !== null) changes.add(STORAGE_POLICIES, { policyId: policy.id, version: policy.version });
    const claim = { resourceId: id, datastoreId: datastore.id, tenantId, projectId, gib: sizeGib };
    changes.add(DATASTORE_CLAIMS, { action: 'CLAIM', ...claim, ...(offer === undefined ? {} : { offer }) });
    changes.add(ROWS, {
      table: 'disk',
      insert: {
        id,
        tenant_id: tenantId,
        project_id: projectId,
        name: request.name,
        size_gib: sizeGib,
        iops_limit: iopsLimit,
        image_reference: request.imageReference,
        owner_id: request.ownerId,
        position: request.position ?? 0,
        datastore_id: datastore.id,
        backend_id: datastore.backend_id,
        zone_id: request.zoneId,
        host_id: datastore.host_id,
        storage_policy_id: policy?.id ?? null,
        costs,
        compliance_rules: policy === null ? null : policyRules(policy, offerOf(datastore)),
        lifecycle: 'CREATING',
      },
    });
    changes.add(CHARGES, {
      action: 'CHARGE',
      resourceId: id,
      resourceKind: diskId.prefix,
      tenantId,
      projectId,
      zoneId: request.zoneId,
      amounts: diskAmounts(sizeGib, costs),
    });
    changes.resources.push({
      action: 'CREATE',
      kind: 'disk',
      id,
      name: request.name,
      data: {
        sizeGib,
        ...(iopsLimit === null ? {} : { iopsLimit }),
        ...(policy === null ? {} : { storagePolicy: policy.name }),
        ...(options.showDatastores ? { datastore: datastore.name, datastoreId: datastore.id } : {}),
      },
    });
    return { diskId: id, ownerId: request.ownerId, datastoreId: datastore.id };
  });
  return { changes, disks };
}

const limitOf = ({ iopsLimit, storagePolicy }: DiskRequest): number | null => (iopsLimit === undefined ? (storagePolicy?.iops_limit ?? null) : iopsLimit);

/** @throws UNSUPPORTED where one of the backends cannot hold disks to limits */
export async function requireDiskLimits(reader: Reader, backendIds: readonly string[]): Promise<void> {
  const ids = [...new Set(backendIds)];
  const backends = ids.length === 0 ? [] : await reader.rows(findBackends, ids);
  if (backends.every(({ capabilities }) => capabilities.iopsLimit === true)) return;
  throw new MuonError('UNSUPPORTED', 'Disks there cannot be held to a limit of reads and writes per second.', { data: { capability: 'iopsLimit' } });
}

/** Whether a disk's datastore has no room for it to become so large: a problem of the plan. */
export async function lackOfRoom(reader: Reader, disk: DiskRow, toGib: number): Promise<ErrorRecord[]> {
  const freeGib = (await reader.first(findRoom, disk.datastore_id))?.free_gib ?? 0;
  const neededGib = toGib - disk.size_gib;
  if (freeGib >= neededGib) return [];
  const message = `The disk's datastore has ${Math.max(0, freeGib)} GiB free and ${neededGib} are needed.`;
  return [new MuonError('INSUFFICIENT_CAPACITY', message, { data: { freeGib, neededGib } }).toRecord()];
}

/** What makes a disk larger besides the operation that makes it real: claim, charge and row. */
export function planDiskGrowth(disk: DiskRow, toGib: number): ChangeSet {
  const { id, name, size_gib: fromGib, version, costs } = disk;
  const changes = new ChangeSet();
  changes.add(DATASTORE_CLAIMS, { action: 'RESIZE', resourceId: id, gib: toGib });
  changes.add(ROWS, { table: 'disk', update: { size_gib: toGib }, id, version });
  changes.add(CHARGES, { action: 'ADJUST', resourceId: id, amounts: diskAmounts(toGib, costs) });
  changes.resources.push({ action: 'UPDATE', kind: 'disk', id, name, data: { fromGib, toGib } });
  return changes;
}

/**
 * Takes back a growth that has failed, in the transaction of the operation's end: what the disk has got nevertheless stays
 * claimed and charged.
 */
export async function takeBackDiskGrowth(transaction: Transaction, diskId: string, fromGib: number): Promise<ChangeSet> {
  const restored = await transaction.first(restoreDiskSize, diskId, fromGib);
  const gib = restored?.size_gib ?? fromGib;
  const changes = new ChangeSet().add(DATASTORE_CLAIMS, { action: 'RESIZE', resourceId: diskId, gib });
  return changes.add(CHARGES, { action: 'ADJUST', resourceId: diskId, amounts: diskAmounts(gib, restored?.costs ?? {}) });
}

/** Where the successor of a lost disk goes. */
export interface DiskSuccessor {
  diskId: string;
  datastoreId: string;
  datastoreOffer?: string | undefined;
  /** What the lost one kept to, as it was read when the place was chosen. */
  policy?: StoragePolicyRow | null;
}

/**
 * An empty disk, of the image, for when the one that its machine has is lost. It takes over the charge at once; both have
 * their claim until one of them is let go by `planDiskSuccession`.
 */
export async function planDiskSuccessor(reader: Reader, lost: DiskRow, successor: DiskSuccessor): Promise<ChangeSet> {
  const { name, tenant_id: tenantId, project_id: projectId, zone_id: zoneId, size_gib: sizeGib, iops_limit: iopsLimit, image_reference: imageReference } = lost;
  const { policy = null, ...place } = successor;
  const storagePolicy = policy === null ? null : { ...policy, costs: lost.costs };
  const request = { ...place, name, tenantId, projectId, zoneId, sizeGib, iopsLimit, imageReference, storagePolicy, ownerId: lost.owner_id, position: lost.position };
  const { changes } = await planDisks(reader, [request], { showDatastores: false });
  return changes.add(CHARGES, { action: 'REFUND', resourceId: lost.id });
}

/** Of the two, `kept` stays, with the charge; `dropped` gives up its claim. Its row goes by `removeDiskRows` in the same transaction. */
export function planDiskSuccession(kept: DiskRow, droppedId: string): ChangeSet {
  const { id, tenant_id: tenantId, project_id: projectId, zone_id: zoneId, size_gib: sizeGib, costs } = kept;
  const charge = { action: 'CHARGE' as const, resourceId: id, resourceKind: diskId.prefix, tenantId, projectId, zoneId };
  return planDiskRelease([droppedId]).add(CHARGES, { ...charge, amounts: diskAmounts(sizeGib, costs) });
}

/** What gives a disk to a machine besides the operation that attaches it. */
export function planDiskAttachment({ id, name, version }: DiskRow, machineId: string, position: number): ChangeSet {
  const changes = new ChangeSet();
  changes.add(ROWS, { table: 'disk', update: { owner_id: machineId, position, attachment: DiskAttachment.ATTACHING }, id, version });
  changes.resources.push({ action: 'UPDATE', kind: 'disk', id, name, data: { virtualMachineId: machineId } });
  return changes;
}

/** What takes a disk from its machine besides the operation that detaches it. */
export function planDiskDetachment({ id, name, version }: DiskRow): ChangeSet {
  const changes = new ChangeSet();
  changes.add(ROWS, { table: 'disk', update: { attachment: DiskAttachment.DETACHING }, id, version });
  changes.resources.push({ action: 'UPDATE', kind: 'disk', id, name, data: { virtualMachineId: null } });
  return changes;
}

/** What ends disks besides their rows: claims and charges. The rows go by `removeDiskRows` in the same transaction. */
export function planDiskRelease(diskIds: readonly string[]): ChangeSet {
  const changes = new ChangeSet();
  changes.add(DATASTORE_CLAIMS, ...diskIds.map((resourceId) => ({ action: 'RELEASE' as const, resourceId })));
  changes.add(CHARGES, ...diskIds.map((resourceId) => ({ action: 'REFUND' as const, resourceId })));
  return changes;
}
