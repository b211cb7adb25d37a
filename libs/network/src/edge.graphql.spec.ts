import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { countStatements, networkBench, type NetworkBench, type TestApi, type TestTenant } from '#testing';

const EXTERNAL = 'id name cidr gateway state backendId physicalNetwork pools { first last } addressCount usedAddressCount currentOperation { kind }';
const ROUTER = 'id name state externalAddress transitAddress sourceNat version networks { id name } externalNetwork { name } providerRouter { name } currentOperation { kind }';
const FLOATING = 'id name address state portId loadBalancerId version externalNetwork { name } currentOperation { kind }';

const PROVIDER = 'id name state externalAddress transitCidr backendId gatewayHosts usedAddressCount version externalNetwork { name } currentOperation { kind }';

interface Shown {
  id: string;
  version: number;
  state: string;
  address: string;
}
type Answer = Record<string, Record<'router' | 'floatingIp' | 'externalNetwork' | 'providerRouter' | 'network' | 'loadBalancer', Shown> & { operation: { id: string } | null; plan: unknown }>;

describe('routers and floating IPs over GraphQL', () => {
  let bench: NetworkBench;
  let room: NetworkBench['room'];
  let center: NetworkBench['center'];
  let api: TestApi;
  let tenant: TestTenant;
  let outside: string;

  beforeAll(async () => {
    bench = await networkBench(2);
    ({ room, center, tenant } = bench);
    api = await bench.api();
    const input = { name: 'outside', backendId: center.backendId, physicalNetwork: 'physnet1', cidr: '198.51.100.0/24', gateway: '198.51.100.1', pools: [{ first: '198.51.100.100', last: '198.51.100.199' }] };
    const made = await change('operator', 'createExternalNetwork', input, `externalNetwork { ${EXTERNAL} }`);
    outside = made.externalNetwork.id;
  });
  afterAll(() => bench.close());

  const projectId = (index = 0): string => tenant.projectIds[index] ?? '';

  /** Calls a mutation and waits for its operation. */
  async function change(caller: string, field: string, input: object, selection: string): Promise<Answer[string]> {
    const type = `${field[0]?.toUpperCase()}${field.slice(1)}Input`;
    const query = `mutation ($input: ${type}!) { ${field}(input: $input) { ${selection} operation { id } plan { problems { code } } } }`;
    const answer = (await api.data<Answer>(caller, query, { input }))[field];
    if (answer === undefined) throw new Error(`${field} was not answered`);
    if (answer.operation !== null) expect(await center.ended(answer.operation.id)).toMatchObject({ state: 'SUCCEEDED' });
    return answer;
  }

  async function routed(name: string, project = projectId()) {
    const { network } = await change('ann', 'createNetwork', { projectId: project, name, subnet: {}, zones: [center.zoneId] }, 'network { id }');
    const { router } = await change('ann', 'createRouter', { projectId: project, name, networkIds: [network.id], externalNetwork: 'outside' }, `router { ${ROUTER} }`);
    const listeners = [{ port: 443, memberPort: 8443 }];
    const { loadBalancer } = await change('ann', 'createLoadBalancer', { networkId: network.id, name, listeners }, 'loadBalancer { id }');
    const { floatingIp } = await change('ann', 'createFloatingIp', { projectId: project, name, externalNetwork: outside }, `floatingIp { ${FLOATING} }`);
    return { network, router, loadBalancer, floatingIp };
  }

  it('shows operators all of an external network, tenants what they need, and nobody nothing', async () => {
    const query = `{ externalNetworks(name: "outside") { totalCount nodes { ${EXTERNAL} } } }`;
    interface Page { externalNetworks: { totalCount: number; nodes: Shown[] } }
    const all = { backendId: center.backendId, physicalNetwork: 'physnet1', pools: [{ first: '198.51.100.100', last: '198.51.100.199' }], addressCount: 100 };
    expect((await api.data<Page>('operator', query)).externalNetworks.nodes[0]).toMatchObject({ ...all, usedAddressCount: expect.any(Number) as number });
    expect((await api.data<Page>('ann', query)).externalNetworks.nodes).toEqual([
      {
        id: outside, name: 'outside', cidr: '198.51.100.0/24', gateway: '198.51.100.1', state: 'ACTIVE',
        backendId: null, physicalNetwork: null, pools: null, addressCount: null, usedAddressCount: null, currentOperation: null,
      },
    ]);
    expect((await api.data<Page>('nobody', query)).externalNetworks).toEqual({ totalCount: 0, nodes: [] });
    const byId = `{ node(id: "${outside}") { id ... on ExternalNetwork { name } } }`;
    expect(await api.data('ann', byId)).toMatchObject({ node: { name: 'outside' } });
    expect((await api.ask('nobody', byId)).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    const refused = await api.ask('ann', `mutation { deleteExternalNetwork(input: { id: "${outside}" }) { operation { id } } }`);
    expect(refused.errors?.[0]?.extensions.code).toBe('FORBIDDEN');
  });

  it('makes a router, shows it from both sides, changes it and deletes it', async () => {
    const { network, router } = await routed('front');
    interface Node { node: Record<string, unknown> }
    const byId = `query ($id: ID!) { node(id: $id) { ... on Router { ${ROUTER} } ... on Network { router { id name externalAddress } } } }`;
    const shown = (await api.data<Node>('ann', byId, { id: router.id })).node;
    expect(shown).toMatchObject({ state: 'ACTIVE', sourceNat: true, networks: [{ id: network.id, name: 'front' }], externalNetwork: { name: 'outside' }, currentOperation: null });
    expect((await api.data<Node>('ann', byId, { id: network.id })).node).toEqual({ router: { id: router.id, name: 'front', externalAddress: shown['externalAddress'] } });
    const input = { id: router.id, expectedVersion: router.version, detach: [network.id], externalNetwork: null };
    const dry = await change('ann', 'updateRouter', { ...input, dryRun: true }, `router { ${ROUTER} }`);
    expect(dry).toMatchObject({ operation: null, plan: { problems: [] } });
    await change('ann', 'updateRouter', input, `router { ${ROUTER} }`);
    expect((await api.data<Node>('ann', byId, { id: router.id })).node).toMatchObject({ networks: [], externalNetwork: null, externalAddress: null, sourceNat: false });
    expect((await api.data<Node>('ann', byId, { id: network.id })).node).toEqual({ router: null });
    await change('ann', 'deleteRouter', { id: router.id }, 'router { id }');
    expect((await api.ask('ann', byId, { id: router.id })).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
  });

  it('makes a provider router, shows operators all of it and tenants what they need, and leads routers to it by name', async () => {
    const made = await change('operator', 'createProviderRouter', { name: 'shared', externalNetwork: 'outside' }, `providerRouter { ${PROVIDER} }`);
    const { id } = made.providerRouter;
    const { network } = await change('ann', 'createNetwork', { projectId: projectId(), name: 'behind', subnet: {}, zones: [center.zoneId] }, 'network { id }');
    const { router } = await change('ann', 'createRouter', { projectId: projectId(), name: 'behind', networkIds: [network.id], providerRouter: 'shared' }, 'router { id version }');
    const query = `{ providerRouters(name: "shared") { totalCount nodes { ${PROVIDER} } } }`;
    interface Page { providerRouters: { totalCount: number; nodes: Record<string, unknown>[] } }
    const own = (await api.data<Page>('operator', query)).providerRouters.nodes[0];
    expect(own).toMatchObject({ id, backendId: center.backendId, transitCidr: '100.64.0.0/16', usedAddressCount: 1, externalNetwork: { name: 'outside' } });
    expect(own?.['gatewayHosts']).not.toEqual([]);
    const forTenants = { ...own, backendId: null, gatewayHosts: null, usedAddressCount: null };
    expect((await api.data<Page>('ann', query)).providerRouters).toEqual({ totalCount: 1, nodes: [forTenants] });
    expect((await api.data<Page>('nobody', query)).providerRouters).toEqual({ totalCount: 0, nodes: [] });
    for (const named of [`id: "${id}"`, 'name: "shared"']) {
      expect(await api.data('ann', `{ providerRouter(${named}) { ${PROVIDER} } }`)).toEqual({ providerRouter: forTenants });
      expect((await api.ask('nobody', `{ providerRouter(${named}) { id } }`)).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    }
    expect((await api.ask('ann', '{ providerRouter { id } }')).errors?.[0]?.extensions.code).toBe('INVALID_INPUT');
    expect((await api.ask('ann', '{ providerRouter(name: "none") { id } }')).errors?.[0]?.extensions).toMatchObject({ code: 'NOT_FOUND', field: 'name' });
    const byId = `{ node(id: "${router.id}") { ... on Router { externalAddress transitAddress externalNetwork { id } providerRouter { id externalAddress } } } }`;
    expect(await api.data('ann', byId)).toEqual({
      node: { externalAddress: null, transitAddress: expect.stringMatching(/^100\.64\./) as string, externalNetwork: null, providerRouter: { id, externalAddress: own?.['externalAddress'] } },
    });
    const lists = `{ routers(providerRouterId: "${id}") { nodes { name } } providerRouters(externalNetworkId: "${outside}") { nodes { name } } }`;
    expect(await api.data('ann', lists)).toEqual({ routers: { nodes: [{ name: 'behind' }] }, providerRouters: { nodes: [{ name: 'shared' }] } });
    for (const text of [`createProviderRouter(input: { name: "mine", externalNetwork: "outside" }) { plan { id } }`, `deleteProviderRouter(input: { id: "${id}" }) { plan { id } }`]) {
      for (const caller of ['ann', 'nobody']) expect((await api.ask(caller, `mutation { ${text} }`)).errors?.[0]?.extensions.code, text).toBe('FORBIDDEN');
    }
    const inUse = await api.ask('operator', `mutation { deleteProviderRouter(input: { id: "${id}" }) { operation { id } } }`);
    expect(inUse.errors?.[0]?.extensions).toMatchObject({ code: 'INVALID_STATE' });
    await change('ann', 'updateRouter', { id: router.id, expectedVersion: router.version, providerRouter: null }, 'router { id }');
    await change('ann', 'deleteRouter', { id: router.id }, 'router { id }');
    await change('operator', 'deleteProviderRouter', { id }, 'providerRouter { id }');
    expect(await api.data('operator', '{ providerRouters { totalCount } }')).toEqual({ providerRouters: { totalCount: 0 } });
  });

  it('makes a floating IP, leads it to a load balancer, shows it from both sides, and gives it back', async () => {
    const { loadBalancer, floatingIp } = await routed('floating');
    expect(floatingIp).toMatchObject({ state: 'AVAILABLE', portId: null, loadBalancerId: null, externalNetwork: { name: 'outside' } });
    await change('ann', 'associateFloatingIp', { id: floatingIp.id, expectedVersion: floatingIp.version, loadBalancerId: loadBalancer.id }, `floatingIp { ${FLOATING} }`);
    const lists = `{ floatingIps(address: "${floatingIp.address}") { totalCount nodes { ${FLOATING} } } loadBalancers(name: "floating") { nodes { floatingIp { address } } } }`;
    expect(await api.data('ann', lists)).toMatchObject({
      floatingIps: { totalCount: 1, nodes: [{ id: floatingIp.id, state: 'ACTIVE', loadBalancerId: loadBalancer.id }] },
      loadBalancers: { nodes: [{ floatingIp: { address: floatingIp.address } }] },
    });
    const again = { id: floatingIp.id, expectedVersion: floatingIp.version };
    const stale = await api.ask('ann', 'mutation ($input: DissociateFloatingIpInput!) { dissociateFloatingIp(input: $input) { operation { id } } }', { input: again });
    expect(stale.errors?.[0]?.extensions).toMatchObject({ code: 'CONFLICT', field: 'input.expectedVersion' });
    const apart = await change('ann', 'dissociateFloatingIp', { id: floatingIp.id }, `floatingIp { ${FLOATING} }`);
    expect(apart.floatingIp).toMatchObject({ state: 'AVAILABLE', loadBalancerId: null });
    await change('ann', 'deleteFloatingIp', { id: floatingIp.id }, 'floatingIp { id }');
    expect(await api.data('ann', `{ floatingIps(name: "floating") { totalCount } }`)).toEqual({ floatingIps: { totalCount: 0 } });
  });

  it('reads a page of routers and floating IPs with all below in as many statements as one', async () => {
    const project = projectId(1);
    for (let index = 0; index < 4; index += 1) await routed(`many-${index}`, project);
    const query = `query ($first: Int, $project: ID!) {
      routers(projectId: $project, first: $first) { totalCount nodes { ${ROUTER} } }
      floatingIps(projectId: $project, first: $first) { totalCount nodes { ${FLOATING} } }
      networks(projectId: $project, first: $first) { nodes { router { id } } }
      loadBalancers(projectId: $project, first: $first) { nodes { floatingIp { id } } } }`;
    const count = (first: number): Promise<number> => countStatements(room.database, () => api.data('ann', query, { first, project }));
    const one = await count(1);
    // The worker's own looking for work may come in between.
    expect(await count(4)).toBeLessThanOrEqual(one + 4);
    const orders = `{ routers(projectId: "${project}", order: NEWEST, externalNetworkId: "${outside}") { nodes { name } } floatingIps(projectId: "${project}", tenantId: "${tenant.id}", order: CREATED) { nodes { name } } }`;
    expect(await api.data('ann', orders)).toEqual({
      routers: { nodes: [3, 2, 1, 0].map((index) => ({ name: `many-${index}` })) },
      floatingIps: { nodes: [0, 1, 2, 3].map((index) => ({ name: `many-${index}` })) },
    });
  });

  it('does not exist for strangers, in no list and under no id', async () => {
    const { router, floatingIp, loadBalancer, network } = await routed('hidden');
    for (const { id } of [router, floatingIp]) {
      expect((await api.ask('stranger', `{ node(id: "${id}") { id } }`)).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    }
    expect(await api.data('stranger', '{ routers { totalCount } floatingIps { totalCount } }')).toEqual({ routers: { totalCount: 0 }, floatingIps: { totalCount: 0 } });
    for (const text of [
      `deleteRouter(input: { id: "${router.id}" }) { plan { id } }`,
      `updateRouter(input: { id: "${router.id}", attach: ["${network.id}"] }) { plan { id } }`,
      `createRouter(input: { projectId: "${projectId()}", name: "mine" }) { plan { id } }`,
      `createFloatingIp(input: { projectId: "${projectId()}", name: "mine", externalNetwork: "outside" }) { plan { id } }`,
      `associateFloatingIp(input: { id: "${floatingIp.id}", loadBalancerId: "${loadBalancer.id}" }) { plan { id } }`,
      `dissociateFloatingIp(input: { id: "${floatingIp.id}" }) { plan { id } }`,
      `deleteFloatingIp(input: { id: "${floatingIp.id}" }) { plan { id } }`,
    ]) {
      expect((await api.ask('stranger', `mutation { ${text} }`)).errors?.[0]?.extensions.code, text).toBe('NOT_FOUND');
    }
  });
});
