import { MuonError, toMuonError } from '#core';
import type { ChangeSet } from '#database';
import type { DriverCall, ObservedDisk, StorageDriver } from '#drivers';
import type { DriverRegistry } from '#infrastructure';
import { defineReconciler, type Reconciler, type ReconcilerContext } from '#operations';
import { planDiskLimit, planDiskResize } from './disk-change-plan.js';
import { findBackendsOfDisks, findRestingDisks, type RestingDisk } from './disk.sql.js';
import type { DiskRow } from './disk.js';

export interface DiskDriftOptions {
  everyMs?: number;
  /** Of what changed later a listing is not believed, as it may lag behind: the disk itself is asked for. */
  graceMs?: number;
}

const DEFAULT_EVERY_MS = 60_000;
const DEFAULT_GRACE_MS = 30_000;
const CALL_TIMEOUT_MS = 10_000;
/** A backend may wait for half a minute for a host that says nothing, before it lists the rest. */
const LIST_TIMEOUT_MS = 45_000;
/** There may be more than one such backend. */
const RUN_TIMEOUT_MS = 180_000;
const PAGE = 500;
const MAX_PAGES = 2000;
const MAX_BACKENDS = 1000;
/** Disks that are taken over in their real size, or held to their limit again, in one run and backend; the rest is for the next. */
const MAX_CHANGED = 50;
/** Disks that are asked for one by one in one run and backend; the rest is for the next. */
const MAX_CONFIRMED = 100;

/** Whoever hears that a disk of a backend has changed wakes it. */
export const STORAGE_DRIFT = 'storage-drift';

/** One look at one backend. */
interface Look {
  context: ReconcilerContext;
  storage: StorageDriver;
  /** Whether its disks can be held to limits. */
  limits: boolean;
  backendId: string;
  unchangedSince: Date;
  confirmed: number;
  changed: number;
  /** What the last look has reported, and what this one has. */
  known: ReadonlySet<string>;
  reported: Set<string>;
}

/**
 * Compares the disks that backends have with their rows. One that is larger than it shall be, because a change that was
 * given up has come late, cannot shrink again: it is taken over as it is, counted in quota and capacity. One that is held to
 * another limit is held to its own again. One that is missing or smaller, or whose backend knows no limits any more, is
 * reported when it is first seen so, never touched.
 */
export function diskDrift(drivers: DriverRegistry, options: DiskDriftOptions = {}): Reconciler {
  const { everyMs = DEFAULT_EVERY_MS, graceMs = DEFAULT_GRACE_MS } = options;
  const reported = new Map<string, ReadonlySet<string>>();
  return defineReconciler({
    name: STORAGE_DRIFT,
    everyMs,
    timeoutMs: Math.max(everyMs, RUN_TIMEOUT_MS),
    async run(context) {
      for (const { backend_id: backendId } of await context.reader.rows(findBackendsOfDisks, MAX_BACKENDS)) {
        if (context.signal.aborted) return;
        try {
          const { storage, capabilities } = await drivers.driver(backendId);
          const known = reported.get(backendId) ?? new Set();
          const look: Look = { context, storage, limits: capabilities.iopsLimit, backendId, unchangedSince: new Date(Date.now() - graceMs), confirmed: 0, changed: 0, known, reported: new Set() };
          await checkBackend(look);
          reported.set(backendId, look.reported);
        } catch (error) {
          // One backend that is away must not keep the others from being looked at.
          const { code, message, detail } = toMuonError(error);
          context.log.warn({ backendId, code, reason: message, detail }, 'the disks of a backend could not be compared');
        }
      }
    },
  });
}

async function checkBackend(look: Look): Promise<void> {
  const { context, storage, backendId, unchangedSince } = look;
  const listed = await listDisks(context, storage, backendId);
  let after = '';
  for (let page = 0; page < MAX_PAGES && !context.signal.aborted; page += 1) {
    const rows = await context.reader.rows(findRestingDisks, backendId, after, PAGE, unchangedSince);
    for (const row of rows) await compare(look, row, listed.get(row.id));
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) return;
    after = last.id;
  }
}

async function compare(look: Look, row: RestingDisk, listed: ObservedDisk | undefined): Promise<void> {
  const isAsKnown = (disk: ObservedDisk | undefined): boolean => isHidden(disk) || (disk?.sizeGib === row.size_gib && isHeld(look, row, disk.iopsLimit));
  if (isAsKnown(listed)) return;
  let seen = listed;
  if (row.has_just_changed) {
    if (look.confirmed >= MAX_CONFIRMED) return;
    look.confirmed += 1;
    seen = await look.storage.getDisk(callOf(look.context, `${look.backendId}/${row.id}`), row.id);
    if (isAsKnown(seen)) return;
  }
  const { size_gib: gib, iops_limit: limit } = row;
  if (seen === undefined || seen.sizeGib < gib) {
    report(look, row, { gib: seen?.sizeGib ?? null, shallHaveGib: gib }, 'a disk is missing or too small');
  } else if (seen.sizeGib === gib && limit !== null && !look.limits) {
    report(look, row, { limit: seen.iopsLimit, shallHaveLimit: limit }, 'a disk has a limit that its backend cannot hold it to');
  } else if (look.changed < MAX_CHANGED) {
    look.changed += 1;
    await (seen.sizeGib > gib ? takeOver(look.context, row, seen.sizeGib) : holdAgain(look.context, row, seen.iopsLimit));
  }
}

/** Limits that somebody has set where Muon cannot are theirs. */
const isHeld = (look: Look, row: DiskRow, limit: number | null): boolean => limit === row.iops_limit || (row.iops_limit === null && !look.limits);

function report(look: Look, row: DiskRow, facts: Record<string, number | null>, message: string): void {
  const what = JSON.stringify([row.id, facts]);
  look.reported.add(what);
  if (look.known.has(what)) return;
  look.context.log.error({ diskId: row.id, backendId: look.backendId, ...facts }, message);
}

/** Of a disk whose host is away the backend may tell no more than that it has it. */
const isHidden = (seen: ObservedDisk | undefined): boolean => seen?.installationId === '';

async function listDisks(context: ReconcilerContext, storage: StorageDriver, backendId: string): Promise<Map<string, ObservedDisk>> {
  const seen = new Map<string, ObservedDisk>();
  let after: string | null = null;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const disks = await storage.listDisks(callOf(context, `${backendId}/${page}`, LIST_TIMEOUT_MS), after, PAGE);
    for (const disk of disks) seen.set(disk.diskId, disk);
    const last = disks.at(-1);
    if (last === undefined || disks.length < PAGE) return seen;
    after = last.diskId;
  }
  throw new MuonError('LIMIT_EXCEEDED', `The backend lists more than ${MAX_PAGES * PAGE} disks.`);
}

function callOf({ signal }: ReconcilerContext, what: string, timeoutMs = CALL_TIMEOUT_MS): DriverCall {
  return { idempotencyKey: `${STORAGE_DRIFT}/${what}`, timeoutMs, signal };
}

async function takeOver(context: ReconcilerContext, row: DiskRow, sizeGib: number): Promise<void> {
  const facts = { diskId: row.id, gib: sizeGib, shallHaveGib: row.size_gib };
  await mend(context, planDiskResize(row, sizeGib), facts, 'a disk is larger than it shall be and is taken over so');
}

async function holdAgain(context: ReconcilerContext, row: DiskRow, limit: number | null): Promise<void> {
  const facts = { diskId: row.id, limit, shallHaveLimit: row.iops_limit };
  await mend(context, planDiskLimit(row, row.iops_limit), facts, 'a disk has another limit than it shall have and is held to its own again');
}

async function mend(context: ReconcilerContext, changes: ChangeSet, facts: Record<string, unknown>, what: string): Promise<void> {
  try {
    await context.submit(changes);
    context.log.warn(facts, what);
  } catch (error) {
    const { code, message } = toMuonError(error);
    // Whoever holds it is changing it: the next run sees what is left.
    if (code === 'RESOURCE_BUSY') return;
    context.log.error({ ...facts, code, reason: message }, `could not be begun: ${what}`);
  }
}
