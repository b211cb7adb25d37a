import { MuonError, toMuonError } from '#core';
import type { DriverCall, ObservedDisk, StorageDriver } from '#drivers';
import type { DriverRegistry } from '#infrastructure';
import { defineReconciler, type Reconciler, type ReconcilerContext } from '#operations';
import { planDiskResize } from './disk.service.js';
import { findBackendsOfDisks, findRestingDisks } from './disk.sql.js';
import type { DiskRow } from './disk.js';

export interface DiskDriftOptions {
  everyMs?: number;
  /** What changed later is left alone: listings may lag behind. */
  graceMs?: number;
}

const DEFAULT_EVERY_MS = 60_000;
const DEFAULT_GRACE_MS = 30_000;
const CALL_TIMEOUT_MS = 10_000;
const PAGE = 500;
const MAX_PAGES = 2000;
const MAX_BACKENDS = 1000;
/** Disks that are taken over in their real size in one run and backend; the rest is for the next. */
const MAX_GROWN = 50;

/**
 * Compares the disks that backends have with their rows. One that is larger than it shall be, because a change that was
 * given up has come late, cannot shrink again: it is taken over as it is, counted in quota and capacity. One that is missing
 * or smaller is reported, never touched.
 */
export function diskDrift(drivers: DriverRegistry, options: DiskDriftOptions = {}): Reconciler {
  const { everyMs = DEFAULT_EVERY_MS, graceMs = DEFAULT_GRACE_MS } = options;
  return defineReconciler({
    name: 'storage-drift',
    everyMs,
    timeoutMs: Math.max(everyMs, DEFAULT_EVERY_MS),
    async run(context) {
      for (const { backend_id: backendId } of await context.reader.rows(findBackendsOfDisks, MAX_BACKENDS)) {
        if (context.signal.aborted) return;
        try {
          const { storage } = await drivers.driver(backendId);
          await checkBackend(context, storage, backendId, new Date(Date.now() - graceMs));
        } catch (error) {
          // One backend that is away must not keep the others from being looked at.
          const { code, message, detail } = toMuonError(error);
          context.log.warn({ backendId, code, reason: message, detail }, 'the disks of a backend could not be compared');
        }
      }
    },
  });
}

async function checkBackend(context: ReconcilerContext, storage: StorageDriver, backendId: string, unchangedSince: Date): Promise<void> {
  const listed = await listDisks(context, storage, backendId);
  let after = '';
  let grown = 0;
  for (let page = 0; page < MAX_PAGES && !context.signal.aborted; page += 1) {
    const rows = await context.reader.rows(findRestingDisks, backendId, after, PAGE, unchangedSince);
    for (const row of rows) {
      const seen = listed.get(row.id);
      if (seen?.sizeGib === row.size_gib || isHidden(seen)) continue;
      if (seen === undefined || seen.sizeGib < row.size_gib) {
        context.log.error({ diskId: row.id, backendId, gib: seen?.sizeGib ?? null, shallHaveGib: row.size_gib }, 'a disk is missing or too small');
      } else if (grown < MAX_GROWN) {
        grown += 1;
        await takeOver(context, row, seen.sizeGib);
      }
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) return;
    after = last.id;
  }
}

/** Of a disk whose host is away the backend may tell no more than that it has it. */
const isHidden = (seen: ObservedDisk | undefined): boolean => seen?.installationId === '';

async function listDisks(context: ReconcilerContext, storage: StorageDriver, backendId: string): Promise<Map<string, ObservedDisk>> {
  const seen = new Map<string, ObservedDisk>();
  let after: string | null = null;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const call: DriverCall = { idempotencyKey: `storage-drift/${backendId}/${page}`, timeoutMs: CALL_TIMEOUT_MS, signal: context.signal };
    const disks = await storage.listDisks(call, after, PAGE);
    for (const disk of disks) seen.set(disk.diskId, disk);
    const last = disks.at(-1);
    if (last === undefined || disks.length < PAGE) return seen;
    after = last.diskId;
  }
  throw new MuonError('LIMIT_EXCEEDED', `The backend lists more than ${MAX_PAGES * PAGE} disks.`);
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
