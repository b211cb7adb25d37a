import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { clusterState, type ClusterRow, type CreateClusterInput } from '#clusters';
import { statement } from '#database';
import { findBackends } from '#infrastructure';
import { findLoadBalancers, findMembers } from '#network';
import { QuotaService } from '#quota';
import { accessWith, clustersBench, findCanary, systemAccess, type ClustersBench } from '#testing';

const used = statement<{ resource_key: string; used_amount: number }, [scopeId: string]>(
  'spec.cluster_used',
  `SELECT resource_key, used_amount FROM quota_counter WHERE scope_id = $1 AND zone_id = '' AND used_amount > 0 ORDER BY resource_key`,
);

describe('clusters on a simulated datacenter', () => {
  let bench: ClustersBench;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await clustersBench();
  });
  afterEach(() => bench.center.world.clearFaults());
  afterAll(() => bench.close());

  const usage = async (projectId: string): Promise<Record<string, number>> =>
    Object.fromEntries((await bench.room.database.rows(used, projectId)).map((row) => [row.resource_key, row.used_amount]));
  const objects = async (projectId: string): Promise<unknown[]> => {
    await bench.center.world.landPending();
    return (await bench.center.world.objects()).filter((each) => each.projectId === projectId);
  };
  const create = async (input: CreateClusterInput): Promise<{ id: string; operationId: string }> => {
    const { result } = await bench.clusters.create(access, input);
    return { id: String(result.id), operationId: String(result.operationId) };
  };
  const remove = async (cluster: Pick<ClusterRow, 'id' | 'project_id'>): Promise<void> => {
    const { result } = await bench.clusters.delete(access, cluster.id);
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.leftOf(cluster.project_id)).toEqual([]);
    expect(await objects(cluster.project_id)).toEqual([]);
  };

  it('is made with 3 control nodes apart from each other and 2 workers, and is deleted with proof', async () => {
    const projectId = bench.emptyProject();
    const cluster = await bench.made(projectId, 'blue');
    expect(clusterState(cluster)).toBe('READY');
    expect(cluster.conditions.map((each) => [each.type, each.status])).toEqual([
      ['READY', 'TRUE'],
      ['API_AVAILABLE', 'TRUE'],
      ['CONTROL_NODES_READY', 'TRUE'],
      ['WORKERS_READY', 'TRUE'],
      ['FAULT_TOLERANT', 'TRUE'],
      ['HEALABLE', 'TRUE'],
    ]);
    const nodes = await bench.nodes(cluster.id);
    expect(nodes.map((node) => [node.role, node.phase, node.health])).toEqual([
      ...Array.from({ length: 3 }, () => ['CONTROL', 'JOINED', 'READY']),
      ...Array.from({ length: 2 }, () => ['WORKER', 'JOINED', 'READY']),
    ]);
    const machines = await Promise.all(nodes.map((node) => bench.machine(node.machine_id)));
    expect(new Set(machines.slice(0, 3).map((machine) => machine.host_id)).size).toBe(3);
    const [balancer] = await bench.room.database.rows(findLoadBalancers, [String(cluster.load_balancer_id)]);
    expect(balancer).toMatchObject({ lifecycle: 'PRESENT', owner_id: cluster.id });
    const members = await bench.room.database.rows(findMembers, [String(cluster.load_balancer_id)]);
    expect(members.map((member) => member.owner_id).sort()).toEqual(nodes.slice(0, 3).map((node) => node.machine_id).sort());
    expect(await usage(projectId)).toMatchObject({ 'cluster.count': 1, 'vm.count': 5, 'load_balancer.count': 1, 'network.count': 1, 'port.count': 5 });
    await remove(cluster);
    expect(await usage(projectId)).toEqual({});
  });

  it('initialises the first control node, joins the others one by one, and gives secrets on standard input only', async () => {
    const projectId = bench.emptyProject();
    const cluster = await bench.made(projectId, 'secret');
    const nodes = await bench.nodes(cluster.id);
    const runs = await Promise.all(nodes.map((node) => bench.center.world.guestRuns(node.machine_id)));
    const verbs = runs.map((list) => list.map((run) => /kubeadm (init|join)|get node/.exec(run.script)?.[0]));
    expect(verbs).toEqual([['kubeadm init', 'get node'], ...Array.from({ length: 4 }, () => ['kubeadm join', 'get node'])]);
    expect(cluster.join_secret).toBeNull();
    const foundation = await bench.secrets.open(bench.room.database, cluster.pki_secret as never, cluster.id);
    const pki = JSON.parse(foundation.revealText()) as { cluster: { privateKeyPem: string } };
    const [backend] = await bench.room.database.rows(findBackends, [bench.center.backendId]);
    const places = { databaseUrls: [bench.room.url, String(backend?.endpoint)], log: '' };
    expect(await findCanary(pki.cluster.privateKeyPem.split('\n')[1] ?? '', places)).toEqual([]);
    for (const node of nodes) {
      expect((await bench.center.world.machine(node.machine_id))?.userData).toContain('#cloud-config');
    }
    expect(await findCanary('preserve_hostname: false', { databaseUrls: [bench.room.url], log: '' })).toEqual([]);
    await remove(cluster);
  });

  it('stands on a network of the project when it is named one, and leaves it there', async () => {
    const { projectId, networkId } = await bench.freshProject();
    const cluster = await bench.made(projectId, 'guest', { network: 'net', controlPlane: { count: 1, flavor: 'small' }, nodePools: [] });
    expect(cluster).toMatchObject({ network_id: networkId, owns_network: false });
    expect(clusterState(cluster)).toBe('READY');
    expect(cluster.conditions.find((each) => each.type === 'FAULT_TOLERANT')).toMatchObject({ status: 'FALSE', reason: 'SINGLE_CONTROL_NODE' });
    const { result } = await bench.clusters.delete(access, cluster.id);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.leftOf(projectId)).toEqual(['network', 'subnet', 'charge of net']);
  });

  it('shows in a dry run all that it would make, and then makes exactly that', async () => {
    const projectId = bench.emptyProject();
    const { plan } = await bench.clusters.create(access, bench.request(projectId, 'planned'), { dryRun: true });
    const kinds = Map.groupBy(plan?.changes.resources ?? [], (each) => each.kind);
    expect(Object.fromEntries([...kinds].map(([kind, list]) => [kind, list.length]))).toEqual({
      cluster: 1, 'node pool': 1, network: 1, subnet: 1, 'affinity group': 2, 'virtual machine': 5, port: 5, disk: 5, 'load balancer': 1,
    });
    expect(plan?.changes.problems).toEqual([]);
    expect(plan?.changes.reasons.map((each) => each.subject)).toEqual(expect.arrayContaining(['placement', 'quota']));
    expect(await bench.leftOf(projectId)).toEqual([]);
    const { result } = await bench.center.commands.applyPlan(access, String(plan?.id));
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    const planned = kinds.get('virtual machine')?.map((each) => [each.id, each.data?.hostId]);
    const made = await Promise.all((await bench.nodes(result.id)).map(async (node) => [node.machine_id, (await bench.machine(node.machine_id)).host_id]));
    expect(Object.fromEntries(made)).toEqual(Object.fromEntries(planned ?? []));
    await remove(await bench.cluster(result.id));
  });

  it.each<[string, Partial<CreateClusterInput> | Record<string, unknown>, Record<string, unknown>]>([
    ['a kind of later', { kind: 'MESOS' }, { code: 'UNSUPPORTED', field: 'input.kind', data: { supported: ['KUBERNETES', 'SWARM'] } }],
    ['an even number of control nodes', { controlPlane: { count: 2, flavor: 'small' } }, { code: 'INVALID_INPUT', field: 'input.controlPlane.count' }],
    ['a version of another kind', { kind: 'SWARM' }, { code: 'NOT_FOUND', field: 'input.version' }],
    ['an unknown version', { version: '1.1.1' }, { code: 'NOT_FOUND', field: 'input.version' }],
    ['an unknown flavor', { nodePools: [{ name: 'a', flavor: 'huge', count: 1 }] }, { code: 'NOT_FOUND', field: 'input.nodePools.0.flavor' }],
    ['an unknown network', { network: 'none' }, { code: 'NOT_FOUND', field: 'input.network' }],
    ['an unknown zone', { controlPlane: { count: 1, flavor: 'small', zones: ['mars'] } }, { code: 'NOT_FOUND', field: 'input.controlPlane.zones.0' }],
    ['a name that is no DNS label', { name: 'Blue' }, { code: 'INVALID_INPUT', field: 'input.name' }],
    ['two pools of one name', { nodePools: [{ name: 'a', flavor: 'small', count: 1 }, { name: 'a', flavor: 'small', count: 1 }] }, { code: 'INVALID_INPUT', field: 'input.nodePools.1.name' }],
    ['a pool that is called like the control nodes', { nodePools: [{ name: 'control', flavor: 'small', count: 1 }] }, { code: 'INVALID_INPUT', field: 'input.nodePools.0.name' }],
    ['too many nodes', { nodePools: [{ name: 'a', flavor: 'small', count: 201 }] }, { code: 'INVALID_INPUT', field: 'input.nodePools.0.count' }],
    ['a label of Kubernetes’ own', { nodePools: [{ name: 'a', flavor: 'small', count: 1, labels: { 'kubernetes.io/os': 'x' } }] }, { code: 'INVALID_INPUT' }],
    ['a life of no time', { ttlMinutes: 0 }, { code: 'INVALID_INPUT', field: 'input.ttlMinutes' }],
  ])('is refused with %s, and nothing is written', async (_what, more, error) => {
    const projectId = bench.emptyProject();
    const asked = bench.clusters.create(access, bench.request(projectId, 'wrong', more as Partial<CreateClusterInput>));
    await expect(asked).rejects.toMatchObject(error);
    expect(await bench.leftOf(projectId)).toEqual([]);
  });

  it('is refused when the quota is too small by one key, and shows that beside a lack of capacity', async () => {
    const projectId = bench.emptyProject();
    const quota = new QuotaService(bench.room.database, bench.center.commands);
    await quota.setQuota(access, { scopeId: projectId, lines: [{ resourceKey: 'vm.count', limit: 4 }] });
    const refusal = { code: 'QUOTA_EXCEEDED', data: { key: 'vm.count', limit: 4, requested: 5 } };
    await expect(create(bench.request(projectId, 'large'))).rejects.toMatchObject(refusal);
    const huge = await bench.flavors.create(access, { name: 'giant', cpu: 4, memoryMib: 300_000, diskGib: 10 });
    expect(huge.result.id).toBeDefined();
    const both = bench.request(projectId, 'large', { controlPlane: { count: 5, flavor: 'giant' } });
    const { plan } = await bench.clusters.create(access, both, { dryRun: true });
    expect(plan?.changes.problems.map((problem) => problem.code)).toEqual(['INSUFFICIENT_CAPACITY', 'QUOTA_EXCEEDED']);
    expect(await bench.leftOf(projectId)).toEqual([]);
  });

  it('is refused with the explanation when not all machines find a place, and nothing starts', async () => {
    const projectId = bench.emptyProject();
    await bench.flavors.create(access, { name: 'whole-host', cpu: 60, memoryMib: 200_000, diskGib: 10 });
    const pools = [{ name: 'workers', flavor: 'whole-host', count: 20 }];
    const error = await create(bench.request(projectId, 'full', { nodePools: pools })).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'INSUFFICIENT_CAPACITY', fault: 'OPERATOR' });
    expect((error as { data: { placement: { removed: unknown[] } } }).data.placement.removed.length).toBeGreaterThan(0);
    expect(await bench.leftOf(projectId)).toEqual([]);
    const spread = bench.request(projectId, 'wide', { controlPlane: { count: 5, flavor: 'whole-host' } });
    expect((await bench.clusters.create(access, spread, { dryRun: true })).plan?.changes.problems).toEqual([]);
  });

  it('may be called only once by its name, and is hidden from strangers', async () => {
    const projectId = bench.emptyProject();
    const { id, operationId } = await create(bench.request(projectId, 'once', { controlPlane: { count: 1, flavor: 'small' }, nodePools: [] }));
    await expect(create(bench.request(projectId, 'once'))).rejects.toMatchObject({ code: 'ALREADY_EXISTS', field: 'input.name' });
    const stranger = accessWith([{ role: 'OWNER', tenantId: 'ten_00000000000000000000000000', projectId: null }]);
    await expect(bench.clusters.delete(stranger, id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(bench.clusters.create(stranger, bench.request(projectId, 'theirs'))).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.projectId' });
    await expect(bench.clusters.delete(access, id, { expectedVersion: 7 })).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await bench.center.ended(operationId)).toMatchObject({ state: 'SUCCEEDED' });
    await remove(await bench.cluster(id));
  });

  it('answers a repeated idempotency key with the same cluster', async () => {
    const projectId = bench.emptyProject();
    const input = bench.request(projectId, 'twice', { controlPlane: { count: 1, flavor: 'small' }, nodePools: [] });
    const both = await Promise.all([1, 2].map(() => bench.clusters.create(access, input, { idempotencyKey: 'cluster-twice' })));
    expect(new Set(both.map((each) => each.result.id)).size).toBe(1);
    await bench.center.ended(both[0]?.result.operationId);
    await remove(await bench.cluster(both[0]?.result.id));
  });

  it('deletes itself when its time is over, by an operation like any other', async () => {
    const projectId = bench.emptyProject();
    const cluster = await bench.made(projectId, 'brief', { controlPlane: { count: 1, flavor: 'small' }, nodePools: [], ttlMinutes: 60 });
    expect(cluster.expires_at?.getTime()).toBeGreaterThan(Date.now() + 50 * 60_000);
    const { result } = await bench.clusters.setTtl(access, { id: cluster.id, ttlMinutes: null }, { expectedVersion: cluster.version });
    expect(result).toEqual({ id: cluster.id, operationId: null });
    expect((await bench.cluster(cluster.id)).expires_at).toBeNull();
    await bench.reconcile('cluster-expiry');
    expect((await bench.cluster(cluster.id)).lifecycle).toBe('PRESENT');
    await bench.room.database.dataSource.query(`UPDATE cluster SET expires_at = now() - interval '1 second' WHERE id = $1`, [cluster.id]);
    const [operationId] = await bench.reconcile('cluster-expiry');
    expect(await bench.center.ended(operationId)).toMatchObject({ state: 'SUCCEEDED', kind: 'clusters.cluster.delete' });
    expect(await bench.leftOf(projectId)).toEqual([]);
  });
});
