import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { countStatements, networkBench, type NetworkBench, type TestApi, type TestTenant } from '#testing';

interface NetworkShown {
  id: string;
  name: string;
  domain: string;
  state: string;
  portCount: number;
  subnets: { id: string; cidr: string; size: number; used: number; healthCheckAddress: string | null }[];
  conditions: { reason: string }[];
  currentOperation: { kind: string } | null;
}

const FIELDS = `id name domain state portCount subnets { id cidr size used healthCheckAddress } conditions { reason } currentOperation { kind }`;
const CREATE = `mutation ($input: CreateNetworkInput!) { createNetwork(input: $input) {
  network { ${FIELDS} } operation { id kind } plan { resources { kind name data } problems { code field } } } }`;
const BALANCER = `id address state listeners { port memberPort } members { portId address }`;

describe('networks over GraphQL', () => {
  let bench: NetworkBench;
  let room: NetworkBench['room'];
  let center: NetworkBench['center'];
  let api: TestApi;
  let tenant: TestTenant;

  beforeAll(async () => {
    bench = await networkBench(2);
    ({ room, center, tenant } = bench);
    api = await bench.api();
  });
  afterAll(() => bench.close());

  const projectId = (index = 0): string => tenant.projectIds[index] ?? '';

  async function create(input: Record<string, unknown>): Promise<{ network: NetworkShown; operation: { id: string; kind: string } | null }> {
    const made = await api.data<{ createNetwork: { network: NetworkShown; operation: { id: string; kind: string } | null } }>('ann', CREATE, { input });
    return made.createNetwork;
  }

  async function makePorts(networkId: string, amount: number, project = projectId()): Promise<string[]> {
    return (await bench.planPorts(project, networkId, amount)).map(({ portId }) => portId);
  }

  it('makes a network that can be used at once, and one on the backends of a zone', async () => {
    const { network, operation } = await create({ projectId: projectId(), name: 'lazy', subnet: { cidr: '10.1.0.0/24', name: null } });
    expect(operation).toBeNull();
    expect(network).toMatchObject({
      name: 'lazy', domain: 'lazy.internal', state: 'ACTIVE', portCount: 0, conditions: [{ reason: 'NOT_PLACED' }], currentOperation: null,
      subnets: [{ cidr: '10.1.0.0/24', size: 252, used: 0, healthCheckAddress: '10.1.0.254' }],
    });
    const eager = await create({ projectId: projectId(), name: 'eager', zones: [center.zoneId] });
    expect(eager).toMatchObject({ operation: { kind: 'network.network.create' }, network: { state: 'CREATING', currentOperation: { kind: 'network.network.create' } } });
    await center.ended(eager.operation?.id);
    const shown = await api.data<{ node: NetworkShown }>('ann', `query ($id: ID!) { node(id: $id) { ... on Network { ${FIELDS} } } }`, { id: eager.network.id });
    expect(shown.node).toMatchObject({ state: 'ACTIVE', conditions: [{ reason: 'AS_DESIRED' }], currentOperation: null });
  });

  it('shows a plan, and what stands in its way', async () => {
    const planned = await api.data<{ createNetwork: Record<string, unknown> }>('ann', CREATE, {
      input: { projectId: projectId(), name: 'lazy', subnet: {}, dryRun: true },
    });
    expect(planned.createNetwork).toMatchObject({
      network: null, operation: null,
      plan: { resources: [{ kind: 'network' }, { kind: 'subnet', data: { addresses: 252 } }], problems: [{ code: 'ALREADY_EXISTS', field: 'input.name' }] },
    });
  });

  it.each([
    [{ name: 'Wrong' }, 'INVALID_INPUT', 'input.name'],
    [{ name: 'ok', subnet: { cidr: '10.1.0.0/12' } }, 'INVALID_INPUT', 'input.subnet.cidr'],
    [{ name: 'ok', subnet: { cidr: '10.1.0.128/25' } }, 'INVALID_INPUT', 'input.subnet.cidr'],
    [{ name: 'ok', subnet: { cidr: '10.2.0.0/24', gateway: '10.3.0.1' } }, 'INVALID_INPUT', 'input.subnet.gateway'],
    [{ name: 'ok', subnet: { cidr: '10.2.0.0/24', pools: [{ first: '10.2.0.1', last: '10.2.0.1' }] } }, 'INVALID_INPUT', 'input.subnet.pools'],
    [{ name: 'ok', zones: ['nowhere'] }, 'NOT_FOUND', 'input.zones.0'],
    [{ name: 'ok', projectId: 'prj_01h455vb4pex5vsknk084sn02q' }, 'NOT_FOUND', 'input.projectId'],
  ])('refuses %j with the field', async (input, code, field) => {
    const answer = await api.ask('ann', CREATE, { input: { projectId: projectId(), ...input } });
    expect(answer.errors?.[0]?.extensions).toMatchObject({ code, field });
  });

  it('reads a page of networks with everything below in as many statements as one', async () => {
    for (let index = 0; index < 8; index += 1) {
      const { network } = await create({ projectId: projectId(1), name: `many-${index}`, subnet: {} });
      await makePorts(network.id, 2, projectId(1));
    }
    const query = `query ($first: Int, $project: ID!) { networks(first: $first, projectId: $project) { totalCount nodes { ${FIELDS} } } }`;
    const count = (first: number): Promise<number> => countStatements(room.database, () => api.data('ann', query, { first, project: projectId(1) }));
    const one = await count(1);
    // The worker's own looking for work may come in between.
    expect(await count(8)).toBeLessThanOrEqual(one + 4);
    const page = await api.compiled<{ networks: { totalCount: number; nodes: NetworkShown[] } }>('ann', query, { first: 8, project: projectId(1) });
    expect(page.networks.totalCount).toBe(8);
    expect(page.networks.nodes.map((node) => [node.name, node.portCount, node.subnets[0]?.used])).toEqual(
      Array.from({ length: 8 }, (_, index) => [`many-${index}`, 2, 2]),
    );
  });

  it('pages, orders and filters ports', async () => {
    const { network } = await create({ projectId: projectId(), name: 'ports', subnet: {} });
    const ids = await makePorts(network.id, 5);
    const query = `query ($id: ID!, $after: Cursor) { ports(networkId: $id, first: 3, after: $after, order: CREATED) {
      totalCount nodes { id name address macAddress state ownerId } pageInfo { hasNextPage endCursor } } }`;
    interface Page { ports: { totalCount: number; nodes: { id: string; state: string; macAddress: string }[]; pageInfo: { hasNextPage: boolean; endCursor: string } } }
    const first = await api.data<Page>('ann', query, { id: network.id });
    const second = await api.data<Page>('ann', query, { id: network.id, after: first.ports.pageInfo.endCursor });
    expect([...first.ports.nodes, ...second.ports.nodes].map((port) => port.id).sort()).toEqual([...ids].sort());
    expect([first.ports.totalCount, first.ports.pageInfo.hasNextPage, second.ports.pageInfo.hasNextPage]).toEqual([5, true, false]);
    // Locally administered and for one receiver: the second hexadecimal digit says both.
    expect(first.ports.nodes.every((port) => port.state === 'PENDING' && /^.[26ae]:/.test(port.macAddress))).toBe(true);
  });

  it('changes a load balancer member by member, and deletes it', async () => {
    const { network } = await create({ projectId: projectId(), name: 'front', subnet: {}, zones: [center.zoneId] });
    await expect.poll(async () => (await api.data<{ networks: { nodes: NetworkShown[] } }>('ann', `{ networks(name: "front") { nodes { ${FIELDS} } } }`)).networks.nodes[0]?.state).toBe('ACTIVE');
    const [one, two] = await makePorts(network.id, 2);
    const made = await api.data<{ createLoadBalancer: { loadBalancer: { id: string }; operation: { id: string } } }>(
      'ann',
      `mutation ($input: CreateLoadBalancerInput!) { createLoadBalancer(input: $input) { loadBalancer { ${BALANCER} } operation { id } } }`,
      { input: { networkId: network.id, name: 'api', listeners: [{ port: 443, memberPort: 6443 }], members: [one] } },
    );
    const { loadBalancer, operation } = made.createLoadBalancer;
    expect(loadBalancer).toMatchObject({ state: 'CREATING', listeners: [{ port: 443, memberPort: 6443 }], members: [{ portId: one }] });
    await center.ended(operation.id);
    const update = `mutation ($input: UpdateLoadBalancerMembersInput!) { updateLoadBalancerMembers(input: $input) { loadBalancer { ${BALANCER} } operation { id } } }`;
    const changed = await api.data<{ updateLoadBalancerMembers: typeof made.createLoadBalancer }>('ann', update, { input: { id: loadBalancer.id, add: [two], remove: [one] } });
    expect(changed.updateLoadBalancerMembers.loadBalancer).toMatchObject({ state: 'UPDATING', members: [{ portId: two }] });
    await center.ended(changed.updateLoadBalancerMembers.operation.id);
    const refused = await api.ask('ann', `mutation { deleteNetwork(input: { id: "${network.id}" }) { operation { id } } }`);
    expect(refused.errors?.[0]).toMatchObject({ message: expect.stringContaining('load balancer "api"'), extensions: { code: 'INVALID_STATE' } });
    const gone = await api.data<{ deleteLoadBalancer: { loadBalancer: { state: string }; operation: { id: string } } }>(
      'ann',
      `mutation { deleteLoadBalancer(input: { id: "${loadBalancer.id}" }) { loadBalancer { state } operation { id } } }`,
    );
    expect(gone.deleteLoadBalancer.loadBalancer.state).toBe('DELETING');
    await center.ended(gone.deleteLoadBalancer.operation.id);
    expect((await api.ask('ann', `{ node(id: "${loadBalancer.id}") { id } }`)).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
  });

  it('does not exist for strangers, in no list and under no id', async () => {
    const { network } = await create({ projectId: projectId(), name: 'hidden', subnet: {} });
    const [port] = await makePorts(network.id, 1);
    for (const id of [network.id, network.subnets[0]?.id, port]) {
      expect((await api.ask('stranger', `{ node(id: "${id}") { id } }`)).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    }
    const lists = await api.data<Record<string, { totalCount: number }>>(
      'stranger',
      '{ networks { totalCount } subnets { totalCount } ports { totalCount } loadBalancers { totalCount } }',
    );
    expect(Object.values(lists).map((list) => list.totalCount)).toEqual([0, 0, 0, 0]);
    const texts = [
      `mutation { deleteNetwork(input: { id: "${network.id}" }) { plan { id } } }`,
      `mutation { createSubnet(input: { networkId: "${network.id}", name: "mine" }) { plan { id } } }`,
      `mutation { deleteSubnet(input: { id: "${network.subnets[0]?.id}" }) { plan { id } } }`,
      `mutation { createLoadBalancer(input: { networkId: "${network.id}", name: "mine", listeners: [{ port: 1, memberPort: 1 }] }) { plan { id } } }`,
    ];
    for (const text of texts) expect((await api.ask('stranger', text)).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
  });
});
