import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ChangeSet } from '#database';
import { findScopes, SCOPES } from '#scopes';
import { edgeBench, systemAccess, type EdgeBench } from '#testing';
import { findRoutersOfNetworks, MAX_GROUPS, planPortRemoval } from './index.js';
import { MAX_MEMBERS } from './load-balancer/load-balancer.js';

/** What others do between a change's admission and its end. */
describe('changes of routers and floating IPs that others cross', () => {
  let bench: EdgeBench;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await edgeBench();
  });
  afterEach(() => bench.center.world.clearFaults());
  afterAll(() => bench.close());

  const LAST = '192.0.2.4';
  const away = async (method: string, resourceId?: string): Promise<void> => {
    await bench.center.world.addFault({ kind: 'UNAVAILABLE', method, times: Number.POSITIVE_INFINITY, ...(resourceId === undefined ? {} : { resourceId }) });
  };
  const refused = (method: string) => bench.center.world.addFault({ kind: 'REFUSED', method });
  const ended = (id: unknown) => bench.center.ended(id);
  const until = async (id: unknown, state: string): Promise<void> => {
    await expect.poll(async () => (await bench.center.operation(id)).state, { timeout: 10_000 }).toBe(state);
  };
  /** An external network with one address to give out. */
  const lastAddress = async (): Promise<string> => bench.makeExternal('192.0.2.0/28', [{ first: LAST, last: LAST }]);

  it('refuses a stale plan, which would give a router an address that is another tenant’s by now', async () => {
    const { routers, center } = bench;
    const external = await lastAddress();
    const projectId = bench.freshProject();
    const id = await bench.makeRouter(projectId, [await bench.makeNetwork(projectId)], external);
    const { plan } = await routers.update(access, { id, description: 'later' }, { dryRun: true });
    await bench.succeeded(await routers.update(access, { id, externalNetwork: null }));
    const other = bench.freshProject();
    const floatingIp = await bench.makeFloating(other, external);
    expect(await bench.heldAddresses(other)).toEqual([{ address: LAST, owner_id: floatingIp }]);
    await expect(center.commands.applyPlan(access, plan?.id ?? '')).rejects.toMatchObject({ code: 'PLAN_STALE' });
    expect(await bench.router(id)).toMatchObject({ external_address: null, description: '' });
    const steal = 'UPDATE router SET external_network_id = $2, external_address = $3 WHERE id = $1';
    await expect(bench.room.database.dataSource.query(steal, [id, external, LAST])).rejects.toMatchObject({ constraint: 'router_external_address' });
  });

  it('gives back the address of a router that was not made, and takes another when it is tried again', async () => {
    const { routers, floating, center } = bench;
    const external = await lastAddress();
    const projectId = bench.freshProject();
    const networkId = await bench.makeNetwork(projectId);
    await refused('ensureRouter');
    const { result } = await routers.create(access, { projectId, name: 'late', networkIds: [networkId], externalNetwork: external });
    expect(await ended(result.operationId)).toMatchObject({ state: 'FAILED' });
    expect(await bench.router(result.id)).toMatchObject({ lifecycle: 'FAILED', external_network_id: external, external_address: null });
    expect(await bench.held(projectId)).toEqual([]);
    const other = await bench.makeFloating(bench.freshProject(), external);
    await expect(center.operations.retry(String(result.operationId))).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY' });
    await bench.succeeded(await floating.delete(access, { id: other }));
    await center.operations.retry(String(result.operationId));
    expect(await ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.router(result.id)).toMatchObject({ lifecycle: 'PRESENT', external_address: LAST });
    expect(await bench.told(result.id)).toMatchObject({ uplink: { address: LAST } });
  });

  it('leaves no address with routers whose making was cancelled, and deletes them', async () => {
    const { routers, center } = bench;
    const external = await lastAddress();
    const projectId = bench.freshProject();
    for (const name of ['one', 'two']) {
      await away('ensureRouter');
      const { result } = await routers.create(access, { projectId, name, externalNetwork: external });
      await until(result.operationId, 'WAITING');
      await center.operations.cancel(String(result.operationId));
      expect(await ended(result.operationId)).toMatchObject({ state: 'CANCELLED' });
      expect(await bench.held(projectId)).toEqual([]);
      await center.world.clearFaults();
      if (name === 'two') await bench.succeeded(await routers.delete(access, { id: String(result.id) }));
    }
    await away('ensureRouter');
    const { result } = await routers.create(access, { projectId, name: 'three', externalNetwork: external });
    await until(result.operationId, 'WAITING');
    await bench.succeeded(await routers.delete(access, { id: String(result.id) }));
    expect(await bench.held(projectId)).toEqual([]);
    expect(await bench.usage(projectId)).toEqual({});
  });

  it('keeps an address from others until the backend has let go of it', async () => {
    const { routers, floating, center } = bench;
    const external = await lastAddress();
    const projectId = bench.freshProject();
    const id = await bench.makeRouter(projectId, [], external);
    const other = { projectId: bench.freshProject(), name: 'fip', externalNetwork: external };
    await away('ensureRouter');
    const { result } = await routers.update(access, { id, externalNetwork: null });
    await until(result.operationId, 'WAITING');
    await expect(floating.create(access, other)).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY' });
    await center.world.clearFaults();
    expect(await ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.told(id)).toMatchObject({ uplink: null });
    expect(await bench.held(projectId)).toEqual([]);
    await bench.succeeded(await floating.create(access, other));
  });

  it('has its own address again after a move that failed, and keeps the other one until the backend has let go of that', async () => {
    const { routers, floating, center } = bench;
    const [from, to] = [await lastAddress(), await lastAddress()];
    const projectId = bench.freshProject();
    const id = await bench.makeRouter(projectId, [], from);
    await refused('ensureRouter');
    await center.world.addFault({ kind: 'UNAVAILABLE', method: 'ensureRouter', times: Number.POSITIVE_INFINITY });
    const { result } = await routers.update(access, { id, externalNetwork: to });
    await until(result.operationId, 'UNDOING');
    await expect.poll(async () => (await bench.router(id))?.external_network_id).toBe(from);
    const place = { projectId: bench.freshProject(), name: 'fip' };
    for (const externalNetwork of [from, to]) {
      await expect(floating.create(access, { ...place, externalNetwork })).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY' });
    }
    await center.world.clearFaults();
    expect(await ended(result.operationId)).toMatchObject({ state: 'FAILED' });
    expect(await bench.held(projectId)).toEqual([id]);
    expect(await bench.told(id)).toMatchObject({ uplink: { externalNetworkId: from, address: LAST } });
    await bench.succeeded(await floating.create(access, { ...place, externalNetwork: to }));
    await bench.succeeded(await routers.update(access, { id, externalNetwork: null }));
    expect(await bench.held(projectId)).toEqual([]);
  });

  it('lets go of all addresses when it is deleted while it moves', async () => {
    const { routers, floating, center } = bench;
    const [from, to] = [await lastAddress(), await lastAddress()];
    const projectId = bench.freshProject();
    const id = await bench.makeRouter(projectId, [], from);
    await away('ensureRouter');
    await away('removeRouter');
    const { result } = await routers.update(access, { id, externalNetwork: to });
    await until(result.operationId, 'WAITING');
    const deletion = await routers.delete(access, { id });
    expect(await ended(result.operationId)).toMatchObject({ state: 'CANCELLED' });
    const other = { projectId: bench.freshProject(), name: 'fip', externalNetwork: to };
    await expect(floating.create(access, other)).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY' });
    await center.world.clearFaults();
    await bench.succeeded(deletion);
    expect(await bench.held(projectId)).toEqual([]);
    await bench.succeeded(await floating.create(access, other));
  });

  it.each(['router', 'floating IP', 'load balancer', 'security group'] as const)('deletes a %s whose update cannot be taken back now', async (noun) => {
    const { routers, floating, balancers, groups } = bench;
    const { projectId, networkId, routerId, port } = await bench.routed();
    const loadBalancerId = await bench.balancerIn(networkId);
    const floatingIpId = await bench.makeFloating(projectId);
    const groupId = String((await groups.create(access, { projectId, name: 'web' })).result.id);
    await bench.succeeded(await groups.updatePort(access, { portId: port.portId, add: [groupId] }));
    await bench.succeeded(await groups.updatePort(access, { portId: port.portId, remove: [groupId] }));
    const cases = {
      router: { method: 'ensureRouter', update: async () => routers.update(access, { id: routerId, detach: [networkId] }), remove: async () => routers.delete(access, { id: routerId }) },
      'floating IP': {
        method: 'ensureFloatingIp',
        update: async () => floating.associate(access, { id: floatingIpId, loadBalancerId }),
        remove: async () => floating.delete(access, { id: floatingIpId }),
      },
      'load balancer': {
        method: 'ensureLoadBalancer',
        update: async () => balancers.updateMembers(access, { id: loadBalancerId, add: [port.portId] }),
        remove: async () => balancers.delete(access, loadBalancerId),
      },
      'security group': {
        method: 'ensureSecurityGroup',
        update: async () => groups.update(access, { id: groupId, rules: [] }),
        remove: async () => groups.delete(access, groupId),
      },
    };
    const { method, update, remove } = cases[noun];
    await away(method);
    const { result } = await update();
    await until(result.operationId, 'WAITING');
    const deletion = await remove();
    expect(await ended(result.operationId)).toMatchObject({ state: 'CANCELLED' });
    expect(await ended(deletion.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  });

  it('gives up on the groups of a port that is gone', async () => {
    const { groups, center } = bench;
    const { projectId, port } = await bench.routed();
    const groupId = String((await groups.create(access, { projectId, name: 'web' })).result.id);
    await away('ensurePort');
    const { result } = await groups.updatePort(access, { portId: port.portId, add: [groupId] });
    await until(result.operationId, 'WAITING');
    const driver = await center.drivers.driver(center.backendId);
    await driver.network.removePort(bench.call('gone'), port.portId);
    await center.operations.submit(planPortRemoval([port.portId]));
    expect(await ended(result.operationId)).toMatchObject({ state: 'FAILED', error: { code: 'INVALID_STATE' } });
  });

  it('leads nowhere when what it led to has got another floating IP meanwhile', async () => {
    const { floating, center } = bench;
    const { projectId, networkId, port } = await bench.routed();
    const loadBalancerId = await bench.balancerIn(networkId);
    const [one, two] = [await bench.makeFloating(projectId), await bench.makeFloating(projectId)];
    await bench.succeeded(await floating.associate(access, { id: one, portId: port.portId }));
    await away('ensureFloatingIp', one);
    const moved = await floating.associate(access, { id: one, loadBalancerId });
    await until(moved.result.operationId, 'WAITING');
    const taken = await floating.associate(access, { id: two, portId: port.portId });
    await center.operations.cancel(String(moved.result.operationId));
    const notRestored = [{ step: 'realise', resourceId: one, message: expect.stringMatching(/^The floating IP leads nowhere, and not to where it led before\. .+/) as string }];
    expect(await ended(moved.result.operationId)).toMatchObject({ state: 'CANCELLED', error: null, not_restored: notRestored });
    await bench.succeeded(taken);
    expect(await bench.floatingIp(one)).toMatchObject({ network_id: null, port_id: null, load_balancer_id: null });
    expect(await bench.objects()).not.toContain(one);
    expect(await bench.told(two)).toMatchObject({ target: { portId: port.portId } });
  });

  it('leads nowhere when the router of where it led has gone meanwhile', async () => {
    const { floating, routers, center } = bench;
    const { projectId, routerId, port } = await bench.routed();
    const there = await bench.makeNetwork(projectId);
    await bench.makeRouter(projectId, [there]);
    const loadBalancerId = await bench.balancerIn(there);
    const id = await bench.makeFloating(projectId);
    await bench.succeeded(await floating.associate(access, { id, portId: port.portId }));
    await away('ensureFloatingIp', id);
    await away('removeRouter', routerId);
    const { result } = await floating.associate(access, { id, loadBalancerId });
    await until(result.operationId, 'WAITING');
    const deletion = await routers.delete(access, { id: routerId });
    await center.operations.cancel(String(result.operationId));
    expect(await ended(result.operationId)).toMatchObject({ state: 'CANCELLED' });
    expect(await bench.floatingIp(id)).toMatchObject({ network_id: null });
    await center.world.clearFaults();
    await bench.succeeded(deletion);
  });

  it('attaches only networks again that are still free', async () => {
    const { routers, center } = bench;
    const projectId = bench.freshProject();
    const [kept, lost, going] = [await bench.makeNetwork(projectId), await bench.makeNetwork(projectId), await bench.makeNetwork(projectId)];
    const id = await bench.makeRouter(projectId, [kept, lost, going]);
    const other = await bench.makeRouter(projectId, []);
    await away('ensureRouter', id);
    const moved = await routers.update(access, { id, detach: [kept, lost, going] });
    await until(moved.result.operationId, 'WAITING');
    const taken = await routers.update(access, { id: other, attach: [lost] });
    await away('removeNetwork', going);
    const gone = await bench.networks.delete(access, { id: going });
    await center.operations.cancel(String(moved.result.operationId));
    await until(moved.result.operationId, 'UNDOING');
    await center.world.clearFaults();
    const { not_restored: lostOnes, state } = await ended(moved.result.operationId);
    expect(state).toBe('CANCELLED');
    expect(lostOnes.map(({ resourceId }) => resourceId)).toEqual([lost, going]);
    expect(lostOnes.map(({ message }) => message.replace(/"[^"]+"/, '…').replace('PENDING_DELETE', 'DELETING'))).toEqual([
      'The network is not on the router again. The network … is on another router; take it off that first.',
      'The network is not on the router again. The network … is DELETING and takes no new users.',
    ]);
    await bench.succeeded(taken);
    await bench.succeeded(gone);
    const links = await bench.room.database.rows(findRoutersOfNetworks, [kept, lost, going]);
    expect(Object.fromEntries(links.map((row) => [row.network_id, row.router_id]))).toEqual({ [kept]: id, [lost]: other });
    expect(await bench.told(id)).toMatchObject({ networks: [{ networkId: kept, link: 0 }] });
  });

  it('says which floating IPs have come to need what it takes back, and goes on without them', async () => {
    const { routers, floating, center } = bench;
    const projectId = bench.freshProject();
    const networkId = await bench.makeNetwork(projectId);
    const port = await bench.makePort(projectId, networkId);
    const id = await bench.makeRouter(projectId, []);
    await away('ensureRouter', id);
    const { result } = await routers.update(access, { id, attach: [networkId] });
    await until(result.operationId, 'WAITING');
    const floatingIp = await bench.makeFloating(projectId);
    const led = await floating.associate(access, { id: floatingIp, portId: port.portId });
    await center.operations.cancel(String(result.operationId));
    await until(result.operationId, 'UNDOING');
    await expect
      .poll(async () => (await center.operation(result.operationId)).blocker)
      .toMatchObject({ code: 'INVALID_STATE', data: { floatingIps: [expect.objectContaining({ id: floatingIp })] } });
    await center.world.clearFaults();
    await center.operations.cancel(String(led.result.operationId)).catch(() => undefined);
    await ended(led.result.operationId);
    await bench.succeeded(await floating.dissociate(access, { id: floatingIp }));
    expect(await ended(result.operationId)).toMatchObject({ state: 'CANCELLED' });
    expect(await bench.told(id)).toMatchObject({ networks: [] });
  });

  it('lets a security group go that rules of before name', async () => {
    const { groups, center } = bench;
    const { projectId, port } = await bench.routed();
    const named = String((await groups.create(access, { projectId, name: 'named' })).result.id);
    const rules = [{ direction: 'INGRESS', protocol: 'TCP', ports: { from: 80 }, remoteSecurityGroupId: named }] as const;
    const naming = String((await groups.create(access, { projectId, name: 'naming', rules: [...rules] })).result.id);
    await bench.succeeded(await groups.updatePort(access, { portId: port.portId, add: [named, naming] }));
    await bench.succeeded(await groups.updatePort(access, { portId: port.portId, remove: [named] }));
    await away('ensureSecurityGroup', naming);
    await away('removeSecurityGroup', named);
    const { result } = await groups.update(access, { id: naming, rules: [] });
    await until(result.operationId, 'WAITING');
    const deletion = await groups.delete(access, named);
    await center.operations.cancel(String(result.operationId));
    await until(result.operationId, 'UNDOING');
    await expect.poll(async () => (await bench.center.operation(result.operationId)).blocker?.code).toBe('UNAVAILABLE');
    await center.world.clearFaults();
    const notRestored = [{ step: 'realise', resourceId: named, message: expect.stringContaining('they are about nobody') as string }];
    expect(await ended(result.operationId)).toMatchObject({ state: 'CANCELLED', not_restored: notRestored });
    await bench.succeeded(deletion);
  });

  it('says which member a load balancer has lost for good, and which group a port', async () => {
    const { balancers, groups, center } = bench;
    const { projectId, networkId, port } = await bench.routed();
    const id = await bench.balancerIn(networkId);
    const [gone, stays] = [await bench.makePort(projectId, networkId), port];
    await bench.succeeded(await balancers.updateMembers(access, { id, add: [gone.portId, stays.portId] }));
    const groupId = String((await groups.create(access, { projectId, name: 'left' })).result.id);
    await bench.succeeded(await groups.updatePort(access, { portId: stays.portId, add: [groupId] }));
    await away('ensureLoadBalancer');
    await away('ensurePort');
    await away('removeSecurityGroup', groupId);
    const members = await balancers.updateMembers(access, { id, remove: [gone.portId, stays.portId] });
    const left = await groups.updatePort(access, { portId: stays.portId, remove: [groupId] });
    await until(members.result.operationId, 'WAITING');
    await until(left.result.operationId, 'WAITING');
    await center.operations.submit(planPortRemoval([gone.portId]));
    const deletion = await groups.delete(access, groupId);
    for (const { result } of [members, left]) await center.operations.cancel(String(result.operationId));
    await until(members.result.operationId, 'UNDOING');
    await until(left.result.operationId, 'UNDOING');
    await center.world.clearFaults();
    expect(await ended(members.result.operationId)).toMatchObject({ state: 'CANCELLED', not_restored: [{ step: 'realise', resourceId: gone.portId }] });
    expect(await ended(left.result.operationId)).toMatchObject({ state: 'CANCELLED', not_restored: [{ step: 'realise', resourceId: groupId }] });
    await bench.succeeded(deletion);
  });

  describe('in a suspended project', () => {
    async function suspend(projectId: string): Promise<void> {
      const [scope] = await bench.room.database.rows(findScopes, [projectId]);
      await bench.center.operations.submit(new ChangeSet().add(SCOPES, { scopeId: projectId, version: scope?.version ?? 0, state: 'SUSPENDED' }));
    }

    it('lets a router shrink, and not grow', async () => {
      const { routers } = bench;
      const { projectId, networkId, routerId } = await bench.routed();
      const more = await bench.makeNetwork(projectId);
      const external = await lastAddress();
      await suspend(projectId);
      for (const input of [{ attach: [more] }, { externalNetwork: external }]) {
        await expect(routers.update(access, { id: routerId, ...input })).rejects.toMatchObject({ code: 'INVALID_STATE', data: { state: 'SUSPENDED' } });
      }
      await bench.succeeded(await routers.update(access, { id: routerId, detach: [networkId], externalNetwork: null }));
    });

    it('makes nothing again that failed before', async () => {
      const { routers, networks, balancers, subnets, center } = bench;
      const { projectId, networkId } = await bench.routed();
      const failing = async (method: string, making: () => Promise<{ result: { operationId?: unknown } }>): Promise<string> => {
        await refused(method);
        const { result } = await making();
        expect(await ended(result.operationId)).toMatchObject({ state: 'FAILED' });
        await center.world.clearFaults();
        return String(result.operationId);
      };
      const failed = [
        await failing('ensureRouter', async () => routers.create(access, { projectId, name: 'late', externalNetwork: bench.outside })),
        await failing('ensureNetwork', async () => networks.create(access, { projectId, name: 'late', subnet: {}, zones: [center.zoneId] })),
        await failing('ensureNetwork', async () => subnets.create(access, { networkId, name: 'late' })),
        await failing('ensureLoadBalancer', async () => balancers.create(access, { networkId, name: 'late', listeners: [{ port: 443, memberPort: 8443 }] })),
      ];
      await suspend(projectId);
      for (const id of failed) await expect(center.operations.retry(id)).rejects.toMatchObject({ code: 'INVALID_STATE', data: { state: 'SUSPENDED' } });
    });
  });

  it('refuses a subnet inside of what its router leads to, and chooses none there', async () => {
    const { subnets, networks } = bench;
    const projectId = bench.freshProject();
    // Where blocks are chosen from when nobody names one.
    const external = await bench.makeExternal('10.32.0.0/16');
    const networkId = await bench.succeeded(await networks.create(access, { projectId, name: 'empty', zones: [bench.center.zoneId] }));
    await bench.makeRouter(projectId, [networkId], external);
    const inside = { networkId, name: 'inside', cidr: '10.32.7.0/24' };
    await expect(subnets.create(access, inside)).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.cidr' });
    await bench.succeeded(await subnets.create(access, { networkId, name: 'chosen' }));
  });

  it('has no more groups on a port, and no more members of a load balancer, than allowed, by however many plans', async () => {
    const { groups, networks, balancers, center } = bench;
    const projectId = bench.freshProject();
    const networkId = await bench.succeeded(await networks.create(access, { projectId, name: 'large', subnet: { cidr: '10.8.0.0/22' }, zones: [center.zoneId] }));
    const port = await bench.makePort(projectId, networkId);
    const apply = async (id: string | undefined) => center.commands.applyPlan(access, id ?? '');
    const made = async (name: string): Promise<string> => String((await groups.create(access, { projectId, name })).result.id);
    const all: string[] = [];
    for (let index = 0; index < MAX_GROUPS + 1; index += 1) all.push(await made(`group-${index}`));
    const halves = [all.slice(0, 8), all.slice(8)];
    const plans = await Promise.all(halves.map(async (add) => groups.updatePort(access, { portId: port.portId, add }, { dryRun: true })));
    await bench.succeeded(await apply(plans[0]?.plan?.id));
    await expect(apply(plans[1]?.plan?.id)).rejects.toMatchObject({ code: 'PLAN_STALE', data: { code: 'LIMIT_EXCEEDED' } });
    const id = await bench.balancerIn(networkId);
    const ports = await bench.planPorts(projectId, networkId, MAX_MEMBERS + 1);
    const add = ports.map(({ portId }) => portId);
    const adding = [
      await balancers.updateMembers(access, { id, add: add.slice(0, 128) }, { dryRun: true }),
      await balancers.updateMembers(access, { id, add: add.slice(128) }, { dryRun: true }),
    ];
    await bench.succeeded(await apply(adding[0]?.plan?.id));
    await expect(apply(adding[1]?.plan?.id)).rejects.toMatchObject({ code: 'PLAN_STALE', data: { code: 'LIMIT_EXCEEDED' } });
  });
});
