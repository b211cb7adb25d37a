import { toMuonError } from '#core';
import type { Database } from '#database';
import type { DriverRegistry } from '#infrastructure';
import { defineReconciler, nudgeReconcilers, type Reconciler, type ReconcilerContext } from '#operations';
import { STORAGE_COMPLIANCE } from '../storage-policy/compliance.reconciler.js';
import { findBackendsOfDisks, findPresentDisks, observeHealth } from './disk.sql.js';

export interface DiskHealthOptions {
  everyMs?: number;
}

const DEFAULT_EVERY_MS = 30_000;
/** A backend may wait for half a minute for a host that says nothing, before it lists the rest. */
const CALL_TIMEOUT_MS = 45_000;
/** There may be more than one such backend. */
const RUN_TIMEOUT_MS = 180_000;
const BATCH = 500;
const MAX_BATCHES = 2000;
const MAX_BACKENDS = 1000;

/** Whoever hears that a disk of a backend has changed wakes it. */
export const STORAGE_HEALTH = 'storage-health';

/** Asks backends how their disks are and writes down what has changed. It only observes; nothing is repaired from here. */
export function diskHealth(database: Database, drivers: DriverRegistry, options: DiskHealthOptions = {}): Reconciler {
  const everyMs = options.everyMs ?? DEFAULT_EVERY_MS;
  return defineReconciler({
    name: STORAGE_HEALTH,
    everyMs,
    timeoutMs: Math.max(everyMs, RUN_TIMEOUT_MS),
    async run(context) {
      for (const { backend_id: backendId } of await context.reader.rows(findBackendsOfDisks, MAX_BACKENDS)) {
        if (context.signal.aborted) return;
        try {
          await observeBackend(context, database, drivers, backendId);
        } catch (error) {
          const { code, message, detail } = toMuonError(error);
          context.log.warn({ backendId, code, reason: message, detail }, 'the disks of a backend could not be looked at');
        }
      }
    },
  });
}

async function observeBackend(context: ReconcilerContext, database: Database, drivers: DriverRegistry, backendId: string): Promise<void> {
  const { storage } = await drivers.driver(backendId);
  let after = '';
  for (let batch = 0; batch < MAX_BATCHES && !context.signal.aborted; batch += 1) {
    const ids = (await context.reader.rows(findPresentDisks, backendId, after, BATCH)).map((row) => row.id);
    const last = ids.at(-1);
    if (last === undefined) return;
    const call = { idempotencyKey: `${STORAGE_HEALTH}/${backendId}/${batch}`, timeoutMs: CALL_TIMEOUT_MS, signal: context.signal };
    const seen = await storage.diskHealth(call, ids);
    const observations = ids.map((id) => ({ id, health: seen.get(id) ?? 'UNKNOWN' })).sort((one, other) => (one.id < other.id ? -1 : 1));
    const changed = await database.transaction(async (transaction) => {
      const rows = await transaction.rows(observeHealth, JSON.stringify(observations));
      if (rows.length > 0) await nudgeReconcilers(transaction, [STORAGE_COMPLIANCE]);
      return rows;
    });
    for (const disk of changed.filter((row) => row.health !== 'HEALTHY').slice(0, 20)) {
      context.log.warn({ diskId: disk.id, health: disk.health }, 'a disk is not healthy');
    }
    after = last;
  }
}
