import { Database } from '#database';
import { closeAuditEntries } from '#identity';
import { KeeperRunner, NamedLeases, OperationEngine, ReconcilerRunner, type EngineOptions } from '#operations';
import type { Configuration } from '../../composition/src/configuration.js';
import type { House } from '../../composition/src/house.js';

export interface WorkerOptions {
  configuration: Configuration;
  /** For tests that hold operations at a step or let leases run out soon. */
  engine?: Partial<EngineOptions>;
}

export interface RunningWorker {
  /** Stops taking work, lets steps end for so long, and hands the rest over at once. */
  drain(timeoutMs: number): Promise<void>;
}

/** Reconcilers and keepers of a dead worker are taken over within ten seconds, look included. */
const NAMED_LEASE_MS = 5000;

/** Runs operations, reconcilers and keepers on the house's services. */
export async function startWorker(house: House, { configuration, engine: changed }: WorkerOptions): Promise<RunningWorker> {
  const { applier, database, log, queue, registry } = house;
  // Leases are renewed beside the pool that steps may exhaust: a busy worker must not look dead.
  const leaseDatabase = await Database.open({
    url: configuration.MUON_DATABASE_URL,
    rooms: [],
    poolSize: 2,
    applicationName: 'muon leases',
  });
  const engine = new OperationEngine({
    database,
    leaseDatabase,
    registry,
    applier,
    bell: queue,
    log,
    slots: configuration.MUON_WORKER_SLOTS,
    mayClaim: () => house.pause.mayOperate(),
    onEnded: closeAuditEntries,
    ...changed,
  });
  const leases = new NamedLeases({ database: leaseDatabase, log, leaseMs: NAMED_LEASE_MS, renewEveryMs: NAMED_LEASE_MS / 4 });
  const reconcilers = new ReconcilerRunner({ database, applier, leases, reconcilers: house.reconcilers, log, queue });
  const keepers = new KeeperRunner({ database, leases, keepers: house.keepers, log });
  leases.start();
  engine.start();
  queue.answer(engine);
  await reconcilers.start();
  keepers.start();
  return {
    async drain(timeoutMs) {
      await Promise.all([engine.drain(timeoutMs), reconcilers.close(), keepers.close()]);
      await leases.close();
      await leaseDatabase.close();
    },
  };
}
