import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ClusterNodeRow, ClusterRow } from '#clusters';
import { SimulatedHostState } from '#driver-simulated';
import { findHosts, Heartbeat, hostState, HostStateNews, type HostRow } from '#infrastructure';
import { auditCounters } from '#quota';
import { clustersBench, systemAccess, type ClustersBench } from '#testing';

/** What may still be asked of a cluster whose control nodes cannot agree on anything. */
describe('a cluster without a control plane', () => {
  let bench: ClustersBench;
  let heartbeat: Heartbeat;
  const access = systemAccess();
  const single = { controlPlane: { count: 1 as const, flavor: 'small' }, nodePools: [{ name: 'workers', flavor: 'small', count: 2 }] };

  beforeAll(async () => {
    bench = await clustersBench({ hosts: 4 });
    const { database, log } = bench.room;
    heartbeat = new Heartbeat(database, bench.center.drivers, new HostStateNews(log), log, { silentAfterMs: 1, beatsToReturn: 1, fenceAgainAfterMs: 1 });
    await heartbeat.lookAt(bench.center.backendId, AbortSignal.timeout(5000));
  });
  afterEach(async () => {
    for (const host of await hosts()) await setHost(host, SimulatedHostState.ALIVE);
    expect((await auditCounters(bench.room.database)).drift).toEqual([]);
  });
  afterAll(() => bench.close());

  const hosts = (): Promise<HostRow[]> => bench.room.database.rows(findHosts, [...bench.center.hostIds]);
  async function setHost(host: HostRow, state: SimulatedHostState): Promise<void> {
    await bench.center.world.setHost(host.name, state);
    const expected = { ALIVE: 'ACTIVE', DEAD: 'FENCED', PARTITIONED: 'DOWN' }[state];
    for (const end = Date.now() + 10_000; ; await pause(20)) {
      await heartbeat.lookAt(bench.center.backendId, AbortSignal.timeout(5000));
      const [row] = await bench.room.database.rows(findHosts, [host.id]);
      if (row !== undefined && hostState(row) === expected) return;
      if (Date.now() > end) throw new Error(`${host.name} never became ${expected}`);
    }
  }
  async function nodesOf(cluster: ClusterRow): Promise<{ control: ClusterNodeRow; workers: ClusterNodeRow[] }> {
    const nodes = await bench.nodes(cluster.id);
    return { control: nodes.find((node) => node.role === 'CONTROL') as ClusterNodeRow, workers: nodes.filter((node) => node.role === 'WORKER') };
  }
  const hostIdOf = async (node: ClusterNodeRow): Promise<string> => (await bench.machine(node.machine_id)).host_id;
  async function setHostOf(node: ClusterNodeRow, state: SimulatedHostState): Promise<void> {
    const id = await hostIdOf(node);
    await setHost((await hosts()).find((host) => host.id === id) as HostRow, state);
  }
  const poolOf = async (cluster: ClusterRow): Promise<string> => String((await bench.poolsOf(cluster.id))[0]?.id);

  it('does not lose its only control node by request', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'only', single);
    const { control } = await nodesOf(cluster);
    const refused = bench.clusters.replaceNode(access, control.id, { dryRun: true });
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_STATE' });
    await expect(refused).rejects.toThrow('would be lost with it');
  });

  it.each([SimulatedHostState.DEAD, SimulatedHostState.PARTITIONED])('neither grows nor has nodes replaced while the host of its control node is %s', async (state) => {
    const cluster = await bench.made(bench.emptyProject(), `still-${state.toLowerCase()}`, single);
    const { control, workers } = await nodesOf(cluster);
    const [hostId, ...others] = await Promise.all([control, ...workers].map(hostIdOf));
    // The two are on hosts of their own.
    const elsewhere = workers[others.findIndex((id) => id !== hostId)];
    await setHostOf(control, state);
    const refusal = { code: 'INVALID_STATE', fault: 'OPERATOR', data: { ready: 0, needed: 1 } };
    await expect(bench.clusters.replaceNode(access, String(elsewhere?.id))).rejects.toMatchObject(refusal);
    const id = await poolOf(cluster);
    await expect(bench.pools.scale(access, { id, count: 3 })).rejects.toMatchObject(refusal);
    await expect(bench.pools.create(access, { clusterId: cluster.id, name: 'more', flavor: 'small', count: 1 })).rejects.toMatchObject(refusal);
    await expect(bench.pools.scale(access, { id, count: 1 })).rejects.toMatchObject(refusal);
    expect((await nodesOf(cluster)).workers.map((node) => [node.id, node.phase])).toEqual(workers.map((node) => [node.id, 'JOINED']));
    expect((await bench.poolsOf(cluster.id)).map((pool) => pool.count)).toEqual([2]);
  });

  it('still lets go of a pool, undrained, which the plan says, and of itself', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'gone', single);
    const { control } = await nodesOf(cluster);
    const id = await poolOf(cluster);
    const shown = async () => (await bench.pools.delete(access, id, { dryRun: true })).plan?.changes.reasons.map(({ message }) => message);
    expect(await shown()).toEqual([]);
    await setHostOf(control, SimulatedHostState.DEAD);
    expect(await shown()).toEqual([expect.stringContaining('not drained')]);
    const { result } = await bench.pools.delete(access, id);
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await nodesOf(cluster)).workers).toEqual([]);
    const deletion = await bench.clusters.delete(access, cluster.id);
    expect(await bench.center.ended(deletion.result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.leftOf(cluster.project_id)).toEqual([]);
  });
});
