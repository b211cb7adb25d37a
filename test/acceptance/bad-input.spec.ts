import { buildClientSchema, getIntrospectionQuery, type GraphQLSchema, type IntrospectionQuery } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Database } from '#database';
import { badValues, withValue } from '../support/bad-values.js';
import type { WireAnswer } from '../support/client.js';
import { describeTestDatacenter, isOnLab, type TestDatacenter } from '../support/datacenter.js';
import { callsOf, type Target } from '../support/stranger.js';
import { startSystem, type System } from '../support/system.js';
import { makeOutside } from '../support/outside.js';

const AT_ONCE = 6;
/** Codes that say whose fault it is not. */
const OURS = ['INTERNAL', 'TIMEOUT', 'BACKEND_FAILED', 'UNAVAILABLE'];

interface Asked {
  query: string;
  variables: Record<string, unknown>;
  label: string;
}

describe('bad input of every kind, at every place of every field', () => {
  let system: System;
  let datacenter: TestDatacenter;
  let database: Database;
  let schema: GraphQLSchema;
  let target: Target;
  let made = 0;

  beforeAll(async () => {
    system = await startSystem();
    database = await Database.open({ url: system.databaseUrl, rooms: [], poolSize: 1 });
    schema = buildClientSchema((await system.owner.request<IntrospectionQuery>(getIntrospectionQuery())) as never);
    datacenter = await describeTestDatacenter(system);
    target = await furnish(system, database);
  });
  afterAll(async () => {
    await datacenter?.close();
    await database?.close();
    await system?.close();
  });

  const fresh = (): string => `fresh-${(made += 1)}`;

  /** Each way to call each field, with one bad value each. */
  function* asked(root: 'query' | 'mutation'): Generator<Asked> {
    const fields = (root === 'query' ? schema.getQueryType() : schema.getMutationType())?.getFields() ?? {};
    const seen = new Set<string>();
    for (const call of callsOf(schema, root, target, fresh)) {
      for (const { name, type } of fields[call.field]?.args ?? []) {
        const good = call.variables[name];
        if (good === undefined) continue;
        for (const { path, value } of badValues(type, good, [...target.ids.values()])) {
          const label = `${call.field} ${[name, ...path].join('.')} ${JSON.stringify(value).slice(0, 80)}`;
          if (seen.has(label)) continue;
          seen.add(label);
          const text = JSON.stringify({ ...call.variables, [name]: withValue(good, path, value) });
          const variables = JSON.parse(text.replaceAll(/fresh-\d+/g, fresh())) as Record<string, unknown>;
          yield { query: call.query, variables, label };
        }
      }
    }
  }

  async function ask(root: 'query' | 'mutation'): Promise<{ label: string; answer: WireAnswer }[]> {
    const answers: { label: string; answer: WireAnswer }[] = [];
    const all = asked(root);
    const lane = async (): Promise<void> => {
      for (let next = all.next(); next.done !== true; next = all.next()) {
        const { query, variables, label } = next.value;
        answers.push({ label, answer: await system.owner.post(query, variables) });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    return answers;
  }

  const wrong = (answers: readonly { label: string; answer: WireAnswer }[]): string[] =>
    answers.flatMap(({ label, answer }) =>
      answer.errors
        .filter(({ extensions: { code, field } }) => OURS.includes(code) || (code === 'INVALID_INPUT' && field === undefined))
        .map((error) => `${label}: ${error.extensions.code} ${error.message}`),
    );

  it('is told by a query as the caller’s, with the field', { timeout: 120_000 }, async () => {
    const answers = await ask('query');
    expect(answers.length).toBeGreaterThan(1000);
    expect(wrong(answers)).toEqual([]);
  });

  it('is told by a mutation as the caller’s, with the field, and nothing is written', { timeout: 120_000 }, async () => {
    const count = async (): Promise<number> => {
      const [row] = await database.dataSource.query<{ count: string }[]>(`SELECT count(*) FROM audit_entry WHERE outcome <> 'REFUSED'`);
      return Number(row?.count);
    };
    const before = await count();
    const answers = await ask('mutation');
    expect(answers.length).toBeGreaterThan(1000);
    expect(wrong(answers)).toEqual([]);
    const done = answers.filter(({ answer }) => answer.errors.length === 0);
    expect((await count()) - before).toBe(done.length);
    const metrics = await (await fetch(`${system.workers[0]?.url}/metrics`)).text();
    expect(metrics).toContain('muon_quota_drifted_counters 0');
    expect(metrics).toContain('muon_operations_stuck 0');
  });
});

/** A tenant with one of each kind. */
async function furnish({ owner }: System, database: Database): Promise<Target> {
  const make = async (field: string, input: object, selection: string): Promise<Record<string, { id: string }>> => {
    const type = `${field[0]?.toUpperCase()}${field.slice(1)}Input`;
    const query = `mutation ($input: ${type}!) { ${field}(input: $input) { ${selection} } }`;
    const answer = await owner.request<Record<string, Record<string, { id: string }>>>(query, { input });
    return answer[field] ?? {};
  };
  const onboarding = { name: 'acme', owners: [{ name: 'ann' }], quota: [{ resourceKey: 'vm.count', limit: 1000 }], project: { name: 'shop' } };
  const { tenant, project } = await make('onboardTenant', onboarding, 'tenant { id } project { id }');
  const projectId = project?.id ?? '';
  const { network } = await make('createNetwork', { projectId, name: 'net', subnet: {} }, 'network { id }');
  const machine = { projectId, networkId: network?.id, flavor: 'small', image: 'debian-12', name: 'web' };
  await make('createVirtualMachine', machine, 'virtualMachine { id }');
  await make('createVirtualMachine', { ...machine, name: 'planned', dryRun: true }, 'plan { id }');
  await make('createDisk', { projectId, name: 'data', sizeGib: 1 }, 'disk { id }');
  await make('createAffinityGroup', { projectId, name: 'apart', policy: 'ANTI_AFFINITY' }, 'affinityGroup { id }');
  await make('createLoadBalancer', { networkId: network?.id, name: 'front', listeners: [{ port: 80, memberPort: 8080 }] }, 'loadBalancer { id }');
  const outside = await makeOutside(owner);
  await make('createRouter', { projectId, name: 'router', networkIds: [network?.id], externalNetwork: outside }, 'router { id }');
  await make('createFloatingIp', { projectId, name: 'floating', externalNetwork: outside }, 'floatingIp { id }');
  await make('createSecurityGroup', { projectId, name: 'web' }, 'securityGroup { id }');
  await make('createFirewallPolicy', { name: 'no-mail', rules: [{ action: 'DENY', direction: 'EGRESS', protocol: 'TCP', ports: { from: 25 } }] }, 'firewallPolicy { id }');
  await make('createClusterVersion', { kind: 'KUBERNETES', name: 'v1-34', release: '1.34.2', image: 'debian-12' }, '__typename');
  const cluster = { projectId, name: 'prod', version: '1.34.2', controlPlane: { flavor: 'small' }, nodePools: [{ name: 'workers', flavor: 'small', count: 1 }] };
  // Incus has no machines that can be nodes of it.
  if (!isOnLab) await make('createCluster', cluster, 'cluster { id }');
  const ids = new Map<string, string>();
  const tables = await database.dataSource.query<{ name: string }[]>(
    `SELECT table_name AS name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'id' AND data_type = 'text'`,
  );
  for (const { name } of tables) {
    const [row] = await database.dataSource.query<{ id: string }[]>(`SELECT id FROM "${name}" ORDER BY id LIMIT 1`);
    if (row !== undefined) ids.set(name, row.id);
  }
  ids.set('tenant', tenant?.id ?? '').set('project', projectId).set('scope', projectId);
  return { ids, id: (table) => ids.get(table) ?? projectId, name: 'acme' };
}
