import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { statement } from '#database';
import { accessWith, edgeBench, systemAccess, type EdgeBench } from '#testing';
import {
  edgeDrift,
  findExternalNetworks,
  findRoutersOfNetworks,
  networkScopeContents,
  planFloatingIp,
  planLoadBalancer,
  planNetwork,
  planRouter,
} from './index.js';

/** What a restored database does not know any more. */
const loseAssociation = statement<never, [id: string]>(
  'spec.lose_association',
  'UPDATE floating_ip SET network_id = NULL, port_id = NULL, desired_revision = 1, realised_revision = 0 WHERE id = $1',
);
const loseRevisions = statement<never, [floatingIpId: string, routerId: string]>(
  'spec.lose_revisions',
  `WITH floating AS (UPDATE floating_ip SET desired_revision = 1, realised_revision = 1 WHERE id = $1)
   UPDATE router SET desired_revision = desired_revision - 1, realised_revision = desired_revision - 1 WHERE id = $2`,
);
const readRevisions = statement<{ id: string; revision: number }, [ids: string[]]>(
  'spec.edge_revisions',
  `SELECT id, desired_revision AS revision FROM floating_ip WHERE id = ANY($1) AND realised_revision = desired_revision
   UNION ALL SELECT id, desired_revision FROM router WHERE id = ANY($1) AND realised_revision = desired_revision ORDER BY id`,
);

describe('routers and floating IPs on a simulated datacenter', () => {
  let bench: EdgeBench;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await edgeBench();
  });
  afterEach(() => bench.center.world.clearFaults());
  afterAll(() => bench.close());

  async function look(reconciler = edgeDrift(bench.center.drivers, { graceMs: 0 })): Promise<string[]> {
    const started = await bench.look(reconciler);
    for (const id of started) await bench.center.ended(id);
    return started;
  }

  it('makes an external network, and takes it away only when nobody has an address of it', async () => {
    const id = await bench.makeExternal('203.0.113.0/24');
    expect((await bench.room.database.rows(findExternalNetworks, [id]))[0]).toMatchObject({ lifecycle: 'PRESENT', realised_revision: 1 });
    expect(await bench.objects()).toContain(id);
    const projectId = bench.freshProject();
    const fip = await bench.makeFloating(projectId, id);
    await expect(bench.externals.delete(access, { id })).rejects.toMatchObject({ code: 'INVALID_STATE' });
    const { plan } = await bench.externals.delete(access, { id }, { dryRun: true });
    expect(plan?.changes.problems).toEqual([expect.objectContaining({ code: 'INVALID_STATE' })]);
    await bench.succeeded(await bench.floating.delete(access, { id: fip }));
    await bench.succeeded(await bench.externals.delete(access, { id }));
    expect(await bench.room.database.rows(findExternalNetworks, [id])).toEqual([]);
    expect(await bench.objects()).not.toContain(id);
  });

  it('is for operators, and refuses what makes no sense with the field', async () => {
    const owner = accessWith([{ role: 'OWNER', tenantId: bench.tenant.id, projectId: null }]);
    const input = { name: 'other', backendId: bench.center.backendId, physicalNetwork: 'p', cidr: '192.0.2.0/24', gateway: '192.0.2.1' };
    await expect(bench.externals.create(owner, input)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(bench.externals.create(access, { ...input, gateway: '192.0.3.1' })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.gateway' });
    await expect(bench.externals.create(access, { ...input, backendId: 'bck_none' })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.backendId' });
    await expect(bench.externals.create(access, { ...input, vlan: 5000 })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.vlan' });
  });

  it('makes a router between networks with an uplink, and takes it away, leaving nothing', async () => {
    const projectId = bench.freshProject();
    const [one, two] = [await bench.makeNetwork(projectId), await bench.makeNetwork(projectId)];
    const id = await bench.makeRouter(projectId, [one, two]);
    const row = await bench.router(id);
    expect(row).toMatchObject({ lifecycle: 'PRESENT', source_nat: true, realised_revision: 1 });
    expect(row?.gateway_hosts).toHaveLength(3);
    expect(await bench.told(id)).toMatchObject({
      networks: [{ networkId: one, link: 0 }, { networkId: two, link: 1 }],
      uplink: { externalNetworkId: bench.outside, address: row?.external_address, sourceNat: true, gatewayHostNames: row?.gateway_hosts },
    });
    expect(await bench.usage(projectId)).toMatchObject({ 'router.count': 1 });
    await expect(bench.networks.delete(access, { id: one })).rejects.toMatchObject({ code: 'INVALID_STATE', message: expect.stringContaining('router') as string });
    await bench.succeeded(await bench.routers.delete(access, { id }));
    expect(await bench.router(id)).toBeUndefined();
    expect(await bench.held(projectId)).toEqual([]);
    expect(await bench.objects()).not.toContain(id);
    expect(await bench.usage(projectId)).toEqual({ 'network.count': 2 });
    await bench.succeeded(await bench.networks.delete(access, { id: one }));
  });

  it('attaches and detaches networks and changes its uplink, by expected versions', async () => {
    const projectId = bench.freshProject();
    const [one, two] = [await bench.makeNetwork(projectId), await bench.makeNetwork(projectId, false)];
    const id = await bench.makeRouter(projectId, [one], null);
    expect(await bench.held(projectId)).toEqual([]);
    const { version = 0 } = (await bench.router(id)) ?? {};
    await bench.succeeded(await bench.routers.update(access, { id, expectedVersion: version, attach: [two], externalNetwork: bench.outside }));
    expect(await bench.told(id)).toMatchObject({ networks: [{ networkId: one, link: 0 }, { networkId: two, link: 1 }], uplink: { sourceNat: true } });
    await expect(bench.routers.update(access, { id, expectedVersion: version, detach: [two] })).rejects.toMatchObject({ code: 'CONFLICT' });
    await bench.succeeded(await bench.routers.update(access, { id, detach: [one], externalNetwork: null }));
    expect(await bench.told(id)).toMatchObject({ networks: [{ networkId: two, link: 1 }], uplink: null });
    expect(await bench.held(projectId)).toEqual([]);
    expect((await bench.routers.update(access, { id, detach: [one] })).result.operationId).toBeNull();
    expect((await bench.room.database.rows(findRoutersOfNetworks, [one, two])).map((row) => row.network_id)).toEqual([two]);
  });

  it('is as it was after an update that failed for good', async () => {
    const projectId = bench.freshProject();
    const [one, two] = [await bench.makeNetwork(projectId), await bench.makeNetwork(projectId)];
    const id = await bench.makeRouter(projectId, [one]);
    const before = await bench.router(id);
    await bench.center.world.addFault({ kind: 'REFUSED', method: 'ensureRouter' });
    const { result } = await bench.routers.update(access, { id, attach: [two], detach: [one], externalNetwork: null });
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'FAILED', error: { code: 'BACKEND_FAILED' } });
    expect(await bench.router(id)).toMatchObject({ external_address: before?.external_address, external_network_id: bench.outside, source_nat: true, lifecycle: 'PRESENT' });
    expect(await bench.told(id)).toMatchObject({ networks: [{ networkId: one, link: 0 }], uplink: { address: before?.external_address } });
    expect(await bench.held(projectId)).toEqual([id]);
  });

  it('ends FAILED with the true reason when it cannot be made, is charged nothing, and can be tried again', async () => {
    const projectId = bench.freshProject();
    const networkId = await bench.makeNetwork(projectId);
    await bench.center.world.addFault({ kind: 'REFUSED', method: 'ensureRouter' });
    const { result } = await bench.routers.create(access, { projectId, name: 'late', networkIds: [networkId], externalNetwork: bench.outside });
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'FAILED' });
    expect(await bench.router(result.id)).toMatchObject({ lifecycle: 'FAILED', failure: { code: 'BACKEND_FAILED' } });
    expect(await bench.usage(projectId)).toEqual({ 'network.count': 1 });
    await bench.center.operations.retry(String(result.operationId));
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.usage(projectId)).toEqual({ 'network.count': 1, 'router.count': 1 });
    expect(await bench.router(result.id)).toMatchObject({ lifecycle: 'PRESENT', failure: null });
  });

  it.each(['LOST_ANSWER', 'BUSY', 'UNAVAILABLE', 'STILL_RUNNING', 'LATE_EFFECT'] as const)('goes on after %s of every first call', async (kind) => {
    for (const method of ['ensureRouter', 'ensureFloatingIp', 'removeFloatingIp', 'removeRouter', 'realised']) {
      await bench.center.world.addFault({ kind, method, delayMs: 50, uncancellable: false });
    }
    const { projectId, routerId, port } = await bench.routed();
    const id = await bench.makeFloating(projectId);
    await bench.succeeded(await bench.floating.associate(access, { id, portId: port.portId }));
    expect(await bench.told(id)).toMatchObject({ target: { portId: port.portId }, routerId });
    await bench.succeeded(await bench.floating.dissociate(access, { id }));
    await bench.succeeded(await bench.floating.delete(access, { id }));
    await bench.succeeded(await bench.routers.delete(access, { id: routerId }));
    expect(await bench.objects()).not.toEqual(expect.arrayContaining([id]));
    expect(await bench.held(projectId)).toEqual([]);
  });

  it('refuses a network of another project, and one that is on another router', async () => {
    const { networkId, projectId } = await bench.routed();
    const input = { projectId, name: bench.unique('router'), externalNetwork: bench.outside };
    await expect(bench.routers.create(access, { ...input, networkIds: [networkId] })).rejects.toMatchObject({ code: 'INVALID_STATE', field: 'input.networkIds' });
    const foreign = await bench.makeNetwork(bench.freshProject());
    await expect(bench.routers.create(access, { ...input, networkIds: [foreign] })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.networkIds' });
    await expect(bench.routers.create(access, { ...input, externalNetwork: 'nowhere' })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.externalNetwork' });
  });

  it('lets a network be on one router, however many ask for it at once', async () => {
    const projectId = bench.freshProject();
    const networkId = await bench.makeNetwork(projectId);
    const asked = await Promise.allSettled(
      Array.from({ length: 8 }, async () => bench.routers.create(access, { projectId, name: bench.unique('router'), networkIds: [networkId], externalNetwork: bench.outside })),
    );
    const made = asked.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    expect(made).toHaveLength(1);
    for (const each of asked) if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'INVALID_STATE' });
    for (const each of made) await bench.succeeded(each);
  });

  it('gives an address of an external network to one owner, and exactly as many as there are', async () => {
    const small = await bench.makeExternal('192.0.2.0/28', [{ first: '192.0.2.4', last: '192.0.2.11' }]);
    const projectId = bench.freshProject();
    const asked = await Promise.allSettled(
      Array.from({ length: 16 }, async () => bench.floating.create(access, { projectId, name: bench.unique('fip'), externalNetwork: small })),
    );
    expect(asked.filter((each) => each.status === 'fulfilled')).toHaveLength(8);
    for (const each of asked) {
      if (each.status === 'rejected') expect((each.reason as { code: string }).code).toMatch(/INSUFFICIENT_CAPACITY|CONFLICT/);
    }
    expect(await bench.usage(projectId)).toEqual({ 'floating_ip.count': 8 });
    expect(new Set((await bench.heldAddresses(projectId)).map((row) => row.address)).size).toBe(8);
  });

  it('what cannot be repaired keeps nothing else from it', async () => {
    const routers = [];
    for (let made = 0; made < 4; made += 1) routers.push((await bench.routed()).routerId);
    while ((await look()).length > 0);
    const [first = '', second = '', ...others] = routers.sort();
    for (const id of routers) await bench.center.world.damagePart(id);
    await bench.center.world.addFault({ kind: 'UNAVAILABLE', method: 'ensureRouter', resourceId: first, times: Infinity });
    await bench.center.world.addFault({ kind: 'UNAVAILABLE', method: 'ensureRouter', resourceId: second, times: Infinity });
    const reconciler = edgeDrift(bench.center.drivers, { graceMs: 0, repairsAtOnce: 2 });
    const stuck = await bench.look(reconciler);
    expect(await look(reconciler)).toHaveLength(others.length);
    await bench.center.world.clearFaults();
    for (const id of stuck) expect(await bench.center.ended(id)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await look(reconciler)).toEqual([]);
  });

  it('a database that lost its last commits has its way: floating IPs that lead nowhere, or elsewhere, and routers', async () => {
    const { projectId, networkId, routerId, port } = await bench.routed();
    const [nowhere, elsewhere] = [await bench.makeFloating(projectId), await bench.makeFloating(projectId)];
    const loadBalancerId = await bench.balancerIn(networkId);
    await bench.succeeded(await bench.floating.associate(access, { id: nowhere, portId: port.portId }));
    await bench.succeeded(await bench.floating.associate(access, { id: elsewhere, loadBalancerId }));
    await look();
    await bench.room.database.transaction(async (transaction) => {
      await transaction.execute(loseAssociation, nowhere);
      await transaction.execute(loseRevisions, elsewhere, routerId);
    });
    while ((await look()).length > 0);
    expect(await bench.objects()).not.toContain(nowhere);
    expect(await bench.told(elsewhere)).toMatchObject({ target: { kind: 'LOAD_BALANCER', loadBalancerId } });
    const parts = await bench.center.world.networkParts(bench.tenant.id);
    const revisions = (await bench.room.database.rows(readRevisions, [elsewhere, routerId])).map((row) => [row.id, row.revision]);
    const told = parts.filter(({ id }) => id === elsewhere || id === routerId).map(({ id, revision }) => [id, revision]);
    expect(told).toHaveLength(2);
    expect(told).toEqual(expect.arrayContaining(revisions));
  });

  it('tells a backend again that has lost its edge, and moves uplinks when hosts come and go', async () => {
    const { projectId, routerId, port } = await bench.routed();
    const id = await bench.makeFloating(projectId);
    await bench.succeeded(await bench.floating.associate(access, { id, portId: port.portId }));
    await look();
    expect(await look()).toEqual([]);
    const { network } = await bench.center.drivers.driver(bench.center.backendId);
    await network.removeFloatingIp(bench.call('lost'), id);
    await network.removeRouter(bench.call('lost'), routerId);
    expect(await look()).toHaveLength(2);
    expect(await bench.objects()).toEqual(expect.arrayContaining([id, routerId]));
    for (const damaged of [bench.outside, routerId, id]) {
      await bench.center.world.damagePart(damaged);
      expect(await look()).toHaveLength(1);
      expect(await look()).toEqual([]);
    }
    const before = (await bench.router(routerId))?.gateway_hosts ?? [];
    const first = before[0] ?? '';
    const setIntent = (intent: string) => bench.room.database.dataSource.query('UPDATE host SET intent = $2 WHERE backend_id = $1 AND name = $3', [bench.center.backendId, intent, first]);
    await setIntent('MAINTENANCE');
    await look();
    expect((await bench.router(routerId))?.gateway_hosts).toEqual([...before.slice(1), first]);
    expect(await bench.told(routerId)).toMatchObject({ uplink: { gatewayHostNames: [...before.slice(1), first] } });
    await setIntent('ENABLED');
    await look();
    expect((await bench.router(routerId))?.gateway_hosts).toEqual(before);
  });

  it('is planned together with what it leads to, in one change set', async () => {
    const projectId = bench.freshProject();
    const place = { tenantId: bench.tenant.id, projectId };
    let ids: Record<string, string> = {};
    await bench.center.commands.run({ access, name: 'composed', input: {}, place }, async (reader) => {
      const changes = (await planNetwork(reader, access, { projectId, name: 'composed', subnet: {} })).changes;
      const networkId = String(changes.resources[0]?.id);
      const common = { ...place, ownerId: null };
      const made = await planRouter(reader, access, { ...common, name: 'composed', networkIds: [networkId], externalNetwork: bench.outside, lifecycle: 'PRESENT' }, changes);
      changes.include(made.changes);
      const balancer = await planLoadBalancer(
        reader, access, { ...common, name: 'composed', networkId, backendId: bench.center.backendId, listeners: [{ port: 6443, memberPort: 6443 }], memberPortIds: [], lifecycle: 'PRESENT' }, changes,
      );
      changes.include(balancer.changes);
      const planned = await planFloatingIp(reader, { ...common, name: 'composed', target: { loadBalancerId: balancer.loadBalancerId } }, changes);
      changes.include(planned.changes);
      ids = { floatingIp: planned.floatingIpId, router: made.routerId, balancer: balancer.loadBalancerId };
      return changes;
    });
    expect(await bench.floatingIp(ids['floatingIp'])).toMatchObject({ load_balancer_id: ids['balancer'], external_network_id: bench.outside });
    expect(await bench.router(ids['router'])).toMatchObject({ lifecycle: 'PRESENT' });
    expect(await bench.usage(projectId)).toEqual({ 'floating_ip.count': 1, 'load_balancer.count': 1, 'network.count': 1, 'router.count': 1 });
  });

  it('all goes when its project goes', async () => {
    const { projectId, port } = await bench.routed();
    const id = await bench.makeFloating(projectId);
    await bench.succeeded(await bench.floating.associate(access, { id, portId: port.portId }));
    const scope = { tenantId: bench.tenant.id, projectId };
    const going = [...networkScopeContents].filter(({ kind }) => kind === 'floating ip' || kind === 'router').sort((one, other) => one.order - other.order);
    expect(going.map(({ kind }) => kind)).toEqual(['floating ip', 'router']);
    for (const contents of going) {
      expect(await contents.count(bench.room.database, scope)).toBe(1);
      expect(await contents.list(bench.room.database, scope, 10)).toHaveLength(1);
      const changes = await contents.planDeletion?.(bench.room.database, scope, 10);
      if (changes === undefined) throw new Error('it goes with nothing else');
      await bench.center.operations.submit(changes);
      await expect.poll(async () => contents.count(bench.room.database, scope)).toBe(0);
    }
    expect(await bench.held(projectId)).toEqual([]);
  });
});
