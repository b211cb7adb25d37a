import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { clusterState, nodeState, type ClusterHealthOptions, type ClusterNodeRow, type ClusterRow } from '#clusters';
import { statement } from '#database';
import { SimulatedHostState } from '#driver-simulated';
import { findHosts, Heartbeat, hostState, HostStateNews, type HostRow } from '#infrastructure';
import { clustersBench, systemAccess, type ClustersBench } from '#testing';

const intend = statement<{ id: string }, [id: string, intent: string]>('spec.five_intent', 'UPDATE host SET intent = $2 WHERE id = $1 RETURNING id');

/** Fewer hosts than control nodes: some share one, whatever is done. A fifth host is there when a test wants it. */
describe('five control nodes on four hosts', () => {
  let bench: ClustersBench;
  let heartbeat: Heartbeat;
  let cluster: ClusterRow;
  let clusters = 0;
  const access = systemAccess();
  const hasty: ClusterHealthOptions = { observeEveryMs: 0, thresholds: { ready: 0, notReady: 0, unreachable: 0 }, limits: { notReadyMs: 0, maxFailures: 2 } };

  beforeAll(async () => {
    bench = await clustersBench({ hosts: 5 });
    const { database, log } = bench.room;
    heartbeat = new Heartbeat(database, bench.center.drivers, new HostStateNews(log), log, { silentAfterMs: 1, beatsToReturn: 1, fenceAgainAfterMs: 1 });
    await heartbeat.lookAt(bench.center.backendId, AbortSignal.timeout(5000));
  });
  afterEach(async () => {
    for (const host of await hosts()) {
      await setIntent(host.id, 'ENABLED');
      await setHost(host.id, SimulatedHostState.ALIVE);
    }
    const { result } = await bench.clusters.delete(access, cluster.id);
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
  });
  afterAll(() => bench.close());

  const hosts = (): Promise<HostRow[]> => bench.room.database.rows(findHosts, [...bench.center.hostIds]);
  const setIntent = async (id: string, intent: string): Promise<unknown> => bench.room.database.rows(intend, id, intent);
  async function setHost(id: string, state: SimulatedHostState): Promise<void> {
    const name = (await hosts()).find((host) => host.id === id)?.name ?? '';
    await bench.center.world.setHost(name, state);
    const expected = state === SimulatedHostState.DEAD ? 'FENCED' : 'ACTIVE';
    for (const end = Date.now() + 10_000; ; await pause(20)) {
      await heartbeat.lookAt(bench.center.backendId, AbortSignal.timeout(5000));
      const [row] = await bench.room.database.rows(findHosts, [id]);
      if (row !== undefined && [expected, 'SUSPENDED'].includes(hostState(row))) return;
      if (Date.now() > end) throw new Error(`${name} never became ${expected}`);
    }
  }
  /** On as many hosts as are given, the others are suspended. */
  async function five(hostCount: number): Promise<ClusterRow> {
    for (const id of bench.center.hostIds.slice(hostCount)) await setIntent(id, 'SUSPENDED');
    clusters += 1;
    cluster = await bench.made(bench.emptyProject(), `five-${clusters}`, { controlPlane: { count: 5, flavor: 'small' }, nodePools: [] });
    return cluster;
  }
  const controls = async (): Promise<(ClusterNodeRow & { hostId: string })[]> => {
    const nodes = await bench.nodes(cluster.id);
    return Promise.all(nodes.map(async (node) => ({ ...node, hostId: (await bench.machine(node.machine_id)).host_id })));
  };
  /** How many control nodes each host has, most first. */
  const shares = async (): Promise<number[]> => [...Map.groupBy(await controls(), ({ hostId }) => hostId).values()].map(({ length }) => length).sort((one, other) => other - one);
  /** One that shares its host, or one that is alone on it. */
  async function one(sharing: boolean): Promise<ClusterNodeRow & { hostId: string }> {
    const all = await controls();
    const found = all.find(({ hostId }) => all.filter((other) => other.hostId === hostId).length > 1 === sharing);
    if (found === undefined) throw new Error('there is none');
    return found;
  }
  async function replaced(node: ClusterNodeRow): Promise<void> {
    const { result } = await bench.clusters.replaceNode(access, node.id);
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await controls()).map(({ id }) => id)).not.toContain(node.id);
  }
  /** Looks and heals until there is nothing more to do; never more than one at a time. */
  async function heal(): Promise<number> {
    for (let round = 0; round < 8; round += 1) {
      const started = await bench.reconcile('cluster-health', hasty);
      if (started.length === 0) return round;
      expect(started).toHaveLength(1);
      expect(await bench.center.ended(started[0], 30_000)).toMatchObject({ kind: 'clusters.cluster.heal', state: 'SUCCEEDED' });
    }
    throw new Error('it is never healed');
  }
  const tolerance = async () => (await bench.cluster(cluster.id)).conditions.find(({ type }) => type === 'FAULT_TOLERANT');

  it('are as many apart as the hosts allow, and a condition names those that are not', async () => {
    await five(4);
    expect(await shares()).toEqual([2, 1, 1, 1]);
    await heal();
    const [first, second] = (await controls()).filter((node, _, all) => all.filter(({ hostId }) => hostId === node.hostId).length === 2);
    const condition = await tolerance();
    expect(condition).toMatchObject({ status: 'TRUE', reason: 'SPARE_CONTROL_NODES' });
    expect(condition?.message).toContain(`"${first?.name}" and "${second?.name}" are on one host.`);
    expect(condition?.message).toContain('Replace one of them when another host has room');
  }, 60_000);

  it('can each be replaced while it serves: one that shares a host, and one whose host takes nothing any more', async () => {
    await five(4);
    await replaced(await one(true));
    expect(await shares()).toEqual([2, 1, 1, 1]);
    const alone = await one(false);
    await setIntent(alone.hostId, 'SUSPENDED');
    const { plan } = await bench.clusters.replaceNode(access, alone.id, { dryRun: true });
    expect(plan?.changes.problems).toEqual([]);
    expect(plan?.changes.reasons).toContainEqual(expect.objectContaining({ subject: 'placement', message: expect.stringContaining('up to 2 share one') }));
    await replaced(alone);
    expect(await shares()).toEqual([2, 2, 1]);
    expect((await controls()).map(({ hostId }) => hostId)).not.toContain(alone.hostId);
  }, 60_000);

  it('do not give up one that serves for a place where three would be on one host', async () => {
    await five(3);
    expect(await shares()).toEqual([2, 2, 1]);
    const alone = await one(false);
    await setIntent(alone.hostId, 'SUSPENDED');
    await expect(bench.clusters.replaceNode(access, alone.id)).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY' });
    expect(await shares()).toEqual([2, 2, 1]);
  }, 60_000);

  it('are spread again, one by one, when there is another host', async () => {
    await five(3);
    await setIntent(bench.center.hostIds[3] ?? '', 'ENABLED');
    await replaced(await one(true));
    expect(await shares()).toEqual([2, 1, 1, 1]);
    await setIntent(bench.center.hostIds[4] ?? '', 'ENABLED');
    await replaced(await one(true));
    expect(await shares()).toEqual([1, 1, 1, 1, 1]);
    await heal();
    expect((await tolerance())?.message).toBe('2 control nodes may be lost and the API still answers.');
  }, 60_000);

  it('lose two with their host, and are made whole one after the other where no host has three', async () => {
    await five(4);
    const { hostId } = await one(true);
    await setHost(hostId, SimulatedHostState.DEAD);
    expect(await heal()).toBe(2);
    expect(await shares()).toEqual([2, 2, 1]);
    expect((await controls()).map(nodeState)).toEqual(Array.from({ length: 5 }, () => 'READY'));
    expect(clusterState(await bench.cluster(cluster.id))).toBe('READY');
    expect(await tolerance()).toMatchObject({ status: 'TRUE', reason: 'SPARE_CONTROL_NODES' });
    expect((await tolerance())?.message).toMatch(/ are on one host, ".+" and ".+" on another\. Replace one of them/);
  }, 60_000);

  it('are made whole on two hosts, too, and that says what it lacks', async () => {
    await five(3);
    await setHost((await one(true)).hostId, SimulatedHostState.DEAD);
    expect(await heal()).toBe(2);
    expect(await shares()).toEqual([3, 2]);
    expect(await tolerance()).toMatchObject({ status: 'FALSE', reason: 'CONTROL_NODES_SHARE_HOST' });
  }, 60_000);
});
