import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { statement } from '#database';
import { edgeBench, systemAccess, type EdgeBench } from '#testing';
import { connectedHosts } from './external-network.js';
import { edgeDrift, findExternalNetworks, findProviderRouters, ProviderRouterService } from '../index.js';

const HOSTS = ['host-1', 'host-2', 'host-3'];

/** A host that the backend knows nothing of: it has not come yet. */
const addHost = statement<never, [name: string, like: string]>(
  'spec.unknown_host',
  `INSERT INTO host (id, backend_id, zone_id, name, cpu, memory_mib, health)
   SELECT 'hst_' || $1, backend_id, zone_id, $1, cpu, memory_mib, health FROM host WHERE id = $2`,
);
const removeHost = statement<never, [name: string]>('spec.known_host', 'DELETE FROM host WHERE name = $1');

describe('which hosts reach an external network', () => {
  it.each([
    ['nothing is known', null, { connected: [], unconnected: [] }, null],
    ['all reach it', null, { connected: HOSTS, unconnected: [] }, HOSTS],
    ['one is known to reach it', null, { connected: ['host-2'], unconnected: ['host-3'] }, ['host-2']],
    ['none does', HOSTS, { connected: [], unconnected: HOSTS }, []],
    ['the others are off', null, { connected: [], unconnected: ['host-1'] }, null],
    ['one that did is off', ['host-1', 'host-2'], { connected: ['host-2'], unconnected: ['host-3'] }, ['host-1', 'host-2']],
    ['the only one that did is off', ['host-1'], { connected: [], unconnected: ['host-2', 'host-3'] }, ['host-1']],
    ['one that did has gone', ['host-0', 'host-1'], { connected: [], unconnected: ['host-2', 'host-3'] }, ['host-1']],
  ])('when %s', (_case, before, seen, after) => {
    expect(connectedHosts(before, HOSTS, seen)).toEqual(after);
  });
});

describe('external networks that not every host reaches', () => {
  let bench: EdgeBench;
  let providers: ProviderRouterService;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await edgeBench();
    providers = new ProviderRouterService(bench.center.commands);
  });
  afterAll(() => bench.close());

  const connect = async (physicalNetwork: string, connected: boolean, ...names: string[]): Promise<void> => {
    for (const name of names) await bench.center.world.connectHost(name, physicalNetwork, connected);
  };
  const inputOf = (physicalNetwork: string, cidr: string) => ({
    name: bench.unique('outside'),
    backendId: bench.center.backendId,
    physicalNetwork,
    cidr,
    gateway: cidr.replace(/\.\d+\/\d+$/, '.1'),
  });
  const external = async (id: unknown) => (await bench.room.database.rows(findExternalNetworks, [String(id)]))[0];
  const gateways = async (id: string): Promise<string[]> => [
    ...((await bench.router(id)) ?? (await bench.room.database.rows(findProviderRouters, [id]))[0])?.gateway_hosts ?? [],
  ].sort();

  /** @returns how many repairs it began */
  async function look(): Promise<number> {
    const started = await bench.look(edgeDrift(bench.room.database, bench.center.drivers, { graceMs: 0 }));
    for (const id of started) expect(await bench.center.ended(id)).toMatchObject({ state: 'SUCCEEDED' });
    return started.length;
  }

  it('fail when no host does, with the reason, and can be tried again', async () => {
    await connect('physnet-misspelt', false, ...HOSTS);
    const { result } = await bench.externals.create(access, inputOf('physnet-misspelt', '192.0.2.0/24'));
    const ended = await bench.center.ended(result.operationId);
    expect(ended).toMatchObject({
      state: 'FAILED',
      error: { code: 'INVALID_STATE', fault: 'OPERATOR', retryable: false, field: 'input.physicalNetwork', data: { physicalNetwork: 'physnet-misspelt', hosts: HOSTS } },
    });
    expect(ended.error?.message).toContain('(host-1, host-2, host-3) has a bridge to the physical network "physnet-misspelt"');
    expect(await external(result.id)).toMatchObject({ lifecycle: 'FAILED', failure: { code: 'INVALID_STATE' } });
    expect(await bench.objects()).not.toContain(result.id);
    await connect('physnet-misspelt', true, 'host-2');
    await bench.center.operations.retry(String(result.operationId));
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await external(result.id)).toMatchObject({ lifecycle: 'PRESENT', failure: null, connected_hosts: ['host-2'] });
  });

  it('do not fail because a host is off, or not there yet', async () => {
    await connect('physnet-edge', false, 'host-1', 'host-2');
    await bench.center.world.setHost('host-3', 'DEAD');
    const off = await bench.succeeded(await bench.externals.create(access, inputOf('physnet-edge', '10.99.3.0/24')));
    await bench.center.world.setHost('host-3', 'ALIVE');
    expect(await external(off)).toMatchObject({ connected_hosts: ['host-3'] });
    await bench.room.database.transaction((transaction) => transaction.execute(addHost, 'host-late', bench.center.hostIds[0] ?? ''));
    await connect('physnet-late', false, ...HOSTS);
    const late = await bench.succeeded(await bench.externals.create(access, inputOf('physnet-late', '10.99.4.0/24')));
    expect(await external(late)).toMatchObject({ lifecycle: 'PRESENT', connected_hosts: null });
    await bench.room.database.transaction((transaction) => transaction.execute(removeHost, 'host-late'));
    await look();
    expect(await external(late)).toMatchObject({ connected_hosts: [] });
  });

  it('are led to by those hosts alone, and by others when bridges come and go', async () => {
    const physicalNetwork = 'physnet-few';
    await connect(physicalNetwork, false, 'host-1');
    const outside = await bench.succeeded(await bench.externals.create(access, inputOf(physicalNetwork, '10.99.1.0/24')));
    const routers = [
      await bench.makeRouter(bench.freshProject(), [], outside),
      await bench.succeeded(await providers.create(access, { name: bench.unique('shared'), externalNetwork: outside })),
    ];
    for (const id of routers) expect(await gateways(id)).toEqual(['host-2', 'host-3']);
    await look();
    expect(await look()).toBe(0);
    await connect(physicalNetwork, true, 'host-1');
    await connect(physicalNetwork, false, 'host-3');
    expect(await look()).toBe(2);
    for (const id of routers) expect(await gateways(id)).toEqual(['host-1', 'host-2']);
    expect(await look()).toBe(0);
    expect(await external(outside)).toMatchObject({ connected_hosts: ['host-1', 'host-2'] });
  });

  it('take no routers, providers’ routers and floating IPs while nobody does, and leave those that are there as they are', async () => {
    const physicalNetwork = 'physnet-lost';
    const outside = await bench.succeeded(await bench.externals.create(access, inputOf(physicalNetwork, '10.99.2.0/24')));
    const provider = await bench.succeeded(await providers.create(access, { name: bench.unique('shared'), externalNetwork: outside }));
    const before = await gateways(provider);
    await connect(physicalNetwork, false, ...HOSTS);
    expect(await look()).toBe(0);
    const projectId = bench.freshProject();
    const refused = (field: string) => ({ code: 'INVALID_STATE', fault: 'OPERATOR', field, message: expect.not.stringContaining('host-') as string });
    const router = { projectId, name: 'late', networkIds: [] };
    await expect(bench.routers.create(access, { ...router, externalNetwork: outside })).rejects.toMatchObject(refused('input.externalNetwork'));
    await expect(bench.routers.create(access, { ...router, providerRouter: provider })).rejects.toMatchObject(refused('input.providerRouter'));
    await expect(bench.floating.create(access, { projectId, name: 'late', externalNetwork: outside })).rejects.toMatchObject(refused('input.externalNetwork'));
    await expect(providers.create(access, { name: bench.unique('late'), externalNetwork: outside })).rejects.toMatchObject(refused('input.externalNetwork'));
    expect(await gateways(provider)).toEqual(before);
    await connect(physicalNetwork, true, ...HOSTS);
    await look();
    await bench.makeRouter(projectId, [], outside);
  });
});
