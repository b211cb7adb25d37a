import { toMuonError } from '#core';
import { defineReconciler, type Reconciler } from '#operations';
import { planClusterDeletion } from './cluster-delete-plan.js';
import { findExpiredClusters } from './cluster.sql.js';

const BATCH = 50;

/** Deletes clusters whose time is over. */
export function clusterExpiry(options: { everyMs?: number } = {}): Reconciler {
  return defineReconciler({
    name: 'cluster-expiry',
    everyMs: options.everyMs ?? 15_000,
    async run(context) {
      for (const cluster of await context.reader.rows(findExpiredClusters, BATCH)) {
        if (context.signal.aborted) return;
        try {
          const { operationId } = await context.submit(await planClusterDeletion(context.reader, cluster));
          context.log.info({ clusterId: cluster.id, operationId }, 'the time of a cluster is over; it is being deleted');
        } catch (error) {
          // Somebody else deletes it already, or it changed: the next run sees what is left.
          const { code, message } = toMuonError(error);
          context.log.warn({ clusterId: cluster.id, code, reason: message }, 'an expired cluster could not be deleted now');
        }
      }
    },
  });
}
