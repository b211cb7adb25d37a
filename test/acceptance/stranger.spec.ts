import { buildClientSchema, getIntrospectionQuery, type GraphQLSchema, type IntrospectionQuery } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Database } from '#database';
import type { ApiClient } from '../support/client.js';
import { describeTestDatacenter, type TestDatacenter } from '../support/datacenter.js';
import { makeOutside } from '../support/outside.js';
import { callsOf, type Call, type Target } from '../support/stranger.js';
import { startSystem, type System } from '../support/system.js';
import { callAll, furnish, hasData, ID, leaks, MARK, NETWORK, onboard, query, secretsOf, account, type Answered, type Tenant } from '../support/two-tenants.js';

/** Fields that answer without a credential. */
const PUBLIC: readonly string[] = [];

/** Fields of which every call is refused for its input before rights are looked at, each with the reason. */
const NOT_REACHED: Readonly<Record<string, string>> = {};

describe('a stranger, at every field of the schema', () => {
  let system: System;
  let datacenter: TestDatacenter;
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
    datacenter = await describeTestDatacenter(system);
    const owner = await onboard(system.owner, `${MARK}-tenant`);
    stranger = await onboard(system.owner, 'other-tenant');
    const outside = await makeOutside(system.owner);
    await furnish(owner, MARK, { cidr: `${NETWORK}.0/24` }, outside);
    await furnish(stranger, 'other', {}, outside);
    ({ hidden, target, nothing } = await secretsOf(database, owner));
  });
  afterAll(async () => {
    await datacenter?.close();
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

/** Which of the target's rows are there, and the version of what each wishes for: no stranger's call may change it. */
async function stateOf(database: Database, target: Target): Promise<unknown[]> {
  const state: unknown[] = [];
  for (const [table, id] of target.ids) {
    if (['tenant', 'plan', 'audit_entry', 'group', 'role', 'service_account'].includes(table)) continue;
    const [row] = await query<{ row: { version?: number; applied_at?: string } }>(database, `SELECT to_jsonb(t) AS row FROM "${table}" AS t WHERE id = $1`, [id]);
    state.push([table, row === undefined ? null : (row.row.version ?? 'there')]);
  }
  return state;
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
