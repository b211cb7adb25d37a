import type { Database } from '#database';
import type { HostStateChange, HostStateListener } from '#infrastructure';
import { nudgeReconcilers } from '#operations';
import { NETWORK_CATCH_UP } from './catch-up.reconciler.js';

/** A host that returns is asked at once whether it has what its network was told meanwhile. */
export class NetworkHostListener implements HostStateListener {
  readonly name = 'network';

  constructor(private readonly database: Database) {}

  async hostStatesChanged(changes: readonly HostStateChange[]): Promise<void> {
    if (changes.every(({ host }) => host.health !== 'UP')) return;
    await this.database.transaction((transaction) => nudgeReconcilers(transaction, [NETWORK_CATCH_UP]));
  }
}
