import { findMachineOwnersOnHosts } from '#compute';
import type { Database } from '#database';
import type { HostStateChange, HostStateListener } from '#infrastructure';
import { nudgeReconcilers } from '#operations';
import { CLUSTER_HEALTH } from './health.reconciler.js';
import { hastenObservations } from './observation.sql.js';

/** Clusters with nodes on a host whose state has changed are looked at now, not when their turn comes. */
export class ClusterHostListener implements HostStateListener {
  readonly name = 'clusters';

  constructor(private readonly database: Database) {}

  async hostStatesChanged(changes: readonly HostStateChange[]): Promise<void> {
    const hostIds = changes.map((change) => change.host.id);
    const owners = (await this.database.rows(findMachineOwnersOnHosts, hostIds)).map((row) => row.owner_id);
    if (owners.length === 0) return;
    await this.database.transaction(async (transaction) => {
      await transaction.execute(hastenObservations, owners);
      await nudgeReconcilers(transaction, [CLUSTER_HEALTH]);
    });
  }
}
