import { expect, vi } from 'vitest';
import { Database } from '#database';
import type { ApiClient, WireAnswer } from './client.js';
import { PROVIDER_ROUTER } from './outside.js';
import type { Call, Target } from './stranger.js';

/** In every name of the first tenant that the second has not, too. */
export const MARK = 'wombat';
export const NETWORK = '10.213.77';
const AT_ONCE = 8;
export const ID = /\b[a-z]{2,4}_[0-9a-hjkmnp-tv-z]{26}\b/g;

/** A tenant, its first project, and its owner. */
export interface Tenant {
  tenantId: string;
  projectId: string;
  token: string;
  api: ApiClient;
}

/** What a call was answered with. */
export interface Answered {
  call: Call;
  answer: WireAnswer;
  text: string;
}

export async function onboard(operator: ApiClient, name: string): Promise<Tenant> {
  const { onboardTenant } = await operator.request<{ onboardTenant: { tenant: { id: string }; project: { id: string }; ownerToken: string } }>(
    'mutation ($input: OnboardTenantInput!) { onboardTenant(input: $input) { tenant { id } project { id } ownerToken } }',
    { input: { name, owners: [{ name: 'ann' }], ownerToken: true, quota: [{ resourceKey: 'vm.count', limit: 7 }], project: { name: 'shop' } } },
  );
  const { tenant, project, ownerToken } = onboardTenant;
  return { tenantId: tenant.id, projectId: project.id, token: ownerToken, api: operator.as(ownerToken) };
}

export async function account(tenant: Tenant, name: string): Promise<string> {
  const { createServiceAccount } = await tenant.api.request<{ createServiceAccount: { principal: { id: string } } }>(
    'mutation ($input: CreateServiceAccountInput!) { createServiceAccount(input: $input) { principal { id } } }',
    { input: { scopeId: tenant.projectId, name } },
  );
  return createServiceAccount.principal.id;
}

/** One of each kind: some under names that both tenants have, some under names of its own. */
export async function furnish(tenant: Tenant, mark: string, subnet: Record<string, string>, externalNetwork: string): Promise<void> {
  const { api, projectId } = tenant;
  const principalId = await account(tenant, `${mark}-robot`);
  await api.request('mutation ($id: ID!) { createApiToken(input: { principalId: $id, name: "night" }) { tokenId } }', { id: principalId });
  const group = 'mutation ($input: CreateGroupInput!) { createGroup(input: $input) { group { id } } }';
  const { createGroup } = await api.request<{ createGroup: { group: { id: string } } }>(group, { input: { scopeId: projectId, name: `${mark}-developers` } });
  const groupId = createGroup.group.id;
  await api.request('mutation ($input: GroupMemberInput!) { addGroupMember(input: $input) { group { id } } }', { input: { groupId, principalId } });
  await api.request('mutation ($input: GrantRoleInput!) { grantRole(input: $input) { roleBindingId } }', { input: { groupId, scopeId: projectId, role: 'VIEWER' } });
  const role = { tenantId: tenant.tenantId, name: `${mark}-reader`, permissions: [{ kind: 'DISK', actions: ['READ'] }] };
  await api.request('mutation ($input: CreateRoleInput!) { createRole(input: $input) { role { id } } }', { input: role });
  const issuer = { scopeId: tenant.tenantId, name: 'directory', url: `https://${mark}.example`, audience: mark, clientId: `${mark}-cli`, groupsClaim: 'groups', jwksUri: `https://${mark}.example/jwks` };
  await api.request('mutation ($input: CreateIssuerInput!) { createIssuer(input: $input) { issuer { id } } }', { input: issuer });
  const { createNetwork } = await api.request<{ createNetwork: { network: { id: string } } }>(
    'mutation ($input: CreateNetworkInput!) { createNetwork(input: $input) { network { id } } }',
    { input: { projectId, name: 'net', subnet } },
  );
  const networkId = createNetwork.network.id;
  const rules = [{ direction: 'INGRESS', protocol: 'TCP', ports: { from: 80 } }];
  const { createSecurityGroup } = await api.request<{ createSecurityGroup: { securityGroup: { id: string } } }>(
    'mutation ($input: CreateSecurityGroupInput!) { createSecurityGroup(input: $input) { securityGroup { id } } }',
    { input: { projectId, name: `${mark}-web`, rules } },
  );
  const securityGroupIds = [createSecurityGroup.securityGroup.id];
  const machine = { projectId, networkId, flavor: 'small', image: 'debian-12', securityGroupIds };
  const create = 'mutation ($input: CreateVirtualMachineInput!) { createVirtualMachine(input: $input) { virtualMachine { id } plan { id } } }';
  const { createVirtualMachine } = await api.request<{ createVirtualMachine: { virtualMachine: { id: string } } }>(create, { input: { ...machine, name: 'web' } });
  await api.request(create, { input: { ...machine, name: `${mark}-planned`, dryRun: true } });
  const others: [field: string, input: Record<string, unknown>][] = [
    ['createDisk', { projectId, name: `${mark}-disk`, sizeGib: 1 }],
    ['createAffinityGroup', { projectId, name: `${mark}-group`, policy: 'ANTI_AFFINITY' }],
    ['createLoadBalancer', { networkId, name: `${mark}-front`, listeners: [{ port: 80, memberPort: 8080 }] }],
    ['createRouter', { projectId, name: `${mark}-router`, networkIds: [networkId], externalNetwork }],
    ['createRouter', { projectId, name: `${mark}-behind`, providerRouter: PROVIDER_ROUTER }],
    ['createFloatingIp', { projectId, name: `${mark}-floating`, externalNetwork }],
  ];
  for (const [field, input] of others) {
    const type = `${field[0]?.toUpperCase()}${field.slice(1)}Input`;
    await api.request(`mutation ($input: ${type}!) { ${field}(input: $input) { __typename } }`, { input });
  }
  const state = async (): Promise<string> => {
    const query = 'query ($id: ID!) { virtualMachine(id: $id) { state } }';
    return (await api.request<{ virtualMachine: { state: string } }>(query, { id: createVirtualMachine.virtualMachine.id })).virtualMachine.state;
  };
  await vi.waitFor(async () => expect(await state()).toBe('RUNNING'), { timeout: 20_000, interval: 200 });
  const disk = async (): Promise<{ id: string; state: string } | undefined> => {
    const query = 'query ($projectId: ID!, $name: String!) { disks(projectId: $projectId, name: $name) { nodes { id state } } }';
    return (await api.request<{ disks: { nodes: { id: string; state: string }[] } }>(query, { projectId, name: `${mark}-disk` })).disks.nodes[0];
  };
  await vi.waitFor(async () => expect((await disk())?.state).toBe('AVAILABLE'), { timeout: 20_000, interval: 200 });
  const snapshot = 'mutation ($input: CreateDiskSnapshotInput!) { createDiskSnapshot(input: $input) { operation { id } } }';
  await api.request(snapshot, { input: { diskId: (await disk())?.id, name: `${mark}-snapshot` } });
}

/** Every id, MAC address and token of a tenant, out of every table that has tenants; and one id of every kind. */
export async function secretsOf(database: Database, owner: Tenant): Promise<{ hidden: string[]; target: Target; nothing: Target }> {
  const tables = await query<{ name: string; owned: boolean }>(
    database,
    `SELECT t.table_name AS name, bool_or(c.column_name = 'tenant_id') AS owned
     FROM information_schema.tables AS t JOIN information_schema.columns AS c USING (table_schema, table_name)
     WHERE t.table_schema = 'public' AND t.table_type = 'BASE TABLE'
     GROUP BY t.table_name HAVING bool_or(c.column_name = 'id' AND c.data_type = 'text') ORDER BY t.table_name`,
  );
  const hidden = new Set([MARK, `${NETWORK}.`, owner.token, owner.tenantId]);
  const ids = new Map<string, string>();
  for (const { name, owned } of tables) {
    const rows = await query<{ row: Record<string, unknown> }>(
      database,
      `SELECT to_jsonb(t) AS row FROM "${name}" AS t ${owned ? 'WHERE tenant_id = $1' : 'WHERE $1 <> \'\''} ORDER BY id LIMIT 500`,
      [owner.tenantId],
    );
    for (const { row } of rows) {
      const id = String(row['id']);
      if (id.replace(ID, '') !== '') continue;
      if (!ids.has(name)) ids.set(name, id);
      if (!owned) continue;
      hidden.add(id);
      for (const mac of JSON.stringify(row).match(/\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b/g) ?? []) hidden.add(mac);
    }
  }
  // What the API calls by another name than the table.
  ids.set('tenant', owner.tenantId).set('project', owner.projectId).set('scope', owner.projectId);
  for (const [table, noun] of [['principal_group', 'group'], ['custom_role', 'role'], ['principal', 'service_account']] as const) {
    const known = ids.get(table);
    if (known !== undefined) ids.set(noun, known);
  }
  const id = (table: string): string => ids.get(table) ?? owner.projectId;
  const target: Target = { ids, id, name: `${MARK}-tenant` };
  const nothing: Target = { ids, id: (table) => `${id(table).split('_')[0]}_${'0'.repeat(25)}1`, name: 'missing-tenant' };
  return { hidden: [...hidden], target, nothing };
}

export async function query<Row>(database: Database, text: string, values: unknown[] = []): Promise<Row[]> {
  return database.dataSource.query<Row[]>(text, values);
}

export async function callAll(client: ApiClient, calls: readonly Call[]): Promise<Answered[]> {
  const answers: Answered[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < calls.length; index = next++) {
      const call = calls[index] as Call;
      const answer = await client.post(call.query, call.variables);
      answers[index] = { call, answer, text: JSON.stringify(answer) };
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return answers;
}

export const hasData = (answer: WireAnswer): boolean => Object.values(answer.data ?? {}).some((value) => value !== null);

/** What the cursors of an answer say when somebody opens them. */
function withinCursors(text: string): string {
  return [...text.matchAll(/"(?:cursor|startCursor|endCursor)":"([^"]+)"/g)].map(([, cursor]) => Buffer.from(cursor ?? '', 'base64url').toString()).join(' ');
}

/** What of the hidden is in an answer and was not in its question. */
export function leaks({ call, text }: Answered, hidden: readonly string[]): string[] {
  let rest = `${text} ${withinCursors(text)}`;
  for (const sent of stringsOf(call.variables)) rest = rest.replaceAll(sent, '');
  return hidden.filter((secret) => rest.includes(secret));
}

export function stringsOf(value: unknown): string[] {
  if (typeof value === 'string') return value === '' ? [] : [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(stringsOf) : [];
}

