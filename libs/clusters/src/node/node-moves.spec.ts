import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { clusterNodeOwners, type ClusterHealthOptions, type ClusterNodeRow, type ClusterRow } from '#clusters';
import { machineOccupants } from '#compute';
import { insertRows, statement } from '#database';
import { FaultKind, SimulatedHostState } from '#driver-simulated';
import { EVACUATION_PACE, findHosts, Heartbeat, HostMaintenanceService, HostOccupancy, hostOperations, hostState, HostStateNews, rackId, type HostRow } from '#infrastructure';
import { clustersBench, systemAccess, type ClustersBench, type EndedOperation } from '#testing';

const intend = statement<{ id: string }, [id: string, intent: string]>('spec.moves_intent', 'UPDATE host SET intent = $2 WHERE id = $1 RETURNING id');
const mount = statement<{ id: string }, [hostIds: string[], rackId: string]>('spec.moves_rack', 'UPDATE host SET rack_id = $2 WHERE id = ANY ($1) RETURNING id');
interface Move {
  resource_id: string;
  state: string;
  queued_at: Date;
  ended_at: Date | null;
}
const movesOf = statement<Move, [machineIds: string[]]>(
  'spec.moves_of',
  `SELECT resource_id, state, queued_at, ended_at FROM operation WHERE kind = 'compute.virtual_machine.move' AND resource_id = ANY ($1) ORDER BY queued_at, id`,
);

const access = systemAccess();
const occupancy = new HostOccupancy();
occupancy.register(machineOccupants(clusterNodeOwners));

/** Disks are in a pool that all hosts reach, so that nodes leave by being stopped and started elsewhere. */
describe('control nodes on hosts that are emptied', () => {
  let bench: ClustersBench;
  let maintenance: HostMaintenanceService;
  let heartbeat: Heartbeat;
  let cluster: ClusterRow;
  let clusters = 0;
  const seeing: ClusterHealthOptions = { observeEveryMs: 0, askEveryMs: 0, thresholds: { ready: 0, notReady: 0, unreachable: 0 }, limits: { notReadyMs: 60_000, maxFailures: 0 } };

  beforeAll(async () => {
    bench = await clustersBench({ hosts: 5, poolGib: 0, sharedGib: 2000, moreKinds: () => hostOperations(occupancy, { ...EVACUATION_PACE, lookAgainMs: 30 }) });
    maintenance = new HostMaintenanceService(bench.center.commands, occupancy);
    const { database, log } = bench.room;
    heartbeat = new Heartbeat(database, bench.center.drivers, new HostStateNews(log), log, { silentAfterMs: 1, beatsToReturn: 1, fenceAgainAfterMs: 1 });
    await heartbeat.lookAt(bench.center.backendId, AbortSignal.timeout(5000));
  });
  afterEach(async () => {
    await bench.center.world.clearFaults();
    for (const host of await hosts()) {
      await setHost(host.id, SimulatedHostState.ALIVE);
      await setIntent(host.id, 'ENABLED');
    }
    if ((await bench.nodes(cluster.id)).length > 0) await deleted();
  });
  afterAll(() => bench.close());

  const hosts = (): Promise<HostRow[]> => bench.room.database.rows(findHosts, [...bench.center.hostIds]);
  const setIntent = async (id: string, intent: string): Promise<unknown> => bench.room.database.rows(intend, id, intent);
  async function setHost(id: string, state: SimulatedHostState): Promise<void> {
    await bench.center.world.setHost((await hosts()).find((host) => host.id === id)?.name ?? '', state);
    const isDead = state === SimulatedHostState.DEAD;
    for (const end = Date.now() + 10_000; ; await pause(20)) {
      await heartbeat.lookAt(bench.center.backendId, AbortSignal.timeout(5000));
      const [row] = await bench.room.database.rows(findHosts, [id]);
      if (row !== undefined && (hostState(row) === 'FENCED') === isDead && (isDead || row.health === 'UP')) return;
      if (Date.now() > end) throw new Error(`${id} never became ${state}`);
    }
  }
  async function deleted(): Promise<void> {
    const { result } = await bench.clusters.delete(access, cluster.id);
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
  }
  async function made(count: 3 | 5, hostCount: number): Promise<void> {
    for (const id of bench.center.hostIds.slice(hostCount)) await setIntent(id, 'SUSPENDED');
    clusters += 1;
    cluster = await bench.made(bench.emptyProject(), `moving-${clusters}`, { controlPlane: { count, flavor: 'small' }, nodePools: [] });
    await look();
  }
  /** As a worker does every few seconds. */
  const look = async (): Promise<unknown> => bench.reconcile('cluster-health', seeing);
  const controls = async (): Promise<(ClusterNodeRow & { hostId: string })[]> => {
    const nodes = await bench.nodes(cluster.id);
    return Promise.all(nodes.map(async (node) => ({ ...node, hostId: (await bench.machine(node.machine_id)).host_id })));
  };
  const shares = async (): Promise<number[]> => [...Map.groupBy(await controls(), ({ hostId }) => hostId).values()].map(({ length }) => length).sort((one, other) => other - one);
  async function hostWith(count: number): Promise<string> {
    const found = [...Map.groupBy(await controls(), ({ hostId }) => hostId)].find(([, nodes]) => nodes.length === count);
    if (found === undefined) throw new Error(`no host has ${count}`);
    return found[0];
  }
  const moves = async (): Promise<Move[]> => bench.room.database.rows(movesOf, (await bench.nodes(cluster.id)).map((node) => node.machine_id));
  /** How many control nodes do not run now. */
  const off = async (): Promise<number> => {
    const machines = await Promise.all((await bench.nodes(cluster.id)).map((node) => bench.center.world.machine(node.machine_id)));
    return machines.filter((machine) => machine?.power !== 'RUNNING').length;
  };
  /** Until all of these have ended, with the cluster looked at; how many control nodes were off at most at once. */
  async function ended(...operationIds: unknown[]): Promise<{ operations: EndedOperation[]; mostOff: number }> {
    let mostOff = 0;
    for (const end = Date.now() + 30_000; ; await pause(10)) {
      mostOff = Math.max(mostOff, await off());
      const operations = await Promise.all(operationIds.map((id) => bench.center.operation(id)));
      if (operations.every(({ state }) => ['SUCCEEDED', 'FAILED', 'CANCELLED', 'STUCK'].includes(state))) return { operations, mostOff };
      if (Date.now() > end) throw new Error(`they have not ended: ${JSON.stringify(operations)}`);
      await look();
    }
  }
  const says = async (operationId: unknown): Promise<string> => (await bench.center.operation(operationId)).blocker?.message ?? '';
  /** Machines take their time to start. */
  const slowly = (): Promise<unknown> => bench.center.world.addFault({ kind: FaultKind.BUSY, method: 'startMachine', times: 10 });

  it('leave one after the other, the next when the one before it has been seen to be ready', async () => {
    await made(5, 3);
    await setIntent(bench.center.hostIds[3] ?? '', 'ENABLED');
    const hostId = await hostWith(2);
    await slowly();
    const { result } = await maintenance.enter(access, { id: hostId });
    await expect.poll(async () => (await moves()).map(({ state }) => state), { timeout: 10_000 }).toContain('SUCCEEDED');
    await expect.poll(() => says(result.operationId), { timeout: 10_000 }).toContain('of its cluster has not been seen to be ready since it was made or moved');
    expect(await moves()).toHaveLength(1);
    expect((await controls()).filter((node) => node.hostId === hostId)).toHaveLength(1);
    await slowly();
    const { operations, mostOff } = await ended(result.operationId);
    expect(operations).toMatchObject([{ state: 'SUCCEEDED' }]);
    expect(mostOff).toBe(1);
    expect(await shares()).toEqual([2, 2, 1]);
    expect((await controls()).map((node) => node.hostId)).not.toContain(hostId);
  }, 60_000);

  it('leave two hosts one after the other, too', async () => {
    await made(3, 5);
    const [one, other] = await controls();
    await slowly();
    const orders = await Promise.all([one, other].map((node) => maintenance.enter(access, { id: String(node?.hostId), whenBlocked: 'WAIT' })));
    const { operations, mostOff } = await ended(...orders.map(({ result }) => result.operationId));
    expect(operations).toMatchObject([{ state: 'SUCCEEDED' }, { state: 'SUCCEEDED' }]);
    expect(mostOff).toBe(1);
    const [first, second] = await moves();
    expect(second?.queued_at.getTime()).toBeGreaterThanOrEqual(first?.ended_at?.getTime() ?? Infinity);
    expect(await shares()).toEqual([1, 1, 1]);
  }, 60_000);

  it('stay while another one is not well: the host is not entered, and says why', async () => {
    await made(3, 5);
    const [lost, needed] = (await controls()) as [ClusterNodeRow & { hostId: string }, ClusterNodeRow & { hostId: string }];
    await setHost(lost.hostId, SimulatedHostState.DEAD);
    const refused = maintenance.enter(access, { id: needed.hostId });
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_STATE', data: { blocked: [{ name: needed.name, code: 'INVALID_STATE' }] } });
    await expect(refused).rejects.toThrow(`Its cluster cannot spare it while its control node "${lost.name}" is not ready`);
    const { result } = await maintenance.enter(access, { id: needed.hostId, whenBlocked: 'WAIT' });
    await expect.poll(() => says(result.operationId), { timeout: 10_000 }).toContain('cannot spare it');
    expect(await moves()).toEqual([]);
    await bench.center.ended((await bench.clusters.replaceNode(access, lost.id)).result.operationId, 30_000);
    expect((await ended(result.operationId)).operations).toMatchObject([{ state: 'SUCCEEDED' }]);
    expect(await shares()).toEqual([1, 1, 1]);
  }, 60_000);

  it('go beside another one where no host is without, as many as the others can do without, and no more', async () => {
    await made(5, 5);
    const emptied: string[] = [];
    for (const expected of [[2, 1, 1, 1], [2, 2, 1]]) {
      await look();
      const hostId = await hostWith(1);
      emptied.push(hostId);
      const { result } = await maintenance.enter(access, { id: hostId });
      expect((await ended(result.operationId)).operations).toMatchObject([{ state: 'SUCCEEDED' }]);
      expect(await shares()).toEqual(expected);
    }
    await look();
    const { result } = await maintenance.enter(access, { id: await hostWith(1) });
    await expect.poll(async () => (await bench.center.operation(result.operationId)).blocker?.code, { timeout: 10_000 }).toBe('INSUFFICIENT_CAPACITY');
    expect(await shares()).toEqual([2, 2, 1]);
    expect(await off()).toBe(0);
    // Nobody holds the cluster while the host waits for a place.
    const { plan } = await bench.pools.create(access, { clusterId: cluster.id, name: 'more', flavor: 'small', count: 1 }, { dryRun: true });
    expect(plan?.changes.problems).toEqual([]);
    await bench.center.operations.cancel(String(result.operationId));
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'CANCELLED' });
  }, 60_000);

  it('stay apart over racks, too, where that is possible', async () => {
    const { hostIds, zoneId } = bench.center;
    const racks = [hostIds.slice(0, 2), hostIds.slice(2, 3), hostIds.slice(3)];
    for (const [index, mounted] of racks.entries()) {
      const id = rackId.create();
      await bench.room.database.transaction(async (transaction) => {
        await insertRows(transaction, 'rack', [{ id, name: `rack-${index}`, zone_id: zoneId }]);
        await transaction.rows(mount, mounted, id);
      });
    }
    await made(3, 5);
    const racksOf = async (): Promise<(string | null)[]> => Promise.all((await controls()).map(async (node) => (await bench.machine(node.machine_id)).rack_id));
    expect(new Set(await racksOf()).size).toBe(3);
    const taken = (await controls()).map((node) => node.hostId);
    const [leaving, beside] = hostIds.slice(0, 2).sort((one) => (taken.includes(one) ? -1 : 1)) as [string, string];
    // The other host of its rack is the fullest.
    for (const id of hostIds) if (id !== beside) await setIntent(id, 'SUSPENDED');
    await bench.running(await bench.freshProject(), 'heavy', { flavor: 'large' });
    for (const id of hostIds) await setIntent(id, 'ENABLED');
    const { result } = await maintenance.enter(access, { id: leaving });
    expect((await ended(result.operationId)).operations).toMatchObject([{ state: 'SUCCEEDED' }]);
    expect((await controls()).map((node) => node.hostId)).toContain(beside);
    expect(new Set(await racksOf()).size).toBe(3);
  }, 60_000);

  it('are looked at before the next try, too, when a move has come to nothing', async () => {
    await made(3, 5);
    const hostId = await hostWith(1);
    // Others may be on the host, too.
    const resourceId = (await controls()).find((node) => node.hostId === hostId)?.machine_id ?? '';
    await bench.center.world.addFault({ kind: FaultKind.REFUSED, method: 'moveMachine', resourceId, times: 1 });
    const { result } = await maintenance.enter(access, { id: hostId });
    await expect.poll(async () => (await moves()).map(({ state }) => state), { timeout: 10_000 }).toEqual(['FAILED']);
    expect((await controls()).filter((node) => node.health === 'UNKNOWN')).toMatchObject([{ hostId, health_reason: 'NOT_OBSERVED' }]);
    const { operations, mostOff } = await ended(result.operationId);
    expect(operations).toMatchObject([{ state: 'SUCCEEDED' }]);
    expect(mostOff).toBeLessThanOrEqual(1);
    expect((await moves()).map(({ state }) => state)).toEqual(['FAILED', 'SUCCEEDED']);
    expect(await shares()).toEqual([1, 1, 1]);
  }, 60_000);

  it('keep nobody from deleting their cluster: that calls off the move, and not the maintenance', async () => {
    await made(3, 5);
    const hostId = await hostWith(1);
    await bench.center.world.addFault({ kind: FaultKind.BUSY, method: 'startMachine', times: 100_000 });
    const { result } = await maintenance.enter(access, { id: hostId });
    await expect.poll(async () => (await bench.center.world.faults()).some((fault) => fault.fired > 0), { timeout: 10_000 }).toBe(true);
    const busy = bench.pools.create(access, { clusterId: cluster.id, name: 'more', flavor: 'small', count: 1 });
    await expect(busy).rejects.toMatchObject({ code: 'RESOURCE_BUSY', data: { operationKind: 'compute.virtual_machine.move' } });
    await bench.center.world.clearFaults();
    await deleted();
    expect(await bench.center.ended(result.operationId, 10_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.leftOf(cluster.project_id)).toEqual([]);
  }, 60_000);
});
