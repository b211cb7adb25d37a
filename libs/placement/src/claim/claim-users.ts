import { MuonError } from '#core';
import { constraintMeans, statement } from '#database';
import type { InfrastructureUsers } from '#infrastructure';
import { defineReconciler, type Reconciler } from '#operations';
import { auditClaims } from './claim-audit.sql.js';

constraintMeans(
  'host_claim_host',
  () => new MuonError('INVALID_STATE', 'Machines still have their place on this host; move or delete them first.', { data: { fact: 'host' } }),
);
constraintMeans(
  'datastore_claim_datastore',
  () => new MuonError('INVALID_STATE', 'Disks still have their place on this datastore; delete them first.', { data: { fact: 'datastore' } }),
);

const countDatastoreClaims = statement<{ disks: number }, [id: string]>(
  'datastore_claim.count',
  'SELECT count(*) AS disks FROM datastore_claim WHERE datastore_id = $1',
);

/** Tells infrastructure which datastores cannot go yet. */
export const claimUsers: InfrastructureUsers = {
  name: 'disks',
  count: async (reader, noun, id) => (noun === 'datastore' ? ((await reader.first(countDatastoreClaims, id))?.disks ?? 0) : 0),
};

/** Compares every counter with the claims behind it. A difference is a defect of ours: it is logged, never mended in silence. */
export function placementReconcilers(onDrift: (count: number) => void = () => undefined): Reconciler[] {
  return [
    defineReconciler({
      name: 'claim-audit',
      everyMs: 300_000,
      run: async ({ reader, log }) => {
        const drift = await auditClaims(reader);
        onDrift(drift.length);
        for (const each of drift.slice(0, 20)) log.error({ ...each }, 'claims do not sum to their counter');
      },
    }),
  ];
}
