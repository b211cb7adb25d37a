import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { clusterState, nodeState, type ClusterHealthOptions, type ClusterNodeRow, type ClusterRow } from '#clusters';
import { statement } from '#database';
import { SimulatedHostState } from '#driver-simulated';
import { findHosts, Heartbeat, hostState, HostStateNews, type HostRow } from '#infrastructure';
import { auditCounters } from '#quota';
import { clustersBench, systemAccess, type ClustersBench } from '#testing';

const intend = statement<{ id: string }, [id: string, intent: string]>('spec.shared_intent', 'UPDATE host SET intent = $2 WHERE id = $1 RETURNING id');

/** As many hosts as control nodes: when one is lost, nothing is left where a replacement would be alone. */
describe('a cluster on three hosts', () => {
  let bench: ClustersBench;
  let heartbeat: Heartbeat;
  const access = systemAccess();
  const hasty: ClusterHealthOptions = { observeEveryMs: 0, thresholds: { ready: 0, notReady: 0, unreachable: 0 }, limits: { notReadyMs: 0, maxFailures: 2 } };

  beforeAll(async () => {
    bench = await clustersBench({ hosts: 3 });
    const { database, log } = bench.room;
    heartbeat = new Heartbeat(database, bench.center.drivers, new HostStateNews(log), log, { silentAfterMs: 1, beatsToReturn: 1, fenceAgainAfterMs: 1 });
    await heartbeat.lookAt(bench.center.backendId, AbortSignal.timeout(5000));
  });
  afterEach(async () => {
    for (const host of await hosts()) await setHost(host, SimulatedHostState.ALIVE);
  });
  afterAll(() => bench.close());

  const hosts = (): Promise<HostRow[]> => bench.room.database.rows(findHosts, [...bench.center.hostIds]);
  const hostIdOf = async (node: ClusterNodeRow): Promise<string> => (await bench.machine(node.machine_id)).host_id;
  const hostOf = async (node: ClusterNodeRow): Promise<HostRow> => {
    const id = await hostIdOf(node);
    return (await hosts()).find((host) => host.id === id) as HostRow;
  };
  async function setHost(host: HostRow, state: SimulatedHostState): Promise<void> {
    await bench.center.world.setHost(host.name, state);
    const expected = state === SimulatedHostState.DEAD ? 'FENCED' : 'ACTIVE';
    for (const end = Date.now() + 10_000; ; await pause(20)) {
      await heartbeat.lookAt(bench.center.backendId, AbortSignal.timeout(5000));
      const [row] = await bench.room.database.rows(findHosts, [host.id]);
      if (row !== undefined && hostState(row) === expected) return;
      if (Date.now() > end) throw new Error(`${host.name} never became ${expected}`);
    }
  }
  /** Looks and heals until there is nothing more to do; how many were under way at once, at each look. */
  async function heal(): Promise<number[]> {
    const rounds: number[] = [];
    for (let round = 0; round < 8; round += 1) {
      const started = await bench.reconcile('cluster-health', hasty);
      if (started.length === 0) return rounds;
      rounds.push(started.length);
      for (const id of started) expect(await bench.center.ended(id, 30_000)).toMatchObject({ kind: 'clusters.cluster.heal', state: 'SUCCEEDED' });
    }
    throw new Error('it is never healed');
  }
  const condition = async (cluster: ClusterRow, type: string) => (await bench.cluster(cluster.id)).conditions.find((each) => each.type === type);
  const controlsOf = async (cluster: ClusterRow) => (await bench.nodes(cluster.id)).filter((node) => node.role === 'CONTROL');
  const hostsOf = async (nodes: readonly ClusterNodeRow[]) => new Set(await Promise.all(nodes.map(hostIdOf)));
  async function replaced(node: ClusterNodeRow | undefined): Promise<void> {
    const { result } = await bench.clusters.replaceNode(access, String(node?.id));
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
  }

  it('has a lost control node replaced beside another one, says so, and is spread again when the host is back', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'crowded');
    const before = await controlsOf(cluster);
    expect((await hostsOf(before)).size).toBe(3);
    const lost = before[0] as ClusterNodeRow;
    const host = await hostOf(lost);
    await setHost(host, SimulatedHostState.DEAD);
    // The host may have had a worker, too: one after the other.
    for (const count of await heal()) expect(count).toBe(1);
    const controls = await controlsOf(cluster);
    expect(controls).toHaveLength(3);
    expect(controls.map((node) => node.id)).not.toContain(lost.id);
    expect([...(await hostsOf(controls))].sort()).toEqual((await hosts()).map((each) => each.id).filter((id) => id !== host.id).sort());
    expect((await bench.nodes(cluster.id)).map(nodeState)).toEqual(Array.from({ length: 5 }, () => 'READY'));
    expect(clusterState(await bench.cluster(cluster.id))).toBe('READY');
    expect(await condition(cluster, 'FAULT_TOLERANT')).toMatchObject({ status: 'FALSE', reason: 'CONTROL_NODES_SHARE_HOST' });

    // Nobody gives up a good node for a place that is no better.
    const [newcomer] = controls.slice(-1) as [ClusterNodeRow];
    const again = bench.clusters.replaceNode(access, newcomer.id);
    await expect(again).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY' });
    await setHost(host, SimulatedHostState.ALIVE);
    await replaced(newcomer);
    expect((await hostsOf(await controlsOf(cluster))).size).toBe(3);
    expect(await condition(cluster, 'FAULT_TOLERANT')).toMatchObject({ status: 'TRUE', reason: 'SPARE_CONTROL_NODES' });
    expect((await auditCounters(bench.room.database)).drift).toEqual([]);

    const { result } = await bench.clusters.delete(access, cluster.id);
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.leftOf(cluster.project_id)).toEqual([]);
  }, 60_000);

  it('has a control node replaced also while others share a host: they keep it out of nowhere else', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'apart', { nodePools: [] });
    const [first] = await controlsOf(cluster);
    const host = await hostOf(first as ClusterNodeRow);
    await setHost(host, SimulatedHostState.DEAD);
    await heal();
    expect(await condition(cluster, 'FAULT_TOLERANT')).toMatchObject({ reason: 'CONTROL_NODES_SHARE_HOST' });
    await setHost(host, SimulatedHostState.ALIVE);
    const placed = await Promise.all((await controlsOf(cluster)).map(async (node) => ({ node, hostId: await hostIdOf(node) })));
    const alone = placed.find(({ hostId }) => placed.filter((other) => other.hostId === hostId).length === 1);
    await replaced(alone?.node);
    // On its own host again or on the one that is back, but not on that of the others.
    expect((await hostsOf(await controlsOf(cluster))).size).toBe(2);
  }, 60_000);

  it('is made whole when the host with most of its nodes dies: however many they are, that is one fault', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'sturdy', { nodePools: [{ name: 'workers', flavor: 'small', count: 5 }] });
    const nodes = await bench.nodes(cluster.id);
    const placed = await Promise.all(nodes.map(async (node) => ({ node, hostId: await hostIdOf(node) })));
    const [most = []] = [...Map.groupBy(placed, ({ hostId }) => hostId).values()].sort((one, other) => other.length - one.length);
    expect(most.length).toBeGreaterThanOrEqual(3);
    await setHost(await hostOf((most[0] as (typeof most)[number]).node), SimulatedHostState.DEAD);
    // Others of this bench may have had a node there, too.
    expect(await heal()).toHaveLength(most.length);
    expect((await bench.nodes(cluster.id)).map(nodeState)).toEqual(nodes.map(() => 'READY'));
    expect(await condition(cluster, 'HEALABLE')).toMatchObject({ status: 'TRUE', reason: 'NOTHING_TO_HEAL' });
  }, 60_000);

  it('loses no control node by request that the others could not do without', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'frail', { nodePools: [] });
    const [lost, well] = (await controlsOf(cluster)) as [ClusterNodeRow, ClusterNodeRow];
    const host = await hostOf(lost);
    await setHost(host, SimulatedHostState.DEAD);
    // Seen, and not healed.
    expect(await bench.reconcile('cluster-health', { ...hasty, limits: { notReadyMs: 0, maxFailures: 0 } })).toEqual([]);
    const refused = bench.clusters.replaceNode(access, well.id);
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_STATE', data: { ready: 1, needed: 2 } });
    const { plan } = await bench.clusters.replaceNode(access, lost.id, { dryRun: true });
    expect(plan?.changes).toMatchObject({ problems: [], reasons: expect.arrayContaining([expect.objectContaining({ message: expect.stringContaining('shares its host') })]) });
    await replaced(lost);
    expect(await controlsOf(cluster)).toHaveLength(3);
  }, 60_000);

  it('gets five control nodes, two on a host at most: none may be lost with its host that the others could not do without', async () => {
    const controlPlane = { count: 5, flavor: 'small' } as const;
    const request = bench.request(bench.emptyProject(), 'five', { controlPlane, nodePools: [] });
    const { plan } = await bench.clusters.create(access, request, { dryRun: true });
    expect(plan?.changes.problems).toEqual([]);
    expect(plan?.changes.reasons).toContainEqual(expect.objectContaining({ subject: 'placement', message: expect.stringContaining('up to 2 share one') }));
    const cluster = await bench.made(bench.emptyProject(), 'five', { controlPlane, nodePools: [] });
    const hostIds = await Promise.all((await controlsOf(cluster)).map(hostIdOf));
    const shares = [...Map.groupBy(hostIds, (id) => id).values()].map(({ length }) => length).sort((one, other) => one - other);
    expect(shares).toEqual([1, 2, 2]);
    await bench.reconcile('cluster-health', hasty);
    expect(await condition(cluster, 'FAULT_TOLERANT')).toMatchObject({ status: 'TRUE', reason: 'SPARE_CONTROL_NODES' });
  }, 60_000);

  it('gets no five control nodes where one host would have three of them, and no three where one would have two', async () => {
    const [away] = await hosts();
    const setIntent = async (intent: string): Promise<unknown> => bench.room.database.rows(intend, String(away?.id), intent);
    await setIntent('SUSPENDED');
    try {
      const request = bench.request(bench.emptyProject(), 'crammed', { controlPlane: { count: 5, flavor: 'small' }, nodePools: [] });
      await expect(bench.clusters.create(access, request)).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY' });
      const { plan } = await bench.clusters.create(access, request, { dryRun: true });
      // Nothing is shown as made, nor charged twice, that has no place.
      expect(plan?.changes.resources.filter(({ kind }) => kind === 'virtual machine' || kind === 'node')).toEqual([]);
      expect(plan?.changes.problems.map(({ code }) => code)).toEqual(['INSUFFICIENT_CAPACITY']);
      await expect(bench.clusters.create(access, bench.request(bench.emptyProject(), 'paired', { nodePools: [] }))).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY' });
    } finally {
      await setIntent('ENABLED');
    }
  }, 60_000);
});
