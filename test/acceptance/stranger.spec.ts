import { buildClientSchema, getIntrospectionQuery, type GraphQLSchema, type IntrospectionQuery } from 'graphql';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Database } from '#database';
import { describeDatacenter } from '../../apps/standalone/src/demo/datacenter.js';
import { DemoApi } from '../../apps/standalone/src/demo/api.js';
import type { ApiClient, WireAnswer } from '../support/client.js';
import { callsOf, type Call, type Target } from '../support/stranger.js';
import { startSystem, type System } from '../support/system.js';

/** Fields that answer without a credential. */
const PUBLIC: readonly string[] = [];

/** Fields of which every call is refused for its input before rights are looked at, each with the reason. */
const NOT_REACHED: Readonly<Record<string, string>> = {};

/** In every name of the first tenant that the second has not, too. */
const MARK = 'wombat';
const NETWORK = '10.213.77';
const AT_ONCE = 8;
const ID = /\b[a-z]{2,4}_[0-9a-hjkmnp-tv-z]{26}\b/g;

interface Tenant {
  tenantId: string;
  projectId: string;
  token: string;
  api: ApiClient;
}

interface Answered {
  call: Call;
  answer: WireAnswer;
  text: string;
}

describe('a stranger, at every field of the schema', () => {
  let system: System;
  let database: Database;
  let schema: GraphQLSchema;
  let stranger: Tenant;
  let start: string;
  let hidden: string[];
  let target: Target;
  let nothing: Target;
  let made = 0;

  beforeAll(async () => {
    system = await startSystem();
    database = await Database.open({ url: system.databaseUrl, rooms: [], poolSize: 2 });
    schema = buildClientSchema((await system.owner.request<IntrospectionQuery>(getIntrospectionQuery())) as never);
    start = (await system.owner.request<{ eventCursor: string }>('{ eventCursor }')).eventCursor;
    const quiet = vi.spyOn(console, 'log').mockImplementation(() => undefined);
    const { world } = await describeDatacenter(new DemoApi(system.owner.url, system.owner.token ?? ''), system.simulationUrl);
    await world.close();
    quiet.mockRestore();
    const owner = await onboard(system.owner, `${MARK}-tenant`);
    stranger = await onboard(system.owner, 'other-tenant');
    await furnish(owner, MARK, { cidr: `${NETWORK}.0/24` });
    await furnish(stranger, 'other', {});
    ({ hidden, target, nothing } = await secretsOf(database, owner));
  });
  afterAll(async () => {
    await database?.close();
    await system?.close();
  });

  const unique = (): string => `stranger-${(made += 1)}`;
  const all = (of: Target): Call[] => [...callsOf(schema, 'query', of, unique), ...callsOf(schema, 'mutation', of, unique)];

  it('has something to hide, and would find it', async () => {
    expect(hidden.length).toBeGreaterThan(20);
    const calls = callsOf(schema, 'query', target, unique);
    const answers = await callAll(system.owner, calls);
    const shown = new Set(answers.filter((each) => leaks(each, hidden).length > 0).map((each) => each.call.field));
    for (const field of ['projects', 'networks', 'ports', 'virtualMachines', 'auditEntries', 'node', 'operations']) expect(shown).toContain(field);
  });

  it('is nobody: every field asks for a credential first', async () => {
    const answers = await callAll(system.client(null), all(target));
    expect(new Set(answers.map(({ call }) => call.field))).toEqual(fieldsOf(schema));
    const wrong = answers.filter(({ call, answer }) => {
      if (PUBLIC.includes(call.field)) return false;
      return answer.errors.length === 0 || answer.errors.some((error) => error.extensions.code !== 'UNAUTHENTICATED') || hasData(answer);
    });
    expect(wrong.map(summary)).toEqual([]);
  });

  it('owns another tenant: sees nothing of the first, and cannot tell what is from what is not', { timeout: 60_000 }, async () => {
    const before = await stateOf(database, target);
    const answers = await callAll(stranger.api, all(target));
    const compared = await callAll(stranger.api, all(nothing));
    expect(answers.flatMap((each) => leaks(each, hidden).map((leak) => `${leak}: ${summary(each)}`))).toEqual([]);
    const differing = answers.flatMap((each, index) => {
      const other = compared[index];
      if (other === undefined || shape(each) === shape(other)) return [];
      return [[each.call.field, `${summary(each)}\n  and for what does not exist: ${summary(other)}`] as const];
    });
    expect(Object.fromEntries(differing)).toEqual({});
    expect(await stateOf(database, target)).toEqual(before);
    const reached = new Set(answers.filter(isReached).map(({ call }) => call.field));
    const unreached = answers.filter(({ call }) => !reached.has(call.field) && !(call.field in NOT_REACHED));
    expect(unreached.map(summary)).toEqual([]);
    expect([...fieldsOf(schema)].filter((field) => !answers.some(({ call }) => call.field === field))).toEqual([]);
  });

  it('watches everything from before the first tenant was made, and is told only of its own', async () => {
    const calls = callsOf(schema, 'subscription', target, unique);
    for (const call of calls) expect(await refusalOf(system.client(null), call), call.label).toBe('4403');
    const from = { query: 'subscription ($from: Cursor) { events(from: $from) { cursor change kind resourceId tenantId projectId node { id } } }', variables: { from: start } };
    const socket = stranger.api.socket();
    const texts: string[] = [];
    const filtered = calls.map(async (call) => {
      for await (const message of socket.iterate({ query: call.query, variables: call.variables })) texts.push(JSON.stringify(message));
    });
    const sentinel = await account(stranger, 'sentinel');
    for await (const message of socket.iterate(from)) {
      texts.push(JSON.stringify(message));
      expect(message.errors).toBeUndefined();
      if (JSON.stringify(message).includes(sentinel)) break;
    }
    await socket.dispose();
    await Promise.allSettled(filtered);
    expect(texts.length).toBeGreaterThan(5);
    expect(texts.filter((text) => hidden.some((secret) => text.includes(secret)))).toEqual([]);
  });
});

function fieldsOf(schema: GraphQLSchema): Set<string> {
  return new Set([schema.getQueryType(), schema.getMutationType()].flatMap((type) => Object.keys(type?.getFields() ?? {})));
}

async function onboard(operator: ApiClient, name: string): Promise<Tenant> {
  const { onboardTenant } = await operator.request<{ onboardTenant: { tenant: { id: string }; project: { id: string }; ownerToken: string } }>(
    'mutation ($input: OnboardTenantInput!) { onboardTenant(input: $input) { tenant { id } project { id } ownerToken } }',
    { input: { name, owners: [{ name: 'ann' }], ownerToken: true, quota: [{ resourceKey: 'vm.count', limit: 7 }], project: { name: 'shop' } } },
  );
  const { tenant, project, ownerToken } = onboardTenant;
  return { tenantId: tenant.id, projectId: project.id, token: ownerToken, api: operator.as(ownerToken) };
}

async function account(tenant: Tenant, name: string): Promise<string> {
  const { createServiceAccount } = await tenant.api.request<{ createServiceAccount: { principal: { id: string } } }>(
    'mutation ($input: CreateServiceAccountInput!) { createServiceAccount(input: $input) { principal { id } } }',
    { input: { scopeId: tenant.projectId, name } },
  );
  return createServiceAccount.principal.id;
}

/** One of each kind: some under names that both tenants have, some under names of its own. */
async function furnish(tenant: Tenant, mark: string, subnet: Record<string, string>): Promise<void> {
  const { api, projectId } = tenant;
  const principalId = await account(tenant, `${mark}-robot`);
  await api.request('mutation ($id: ID!) { createApiToken(input: { principalId: $id, name: "night" }) { tokenId } }', { id: principalId });
  const { createNetwork } = await api.request<{ createNetwork: { network: { id: string } } }>(
    'mutation ($input: CreateNetworkInput!) { createNetwork(input: $input) { network { id } } }',
    { input: { projectId, name: 'net', subnet } },
  );
  const networkId = createNetwork.network.id;
  const machine = { projectId, networkId, flavor: 'small', image: 'debian-12' };
  const create = 'mutation ($input: CreateVirtualMachineInput!) { createVirtualMachine(input: $input) { virtualMachine { id } plan { id } } }';
  const { createVirtualMachine } = await api.request<{ createVirtualMachine: { virtualMachine: { id: string } } }>(create, { input: { ...machine, name: 'web' } });
  await api.request(create, { input: { ...machine, name: `${mark}-planned`, dryRun: true } });
  const others: [field: string, input: Record<string, unknown>][] = [
    ['createDisk', { projectId, name: `${mark}-disk`, sizeGib: 1 }],
    ['createAffinityGroup', { projectId, name: `${mark}-group`, policy: 'ANTI_AFFINITY' }],
    ['createLoadBalancer', { networkId, name: `${mark}-front`, listeners: [{ port: 80, memberPort: 8080 }] }],
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
}

/** Every id, MAC address and token of a tenant, out of every table that has tenants; and one id of every kind. */
async function secretsOf(database: Database, owner: Tenant): Promise<{ hidden: string[]; target: Target; nothing: Target }> {
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
  // Tenants and projects are scopes under another name.
  ids.set('tenant', owner.tenantId).set('project', owner.projectId).set('scope', owner.projectId);
  const id = (table: string): string => ids.get(table) ?? owner.projectId;
  const target: Target = { ids, id, name: `${MARK}-tenant` };
  const nothing: Target = { ids, id: (table) => `${id(table).split('_')[0]}_${'0'.repeat(25)}1`, name: 'missing-tenant' };
  return { hidden: [...hidden], target, nothing };
}

async function query<Row>(database: Database, text: string, values: unknown[] = []): Promise<Row[]> {
  return database.dataSource.query<Row[]>(text, values);
}

/** Which of the target's rows are there, and the version of what each wishes for: no stranger's call may change it. */
async function stateOf(database: Database, target: Target): Promise<unknown[]> {
  const state: unknown[] = [];
  for (const [table, id] of target.ids) {
    if (['tenant', 'plan', 'audit_entry'].includes(table)) continue;
    const [row] = await query<{ row: { version?: number; applied_at?: string } }>(database, `SELECT to_jsonb(t) AS row FROM "${table}" AS t WHERE id = $1`, [id]);
    state.push([table, row === undefined ? null : (row.row.version ?? 'there')]);
  }
  return state;
}

async function callAll(client: ApiClient, calls: readonly Call[]): Promise<Answered[]> {
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

const hasData = (answer: WireAnswer): boolean => Object.values(answer.data ?? {}).some((value) => value !== null);

/** What of the hidden is in an answer and was not in its question. */
function leaks({ call, text }: Answered, hidden: readonly string[]): string[] {
  let rest = text;
  for (const sent of stringsOf(call.variables)) rest = rest.replaceAll(sent, '');
  return hidden.filter((secret) => rest.includes(secret));
}

function stringsOf(value: unknown): string[] {
  if (typeof value === 'string') return value === '' ? [] : [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(stringsOf) : [];
}

/** An answer without what must differ between two calls. */
function shape({ answer }: Answered): string {
  const errors = answer.errors.map(({ message, extensions }) => ({ message, ...extensions, requestId: undefined }));
  const told = JSON.stringify([answer.status, errors, hasData(answer)]);
  return told.replaceAll(ID, 'ID').replace(/(wombat|missing)-tenant|stranger-\d+/g, 'NAME');
}

/** Whether the call got as far as the rights: refused for its form it proves nothing. */
function isReached({ answer }: Answered): boolean {
  return answer.errors.every((error) => !['INVALID_INPUT', 'INTERNAL'].includes(error.extensions.code));
}

function summary({ call, answer }: Answered): string {
  const errors = answer.errors.map((error) => `${error.extensions.code} ${error.extensions.field ?? ''} ${error.message}`).join('; ');
  return `${call.label} → ${errors === '' ? JSON.stringify(answer.data).slice(0, 200) : errors}`;
}

async function refusalOf(client: ApiClient, call: Call): Promise<string> {
  const socket = client.socket();
  try {
    for await (const message of socket.iterate({ query: call.query, variables: call.variables })) return JSON.stringify(message);
    return 'ended';
  } catch (error) {
    return `${(error as { code?: number }).code ?? String(error)}`;
  }
}
