import { MuonError, toMuonError } from '#core';
import type { DriverCall, ObservedDisk, StorageDriver } from '#drivers';
import type { DriverRegistry } from '#infrastructure';
import { defineReconciler, type Reconciler, type ReconcilerContext } from '#operations';
import { planDiskResize } from './disk.service.js';
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
/** Disks that are taken over in their real size in one run and backend; the rest is for the next. */
const MAX_GROWN = 50;
/** Disks that are asked for one by one in one run and backend; the rest is for the next. */
const MAX_CONFIRMED = 100;

/** Whoever hears that a disk of a backend has changed wakes it. */
export const STORAGE_DRIFT = 'storage-drift';

/** One look at one backend. */
interface Look {
  context: ReconcilerContext;
  storage: StorageDriver;
  backendId: string;
  unchangedSince: Date;
  confirmed: number;
  grown: number;
  /** What the last look has reported, and what this one has. */
  known: ReadonlySet<string>;
  reported: Set<string>;
}

/**
 * Compares the disks that backends have with their rows. One that is larger than it shall be, because a change that was
 * given up has come late, cannot shrink again: it is taken over as it is, counted in quota and capacity. One that is missing
 * or smaller is reported when it is first seen so, never touched.
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
          const { storage } = await drivers.driver(backendId);
          const known = reported.get(backendId) ?? new Set();
          const look: Look = { context, storage, backendId, unchangedSince: new Date(Date.now() - graceMs), confirmed: 0, grown: 0, known, reported: new Set() };
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
  const isAsKnown = (disk: ObservedDisk | undefined): boolean => disk?.sizeGib === row.size_gib || isHidden(disk);
  if (isAsKnown(listed)) return;
  let seen = listed;
  if (row.has_just_changed) {
    if (look.confirmed >= MAX_CONFIRMED) return;
    look.confirmed += 1;
    seen = await look.storage.getDisk(callOf(look.context, `${look.backendId}/${row.id}`), row.id);
    if (isAsKnown(seen)) return;
  }
  if (seen === undefined || seen.sizeGib < row.size_gib) report(look, row, seen?.sizeGib ?? null);
  else if (look.grown < MAX_GROWN) {
    look.grown += 1;
    await takeOver(look.context, row, seen.sizeGib);
  }
}

function report(look: Look, row: DiskRow, gib: number | null): void {
  const what = `${row.id}/${gib}`;
  look.reported.add(what);
  if (look.known.has(what)) return;
  look.context.log.error({ diskId: row.id, backendId: look.backendId, gib, shallHaveGib: row.size_gib }, 'a disk is missing or too small');
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
  try {
    await context.submit(planDiskResize(row, sizeGib));
    context.log.warn(facts, 'a disk is larger than it shall be and is taken over so');
  } catch (error) {
    const { code, message } = toMuonError(error);
    // Whoever holds it is changing it: the next run sees what is left.
    if (code === 'RESOURCE_BUSY') return;
    context.log.error({ ...facts, code, reason: message }, 'a disk is larger than it shall be and cannot be taken over');
  }
}
