import { MuonError, toMuonError } from '#core';
import type { Reader } from '#database';
import { DONE, type DiskSpecification, type DriverCall, type Outcome } from '#drivers';
import { findDatastores, findHosts, HostState, hostState, installationId, type DriverRegistry } from '#infrastructure';
import { done, fromOutcome, wait, type StepContext, type StepDone, type StepWait, type Unrestored } from '#operations';
import { isRootDisk, type DiskRow } from '../disk/disk.js';
import { findDisks, markDiskLimited, markDiskObserved, markDisksRealised } from '../disk/disk.sql.js';

export interface DiskRealiserOptions {
  /** How long an undo lets a late effect of a lost call show itself before it looks again. */
  settleMs?: number;
}

export interface RemoveDiskOptions {
  /** For undos, whose calls may still be on their way: look again after the settling time. Uses the step's memo. */
  settle?: boolean;
}

/** Which snapshot, and of which disk. */
export interface SnapshotOfDisk {
  diskId: string;
  snapshotId: string;
}

const DEFAULT_SETTLE_MS = 500;
const ATTACHED_RETRY_MS = 500;
/** How often, and after how many settling times, an undo tries again to set a limit. */
const MAX_AWAY = 5;
const AWAY_PAUSES = 4;

/** Makes backends equal to the disks' rows, for the steps of this room's operations and of those above. */
export class DiskRealiser {
  private readonly settleMs: number;

  constructor(
    private readonly drivers: DriverRegistry,
    options: DiskRealiserOptions = {},
  ) {
    this.settleMs = options.settleMs ?? DEFAULT_SETTLE_MS;
  }

  /** Makes these disks real in their size and with their limit. */
  async ensureDisks(context: StepContext<unknown>, diskIds: readonly string[]): Promise<StepDone | StepWait> {
    const rows = await context.reader.rows(findDisks, [...diskIds]);
    const found = new Set(rows.filter((row) => row.lifecycle !== 'DELETING').map((row) => row.id));
    const missing = diskIds.find((id) => !found.has(id));
    if (missing !== undefined) throw new MuonError('INVALID_STATE', `The disk "${missing}" is gone or on its way out.`);
    const behind = rows.filter((row) => row.realised_gib !== row.size_gib || row.realised_iops_limit !== row.iops_limit);
    const specifications = await diskSpecifications(context.reader, behind);
    const again = await settleAll(
      behind.map(async (row) => {
        const specification = specifications.get(row.id);
        if (specification === undefined) throw new MuonError('INTERNAL', 'An internal error occurred.', { detail: `no specification of ${row.id}` });
        return this.ensureDisk(context, row, specification);
      }),
    );
    if (again !== null) return wait({ afterMs: again, blocker: 'The backend is making the disks.' });
    return done({
      commit: async (transaction) => {
        if (behind.length > 0) await transaction.execute(markDisksRealised, behind.map((row) => row.id));
      },
    });
  }

  /** Holds a disk to the limit of its row, whatever the backend was last known to have. */
  async limitDisk(context: StepContext<unknown>, diskId: string): Promise<StepDone | StepWait> {
    const [row] = await context.reader.rows(findDisks, [diskId]);
    if (row?.lifecycle !== 'PRESENT') throw new MuonError('INVALID_STATE', 'The disk is gone or on its way out.');
    const { storage } = await this.drivers.driver(row.backend_id);
    const { iops_limit: iopsLimit } = row;
    const outcome = await storage.limitDisk(context.call(diskId), diskId, iopsLimit);
    if (outcome.state === 'PENDING') return wait({ afterMs: outcome.retryAfterMs, blocker: 'The backend is setting the limit.' });
    return done({ commit: async (transaction) => void (await transaction.execute(markDiskLimited, diskId, iopsLimit)) });
  }

  /**
   * Ensures the limit of before, also when a call that was given up comes late. Where nobody can set it for a while, or ever, it is
   * left, and told: the disk's machine shall not wait for it, and the look at what backends have puts it right.
   */
  async restoreLimit(context: StepContext<unknown>, diskId: string, fromLimit: number | null): Promise<StepDone | StepWait> {
    const [row] = await context.reader.rows(findDisks, [diskId]);
    if (row === undefined) return done();
    const looksAgain = context.step.memo === 'settled';
    const memo = looksAgain ? { memo: 'settled' } : {};
    const { storage } = await this.drivers.driver(row.backend_id);
    const call = context.call(looksAgain ? `${diskId}/again` : diskId);
    const away = typeof context.step.memo === 'number' ? context.step.memo : 0;
    let outcome: Outcome<void>;
    try {
      outcome = await storage.limitDisk(call, diskId, fromLimit).catch(unlessGone);
    } catch (error) {
      const { code, message, fault } = toMuonError(error);
      const isAway = code === 'UNAVAILABLE' || code === 'TIMEOUT';
      if (code === 'UNSUPPORTED' || (isAway && away === MAX_AWAY)) return done({ notRestored: [limitLeft(diskId, message)] });
      if (!isAway) throw error;
      return wait({ afterMs: this.settleMs * AWAY_PAUSES, blocker: { code, message, fault }, memo: away + 1 });
    }
    if (outcome.state === 'PENDING') return wait({ afterMs: outcome.retryAfterMs, blocker: 'The backend is setting the limit of before.', ...memo });
    if (!looksAgain) return wait({ afterMs: this.settleMs, blocker: 'Looking again whether a late effect has changed the limit.', memo: 'settled' });
    return done({ commit: async (transaction) => void (await transaction.execute(markDiskLimited, diskId, fromLimit)) });
  }

  /**
   * Looks how large a disk really is and writes that down: after a change of size whose outcome is not known.
   * @param fromGib what it had before
   */
  async observeSize(context: StepContext<unknown>, diskId: string, fromGib: number): Promise<StepDone | StepWait> {
    const [row] = await context.reader.rows(findDisks, [diskId]);
    if (row === undefined) return done();
    if (context.step.memo !== 'settled') {
      return wait({ afterMs: this.settleMs, blocker: 'Looking whether a late effect has changed the size.', memo: 'settled' });
    }
    const { storage } = await this.drivers.driver(row.backend_id);
    const seen = await storage.getDisk(context.call(diskId), diskId);
    const isLarger = seen !== undefined && seen.sizeGib > fromGib;
    const message = `The disk has ${seen?.sizeGib} GiB, and not ${fromGib} GiB as before: the backend has enlarged it already, and no disk shrinks.`;
    return done({
      notRestored: isLarger ? [{ resourceId: diskId, message }] : [],
      commit: async (transaction) => {
        if (seen !== undefined) await transaction.execute(markDiskObserved, diskId, seen.sizeGib, seen.iopsLimit);
      },
    });
  }

  /**
   * Ensures that these disks are on no backend. Their rows, claims and charges go with the operation's end. Those on a host that
   * is proven to be off are left to the sweep, which finds their tombstones when it returns.
   */
  async removeDisks(
    context: StepContext<unknown>,
    diskIds: readonly string[],
    options: RemoveDiskOptions = {},
  ): Promise<StepDone | StepWait> {
    const rows = await context.reader.rows(findDisks, [...diskIds]);
    const looksAgain = options.settle === true && context.step.memo === 'settled';
    const memo = looksAgain ? { memo: 'settled' } : {};
    const left: Unrestored[] = [];
    try {
      const again = await settleAll(
        rows.map(async (row) => {
          const call = context.call(looksAgain ? `${row.id}/again` : row.id);
          const outcome = await unlessHostIsOff(context, row, () => this.removeDisk(call, context.call(`${row.id}/detach`), row));
          if (outcome === LEFT) left.push(diskLeft(row.id));
          return outcome === LEFT ? DONE : outcome;
        }),
      );
      if (again !== null) return wait({ afterMs: again, blocker: 'The backend is deleting the disks.', ...memo });
    } catch (error) {
      // A machine that a lost call brought late still holds it: the sweep takes that machine away.
      if (!(error instanceof MuonError) || error.code !== 'INVALID_STATE') throw error;
      const { code, message, fault } = error;
      return wait({ afterMs: ATTACHED_RETRY_MS, blocker: { code, message, fault }, ...memo });
    }
    if (options.settle !== true || looksAgain || left.length === rows.length) return done({ notRestored: left });
    return wait({ afterMs: this.settleMs, blocker: 'Looking again whether a late effect has brought it back.', memo: 'settled' });
  }

  async takeSnapshot(context: StepContext<unknown>, { diskId, snapshotId }: SnapshotOfDisk): Promise<StepDone | StepWait> {
    const [row] = await context.reader.rows(findDisks, [diskId]);
    if (row === undefined || row.lifecycle === 'DELETING') throw new MuonError('INVALID_STATE', 'The disk is gone or on its way out.');
    const { storage } = await this.drivers.driver(row.backend_id);
    return fromOutcome(await storage.createSnapshot(context.call(snapshotId), diskId, snapshotId), 'The backend is taking the snapshot.');
  }

  /**
   * Ensures that the backend does not have the snapshot; of a disk that is gone it is gone, too. On a host that is proven to be
   * off it is left with its disk, and goes with that.
   */
  async removeSnapshot(context: StepContext<unknown>, { diskId, snapshotId }: SnapshotOfDisk, options: RemoveDiskOptions = {}): Promise<StepDone | StepWait> {
    const [row] = await context.reader.rows(findDisks, [diskId]);
    if (row === undefined) return done();
    const looksAgain = options.settle === true && context.step.memo === 'settled';
    const memo = looksAgain ? { memo: 'settled' } : {};
    const { storage } = await this.drivers.driver(row.backend_id);
    const call = context.call(looksAgain ? `${snapshotId}/again` : snapshotId);
    const outcome = await unlessHostIsOff(context, row, () => storage.deleteSnapshot(call, diskId, snapshotId));
    if (outcome === LEFT) {
      const left = snapshotLeft(snapshotId);
      // A deletion takes nothing back: its own step tells what it has left.
      return options.settle === true ? done({ notRestored: [left] }) : done({ output: { proof: { left: [left] } } });
    }
    if (outcome.state === 'PENDING') return wait({ afterMs: outcome.retryAfterMs, blocker: 'The backend is deleting the snapshot.', ...memo });
    if (options.settle !== true || looksAgain) return done();
    return wait({ afterMs: this.settleMs, blocker: 'Looking again whether a late effect has brought it back.', memo: 'settled' });
  }

  private async ensureDisk(context: StepContext<unknown>, row: DiskRow, specification: DiskSpecification): Promise<Outcome<unknown>> {
    const { storage } = await this.drivers.driver(row.backend_id);
    const { id, size_gib: sizeGib, iops_limit: iopsLimit } = row;
    if (row.realised_gib === 0) return storage.createDisk(context.call(id), specification);
    if (row.realised_gib !== sizeGib) {
      const resized = await storage.resizeDisk(context.call(`${id}/${sizeGib}`), id, sizeGib);
      if (resized.state !== 'DONE') return resized;
    }
    return row.realised_iops_limit === iopsLimit ? DONE : storage.limitDisk(context.call(`${id}/limit/${iopsLimit}`), id, iopsLimit);
  }

  /** A disk that shall be nobody's may still hang on a machine, by a call that was given up and came late: it is taken from it. */
  private async removeDisk(call: DriverCall, detach: DriverCall, row: DiskRow): Promise<Outcome<void>> {
    const { storage, compute } = await this.drivers.driver(row.backend_id);
    try {
      return await storage.deleteDisk(call, row.id);
    } catch (error) {
      if (!(error instanceof MuonError) || error.code !== 'INVALID_STATE' || row.owner_id !== null || isRootDisk(row)) throw error;
      const holder = (await storage.getDisk(detach, row.id))?.attachedTo ?? null;
      if (holder === null) throw error;
      const detached = await compute.detachDisk(detach, holder, row.id);
      return detached.state === 'DONE' ? storage.deleteDisk(call, row.id) : detached;
    }
  }
}

const LEFT = 'LEFT';

/** Runs what may find the disk's host away: that is no reason to wait when the host is proven to be off. */
async function unlessHostIsOff(context: StepContext<unknown>, row: DiskRow, work: () => Promise<Outcome<void>>): Promise<Outcome<void> | typeof LEFT> {
  try {
    return await work();
  } catch (error) {
    const isAway = error instanceof MuonError && (error.code === 'UNAVAILABLE' || error.code === 'TIMEOUT');
    const [host] = isAway && row.host_id !== null ? await context.reader.rows(findHosts, [row.host_id]) : [];
    if (host === undefined || hostState(host) !== HostState.FENCED) throw error;
    context.log.info({ diskId: row.id, hostId: host.id }, 'left on a host that is proven to be off, until it returns');
    return LEFT;
  }
}

function diskLeft(resourceId: string): Unrestored {
  return { resourceId, message: 'The host is proven to be off; what is left there of the disk is deleted when it returns.' };
}

function snapshotLeft(resourceId: string): Unrestored {
  return { resourceId, message: 'The host is proven to be off; if the snapshot is there, it goes with its disk.' };
}

function limitLeft(resourceId: string, why: string): Unrestored {
  return { resourceId, message: `The limit of before could not be set: ${why} The disk is held to it when that can be done.` };
}

function unlessGone(error: unknown): Outcome<void> {
  if (!(error instanceof MuonError) || error.code !== 'NOT_FOUND') throw error;
  return DONE;
}

/** What the storage driver is told of each disk, read by a handful of statements. */
async function diskSpecifications(reader: Reader, rows: readonly DiskRow[]): Promise<Map<string, DiskSpecification>> {
  if (rows.length === 0) return new Map();
  const datastores = await reader.rows(findDatastores, [...new Set(rows.map((row) => row.datastore_id))]);
  const hostIds = [...new Set(rows.flatMap((row) => (row.host_id === null ? [] : [row.host_id])))];
  const hosts = hostIds.length === 0 ? [] : await reader.rows(findHosts, hostIds);
  const pools = new Map(datastores.map((row) => [row.id, row.name]));
  const names = new Map(hosts.map((row) => [row.id, row.name]));
  const installation = await installationId(reader);
  return new Map(
    rows.map((row) => [
      row.id,
      {
        diskId: row.id,
        ownership: { installationId: installation, tenantId: row.tenant_id, projectId: row.project_id },
        poolName: pools.get(row.datastore_id) ?? '',
        hostName: row.host_id === null ? null : (names.get(row.host_id) ?? null),
        sizeGib: row.size_gib,
        iopsLimit: row.iops_limit,
        imageReference: row.image_reference,
      },
    ]),
  );
}

/** Waits for all calls, so that none is on its way when the step ends; in how many milliseconds to look again, or null. */
async function settleAll(calls: readonly Promise<Outcome<unknown>>[]): Promise<number | null> {
  const results = await Promise.allSettled(calls);
  const errors = results.flatMap((result) => (result.status === 'rejected' ? [toMuonError(result.reason)] : []));
  const worst = errors.find((error) => !error.retryable) ?? errors[0];
  if (worst !== undefined) throw worst;
  const waits = results.flatMap((result) =>
    result.status === 'fulfilled' && result.value.state === 'PENDING' ? [result.value.retryAfterMs] : [],
  );
  return waits.length === 0 ? null : Math.min(...waits);
}
