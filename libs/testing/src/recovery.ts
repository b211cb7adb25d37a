import { setTimeout as pause } from 'node:timers/promises';
import type { SimulatedHostState } from '#driver-simulated';
import type { HostRow } from '#infrastructure';
import type { OperationRow } from '#operations';
import { computeBench, type BenchProject, type ComputeBench, type ComputeBenchOptions } from './compute.js';
import { systemAccess } from './room-database.js';

/** Virtual machines on simulated hosts that may be lost: a worker's drift, recovery and sweep of orphans run all the time. */
export interface RecoveryBench extends ComputeBench {
  hosts(): Promise<HostRow[]>;
  hostOf(machineId: string): Promise<HostRow>;
  /** Until Muon has seen it, as the worker's heartbeats would. */
  setHost(host: HostRow, state: SimulatedHostState): Promise<void>;
  /** Clears faults and brings every host back. */
  calm(): Promise<void>;
  until(what: string, condition: () => Promise<boolean>): Promise<void>;
  operationsOf(resourceId: string): Promise<OperationRow[]>;
  /** Until the machine was made anew. */
  isNew(machineId: string): Promise<void>;
  /** What the backend has, as often as it has it, of what a machine in the project is made of. */
  realOf(project: BenchProject): Promise<string[]>;
}

export async function recoveryBench(options: ComputeBenchOptions = {}): Promise<RecoveryBench> {
  const { computeKnownObjects, machineDrift, MachineHostListener, machineRecovery } = await import('#compute');
  const { findHosts, Heartbeat, hostState, HostStateNews, KnownObjects, orphanOperations, OrphanSweep } = await import('#infrastructure');
  const { networkKnownObjects } = await import('#network');
  const { NamedLeases, operations, ReconcilerRunner } = await import('#operations');
  const { storageKnownObjects } = await import('#storage');

  const bench = await computeBench({
    ...options,
    moreKinds: (drivers, secrets) => [...orphanOperations(drivers), ...(options.moreKinds?.(drivers, secrets) ?? [])],
  });
  const { database, applier, log } = bench.room;
  const { backendId, drivers, hostIds, world } = bench.center;
  const access = systemAccess();
  const news = new HostStateNews(log);
  news.register(new MachineHostListener(database));
  const heartbeat = new Heartbeat(database, drivers, news, log, { silentAfterMs: 1, beatsToReturn: 1, fenceAgainAfterMs: 1 });
  const beat = (): Promise<void> => heartbeat.lookAt(backendId, AbortSignal.timeout(5000));
  await beat();
  const leases = new NamedLeases({ database, log, leaseMs: 2000, renewEveryMs: 200 });
  leases.start();
  const known = new KnownObjects().register(networkKnownObjects, storageKnownObjects, computeKnownObjects);
  const sweep = new OrphanSweep(database, drivers, known, { everyMs: 100, settleAfterMs: 0 });
  const drift = machineDrift(database, drivers, { everyMs: 100, graceMs: 100 });
  const recovery = machineRecovery(database, { everyMs: 100 });
  const reconcilers = new ReconcilerRunner({ database, applier, leases, reconcilers: [drift, recovery, sweep.reconciler], log, lookEveryMs: 20 });
  await reconcilers.start();

  const self: RecoveryBench = {
    ...bench,
    hosts: () => database.rows(findHosts, [...hostIds]),
    async hostOf(machineId) {
      const { host_id } = await bench.machine(machineId);
      const [host] = await database.rows(findHosts, [host_id]);
      if (host === undefined) throw new Error(`no host ${host_id}`);
      return host;
    },
    async setHost(host, state) {
      await world.setHost(host.name, state);
      const expected = { DEAD: 'FENCED', PARTITIONED: 'DOWN' };
      await self.until(`${host.name} is seen to be ${state}`, async () => {
        await beat();
        const [row] = await database.rows(findHosts, [host.id]);
        return row !== undefined && (state === 'ALIVE' ? row.health === 'UP' : hostState(row) === expected[state]);
      });
    },
    async calm() {
      await world.clearFaults();
      for (const host of await self.hosts()) await self.setHost(host, 'ALIVE');
    },
    async until(what, condition) {
      for (const end = Date.now() + 10_000; !(await condition()); await pause(20)) {
        if (Date.now() > end) throw new Error(`it never came true that ${what}`);
      }
    },
    operationsOf: async (resourceId) =>
      (await operations.page(database, [...access.filter('virtual machine'), null, null, resourceId, null, null, true, null], 'OLDEST', {})).rows,
    isNew: (machineId) =>
      self.until(`${machineId} is made anew`, async () =>
        (await self.operationsOf(machineId)).some(({ kind, state }) => kind === 'compute.virtual_machine.recreate' && state === 'SUCCEEDED')),
    realOf: async ({ projectId }) =>
      (await world.objects()).filter((each) => each.projectId === projectId && each.kind !== 'NETWORK').map((each) => `${each.kind} ${each.id}`),
    async close() {
      await reconcilers.close();
      await leases.close();
      await bench.close();
    },
  };
  return self;
}
