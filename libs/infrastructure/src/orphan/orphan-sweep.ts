import { MuonError, toMuonError } from '#core';
import { ChangeSet, type Database } from '#database';
import type { Driver, DriverCall } from '#drivers';
import {
  defineReconciler,
  findTombstones,
  lockResources,
  markTombstonesLeftBehind,
  markTombstonesSettled,
  nudgeReconcilers,
  operationId,
  OPERATIONS,
  pruneTombstones,
  readUnsettledTombstones,
  RETURNING,
  type Reconciler,
  type ReconcilerContext,
} from '#operations';
import { backendId as backendIds } from '../backend/backend.js';
import type { DriverRegistry } from '../driver/driver-registry.js';
import { findLiveBackends, recordBackendListing } from '../heartbeat/heartbeat.sql.js';
import { findDownHostNames } from '../host/host.sql.js';
import type { HostStateChange, HostStateListener } from '../host/host-state-listener.js';
import { installationId } from '../installation/installation.js';
import { DELETION_ORDER, listingsOf, type BackendObject, type ListedObject } from './backend-object.js';
import type { KnownObjects } from './known-objects.js';
import { MAX_ORPHANS_AT_ONCE, REMOVE_ORPHANS } from './orphan.operations.js';

export interface OrphanSweepOptions {
  everyMs?: number;
  /** How long a tombstone waits before the absence of its object is believed: listings may lag behind. */
  settleAfterMs?: number;
}

/** What one look at a backend has found; empty lists are what there should be. */
export interface OrphanReport {
  backendId: string;
  /** Of this installation. */
  listed: number;
  /** Must be gone, and are there: an operation deletes them. */
  orphans: BackendObject[];
  /** Must be gone, and are on hosts that are down: they are deleted when those return. */
  outOfReach: BackendObject[];
  /** Of the orphans, those that the return of a host has brought: the brake neither counts nor keeps them. */
  returned: BackendObject[];
  /** Carry this installation's mark, and nothing is known of them. They are left alone. */
  unknown: BackendObject[];
  operationId: string | null;
  /** Why orphans are not deleted: none of them, or, where it is too many, none but those that have returned. */
  refusal: 'TOO_MANY' | 'BUSY' | null;
}

const ORPHAN_SWEEP = 'orphan-sweep';
const DEFAULT_EVERY_MS = 60_000;
const DEFAULT_SETTLE_AFTER_MS = 60_000;
/** A backend may wait for half a minute for a host that says nothing, before it lists the rest. */
const CALL_TIMEOUT_MS = 45_000;
const MAX_REASON = 1000;
/** There may be more than one such backend. */
const RUN_TIMEOUT_MS = 180_000;
const PAGE = 500;
const MAX_PAGES = 2000;
const MAX_SETTLED = 2000;
const MAX_NAMED = 20;
/** So many may always go; beyond, more than this share of all that is there looks like a mistake of ours. */
const ALWAYS_ALLOWED = 10;
const LARGEST_SHARE = 0.2;
const KEPT_MS = 30 * 86_400_000;
const PRUNED_AT_ONCE = 1000;

/**
 * Finds what backends hold and should not: late effects of calls that were given up. Only what has a tombstone is
 * deleted, by an operation and under a brake; a database restored from yesterday has no tombstones of today's machines.
 */
export class OrphanSweep {
  private readonly settleAfterMs: number;

  constructor(
    private readonly database: Database,
    private readonly drivers: DriverRegistry,
    private readonly known: KnownObjects,
    private readonly options: OrphanSweepOptions = {},
  ) {
    this.settleAfterMs = options.settleAfterMs ?? DEFAULT_SETTLE_AFTER_MS;
  }

  get reconciler(): Reconciler {
    const everyMs = this.options.everyMs ?? DEFAULT_EVERY_MS;
    return defineReconciler({
      name: ORPHAN_SWEEP,
      everyMs,
      timeoutMs: Math.max(everyMs, RUN_TIMEOUT_MS),
      run: async (context) => {
        for (const { id } of await context.reader.rows(findLiveBackends)) {
          if (context.signal.aborted) return;
          try {
            await this.check(context, id);
          } catch (error) {
            // One backend that is away must not keep the others from being looked at.
            const { code, message, detail } = toMuonError(error);
            context.log.warn({ backendId: id, code, reason: message, detail }, 'a backend could not be searched for orphans');
          }
        }
        await this.database.transaction(async (transaction) => transaction.execute(pruneTombstones, KEPT_MS, PRUNED_AT_ONCE));
      },
    });
  }

  async check(context: ReconcilerContext, backendId: string): Promise<OrphanReport> {
    const driver = await this.drivers.driver(backendId);
    // Read before the listing: what is buried later may well be listed still.
    const unsettled = await context.reader.rows(readUnsettledTombstones, backendId, MAX_SETTLED);
    const all = await this.listAll(context, driver, backendId);
    const down = new Set((await context.reader.rows(findDownHostNames, backendId)).map((host) => host.name));
    const installation = await installationId(context.reader);
    const listed = all.filter((object) => object.installationId === installation || isHidden(object, down));
    const ours = listed.filter((object) => object.installationId === installation).length;
    const report: OrphanReport = { backendId, listed: ours, orphans: [], outOfReach: [], returned: [], unknown: [], operationId: null, refusal: null };
    const isOut = outOfReach(listed, down);
    for (const [kind, objects] of Map.groupBy(listed, (object) => object.kind)) {
      for (let from = 0; from < objects.length; from += PAGE) {
        const page = objects.slice(from, from + PAGE);
        const ids = page.map((object) => object.id);
        const buried = new Map((await context.reader.rows(findTombstones, backendId, kind, ids)).map((row) => [row.object_id, row.reason]));
        // Of what is hidden, only the tombstone tells that it was ours.
        const unburied = page.filter((object) => !buried.has(object.id) && object.installationId === installation).map(({ id }) => id);
        const known = await this.known.find(context.reader, kind, unburied);
        for (const object of page.filter(({ id }) => buried.has(id))) {
          (isOut(object) ? report.outOfReach : report.orphans).push({ kind, id: object.id });
          if (!isOut(object) && RETURNING.includes(buried.get(object.id) ?? '')) report.returned.push({ kind, id: object.id });
        }
        report.unknown.push(...unburied.filter((id) => !known.has(id)).map((id) => ({ kind, id })));
      }
    }
    this.tell(context, report);
    const objects = report.refusal === null ? report.orphans : report.returned;
    if (objects.length > 0) await this.remove(context, report, objects);
    await this.leaveBehind(report);
    await this.settle(backendId, unsettled, all);
    return report;
  }

  /** Where a backend answers and cannot list what it has, nobody sees what changes there: it says so itself. */
  private async listAll(context: ReconcilerContext, driver: Driver, backendId: string): Promise<ListedObject[]> {
    const record = async (failure: string | null): Promise<void> =>
      this.database.transaction(async (transaction) => void (await transaction.execute(recordBackendListing, backendId, failure)));
    try {
      const all = await listAll(context, driver, backendId);
      await record(null);
      return all;
    } catch (error) {
      if (!context.signal.aborted) await record(`What it has cannot be listed: ${toMuonError(error).message}`.slice(0, MAX_REASON));
      throw error;
    }
  }

  private tell(context: ReconcilerContext, report: OrphanReport): void {
    const { backendId, listed, orphans, returned, unknown } = report;
    if (unknown.length > 0) {
      const first = unknown.slice(0, MAX_NAMED);
      context.log.warn({ backendId, objects: unknown.length, first }, 'a backend holds objects of ours that nobody knows; they are left alone');
    }
    if (orphans.length - returned.length <= Math.max(ALWAYS_ALLOWED, listed * LARGEST_SHARE)) return;
    report.refusal = 'TOO_MANY';
    const first = orphans.filter(({ id }) => !returned.some((each) => each.id === id)).slice(0, MAX_NAMED);
    context.log.error({ backendId, orphans: orphans.length, listed, first }, 'ALARM: too much of a backend would be swept away; only what a host has brought back is');
  }

  private async remove(context: ReconcilerContext, report: OrphanReport, orphans: readonly BackendObject[]): Promise<void> {
    const { backendId } = report;
    const rank = (object: BackendObject): number => DELETION_ORDER.indexOf(object.kind);
    const objects = [...orphans].sort((one, other) => rank(one) - rank(other)).slice(0, MAX_ORPHANS_AT_ONCE);
    const id = operationId.create();
    const changes = new ChangeSet();
    lockResources(changes, id, [backendId]);
    const input = { backendId, objects: objects.map((object) => ({ ...object })) };
    const resourceKind = backendIds.prefix;
    changes.add(OPERATIONS, { id, kind: REMOVE_ORPHANS, resourceKind, resourceId: backendId, tenantId: null, projectId: null, backendId, input });
    changes.result = { id: backendId, operationId: id };
    try {
      await context.submit(changes);
      report.operationId = id;
      context.log.warn({ backendId, orphans: orphans.length, first: objects.slice(0, MAX_NAMED) }, 'orphans are being removed');
    } catch (error) {
      if (!(error instanceof MuonError) || error.code !== 'RESOURCE_BUSY') throw error;
      report.refusal ??= 'BUSY';
    }
  }

  /** Deleted while its host was down, it will be there when that returns, perhaps with much else. */
  private async leaveBehind({ backendId, outOfReach: left }: OrphanReport): Promise<void> {
    if (left.length === 0) return;
    await this.database.transaction(async (transaction) => {
      for (const [kind, objects] of Map.groupBy(left, (object) => object.kind)) {
        await markTombstonesLeftBehind(transaction, backendId, kind, objects.map(({ id }) => id));
      }
    });
  }

  /** Tombstones stay also when their object is gone, in case a late effect brings it back. */
  private async settle(
    backendId: string,
    unsettled: readonly { object_kind: string; object_id: string; created_at: Date }[],
    listed: readonly ListedObject[],
  ): Promise<void> {
    const there = new Set(listed.map((object) => `${object.kind} ${object.id}`));
    const before = Date.now() - this.settleAfterMs;
    const gone = unsettled.filter((row) => row.created_at.getTime() < before && !there.has(`${row.object_kind} ${row.object_id}`));
    if (gone.length === 0) return;
    await this.database.transaction(async (transaction) => {
      for (const [kind, rows] of Map.groupBy(gone, (row) => row.object_kind)) {
        await markTombstonesSettled(transaction, backendId, kind, rows.map((row) => row.object_id));
      }
    });
  }
}

const isOnOneOf = (hosts: ReadonlySet<string>, { hostName }: ListedObject): boolean => hostName !== null && hosts.has(hostName);

/** Of what is on a host that is down, its backend may tell no more than that it has it. */
const isHidden = (object: ListedObject, down: ReadonlySet<string>): boolean => object.installationId === '' && isOnOneOf(down, object);

/** What only a host that is down could delete: machines and disks on it, and disks that such a machine has. */
function outOfReach(listed: readonly ListedObject[], down: ReadonlySet<string>): (object: ListedObject) => boolean {
  if (down.size === 0) return () => false;
  const isOn = (object: ListedObject): boolean => isOnOneOf(down, object);
  const machines = new Set(listed.filter((object) => object.kind === 'machine' && isOn(object)).map((object) => object.id));
  return (object) => isOn(object) || (object.attachedTo !== null && machines.has(object.attachedTo));
}

/** A host that returns may bring back what was deleted while it was gone: that is looked for at once. */
export class ReturningHosts implements HostStateListener {
  readonly name = ORPHAN_SWEEP;

  constructor(private readonly database: Database) {}

  async hostStatesChanged(changes: readonly HostStateChange[]): Promise<void> {
    if (changes.every(({ host }) => host.health !== 'UP')) return;
    await this.database.transaction((transaction) => nudgeReconcilers(transaction, [ORPHAN_SWEEP]));
  }
}

/** Everything that it has, of whomever. */
async function listAll(context: ReconcilerContext, driver: Driver, backendId: string): Promise<ListedObject[]> {
  const found: ListedObject[] = [];
  for (const [number, list] of listingsOf(driver).entries()) {
    let after: string | null = null;
    for (let page = 0; ; page += 1) {
      if (page === MAX_PAGES) throw new MuonError('LIMIT_EXCEEDED', `The backend lists more than ${MAX_PAGES * PAGE} objects of one sort.`);
      const call: DriverCall = {
        idempotencyKey: `orphan-sweep/${backendId}/${number}/${page}`,
        timeoutMs: CALL_TIMEOUT_MS,
        signal: context.signal,
      };
      const objects: ListedObject[] = await list(call, after, PAGE);
      found.push(...objects);
      const last = objects.at(-1);
      if (last === undefined || objects.length < PAGE) break;
      after = last.id;
    }
  }
  return found;
}
