import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { statement } from '#database';
import { FaultKind, SimulatedHostState } from '#driver-simulated';
import { findHosts, Heartbeat, hostState, HostStateNews, KnownObjects, orphanOperations, OrphanSweep, type HostRow } from '#infrastructure';
import { networkKnownObjects } from '#network';
import { NamedLeases, operations, OperationRequests, ReconcilerRunner, type OperationRow, type ReconcilerContext } from '#operations';
import { storageKnownObjects } from '#storage';
import { computeBench, systemAccess, type BenchProject, type ComputeBench } from '#testing';
import { computeKnownObjects, countMachineDrift, machineDrift, MachineHostListener, machineConditions, machineState } from '../index.js';

const tombstones = statement<{ object_kind: string; object_id: string }, [ids: string[]]>(
  'spec.compute_tombstones',
  'SELECT object_kind, object_id FROM tombstone WHERE object_id = ANY ($1) ORDER BY object_kind',
);

describe.each([
  ['with disks on the hosts themselves', { poolGib: 1000 }],
  ['with disks in a shared pool', { poolGib: 0, sharedGib: 1000 }],
])('machines whose hosts fall silent, die and return, %s', (_where, pools) => {
  let bench: ComputeBench;
  let heartbeat: Heartbeat;
  let leases: NamedLeases;
  let reconcilers: ReconcilerRunner;
  let runs = 0;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await computeBench({ ...pools, moreKinds: (drivers) => orphanOperations(drivers) });
    const { database, applier, log } = bench.room;
    const news = new HostStateNews(log);
    news.register(new MachineHostListener(database));
    heartbeat = new Heartbeat(database, bench.center.drivers, news, log, { silentAfterMs: 1, beatsToReturn: 1, fenceAgainAfterMs: 1 });
    await beat();
    leases = new NamedLeases({ database, log, leaseMs: 2000, renewEveryMs: 200 });
    leases.start();
    const drift = machineDrift(database, bench.center.drivers, { everyMs: 100, graceMs: 100, startAgainAfterMs: 60_000 });
    const known = new KnownObjects().register(networkKnownObjects, storageKnownObjects, computeKnownObjects);
    const sweep = new OrphanSweep(database, bench.center.drivers, known, { everyMs: 100, settleAfterMs: 0 });
    const counted = { ...drift, run: (context: ReconcilerContext) => drift.run(context).finally(() => (runs += 1)) };
    reconcilers = new ReconcilerRunner({ database, applier, leases, reconcilers: [counted, sweep.reconciler], log, lookEveryMs: 20 });
    await reconcilers.start();
  });
  afterEach(async () => {
    await bench.center.world.clearFaults();
    for (const host of await hosts()) await setHost(host, SimulatedHostState.ALIVE);
  });
  afterAll(async () => {
    await reconcilers.close();
    await leases.close();
    await bench.close();
  });

  const beat = (): Promise<void> => heartbeat.lookAt(bench.center.backendId, AbortSignal.timeout(5000));
  const hosts = (): Promise<HostRow[]> => bench.room.database.rows(findHosts, [...bench.center.hostIds]);
  const hostOf = async (machineId: string): Promise<HostRow> => {
    const { host_id } = await bench.machine(machineId);
    return (await hosts()).find((host) => host.id === host_id) as HostRow;
  };

  /** Until Muon has seen it, as the worker's heartbeats would. */
  async function setHost(host: HostRow, state: SimulatedHostState): Promise<void> {
    await bench.center.world.setHost(host.name, state);
    const expected = { ALIVE: 'ACTIVE', DEAD: 'FENCED', PARTITIONED: 'DOWN' }[state];
    await until(`${host.name} is ${expected}`, async () => {
      await beat();
      const [row] = await bench.room.database.rows(findHosts, [host.id]);
      return row !== undefined && hostState(row) === expected;
    });
  }
  async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
    for (const end = Date.now() + 10_000; !(await condition()); await pause(20)) {
      if (Date.now() > end) throw new Error(`it never came true that ${what}`);
    }
  }
  const operationsOf = async (resourceId: string): Promise<OperationRow[]> =>
    (await operations.page(bench.room.database, [...access.filter('virtual machine'), null, null, resourceId, null, null, true, null], 'OLDEST', {})).rows;
  const stateBecomes = (id: string, state: string): Promise<void> =>
    until(`${id} is ${state}`, async () => machineState(await bench.machine(id)) === state);

  it('knows that it knows nothing of machines on a silent host, and sees them again when it returns', async () => {
    const project = await bench.freshProject();
    const id = await bench.running(project, 'cut-off');
    const host = await hostOf(id);
    await setHost(host, SimulatedHostState.PARTITIONED);
    const silent = await bench.machine(id);
    expect(machineState(silent)).toBe('UNKNOWN');
    expect(silent.observed_reason).toMatch(/^Its host is silent since 20\d\d-\d\d-\d\dT[\d:]+Z\.$/);
    expect(machineConditions(silent).map(({ type, status, reason }) => `${type} ${status} ${reason}`)).toEqual([
      'READY UNKNOWN HOST_SILENT',
      'HOST_REACHABLE UNKNOWN HOST_SILENT',
      'IN_PLACE TRUE AS_PLACED',
    ]);
    await setHost(host, SimulatedHostState.ALIVE);
    await stateBecomes(id, 'RUNNING');
    expect((await bench.center.world.machine(id))?.bootCount).toBe(1);
    expect((await operationsOf(id)).map((operation) => operation.kind)).toEqual(['compute.virtual_machine.create']);
  });

  it('starts again what a dead host had running, and nothing else', async () => {
    const project = await bench.freshProject();
    const [runs, stopped] = await onOneHost(project, ['runs', 'stopped'], { stopped: 'STOPPED' });
    const host = await hostOf(runs);
    await setHost(host, SimulatedHostState.DEAD);
    expect((await bench.machine(runs)).observed_reason).toMatch(/^Its host is proven to be off; it is silent since /);
    expect((await bench.machine(stopped)).observed_power).toBe('UNKNOWN');
    await setHost(host, SimulatedHostState.ALIVE);
    await stateBecomes(runs, 'RUNNING');
    await stateBecomes(stopped, 'STOPPED');
    expect((await bench.center.world.machine(runs))?.power).toBe('RUNNING');
    const [, restart, ...more] = await operationsOf(runs);
    expect(restart).toMatchObject({ kind: 'compute.virtual_machine.power', origin: 'RECONCILER', principal_id: null });
    expect(more).toEqual([]);
    expect(await operationsOf(stopped)).toHaveLength(1);
  });

  it('keeps wanting a machine to run that it could not start, and does not try all the time', async () => {
    const project = await bench.freshProject();
    const id = await bench.running(project, 'stubborn');
    await bench.center.world.addFault({ kind: FaultKind.REFUSED, method: 'startMachine', times: 100 });
    const host = await hostOf(id);
    await setHost(host, SimulatedHostState.DEAD);
    await setHost(host, SimulatedHostState.ALIVE);
    await until('the start has failed', async () => (await operationsOf(id)).at(-1)?.state === 'FAILED');
    const before = runs;
    await until('the reconciler has looked again', async () => runs > before + 2);
    const tries = (await operationsOf(id)).filter((operation) => operation.origin === 'RECONCILER');
    expect(tries.map((operation) => operation.state)).toEqual(['FAILED']);
    expect(await bench.machine(id)).toMatchObject({ desired_power: 'RUNNING', observed_power: 'STOPPED' });
    expect(machineConditions(await bench.machine(id))[0]).toMatchObject({ status: 'FALSE', reason: 'POWER_DIFFERS' });
  });

  it('deletes a machine on a host that is proven to be off, leaving tombstones for what the host brings back', async () => {
    const project = await bench.freshProject();
    const before = await bench.objects();
    const id = await bench.running(project, 'gone-with-host');
    const host = await hostOf(id);
    await setHost(host, SimulatedHostState.DEAD);
    const { result } = await bench.machines.delete(access, id);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.left(project.projectId)).toEqual([]);
    const left = (await bench.objects()).filter((object) => !before.includes(object));
    const buried = await bench.room.database.rows(tombstones, left);
    expect(buried.map((row) => row.object_kind)).toEqual(['disk', 'machine']);
    expect(buried.map((row) => row.object_id).sort()).toEqual([...left].sort());
    await setHost(host, SimulatedHostState.ALIVE);
    await until('nothing is left', async () => (await bench.objects()).length === before.length);
  });

  it('waits with the deletion while nobody can tell whether the host is off, and says so', async () => {
    const project = await bench.freshProject();
    const id = await bench.running(project, 'cut-off-delete');
    const host = await hostOf(id);
    await setHost(host, SimulatedHostState.PARTITIONED);
    const { result } = await bench.machines.delete(access, id);
    await until('it is blocked', async () => (await bench.center.operation(result.operationId)).blocker !== null);
    expect((await bench.center.operation(result.operationId)).blocker).toMatchObject({ code: 'UNAVAILABLE' });
    await setHost(host, SimulatedHostState.ALIVE);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.left(project.projectId)).toEqual([]);
  });

  it('takes back what was begun on a host that died meanwhile', async () => {
    const project = await bench.freshProject();
    await bench.center.world.addFault({ kind: FaultKind.BUSY, method: 'startMachine', times: 1000 });
    const { result } = await bench.machines.create(access, { ...project, name: 'half', flavor: 'small', image: 'debian' });
    const id = String(result.id);
    await until('it is on the backend', async () => (await bench.center.world.machine(id)) !== undefined);
    await setHost(await hostOf(id), SimulatedHostState.DEAD);
    await new OperationRequests(bench.center.commands, bench.center.operations).cancel(access, String(result.operationId));
    const ended = await bench.center.ended(result.operationId);
    expect(ended).toMatchObject({ state: 'CANCELLED', error: null });
    expect(ended.not_restored).toContainEqual({ step: 'machine', resourceId: id, message: expect.stringContaining('deleted when it returns') as string });
    expect(await bench.left(project.projectId)).toEqual(['machine']);
    expect((await bench.room.database.rows(tombstones, [id])).map((row) => row.object_kind)).toEqual(['machine']);
  });

  it('reports machines that the backend has lost, or has elsewhere, and touches nothing', async () => {
    const project = await bench.freshProject();
    const lost = await bench.running(project, 'lost');
    const moved = await bench.running(project, 'moved', { power: 'STOPPED' });
    const { compute } = await bench.center.drivers.driver(bench.center.backendId);
    const call = (key: string) => ({ idempotencyKey: key, timeoutMs: 1000, signal: AbortSignal.timeout(1000) });
    await compute.deleteMachine(call('behind-muons-back'), lost);
    const from = (await hostOf(moved)).name;
    const to = (await hosts()).find((host) => host.name !== from)?.name ?? '';
    await compute.moveMachine(call('moved-behind-muons-back'), moved, to);

    await until('both are seen', async () => (await bench.machine(lost)).drift !== null && (await bench.machine(moved)).drift !== null);
    expect((await bench.machine(lost)).drift?.code).toBe('MACHINE_MISSING');
    expect((await bench.machine(moved)).drift).toMatchObject({ code: 'ON_ANOTHER_HOST', hostName: to });
    const conditions = machineConditions(await bench.machine(lost));
    expect(conditions.map(({ type, status, reason }) => `${type} ${status} ${reason}`)).toEqual([
      'READY FALSE MACHINE_MISSING',
      'HOST_REACHABLE TRUE HOST_ANSWERS',
      'IN_PLACE FALSE MACHINE_MISSING',
    ]);
    expect(await bench.room.database.rows(countMachineDrift)).toEqual([
      { code: 'MACHINE_MISSING', count: 1 },
      { code: 'ON_ANOTHER_HOST', count: 1 },
    ]);
    await compute.moveMachine(call('moved-back'), moved, from);
    await until('it is seen back in place', async () => (await bench.machine(moved)).drift === null);
    expect((await operationsOf(lost)).length + (await operationsOf(moved)).length).toBe(2);
    const { result } = await bench.machines.delete(access, lost);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  });

  /** Machines that stand on the same host, because an affinity group keeps them together. */
  async function onOneHost(project: BenchProject, names: string[], power: Record<string, 'STOPPED'>): Promise<[string, string]> {
    await bench.groups.create(access, { projectId: project.projectId, name: 'together', policy: 'AFFINITY' });
    const ids: string[] = [];
    for (const name of names) ids.push(await bench.running(project, name, { affinityGroup: 'together', power: power[name] ?? 'RUNNING' }));
    return ids as [string, string];
  }
});
