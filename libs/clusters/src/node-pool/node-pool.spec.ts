import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { nodePoolState, nodeState, type ClusterRow, type NodePoolRow } from '#clusters';
import { statement } from '#database';
import { FaultKind } from '#driver-simulated';
import { OperationRequests } from '#operations';
import { QuotaService } from '#quota';
import { clustersBench, systemAccess, type ClustersBench } from '#testing';

const used = statement<{ used_amount: number }, [scopeId: string, key: string]>(
  'spec.pool_used',
  `SELECT used_amount FROM quota_counter WHERE scope_id = $1 AND resource_key = $2 AND zone_id = ''`,
);
const secretsOf = statement<{ purpose: string }, [ownerId: string]>(
  'spec.cluster_secrets',
  'SELECT purpose FROM secret WHERE owner_id = $1 ORDER BY purpose',
);

describe('node pools', () => {
  let bench: ClustersBench;
  let requests: OperationRequests;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await clustersBench();
    requests = new OperationRequests(bench.center.commands, bench.center.operations);
  });
  afterEach(() => bench.center.world.clearFaults());
  afterAll(() => bench.close());

  const small = { controlPlane: { count: 1, flavor: 'small' } } as const;
  const pool = async (cluster: ClusterRow): Promise<NodePoolRow> => (await bench.poolsOf(cluster.id))[0] as NodePoolRow;
  const vms = async (cluster: ClusterRow): Promise<number> => (await bench.room.database.first(used, cluster.project_id, 'vm.count'))?.used_amount ?? 0;
  const workers = async (cluster: ClusterRow) => (await bench.nodes(cluster.id)).filter((node) => node.role === 'WORKER');
  const scripts = async (machineId: string): Promise<string[]> => (await bench.center.world.guestRuns(machineId)).map((run) => run.script);
  const secrets = async (cluster: ClusterRow): Promise<string[]> => (await bench.room.database.rows(secretsOf, cluster.id)).map((row) => row.purpose);
  async function scaled(cluster: ClusterRow, count: number): Promise<void> {
    const { result } = await bench.pools.scale(access, { id: (await pool(cluster)).id, count });
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
  }

  it('grow by nodes that join with a token of their own, and shrink by the youngest, drained first', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'sized', small);
    const before = await workers(cluster);
    await scaled(cluster, 5);
    expect(await pool(cluster)).toMatchObject({ count: 5, lifecycle: 'PRESENT', version: 2 });
    const grown = await workers(cluster);
    expect(grown.map(nodeState)).toEqual(Array.from({ length: 5 }, () => 'READY'));
    expect(nodePoolState(await pool(cluster), 5)).toBe('READY');
    expect(await vms(cluster)).toBe(6);
    const [control] = await bench.nodes(cluster.id);
    expect((await scripts(String(control?.machine_id))).filter((script) => script.includes('kubeadm token create'))).toHaveLength(1);
    // The token went with the operation.
    expect(await secrets(cluster)).toEqual(['cluster.foundation']);
    await scaled(cluster, 2);
    expect((await workers(cluster)).map((node) => node.id)).toEqual(before.map((node) => node.id));
    expect(await vms(cluster)).toBe(3);
    const asked = await scripts(String(control?.machine_id));
    expect(asked.filter((script) => script.includes('kubectl drain'))).toHaveLength(3);
    expect(asked.filter((script) => script.includes('kubectl delete node'))).toHaveLength(3);
    await scaled(cluster, 0);
    expect(await workers(cluster)).toEqual([]);
    expect((await bench.cluster(cluster.id)).conditions[0]).toMatchObject({ type: 'READY', status: 'TRUE' });
    expect((await bench.pools.scale(access, { id: (await pool(cluster)).id, count: 0 })).result.operationId).toBeNull();
  });

  it('are as they were when they could not grow', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'stunted', small);
    const before = await workers(cluster);
    await bench.center.world.addFault({ kind: FaultKind.REFUSED, method: 'createMachine', nth: 2 });
    const { result } = await bench.pools.scale(access, { id: (await pool(cluster)).id, count: 5 });
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'FAILED', error: { code: 'BACKEND_FAILED' } });
    expect(await pool(cluster)).toMatchObject({ count: 2, lifecycle: 'PRESENT' });
    expect((await workers(cluster)).map((node) => [node.id, nodeState(node)])).toEqual(before.map((node) => [node.id, 'READY']));
    expect(await vms(cluster)).toBe(3);
    expect(await secrets(cluster)).toEqual(['cluster.foundation']);
    await bench.center.world.clearFaults();
    await bench.center.world.onGuestRun({ pattern: 'kubeadm join', exitCode: 1 });
    const second = await bench.pools.scale(access, { id: (await pool(cluster)).id, count: 3 });
    expect(await bench.center.ended(second.result.operationId, 30_000)).toMatchObject({ state: 'FAILED', error: { data: { exitCode: 1 } } });
    await bench.center.world.onGuestRun({ pattern: 'kubeadm join', exitCode: 0 });
    expect(await vms(cluster)).toBe(3);
    expect((await workers(cluster)).map((node) => node.id)).toEqual(before.map((node) => node.id));
    const [control] = await bench.nodes(cluster.id);
    // What had not joined was not to be forgotten either, but it is asked for, to be sure.
    expect((await scripts(String(control?.machine_id))).some((script) => script.includes('kubectl delete node'))).toBe(true);
  });

  it('are as they were when a node cannot be drained and that is called off', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'held', small);
    await bench.center.world.onGuestRun({ pattern: 'kubectl drain', exitCode: 1, standardError: 'Cannot evict pod as it would violate the disruption budget.' });
    const { result } = await bench.pools.scale(access, { id: (await pool(cluster)).id, count: 1 });
    const deadline = Date.now() + 10_000;
    for (;;) {
      const { blocker } = await bench.center.operation(result.operationId);
      if (blocker?.code === 'BACKEND_FAILED') {
        expect(blocker.data).toMatchObject({ exitCode: 1, output: 'Cannot evict pod as it would violate the disruption budget.' });
        expect(blocker.message).toMatch(/could not drain "held-workers-/);
        break;
      }
      if (Date.now() > deadline) throw new Error('the operation never said why it waits');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect((await workers(cluster)).map(nodeState).sort()).toEqual(['DRAINING', 'READY']);
    await requests.cancel(access, String(result.operationId));
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'CANCELLED' });
    await bench.center.world.onGuestRun({ pattern: 'kubectl drain', exitCode: 0 });
    expect((await workers(cluster)).map(nodeState)).toEqual(['READY', 'READY']);
    expect((await pool(cluster)).count).toBe(2);
    const [control] = await bench.nodes(cluster.id);
    expect((await scripts(String(control?.machine_id))).filter((script) => script.includes('kubectl uncordon'))).toHaveLength(1);
  });

  it('whose nodes could not be taken back into the cluster are named when that is called off', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'cordoned', small);
    await bench.center.world.onGuestRun({ pattern: 'kubectl drain', exitCode: 1, standardError: 'Cannot evict pod.' });
    await bench.center.world.onGuestRun({ pattern: 'kubectl uncordon', exitCode: 1, standardError: 'The connection was refused.' });
    const { result } = await bench.pools.scale(access, { id: (await pool(cluster)).id, count: 1 });
    await expect.poll(async () => (await workers(cluster)).map(nodeState).sort(), { timeout: 10_000 }).toEqual(['DRAINING', 'READY']);
    const draining = (await workers(cluster)).find((node) => nodeState(node) === 'DRAINING')?.machine_id;
    await requests.cancel(access, String(result.operationId));
    const notRestored = [{ step: 'drain', resourceId: draining, message: 'The cluster could not be told to take back this node.' }];
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'CANCELLED', not_restored: notRestored });
    for (const pattern of ['kubectl drain', 'kubectl uncordon']) await bench.center.world.onGuestRun({ pattern, exitCode: 0 });
  });

  it('are added and removed as a whole', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'pooled', small);
    const input = { clusterId: cluster.id, name: 'batch', flavor: 'large', count: 2, labels: { team: 'blue' } };
    const { plan } = await bench.pools.create(access, input, { dryRun: true });
    expect(plan?.changes.resources.map((each) => each.kind)).toEqual(['node pool', 'virtual machine', 'virtual machine', 'port', 'port', 'disk', 'disk']);
    const { result } = await bench.pools.create(access, input);
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED', kind: 'clusters.node_pool.create' });
    expect((await bench.poolsOf(cluster.id)).map((each) => [each.name, each.count, each.lifecycle])).toEqual([
      ['batch', 2, 'PRESENT'],
      ['workers', 2, 'PRESENT'],
    ]);
    await expect(bench.pools.create(access, input)).rejects.toMatchObject({ code: 'ALREADY_EXISTS', field: 'input.name' });
    expect(await vms(cluster)).toBe(5);
    const removal = await bench.pools.delete(access, String(result.id));
    expect(await bench.center.ended(removal.result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await bench.poolsOf(cluster.id)).map((each) => each.name)).toEqual(['workers']);
    expect(await vms(cluster)).toBe(3);
  });

  it('that could not be made are FAILED, hold nothing, and can be retried or removed', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'unpooled', small);
    await bench.center.world.addFault({ kind: FaultKind.REFUSED, method: 'createDisk' });
    const { result } = await bench.pools.create(access, { clusterId: cluster.id, name: 'batch', flavor: 'small', count: 2 });
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'FAILED' });
    const failed = (await bench.poolsOf(cluster.id))[0];
    expect(failed).toMatchObject({ name: 'batch', lifecycle: 'FAILED', failure: { code: 'BACKEND_FAILED' } });
    expect(await vms(cluster)).toBe(3);
    expect(await workers(cluster)).toHaveLength(2);
    expect((await bench.cluster(cluster.id)).conditions[0]).toMatchObject({ type: 'READY', status: 'TRUE' });
    await requests.retry(access, String(result.operationId));
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await bench.poolsOf(cluster.id))[0]).toMatchObject({ lifecycle: 'PRESENT', failure: null });
    expect(await vms(cluster)).toBe(5);
  });

  it('that are past the point of no return when their cluster is deleted go on, and the deletion runs next', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'leaving', { controlPlane: { count: 1, flavor: 'small' }, nodePools: [{ name: 'workers', flavor: 'small', count: 6 }] });
    await bench.center.world.addFault({ kind: FaultKind.BUSY, method: 'deleteMachine', times: 100_000 });
    const shrink = await bench.pools.scale(access, { id: (await pool(cluster)).id, count: 1 });
    for (const end = Date.now() + 10_000; ; await new Promise((resolve) => setTimeout(resolve, 10))) {
      if ((await workers(cluster)).some((node) => node.phase === 'REMOVING')) break;
      if (Date.now() > end) throw new Error('no node was ever being removed');
    }
    const deletion = await bench.clusters.delete(access, cluster.id);
    await bench.center.world.clearFaults();
    expect(await bench.center.ended(shrink.result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.center.ended(deletion.result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.leftOf(cluster.project_id)).toEqual([]);
  });

  it('refuse what does not fit: versions, quota, states, bounds', async () => {
    const cluster = await bench.made(bench.emptyProject(), 'strict', small);
    const { id, version } = await pool(cluster);
    await expect(bench.pools.scale(access, { id, count: 3 }, { expectedVersion: version + 1 })).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(bench.pools.scale(access, { id, count: -1 })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.count' });
    await expect(bench.pools.scale(access, { id: 'npl_00000000000000000000000000', count: 1 })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const quota = new QuotaService(bench.room.database, bench.center.commands);
    await quota.setQuota(access, { scopeId: cluster.project_id, lines: [{ resourceKey: 'vm.count', limit: 4 }] });
    await expect(bench.pools.scale(access, { id, count: 4 })).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' });
    expect(await pool(cluster)).toMatchObject({ count: 2, version });
    await bench.room.database.dataSource.query(`UPDATE cluster SET lifecycle = 'FAILED' WHERE id = $1`, [cluster.id]);
    await expect(bench.pools.scale(access, { id, count: 3 })).rejects.toMatchObject({ code: 'INVALID_STATE', data: { state: 'FAILED' } });
  });
});
