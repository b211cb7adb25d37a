import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { clusterState } from '#clusters';
import { FaultKind } from '#driver-simulated';
import { ExternalNetworkService, findFloatingIpsOfOwners, findRoutersOfOwners, NetworkService } from '#network';
import { OperationRequests } from '#operations';
import { QuotaService } from '#quota';
import { clustersBench, systemAccess, type ClustersBench } from '#testing';

describe('clusters that are reached from outside', () => {
  let bench: ClustersBench;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await clustersBench();
    const networks = new ExternalNetworkService(bench.center.commands);
    const input = { name: 'internet', backendId: bench.center.backendId, physicalNetwork: 'physnet1', cidr: '198.51.100.0/24', gateway: '198.51.100.1' };
    const { result } = await networks.create(access, input);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  });
  afterEach(() => bench.center.world.clearFaults());
  afterAll(() => bench.close());

  const edge = async (clusterId: string) => ({
    routers: await bench.room.database.rows(findRoutersOfOwners, [clusterId]),
    floatingIps: await bench.room.database.rows(findFloatingIpsOfOwners, [clusterId]),
  });
  const objects = async (projectId: string): Promise<unknown[]> => {
    await bench.center.world.landPending();
    return (await bench.center.world.objects()).filter((each) => each.projectId === projectId);
  };

  it.each(['KUBERNETES', 'SWARM'] as const)('%s: a floating IP leads to the API, a router to the outside, and both go with the cluster', async (kind) => {
    const projectId = bench.emptyProject();
    const version = kind === 'SWARM' ? 'swarm' : '1.34.2';
    const cluster = await bench.made(projectId, 'blue', { kind, version, externalNetwork: 'internet' });
    const { routers, floatingIps } = await edge(cluster.id);
    expect(routers).toMatchObject([{ lifecycle: 'PRESENT', source_nat: true }]);
    expect(floatingIps).toMatchObject([{ load_balancer_id: cluster.load_balancer_id, network_id: cluster.network_id }]);
    const address = floatingIps[0]?.address ?? '';
    if (kind === 'SWARM') expect((await bench.clusters.createDockerBundle(access, { id: cluster.id })).bundle?.host).toBe(`tcp://${address}:2376`);
    else expect((await bench.clusters.createKubeconfig(access, { id: cluster.id })).kubeconfig).toContain(`server: https://${address}:6443`);
    const kinds = ((await objects(projectId)) as { kind: string }[]).map((each) => each.kind);
    expect(kinds).toEqual(expect.arrayContaining(['ROUTER', 'FLOATING_IP']));

    const { result } = await bench.clusters.delete(access, cluster.id);
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await edge(cluster.id)).toEqual({ routers: [], floatingIps: [] });
    expect(await bench.leftOf(projectId)).toEqual([]);
    expect(await objects(projectId)).toEqual([]);
  });

  it('holds nothing when it could not be made, and has an address again after a retry', async () => {
    const projectId = bench.emptyProject();
    await bench.center.world.addFault({ kind: FaultKind.REFUSED, method: 'startMachine', nth: 2 });
    const { result } = await bench.clusters.create(access, bench.request(projectId, 'retried', { externalNetwork: 'internet' }));
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'FAILED' });
    expect(await edge(String(result.id))).toEqual({ routers: [], floatingIps: [] });
    expect(await bench.leftOf(projectId)).toEqual(['cluster', 'pool']);
    expect(await objects(projectId)).toEqual([]);
    await bench.center.world.clearFaults();
    await new OperationRequests(bench.center.commands, bench.center.operations).retry(access, String(result.operationId));
    expect(await bench.center.ended(result.operationId, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
    expect(clusterState(await bench.cluster(result.id))).toBe('READY');
    expect((await edge(String(result.id))).floatingIps).toHaveLength(1);
  });

  it('is planned with what its nodes would take, once, also where the external network is full', async () => {
    const projectId = bench.emptyProject();
    const full = { name: 'full', backendId: bench.center.backendId, physicalNetwork: 'physnet2', cidr: '203.0.113.0/24', gateway: '203.0.113.1', pools: [{ first: '203.0.113.2', last: '203.0.113.2' }] };
    const made = await new ExternalNetworkService(bench.center.commands).create(access, full);
    expect(await bench.center.ended(made.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    await new QuotaService(bench.room.database, bench.center.commands).setQuota(access, { scopeId: projectId, lines: [{ resourceKey: 'vm.count', limit: 5 }] });
    const { plan } = await bench.clusters.create(access, bench.request(projectId, 'blue', { externalNetwork: 'full' }), { dryRun: true });
    expect(plan?.changes.problems.map((problem) => problem.code)).toEqual(['INSUFFICIENT_CAPACITY']);
    expect(plan?.changes.reasons.map((reason) => reason.message)).toContainEqual(expect.stringMatching(/^vm\.count of project .*: 0 of 5 used, 5 requested\.$/));
  });

  it('on a network of the project needs that to be on a router already, and says so', async () => {
    const projectId = bench.emptyProject();
    await new NetworkService(bench.center.commands, bench.center.ledger).create(access, { projectId, name: 'own', subnet: {} });
    const refused = bench.clusters.create(access, bench.request(projectId, 'blue', { network: 'own', externalNetwork: 'internet' }));
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_STATE' });
    await expect(bench.clusters.create(access, bench.request(projectId, 'blue', { externalNetwork: 'nowhere' }))).rejects.toMatchObject({
      code: 'NOT_FOUND',
      field: 'input.externalNetwork',
    });
  });
});
