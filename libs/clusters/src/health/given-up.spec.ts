import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { blockers, clusterState, nodeState, type ClusterHealthOptions, type ClusterNodeRow, type ClusterRow } from '#clusters';
import { MuonError } from '#core';
import { statement } from '#database';
import { FaultKind } from '#driver-simulated';
import { findOperations } from '#operations';
import { auditCounters } from '#quota';
import { clustersBench, systemAccess, type ClustersBench } from '#testing';

const stuckOf = statement<{ id: string }, [rootId: string]>(
  'spec.given_up_stuck',
  `SELECT id FROM operation WHERE root_id = $1 AND state = 'STUCK' ORDER BY parent_id NULLS LAST`,
);

/** What an operation has left half-made because an operator gave it up, and what is under way while a node is lost. */
describe('clusters whose operations were given up, or are in the way', () => {
  let bench: ClustersBench;
  const access = systemAccess();
  const hasty: ClusterHealthOptions = { observeEveryMs: 0, thresholds: { ready: 0, notReady: 0, unreachable: 0 }, limits: { notReadyMs: 0, maxFailures: 2 } };
  const single = { controlPlane: { count: 1, flavor: 'small' } } as const;

  beforeAll(async () => {
    bench = await clustersBench();
  });
  afterEach(async () => {
    await bench.center.world.clearFaults();
    await bench.center.world.onGuestRun({ pattern: 'kubeadm join', exitCode: 0 });
  });
  afterAll(() => bench.close());

  const workersOf = async ({ id }: ClusterRow) => (await bench.nodes(id)).filter((node) => node.role === 'WORKER');
  const condition = async (cluster: ClusterRow, type: string) => (await bench.cluster(cluster.id)).conditions.find((each) => each.type === type);
  /** @returns what it starts on this cluster; those of other specs are looked at, too */
  async function look(cluster: ClusterRow): Promise<string[]> {
    const operations = await bench.room.database.rows(findOperations, await bench.reconcile('cluster-health', hasty));
    return operations.filter((operation) => operation.resource_id === cluster.id).map(({ id }) => id);
  }
  const soon = (cluster: ClusterRow) =>
    bench.room.database.dataSource.query(`UPDATE cluster_observation SET heal_not_before = now() - interval '1 second' WHERE cluster_id = $1`, [cluster.id]);
  const isReal = async (machineId: unknown): Promise<boolean> => (await bench.center.world.objects()).some((each) => each.id === String(machineId));

  /** Gives up whatever of it is stuck, until all of it has ended. */
  async function giveUp(operationId: unknown): Promise<void> {
    for (const end = Date.now() + 20_000; (await bench.center.operation(operationId)).state !== 'FAILED'; await pause(20)) {
      if (Date.now() > end) throw new Error(`${String(operationId)} does not end`);
      const [stuck] = await bench.room.database.rows(stuckOf, String(operationId));
      if (stuck !== undefined) await bench.center.operations.abandon(stuck.id, 'Its host went to the scrap yard.').catch(refuseOther);
    }
  }

  /** It has ended meanwhile. */
  function refuseOther(error: unknown): void {
    if (!(error instanceof MuonError) || error.code !== 'INVALID_STATE') throw error;
  }

  /** A replacement that cannot join and then cannot be taken back. @returns what is left of it */
  async function half(cluster: ClusterRow): Promise<ClusterNodeRow> {
    const [worker] = await workersOf(cluster);
    await bench.center.world.onGuestRun({ pattern: 'kubeadm join', exitCode: 1 });
    const { result } = await bench.clusters.replaceNode(access, String(worker?.id));
    const newcomer = (await workersOf(cluster)).at(-1);
    await bench.center.world.addFault({ kind: FaultKind.REFUSED, method: 'deleteMachine', resourceId: String(newcomer?.machine_id), times: 1000 });
    await giveUp(result.operationId);
    const [left] = (await workersOf(cluster)).filter((node) => node.phase !== 'JOINED');
    expect(left).toMatchObject({ id: newcomer?.id, phase: 'JOINING' });
    await bench.center.world.clearFaults();
    await bench.center.world.onGuestRun({ pattern: 'kubeadm join', exitCode: 0 });
    return left as ClusterNodeRow;
  }

  it('say that a node is missing of which an abandoned healing left but a piece, and replace it', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'half', single);
    const left = await half(cluster);
    expect(await condition(cluster, 'WORKERS_READY')).toMatchObject({
      status: 'FALSE',
      reason: 'NODES_MISSING',
      message: '1 of 2 workers are ready; 1 are missing, and 1 are left over from operations that were given up.',
    });
    expect(clusterState(await bench.cluster(cluster.id))).toBe('DEGRADED');
    const causes = await blockers(bench.room.database, cluster.id, { showHosts: true });
    expect(causes).toContainEqual(expect.objectContaining({ resourceId: left.id, remedy: expect.stringContaining('replaceClusterNode') }));
    // Not at once: an operator has just had enough of it.
    expect(await look(cluster)).toEqual([]);
    expect(await condition(cluster, 'HEALABLE')).toMatchObject({ status: 'FALSE', reason: 'HEALING_FAILED' });
    await soon(cluster);
    const [healing] = await look(cluster);
    expect(await bench.center.ended(healing, 30_000)).toMatchObject({ kind: 'clusters.cluster.heal', state: 'SUCCEEDED' });
    expect((await bench.nodes(cluster.id)).map(nodeState)).toEqual(['READY', 'READY', 'READY']);
    expect(await isReal(left.machine_id)).toBe(false);
    expect(await look(cluster)).toEqual([]);
    expect(clusterState(await bench.cluster(cluster.id))).toBe('READY');
    expect((await auditCounters(bench.room.database)).drift).toEqual([]);
  }, 60_000);

  it('have such a piece replaced by request, too', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'asked', single);
    const left = await half(cluster);
    const { result } = await bench.clusters.replaceNode(access, left.id);
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await bench.nodes(cluster.id)).map(nodeState)).toEqual(['READY', 'READY', 'READY']);
  }, 60_000);

  it('leave such a piece what it is when its replacement comes to nothing, and never take it for a member', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'twice', single);
    const left = await half(cluster);
    await bench.center.world.addFault({ kind: FaultKind.BUSY, method: 'runInGuest', times: 100_000, keyContains: '-forget-' });
    const { result } = await bench.clusters.replaceNode(access, left.id);
    await bench.center.operations.cancel(String(result.operationId));
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'CANCELLED' });
    expect((await workersOf(cluster)).find((node) => node.id === left.id)).toMatchObject({ phase: 'JOINING' });
  }, 60_000);

  it('show what an abandoned shrinking left, replace none of it, and get rid of it by a scale to the count that is wanted', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'thin', single);
    const [pool] = await bench.poolsOf(cluster.id);
    const [first, second] = await workersOf(cluster);
    await bench.center.world.addFault({ kind: FaultKind.REFUSED, method: 'deleteMachine', times: 1000 });
    await giveUp((await bench.pools.scale(access, { id: String(pool?.id), count: 1 })).result.operationId);
    await bench.center.world.clearFaults();
    expect((await workersOf(cluster)).map(nodeState)).toEqual(['READY', 'REMOVING']);
    await soon(cluster);
    expect(await look(cluster)).toEqual([]);
    expect(await condition(cluster, 'READY')).toMatchObject({ status: 'TRUE' });
    const causes = await blockers(bench.room.database, cluster.id, { showHosts: true });
    expect(causes).toContainEqual(expect.objectContaining({ resourceId: second?.id, remedy: expect.stringContaining('scaleNodePool') }));
    const again = await bench.pools.scale(access, { id: String(pool?.id), count: 1 });
    expect(await bench.center.ended(again.result.operationId, 30_000)).toMatchObject({ kind: 'clusters.node_pool.shrink', state: 'SUCCEEDED' });
    expect((await workersOf(cluster)).map((node) => node.id)).toEqual([first?.id]);
    expect(await isReal(second?.machine_id)).toBe(false);
    expect((await bench.pools.scale(access, { id: String(pool?.id), count: 1 })).result.operationId).toBeNull();
    expect(await blockers(bench.room.database, cluster.id, { showHosts: true })).toEqual([]);
  }, 60_000);

  it('name the operation that healing waits for', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'queue', single);
    const [pool] = await bench.poolsOf(cluster.id);
    const [worker] = await workersOf(cluster);
    await bench.center.world.addFault({ kind: FaultKind.BUSY, method: 'startMachine', times: 100_000 });
    const { result } = await bench.pools.scale(access, { id: String(pool?.id), count: 3 });
    await bench.center.world.onGuestRun({ pattern: 'get node', machineId: String(worker?.machine_id), exitCode: 1 });
    expect(await look(cluster)).toEqual([]);
    const waits = await condition(cluster, 'HEALABLE');
    expect(waits).toMatchObject({
      status: 'FALSE',
      reason: 'OPERATION_IN_PROGRESS',
      message: `"${worker?.name}" is not replaced before operation "${String(result.operationId)}" (clusters.node_pool.grow) has ended.`,
    });
    // Nodes that are on their way are not too many.
    expect((await bench.pools.scale(access, { id: String(pool?.id), count: 3 })).result.operationId).toBeNull();
    await bench.center.world.clearFaults();
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    const [healing] = await look(cluster);
    expect(await condition(cluster, 'HEALABLE')).toMatchObject({ status: 'TRUE', reason: 'HEALING' });
    expect(await bench.center.ended(healing, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
  }, 60_000);

  it('name it also when it holds but a part of what a replacement needs', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'part', single);
    const [worker] = await workersOf(cluster);
    const machineId = String(worker?.machine_id);
    await bench.center.world.onGuestRun({ pattern: 'get node', machineId, exitCode: 1 });
    await bench.room.database.dataSource.query(
      `INSERT INTO resource_lock (resource_id, operation_id, root_operation_id)
       SELECT $1, id, id FROM operation WHERE resource_id = $2 ORDER BY id LIMIT 1`,
      [machineId, cluster.id],
    );
    expect(await look(cluster)).toEqual([]);
    const waits = await condition(cluster, 'HEALABLE');
    expect(waits).toMatchObject({ status: 'FALSE', reason: 'OPERATION_IN_PROGRESS' });
    expect(waits?.message).toMatch(/^".*" is not replaced before operation "op_\w+" \(clusters\.cluster\.create\) has ended/);
    await bench.room.database.dataSource.query('DELETE FROM resource_lock WHERE resource_id = $1', [machineId]);
    const [healing] = await look(cluster);
    expect(await bench.center.ended(healing, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
  }, 60_000);

  it('say that a node is being replaced for as long as it is', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'slow', single);
    const [worker] = await workersOf(cluster);
    await bench.center.world.addFault({ kind: FaultKind.BUSY, method: 'startMachine', times: 100_000 });
    const { result } = await bench.clusters.replaceNode(access, String(worker?.id));
    while ((await workersOf(cluster)).some((node) => node.id === worker?.id && node.phase === 'JOINED')) await pause(20);
    expect(await look(cluster)).toEqual([]);
    expect(await condition(cluster, 'HEALABLE')).toMatchObject({ status: 'TRUE', reason: 'HEALING', message: expect.stringContaining(String(result.operationId)) });
    await bench.center.world.clearFaults();
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
  }, 60_000);
});
