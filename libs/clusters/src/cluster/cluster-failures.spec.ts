import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { clusterState, type CreateClusterInput } from '#clusters';
import { statement } from '#database';
import { FaultKind } from '#driver-simulated';
import { OperationRequests } from '#operations';
import { clustersBench, systemAccess, type ClustersBench } from '#testing';

const stateOf = statement<{ state: string; step: string | null; children: number }, [id: string]>(
  'spec.cluster_operation_state',
  `SELECT o.state, o.step_names[o.step_index + 1] AS step, o.pending_children AS children FROM operation AS o WHERE o.id = $1`,
);

describe('clusters that cannot be made', () => {
  let bench: ClustersBench;
  let requests: OperationRequests;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await clustersBench();
    requests = new OperationRequests(bench.center.commands, bench.center.operations);
  });
  afterEach(() => bench.center.world.clearFaults());
  afterAll(() => bench.close());

  const create = async (input: CreateClusterInput): Promise<{ id: string; operationId: string }> => {
    const { result } = await bench.clusters.create(access, input);
    return { id: String(result.id), operationId: String(result.operationId) };
  };
  const objects = async (projectId: string): Promise<unknown[]> => {
    await bench.center.world.landPending();
    return (await bench.center.world.objects()).filter((each) => each.projectId === projectId);
  };
  const until = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
    const deadline = Date.now() + 10_000;
    while (!(await holds())) {
      if (Date.now() > deadline) throw new Error(`${what} did not come true`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  const isAt = async (operationId: string, step: string): Promise<boolean> => (await bench.room.database.first(stateOf, operationId))?.step === step;

  it('ends FAILED with the root cause and holds nothing when one machine cannot be made; a retry makes it', async () => {
    const projectId = bench.emptyProject();
    await bench.center.world.addFault({ kind: FaultKind.REFUSED, method: 'startMachine', nth: 3 });
    const { id, operationId } = await create(bench.request(projectId, 'retried'));
    const ended = await bench.center.ended(operationId, 30_000);
    expect(ended).toMatchObject({ state: 'FAILED', error: { code: 'BACKEND_FAILED', fault: 'OPERATOR' } });
    const failed = await bench.cluster(id);
    expect(failed).toMatchObject({ lifecycle: 'FAILED', failure: { code: 'BACKEND_FAILED' }, pki_secret: null, load_balancer_id: null });
    expect(clusterState(failed)).toBe('FAILED');
    expect(await bench.poolsOf(id)).toMatchObject([{ lifecycle: 'FAILED', failure: { code: 'BACKEND_FAILED' } }]);
    expect(await bench.leftOf(projectId)).toEqual(['cluster', 'pool']);
    expect(await objects(projectId)).toEqual([]);
    await bench.center.world.clearFaults();
    await requests.retry(access, operationId);
    expect(await bench.center.ended(operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect(clusterState(await bench.cluster(id))).toBe('READY');
    expect((await bench.poolsOf(id))[0]).toMatchObject({ lifecycle: 'PRESENT', failure: null });
    const { result } = await bench.clusters.delete(access, id);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.leftOf(projectId)).toEqual([]);
  });

  it.each([
    ['the network', 'ensureNetwork'],
    ['the load balancer', 'ensureLoadBalancer'],
    ['a disk', 'createDisk'],
    ['a guest', 'runInGuest'],
  ])('holds nothing when %s is refused, and can be deleted', async (_what, method) => {
    const projectId = bench.emptyProject();
    await bench.center.world.addFault({ kind: FaultKind.REFUSED, method, times: 1000 });
    const { id, operationId } = await create(bench.request(projectId, 'refused'));
    expect(await bench.center.ended(operationId, 30_000)).toMatchObject({ state: 'FAILED', error: { code: 'BACKEND_FAILED' } });
    expect(await bench.leftOf(projectId)).toEqual(['cluster', 'pool']);
    expect(await objects(projectId)).toEqual([]);
    const { result } = await bench.clusters.delete(access, id);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.leftOf(projectId)).toEqual([]);
  });

  it('says which node could not join and how its script ended, without what could be a secret', async () => {
    const projectId = bench.emptyProject();
    const said = 'error: token abcdef.0123456789abcdef was refused';
    await bench.center.world.onGuestRun({ pattern: 'kubeadm join', exitCode: 3, standardError: said });
    const { id, operationId } = await create(bench.request(projectId, 'joinless'));
    const { error } = await bench.center.ended(operationId, 30_000);
    expect(error).toMatchObject({ code: 'BACKEND_FAILED', data: { exitCode: 3, output: 'error: token [redacted] was refused' } });
    expect(error?.message).toMatch(/^Node "joinless-control-[a-z0-9]{6}" could not join the cluster/);
    expect((await bench.cluster(id)).failure).toMatchObject({ code: 'BACKEND_FAILED' });
    expect(await bench.leftOf(projectId)).toEqual(['cluster', 'pool']);
    await bench.center.world.onGuestRun({ pattern: 'kubeadm join', exitCode: 0 });
  });

  it.each(['LOST_ANSWER', 'LATE_EFFECT', 'STILL_RUNNING', 'UNAVAILABLE', 'BUSY'] as const)('comes to a good end through %s of every kind of call', async (kind) => {
    const projectId = bench.emptyProject();
    for (const method of ['ensureNetwork', 'ensurePort', 'ensureLoadBalancer', 'createDisk', 'createMachine', 'startMachine', 'runInGuest', 'removePort', 'deleteMachine', 'removeLoadBalancer', 'removeNetwork']) {
      await bench.center.world.addFault({ kind, method, delayMs: 100 });
    }
    const { id, operationId } = await create(bench.request(projectId, 'patient'));
    expect(await bench.center.ended(operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    const { result } = await bench.clusters.delete(access, id);
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.leftOf(projectId)).toEqual([]);
    expect(await objects(projectId)).toEqual([]);
  }, 60_000);

  it.each(['machines', 'join-controls', 'ready'])('is deleted while its making is at "%s": that is called off first', async (step) => {
    const projectId = bench.emptyProject();
    const method = step === 'machines' ? 'startMachine' : 'runInGuest';
    const { id, operationId } = await (async () => {
      if (step === 'machines') await bench.center.world.addFault({ kind: FaultKind.BUSY, method, times: 100_000 });
      if (step === 'join-controls') await bench.center.world.addFault({ kind: FaultKind.BUSY, method, times: 100_000, keyContains: '-join-' });
      if (step === 'ready') await bench.center.world.addFault({ kind: FaultKind.BUSY, method, times: 100_000, keyContains: '-ready-' });
      return create(bench.request(projectId, 'hasty'));
    })();
    await until(`the operation is at ${step}`, () => isAt(operationId, step));
    const { result } = await bench.clusters.delete(access, id);
    await expect(bench.clusters.delete(access, id)).rejects.toMatchObject({ code: 'INVALID_STATE' });
    await bench.center.world.clearFaults();
    expect(await bench.center.ended(operationId, 30_000)).toMatchObject({ state: 'CANCELLED' });
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.leftOf(projectId)).toEqual([]);
    expect(await objects(projectId)).toEqual([]);
  }, 60_000);

  it('refuses a second change while one is under way, naming it', async () => {
    const projectId = bench.emptyProject();
    const cluster = await bench.made(projectId, 'busy', { controlPlane: { count: 1, flavor: 'small' } });
    const [pool] = await bench.poolsOf(cluster.id);
    await bench.center.world.addFault({ kind: FaultKind.BUSY, method: 'startMachine', times: 100_000 });
    const grow = await bench.pools.scale(access, { id: String(pool?.id), count: 3 });
    const second = bench.pools.create(access, { clusterId: cluster.id, name: 'more', flavor: 'small', count: 1 });
    await expect(second).rejects.toMatchObject({ code: 'RESOURCE_BUSY', data: { operationId: grow.result.operationId } });
    const { result } = await bench.clusters.delete(access, cluster.id);
    await bench.center.world.clearFaults();
    expect(await bench.center.ended(grow.result.operationId, 30_000)).toMatchObject({ state: 'CANCELLED' });
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.leftOf(projectId)).toEqual([]);
  }, 60_000);
});
