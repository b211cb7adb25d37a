import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { countStatements, networkBench, type NetworkBench, type TestApi, type TestTenant } from '#testing';

const RULE = 'direction protocol ports { from to } remoteCidr description';
const GROUP = `id name description projectId tenantId state version rules { ${RULE} remoteSecurityGroupId } currentOperation { kind }`;
const POLICY = `id name position scopeId state version rules { action ${RULE} } failure { code }`;
const CREATE = `mutation ($input: CreateSecurityGroupInput!) { createSecurityGroup(input: $input) {
  securityGroup { ${GROUP} } operation { id } plan { resources { kind name } problems { code field } } } }`;
const UPDATE = `mutation ($input: UpdateSecurityGroupInput!) { updateSecurityGroup(input: $input) { securityGroup { ${GROUP} } operation { id kind } } }`;
const SECURE = `mutation ($input: UpdatePortSecurityGroupsInput!) { updatePortSecurityGroups(input: $input) {
  port { id state securityGroups { id name } } operation { id kind } } }`;
const MAKE_POLICY = `mutation ($input: CreateFirewallPolicyInput!) { createFirewallPolicy(input: $input) { firewallPolicy { ${POLICY} } operation { id } } }`;
const EXPLAIN = `query ($input: ExplainFirewallInput!) { explainFirewall(input: $input) {
  allowed checks { direction portId allowed decidedBy securityGroupId firewallPolicyId message } } }`;

interface Group {
  id: string;
  version: number;
  state: string;
}
interface Explained {
  explainFirewall: { allowed: boolean; checks: { direction: string; decidedBy: string; firewallPolicyId: string | null; securityGroupId: string | null; message: string }[] };
}

describe('security groups and firewall policies over GraphQL', () => {
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
  const WEB = { direction: 'INGRESS', protocol: 'TCP', ports: { from: 80 } };

  async function createGroup(name: string, more: object = {}): Promise<Group> {
    const { createSecurityGroup } = await api.data<{ createSecurityGroup: { securityGroup: Group } }>('ann', CREATE, {
      input: { projectId: projectId(), name, rules: [WEB], ...more },
    });
    return createSecurityGroup.securityGroup;
  }

  let networks = 0;
  async function makePorts(amount: number, project = projectId()): Promise<{ id: string; address: string }[]> {
    networks += 1;
    const { createNetwork } = await api.data<{ createNetwork: { network: { id: string } } }>(
      'ann',
      'mutation ($input: CreateNetworkInput!) { createNetwork(input: $input) { network { id } } }',
      { input: { projectId: project, name: `net-${networks}`, subnet: {} } },
    );
    const networkId = createNetwork.network.id;
    return (await bench.planPorts(project, networkId, amount)).map(({ portId, address }) => ({ id: portId, address }));
  }

  async function secure(portId: string, change: { add?: string[]; remove?: string[] }): Promise<{ state: string; securityGroups: { id: string }[] }> {
    const { updatePortSecurityGroups: answer } = await api.data<{
      updatePortSecurityGroups: { operation: { id: string; kind: string } | null; port: { state: string; securityGroups: { id: string }[] } };
    }>('ann', SECURE, { input: { portId, ...change } });
    expect(answer.operation?.kind).toBe('network.port.secure');
    await center.ended(answer.operation?.id);
    return answer.port;
  }

  it('makes a group at once, plans one, changes its rules by an operation, and finds it by node and in lists', async () => {
    const group = await createGroup('web', { description: 'Front' });
    expect(group).toMatchObject({
      name: 'web', description: 'Front', state: 'ACTIVE', projectId: projectId(), tenantId: tenant.id, currentOperation: null,
      rules: [{ direction: 'INGRESS', protocol: 'TCP', ports: { from: 80, to: 80 }, remoteCidr: null, remoteSecurityGroupId: null, description: '' }],
    });
    const planned = await api.data<{ createSecurityGroup: object }>('ann', CREATE, { input: { projectId: projectId(), name: 'web', dryRun: true } });
    expect(planned.createSecurityGroup).toMatchObject({
      securityGroup: null, plan: { resources: [{ kind: 'security group', name: 'web' }], problems: [{ code: 'ALREADY_EXISTS', field: 'input.name' }] },
    });
    const rules = [{ direction: 'INGRESS', protocol: 'ANY', remoteSecurityGroupId: group.id, description: 'Each other' }];
    const { updateSecurityGroup } = await api.data<{ updateSecurityGroup: { securityGroup: Group; operation: { id: string } } }>('ann', UPDATE, {
      input: { id: group.id, expectedVersion: group.version, rules },
    });
    expect(updateSecurityGroup.securityGroup).toMatchObject({ rules: [{ protocol: 'ANY', ports: null, remoteSecurityGroupId: group.id, description: 'Each other' }] });
    await center.ended(updateSecurityGroup.operation.id);
    const stale = await api.ask('ann', UPDATE, { input: { id: group.id, expectedVersion: group.version, name: 'other' } });
    expect(stale.errors?.[0]?.extensions).toMatchObject({ code: 'CONFLICT', field: 'input.expectedVersion' });
    const found = await api.data<{ node: Group; securityGroups: { totalCount: number; nodes: Group[] } }>(
      'ann',
      `query ($id: ID!, $project: ID!) { node(id: $id) { ... on SecurityGroup { ${GROUP} } }
        securityGroups(projectId: $project, name: "web", order: CREATED) { totalCount nodes { id } } }`,
      { id: group.id, project: projectId() },
    );
    expect(found.node).toMatchObject({ id: group.id, name: 'web' });
    expect(found.securityGroups).toMatchObject({ totalCount: 1, nodes: [{ id: group.id }] });
  });

  it('ports join and leave, are listed by their group, and keep it from being deleted', async () => {
    const [one, two] = [await createGroup('one'), await createGroup('two')];
    const [port] = await makePorts(1);
    expect((await secure(port?.id ?? '', { add: [one.id, two.id] })).securityGroups.map((group) => group.id).sort()).toEqual([one.id, two.id].sort());
    const listed = await api.data<{ ports: { nodes: { id: string; name: string }[] } }>('ann', `{ ports(securityGroupId: "${one.id}") { nodes { id name } } }`);
    expect(listed.ports.nodes.map(({ id }) => id)).toEqual([port?.id]);
    const remove = `mutation { deleteSecurityGroup(input: { id: "${one.id}" }) { securityGroup { state } operation { id } } }`;
    expect((await api.ask('ann', remove)).errors?.[0]).toMatchObject({ message: expect.stringContaining(`port "${listed.ports.nodes[0]?.name}"`), extensions: { code: 'INVALID_STATE' } });
    expect((await secure(port?.id ?? '', { remove: [one.id] })).securityGroups).toMatchObject([{ id: two.id }]);
    const { deleteSecurityGroup } = await api.data<{ deleteSecurityGroup: { securityGroup: Group; operation: { id: string } } }>('ann', remove);
    expect(deleteSecurityGroup.securityGroup.state).toBe('DELETING');
    await center.ended(deleteSecurityGroup.operation.id);
    expect((await api.ask('ann', `{ node(id: "${one.id}") { id } }`)).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
  });

  it('reads the groups of many ports in as many statements as of one', async () => {
    const group = await createGroup('many');
    const ports = await makePorts(6, projectId());
    for (const port of ports) await secure(port.id, { add: [group.id] });
    const query = `query ($first: Int) { ports(first: $first, securityGroupId: "${group.id}") { nodes { id securityGroups { id } } } }`;
    const count = (first: number): Promise<number> => countStatements(room.database, () => api.data('ann', query, { first }));
    const one = await count(1);
    // The worker's own looking for work may come in between.
    expect(await count(6)).toBeLessThanOrEqual(one + 4);
  });

  it('policies are made, listed in their order, changed and deleted by operators', async () => {
    const rules = [{ action: 'PASS', ...WEB }, { action: 'DENY', direction: 'INGRESS', protocol: 'ANY', description: 'The rest' }];
    const { createFirewallPolicy: made } = await api.data<{ createFirewallPolicy: { firewallPolicy: { id: string; version: number }; operation: { id: string } } }>(
      'operator', MAKE_POLICY, { input: { name: 'baseline', scopeId: projectId(1), rules } },
    );
    await center.ended(made.operation.id);
    const list = '{ firewallPolicies { totalCount nodes { id name state scopeId rules { action } } } }';
    const seen = await api.data<{ firewallPolicies: { nodes: object[] } }>('operator', list);
    expect(seen.firewallPolicies.nodes).toEqual([{ id: made.firewallPolicy.id, name: 'baseline', state: 'ACTIVE', scopeId: projectId(1), rules: [{ action: 'PASS' }, { action: 'DENY' }] }]);
    const shown = await api.data<{ node: object }>('operator', `{ node(id: "${made.firewallPolicy.id}") { ... on FirewallPolicy { ${POLICY} currentOperation { id } } } }`);
    expect(shown.node).toMatchObject({ name: 'baseline', failure: null, currentOperation: null });
    expect((await api.data<{ firewallPolicies: { totalCount: number; nodes: object[] } }>('ann', list)).firewallPolicies).toEqual({ totalCount: 0, nodes: [] });
    expect((await api.ask('ann', `{ node(id: "${made.firewallPolicy.id}") { id } }`)).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    expect((await api.ask('ann', MAKE_POLICY, { input: { name: 'mine', rules: [] } })).errors?.[0]?.extensions.code).toBe('FORBIDDEN');
    const update = `mutation { updateFirewallPolicy(input: { id: "${made.firewallPolicy.id}", position: 7, expectedVersion: ${made.firewallPolicy.version} }) {
      firewallPolicy { position } operation { id } } }`;
    const changed = await api.data<{ updateFirewallPolicy: { firewallPolicy: { position: number }; operation: { id: string } } }>('operator', update);
    expect(changed.updateFirewallPolicy.firewallPolicy.position).toBe(7);
    await center.ended(changed.updateFirewallPolicy.operation.id);
    const gone = await api.data<{ deleteFirewallPolicy: { operation: { id: string } } }>(
      'operator', `mutation { deleteFirewallPolicy(input: { id: "${made.firewallPolicy.id}" }) { operation { id } } }`,
    );
    await center.ended(gone.deleteFirewallPolicy.operation.id);
    expect((await api.data<{ firewallPolicies: { totalCount: number } }>('operator', list)).firewallPolicies.totalCount).toBe(0);
  });

  it('explains what decides about a connection, and names policies to operators only', async () => {
    const [client, server] = await makePorts(2);
    const clients = await createGroup('clients', { rules: null });
    const servers = await createGroup('servers', { rules: [{ ...WEB, remoteSecurityGroupId: clients.id }] });
    const input = { fromPortId: client?.id, toPortId: server?.id, protocol: 'TCP', port: 80 };
    const explain = async (who: 'ann' | 'operator' = 'ann', what: object = input): Promise<Explained['explainFirewall']> =>
      (await api.data<Explained>(who, EXPLAIN, { input: what })).explainFirewall;
    expect(await explain()).toMatchObject({ allowed: true, checks: [{ direction: 'EGRESS', decidedBy: 'NO_SECURITY_GROUP' }, { direction: 'INGRESS', decidedBy: 'NO_SECURITY_GROUP' }] });
    await secure(server?.id ?? '', { add: [servers.id] });
    expect(await explain()).toMatchObject({ allowed: false, checks: [{}, { decidedBy: 'NO_RULE' }] });
    await secure(client?.id ?? '', { add: [clients.id] });
    expect(await explain()).toMatchObject({ allowed: true, checks: [{ securityGroupId: clients.id }, { securityGroupId: servers.id, message: 'The security group "servers" allows it.' }] });
    expect(await explain('ann', { fromAddress: client?.address, toPortId: server?.id, protocol: 'TCP', port: 80 })).toMatchObject({ allowed: true });
    expect(await explain('ann', { fromAddress: '192.0.2.1', toPortId: server?.id, protocol: 'TCP', port: 80 })).toMatchObject({ allowed: false });
    const { createFirewallPolicy: made } = await api.data<{ createFirewallPolicy: { firewallPolicy: { id: string }; operation: { id: string } } }>(
      'operator', MAKE_POLICY, { input: { name: 'no-web', rules: [{ action: 'DENY', ...WEB }] } },
    );
    await center.ended(made.operation.id);
    expect((await explain()).checks[1]).toMatchObject({ decidedBy: 'FIREWALL_POLICY', firewallPolicyId: null, message: 'A rule of operators denies it.' });
    expect((await explain('operator')).checks[1]).toMatchObject({ firewallPolicyId: made.firewallPolicy.id, message: 'The firewall policy "no-web" denies it.' });
    for (const [wrong, field] of [
      [{ ...input, port: undefined }, 'input.port'],
      [{ ...input, protocol: 'ICMP' }, 'input.port'],
      [{ ...input, toAddress: '10.0.0.1' }, 'input.toPortId'],
      [{ fromAddress: '10.0.0.1', toAddress: '10.0.0.2', protocol: 'ICMP' }, 'input.toPortId'],
      [{ ...input, toPortId: undefined, toAddress: 'nowhere' }, 'input.toAddress'],
    ] as const) {
      expect((await api.ask('ann', EXPLAIN, { input: wrong })).errors?.[0]?.extensions).toMatchObject({ code: 'INVALID_INPUT', field });
    }
    expect((await api.ask('stranger', EXPLAIN, { input })).errors?.[0]?.extensions).toMatchObject({ code: 'NOT_FOUND', field: 'input.fromPortId' });
  });

  it('does not exist for strangers, in no list and under no id', async () => {
    const group = await createGroup('hidden');
    expect((await api.ask('stranger', `{ node(id: "${group.id}") { id } }`)).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    expect((await api.data<{ securityGroups: { totalCount: number } }>('stranger', '{ securityGroups { totalCount } }')).securityGroups.totalCount).toBe(0);
    const refused = await api.ask('stranger', UPDATE, { input: { id: group.id, name: 'mine' } });
    expect(refused.errors?.[0]?.extensions).toMatchObject({ code: 'NOT_FOUND', field: 'input.id' });
    const [port] = await makePorts(1);
    const joined = await api.ask('stranger', SECURE, { input: { portId: port?.id, add: [group.id] } });
    expect(joined.errors?.[0]?.extensions).toMatchObject({ code: 'NOT_FOUND', field: 'input.portId' });
  });
});
