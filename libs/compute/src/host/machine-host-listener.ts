import type { Database } from '#database';
import type { HostStateChange, HostStateListener } from '#infrastructure';
import { nudgeReconcilers } from '#operations';
import { MACHINE_RECOVERY } from '../recovery/machine-recovery.reconciler.js';
import { markMachinesSilent } from './host-machines.sql.js';

/** The reconciler that looks at machines; made due when a host returns. */
export const MACHINE_DRIFT = 'machine-drift';

const BATCH = 1000;
const MAX_BATCHES = 200;

/** Takes note that nobody knows any more what the machines of silent hosts do. */
export async function markSilent(database: Database, hostIds: readonly string[] | null): Promise<number> {
  let marked = 0;
  for (let batch = 0; batch < MAX_BATCHES; batch += 1) {
    const ids = hostIds === null ? null : [...hostIds];
    const rows = await database.transaction((transaction) => transaction.rows(markMachinesSilent, ids, BATCH));
    marked += rows.length;
    if (rows.length < BATCH) break;
  }
  return marked;
}

/**
 * Hosts that fall silent take their machines' states with them; those that return have their machines looked at. With either
 * it is time to look whom to make anew.
 */
export class MachineHostListener implements HostStateListener {
  readonly name = 'compute';

  constructor(private readonly database: Database) {}

  async hostStatesChanged(changes: readonly HostStateChange[]): Promise<void> {
    const silent = changes.filter(({ host }) => host.health !== 'UP').map(({ host }) => host.id);
    if (silent.length > 0) await markSilent(this.database, silent);
    const due = silent.length === changes.length ? [MACHINE_RECOVERY] : [MACHINE_DRIFT, MACHINE_RECOVERY];
    await this.database.transaction((transaction) => nudgeReconcilers(transaction, due));
  }
}
