import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { clusterNodeOwners, type ClusterHealthOptions, type ClusterNodeRow, type ClusterRow } from '#clusters';
import { machineOccupants, type MachineOwners } from '#compute';
import { statement } from '#database';
import { FaultKind, SimulatedHostState } from '#driver-simulated';
import { EVACUATION_PACE, findHosts, Heartbeat, HostMaintenanceService, HostOccupancy, hostOperations, hostState, HostStateNews, type HostRow } from '#infrastructure';
import { clustersBench, systemAccess, type ClustersBench } from '#testing';

const intend = statement<{ id: string }, [id: string, intent: string]>('spec.illness_intent', 'UPDATE host SET intent = $2 WHERE id = $1 RETURNING id');
const grownOld = statement<{ id: string }, [clusterId: string]>(
  'spec.illness_age',
  `UPDATE cluster_node SET health_since = now() - interval '1 hour' WHERE cluster_id = $1 AND health = 'NOT_READY' RETURNING id`,
);
interface Move {
  resource_id: string;
  state: string;
  ended_at: Date | null;
  error: { message: string } | null;
}
const movesOf = statement<Move, [machineIds: string[]]>(
  'spec.illness_moves',
  `SELECT resource_id, state, ended_at, error FROM operation WHERE kind = 'compute.virtual_machine.move' AND resource_id = ANY ($1) ORDER BY queued_at, id`,
);

type Placed = ClusterNodeRow & { hostId: string };
const access = systemAccess();
const seeing: ClusterHealthOptions = { observeEveryMs: 0, askEveryMs: 0, thresholds: { ready: 0, notReady: 0, unreachable: 0 }, limits: { notReadyMs: 600_000, maxFailures: 0 } };
const healing: ClusterHealthOptions = { ...seeing, limits: { notReadyMs: 600_000, maxFailures: 5 } };

/** What befalls a host that is being emptied, after it was seen what may leave it. */
let onceListed: (() => Promise<void>) | undefined;
let emptied: string | undefined;
const owners: MachineOwners = {
  ...clusterNodeOwners,
  async whatHolds(reader, machines) {
    const held = await clusterNodeOwners.whatHolds(reader, machines);
    const [host] = await reader.rows(findHosts, emptied === undefined ? [] : [emptied]);
    const befall = host?.intent === 'MAINTENANCE' ? onceListed : undefined;
    if (befall !== undefined) onceListed = undefined;
    await befall?.();
    return held;
  },
};
const occupancy = new HostOccupancy();
occupancy.register(machineOccupants(owners));

describe('nodes that leave their hosts while somebody is not well', () => {
  let bench: ClustersBench;
  let maintenance: HostMaintenanceService;
  let heartbeat: Heartbeat;
  let cluster: ClusterRow;
  let clusters = 0;

  beforeAll(async () => {
    bench = await clustersBench({ hosts: 5, poolGib: 0, sharedGib: 2000, moreKinds: () => hostOperations(occupancy, { ...EVACUATION_PACE, lookAgainMs: 30 }) });
    maintenance = new HostMaintenanceService(bench.center.commands, occupancy);
    const { database, log } = bench.room;
    heartbeat = new Heartbeat(database, bench.center.drivers, new HostStateNews(log), log, { silentAfterMs: 1, beatsToReturn: 1, fenceAgainAfterMs: 1 });
    await heartbeat.lookAt(bench.center.backendId, AbortSignal.timeout(5000));
  });
  afterEach(async () => {
    onceListed = undefined;
    await bench.center.world.clearFaults();
    for (const host of await hosts()) {
      await setHost(host.id, SimulatedHostState.ALIVE);
      await setIntent(host.id, 'ENABLED');
    }
    const { result } = await bench.clusters.delete(access, cluster.id);
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
  });
  afterAll(() => bench.close());

  const hosts = (): Promise<HostRow[]> => bench.room.database.rows(findHosts, [...bench.center.hostIds]);
  const setIntent = async (id: string, intent: string): Promise<unknown> => bench.room.database.rows(intend, id, intent);
  async function setHost(id: string, state: SimulatedHostState): Promise<void> {
    await bench.center.world.setHost((await hosts()).find((host) => host.id === id)?.name ?? '', state);
    const health = state === SimulatedHostState.ALIVE ? 'UP' : 'DOWN';
    for (const end = Date.now() + 10_000; ; await pause(20)) {
      await heartbeat.lookAt(bench.center.backendId, AbortSignal.timeout(5000));
      const [row] = await bench.room.database.rows(findHosts, [id]);
      if (row?.health === health) return;
      if (Date.now() > end) throw new Error(`${id} never became ${state}, it is ${row === undefined ? 'gone' : hostState(row)}`);
    }
  }
  /** On as many hosts as are given; the others are there again then. */
  async function made(workers = 0, hostCount = 5): Promise<void> {
    for (const id of bench.center.hostIds.slice(hostCount)) await setIntent(id, 'SUSPENDED');
    clusters += 1;
    const nodePools = workers === 0 ? [] : [{ name: 'workers', flavor: 'small', count: workers }];
    cluster = await bench.made(bench.emptyProject(), `ill-${clusters}`, { nodePools });
    for (const id of bench.center.hostIds) await setIntent(id, 'ENABLED');
    await look();
  }
  const look = async (how = seeing): Promise<string[]> => bench.reconcile('cluster-health', how);
  const nodes = async (): Promise<Placed[]> =>
    Promise.all((await bench.nodes(cluster.id)).map(async (node) => ({ ...node, hostId: (await bench.machine(node.machine_id)).host_id })));
  const controls = async (): Promise<[Placed, Placed, Placed]> => (await nodes()).filter(({ role }) => role === 'CONTROL') as [Placed, Placed, Placed];
  const again = async ({ id }: Placed): Promise<Placed> => (await nodes()).find((node) => node.id === id) as Placed;
  const moves = async (): Promise<Move[]> => bench.room.database.rows(movesOf, (await bench.nodes(cluster.id)).map((node) => node.machine_id));
  const became = async (...states: string[]): Promise<void> => {
    await expect.poll(async () => (await moves()).map(({ state }) => state), { timeout: 10_000 }).toEqual(states);
  };
  const fault = async (kind: FaultKind, method: string, more: { keyContains?: string; resourceId?: string; delayMs?: number } = {}): Promise<() => Promise<void>> => {
    const id = await bench.center.world.addFault({ kind, method, times: 100_000, ...more });
    return async () => {
      const acted = async (): Promise<boolean> => (await bench.center.world.faults()).some((each) => each.id === id && each.fired > 0);
      await expect.poll(acted, { timeout: 10_000 }).toBe(true);
    };
  };
  const leave = async (hostId: string): Promise<unknown> => {
    emptied = hostId;
    return (await maintenance.enter(access, { id: hostId })).result.operationId;
  };
  const says = async (operationId: unknown): Promise<string> => (await bench.center.operation(operationId)).blocker?.message ?? '';
  /** Until this has ended, with the cluster looked at. */
  async function succeeds(operationId: unknown): Promise<void> {
    for (const end = Date.now() + 30_000; ; await pause(10)) {
      const operation = await bench.center.operation(operationId);
      if (operation.state === 'SUCCEEDED') return;
      if (Date.now() > end) throw new Error(`it has not ended: ${JSON.stringify(operation)}`);
      await look();
    }
  }
  /** Looks until the node that is away has been seen to be so. */
  async function seenOff(): Promise<Placed> {
    for (const end = Date.now() + 10_000; ; await pause(10)) {
      await look();
      const off = (await nodes()).find((node) => node.health === 'NOT_READY');
      if (off !== undefined) return off;
      if (Date.now() > end) throw new Error('nobody is away');
    }
  }
  const boots = async (node: Placed): Promise<unknown> => {
    const machine = await bench.center.world.machine(node.machine_id);
    return [machine?.power, machine?.bootCount];
  };

  it('wait for one that was away for long, too: what was seen of it meanwhile counts no more', async () => {
    await made(4, 3);
    const [hostId] = [...Map.groupBy((await nodes()).filter(({ role }) => role === 'WORKER'), (node) => node.hostId)].find(([, shared]) => shared.length === 2) ?? [];
    await fault(FaultKind.BUSY, 'startMachine');
    const entering = await leave(String(hostId));
    const away = await seenOff();
    await bench.center.world.clearFaults();
    await became('SUCCEEDED');
    await expect.poll(() => says(entering), { timeout: 10_000 }).toContain(`Node "${away.name}" of its cluster has not been seen to be ready`);
    expect(await moves()).toHaveLength(1);
    expect(await again(away)).toMatchObject({ health: 'UNKNOWN', health_reason: 'NOT_OBSERVED' });
    await succeeds(entering);
    expect((await nodes()).map((node) => node.hostId)).not.toContain(hostId);
  }, 60_000);

  it('are not replaced for the time that their move has taken', async () => {
    await made();
    const [node] = await controls();
    await fault(FaultKind.BUSY, 'startMachine');
    const entering = await leave(node.hostId);
    await seenOff();
    expect(await bench.room.database.rows(grownOld, cluster.id)).toEqual([{ id: node.id }]);
    await bench.center.world.onGuestRun({ pattern: '.', machineId: node.machine_id, exitCode: 1 });
    await bench.center.world.clearFaults();
    expect(await bench.center.ended(entering)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await look(healing)).toEqual([]);
    expect(await look(healing)).toEqual([]);
    const { health, health_since: since } = await again(node);
    expect(health).toBe('NOT_READY');
    const [move] = await moves();
    expect(since.getTime()).toBeGreaterThanOrEqual(move?.ended_at?.getTime() ?? Infinity);
    // As it would be had it been so for an hour.
    await bench.room.database.rows(grownOld, cluster.id);
    const [replacing] = await look(healing);
    expect(await bench.center.ended(replacing, 30_000)).toMatchObject({ kind: 'clusters.cluster.heal', state: 'SUCCEEDED' });
  }, 60_000);

  it('are not judged by a look that began while they were away', async () => {
    await made();
    const [node, peer] = await controls();
    await fault(FaultKind.BUSY, 'startMachine');
    const entering = await leave(node.hostId);
    await expect.poll(async () => (await boots(node)), { timeout: 10_000 }).toContain('STOPPED');
    const asked = await fault(FaultKind.STILL_RUNNING, 'runInGuest', { resourceId: peer.machine_id, delayMs: 3_600_000 });
    const looking = look({ ...seeing, patienceMs: 15_000 });
    await asked();
    await bench.center.world.clearFaults();
    expect(await bench.center.ended(entering)).toMatchObject({ state: 'SUCCEEDED' });
    await bench.center.world.landPending();
    await looking;
    expect(await again(node)).toMatchObject({ health: 'UNKNOWN', health_reason: 'NOT_OBSERVED' });
    await look();
    expect(await again(node)).toMatchObject({ health: 'READY' });
  }, 60_000);

  it('keep the others from being replaced until they are seen: they may be starting still', async () => {
    await made();
    const [node, peer] = await controls();
    expect(await bench.center.ended(await leave(node.hostId))).toMatchObject({ state: 'SUCCEEDED' });
    const refused = bench.clusters.replaceNode(access, peer.id);
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_STATE', data: { nodeId: peer.id, ready: 1, needed: 2, unseenNodeId: node.id } });
    await expect(refused).rejects.toThrow(`"${node.name}" has not been seen to be ready since it was made or moved`);
    await look();
    const { plan } = await bench.clusters.replaceNode(access, peer.id, { dryRun: true });
    expect(plan?.changes.problems).toEqual([]);
  }, 60_000);

  it('stay when another one falls ill after it was seen what may leave the host', async () => {
    await made();
    const [node, peer] = await controls();
    const before = await boots(node);
    onceListed = () => setHost(peer.hostId, SimulatedHostState.PARTITIONED);
    const entering = await leave(node.hostId);
    await became('FAILED');
    expect((await moves())[0]?.error?.message).toContain(`while its control node "${peer.name}" is not ready`);
    // It was not even begun.
    expect(await again(node)).toMatchObject({ hostId: node.hostId, health: 'READY' });
    expect(await boots(node)).toEqual(before);
    await expect.poll(() => says(entering), { timeout: 10_000 }).toContain('cannot spare it');
    await setHost(peer.hostId, SimulatedHostState.ALIVE);
    await succeeds(entering);
    await became('FAILED', 'SUCCEEDED');
  }, 60_000);

  it('stay when another one falls ill while the backend is away, before they are told to stop', async () => {
    await made();
    const [node, peer] = await controls();
    const before = await boots(node);
    const tried = await fault(FaultKind.UNAVAILABLE, 'getMachine', { keyContains: '/stop/' });
    const entering = await leave(node.hostId);
    await tried();
    await setHost(peer.hostId, SimulatedHostState.PARTITIONED);
    await bench.center.world.clearFaults();
    await became('FAILED');
    expect((await moves())[0]?.error?.message).toContain(`while its control node "${peer.name}" is not ready`);
    expect(await boots(node)).toEqual(before);
    await setHost(peer.hostId, SimulatedHostState.ALIVE);
    await succeeds(entering);
    await became('FAILED', 'SUCCEEDED');
  }, 60_000);

  it('go on once they have been told to stop, whoever falls ill then', async () => {
    await made();
    const [node, peer] = await controls();
    const tried = await fault(FaultKind.BUSY, 'stopMachine');
    const entering = await leave(node.hostId);
    await tried();
    await setHost(peer.hostId, SimulatedHostState.PARTITIONED);
    await bench.center.world.clearFaults();
    expect(await bench.center.ended(entering)).toMatchObject({ state: 'SUCCEEDED' });
    await became('SUCCEEDED');
  }, 60_000);

  it('are nobody’s to wait for when their cluster is not there any more, though its deletion was given up', async () => {
    await made();
    await fault(FaultKind.REFUSED, 'removeLoadBalancer');
    const { result } = await bench.clusters.delete(access, cluster.id);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'STUCK' });
    await bench.center.operations.abandon(String(result.operationId), 'It is needed.');
    await expect.poll(async () => (await bench.cluster(cluster.id)).lifecycle, { timeout: 10_000 }).toBe('FAILED');
    await bench.center.world.clearFaults();
    const [one, other] = await controls();
    for (const { hostId } of [one, other]) expect(await bench.center.ended(await leave(hostId))).toMatchObject({ state: 'SUCCEEDED' });
  }, 60_000);
});
