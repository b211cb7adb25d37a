import { buildClientSchema, getIntrospectionQuery, isInputObjectType, type GraphQLSchema, type IntrospectionQuery } from 'graphql';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Database } from '#database';
import { SYSTEM_SCOPE_ID } from '#scopes';
import { best, Cell, everything, fieldsOfTypes, outcomeOf, overcounted, render, Sightings, unexpected, type Row } from '../support/access-matrix.js';
import type { ApiClient } from '../support/client.js';
import { describeTestDatacenter, type TestDatacenter } from '../support/datacenter.js';
import { makeOutside } from '../support/outside.js';
import { callsOf, type Call, type Target } from '../support/stranger.js';
import { startSystem, type System } from '../support/system.js';
import { callAll, furnish, leaks, MARK, NETWORK, onboard, query, secretsOf, type Answered, type Tenant } from '../support/two-tenants.js';

const PAGE = '../../docs/access-matrix.md';
const ROLES = ['OWNER', 'CONTRIBUTOR', 'LIMITED_CONTRIBUTOR', 'VIEWER'] as const;
const SHORT = { OWNER: 'owner', CONTRIBUTOR: 'contr.', LIMITED_CONTRIBUTOR: 'limited', VIEWER: 'viewer' } as const;

/** Inputs of mutations that no name tells. */
const EXAMPLES: Readonly<Record<string, object>> = {
  createBackend: { endpoint: 'postgres://muon@127.0.0.1:9/muon' },
  createFloatingIp: { externalNetwork: 'outside' },
  createProviderRouter: { externalNetwork: 'outside' },
  createCluster: { version: '1.34.2', controlPlane: { flavor: 'small' }, network: 'net' },
};
const HOUR_MS = 3_600_000;

/** Fields of Query and Mutation that not even the owner of the system gets, each with the reason. */
const NOT_REACHED: Readonly<Record<string, string>> = {
  applyPlan: 'a plan is applied by whoever made it',
  systemPause: 'nothing is paused',
};

/** Types that no answer of a healthy system has, each with the reason; they have no field that leads elsewhere. */
const NOT_SHOWN: Readonly<Record<string, string>> = {
  Abandonment: 'of an operation that was given up',
  Blocker: 'of an operation that waits for something',
  ClusterBlocker: 'of a cluster that is not well',
  NearestMiss: 'of a placement that found no host',
  NotRestored: 'of an operation that was taken back while others changed what it had changed',
  OperationAttempt: 'of an operation that was tried again',
  Shortage: 'of a placement that found no host',
  SystemPause: 'of a system that is paused',
};
/** Tables of what no tenant has. */
const SHARED = ['zone', 'rack', 'backend', 'host', 'datastore', 'flavor', 'image', 'cluster_version', 'external_network', 'provider_router', 'firewall_policy', 'storage_policy'] as const;

/** They carry what a mutation or a list is about; those stand in the tables. */
const PLUMBING = /(Edge|Connection|Payload)$|^PageInfo$/;

interface Caller {
  name: string;
  about: string;
  api: ApiClient;
  /** What must never be in an answer to this caller. */
  hidden: readonly string[];
  /** Makes something that this caller, too, hears of; answers its id. */
  sentinel: () => Promise<string>;
}

interface Outcome {
  cells: ReadonlyMap<string, Cell>;
  sightings: Sightings;
}

describe('who may do what', () => {
  let system: System;
  let datacenter: TestDatacenter;
  let database: Database;
  let schema: GraphQLSchema;
  let target: Target;
  let callers: Caller[];
  let start: string;
  let swarm: string;
  let calls: { queries: Call[]; mutations: Call[] };
  const outcomes = new Map<string, Outcome>();

  beforeAll(async () => {
    system = await startSystem();
    database = await Database.open({ url: system.databaseUrl, rooms: [], poolSize: 2 });
    schema = buildClientSchema((await system.owner.request<IntrospectionQuery>(getIntrospectionQuery())) as never);
    start = (await system.owner.request<{ eventCursor: string }>('{ eventCursor }')).eventCursor;
    datacenter = await describeTestDatacenter(system);
    const owner = await onboard(system.owner, `${MARK}-tenant`);
    const stranger = await onboard(system.owner, 'other-tenant');
    const outside = await makeOutside(system.owner);
    await furnish(owner, MARK, { cidr: `${NETWORK}.0/24` }, outside);
    await furnish(stranger, 'other', {}, outside);
    const nodePools = [{ name: 'workers', flavor: 'small', count: 1 }];
    await cluster(owner, { name: `${MARK}-cluster`, version: '1.34.2', controlPlane: { flavor: 'small' }, nodePools });
    const version = { name: 'swarm', kind: 'SWARM', release: '20.10.24', image: 'debian-12' };
    await system.owner.request('mutation ($input: CreateClusterVersionInput!) { createClusterVersion(input: $input) { clusterVersion { id } } }', { input: version });
    swarm = await cluster(owner, { name: `${MARK}-swarm`, kind: 'SWARM', version: 'swarm', controlPlane: { count: 1, flavor: 'small' } });
    const storage = { name: 'usual', datastoreKinds: ['standard'], costs: [{ key: 'usual.capacity', amountPerGib: 1 }] };
    await system.owner.request('mutation ($input: CreateStoragePolicyInput!) { createStoragePolicy(input: $input) { storagePolicy { id } } }', { input: storage });
    await keepTo(owner, `${MARK}-disk`, storage.name);
    const flavor = { name: 'tuned', cpu: 1, memoryMib: 256, diskGib: 1, costs: [{ key: 'vm.accelerator', amount: 1 }], storagePolicy: storage.name };
    await system.owner.request('mutation ($input: CreateFlavorInput!) { createFlavor(input: $input) { flavor { id } } }', { input: flavor });
    const policy = { name: 'no-mail', rules: [{ action: 'DENY', direction: 'EGRESS', protocol: 'TCP', ports: { from: 25 } }] };
    await system.owner.request('mutation ($input: CreateFirewallPolicyInput!) { createFirewallPolicy(input: $input) { firewallPolicy { id } } }', { input: policy });
    const sibling = await project(owner, 'sibling');
    const found = await secretsOf(database, owner);
    target = await withExamples(found.target, owner);
    const hosts = await query<{ name: string }>(database, 'SELECT name FROM host');
    const infrastructure = [...(await idsOf('host', 'backend', 'rack', 'datastore', 'firewall_policy')), ...hosts.map((host) => host.name)];
    const strangers = (await secretsOf(database, stranger)).hidden.filter((secret) => secret !== MARK && secret !== `${NETWORK}.`);
    callers = [
      { name: 'nobody', about: 'without a credential', api: system.client(null), hidden: [...found.hidden, ...strangers, ...infrastructure], sentinel: async () => '' },
      { name: 'stranger', about: 'OWNER of another tenant', api: stranger.api, hidden: [...found.hidden, ...infrastructure], sentinel: () => accountIn(stranger.projectId, 'sentinel') },
      {
        name: 'sibling',
        about: 'OWNER of another project of the tenant',
        api: await callerOf(sibling, 'OWNER'),
        hidden: [...(await ofProject(owner)), ...strangers, ...infrastructure],
        sentinel: () => accountIn(sibling, 'sentinel'),
      },
      { name: 'custom', about: 'a role of the tenant that allows READ on disks, held on the tenant', api: await custom(owner), hidden: [...strangers, ...infrastructure], sentinel: () => project(owner, 'sentinel') },
    ];
    for (const [scope, scopeId, hidden] of [
      ['project', owner.projectId, [...strangers, ...infrastructure]],
      ['tenant', owner.tenantId, [...strangers, ...infrastructure]],
      ['system', SYSTEM_SCOPE_ID, []],
    ] as const) {
      for (const role of [...ROLES].reverse()) {
        const api = await callerOf(scopeId, role);
        const sentinel = (): Promise<string> => accountIn(scopeId, `sentinel-${role.toLowerCase().replace('_', '-')}`);
        callers.push({ name: `${scope} ${SHORT[role]}`, about: `${role} on the ${scope}`, api, hidden, sentinel });
      }
    }
    const queries = callsOf(schema, 'query', target, () => '', (output) => everything(schema, output, 2)).map(nowadays);
    calls = { queries: [...queries, ...(await nodeCalls())], mutations: await mutationCalls() };
  }, 120_000);
  afterAll(async () => {
    await datacenter?.close();
    await database?.close();
    await system?.close();
  });

  it('is asked of everybody at every query and mutation, and nobody is shown what is not theirs', { timeout: 600_000 }, async () => {
    const wrong: string[] = [];
    for (const caller of callers) {
      const sightings = new Sightings(schema);
      const cells = new Map<string, Cell[]>();
      for (const answered of await callAll(caller.api, [...calls.queries, ...calls.mutations])) {
        const { call, answer } = answered;
        wrong.push(...faultsOf(caller, answered));
        sightings.add(call.label, answer);
        const cell = outcomeOf(answered);
        if (cell !== undefined) cells.set(call.field, [...(cells.get(call.field) ?? []), cell]);
      }
      outcomes.set(caller.name, { sightings, cells: new Map([...cells].flatMap(([field, all]) => [[field, best(all) as Cell]])) });
    }
    // Of many alike the first tell enough.
    expect(wrong.slice(0, 20)).toEqual([]);
  });

  it('is told to everybody by the stream of events, from before anything was made', { timeout: 120_000 }, async () => {
    const selection = everything(schema, schema.getSubscriptionType()?.getFields()['events']?.type as never, 1);
    for (const caller of callers) {
      const { sightings, cells } = outcomes.get(caller.name) as Outcome;
      (cells as Map<string, Cell>).set('events', await watch(caller, selection, sightings));
    }
  });

  it('lets LIMITED_CONTRIBUTOR make a cluster on a network that is there, and none with a network of its own', async () => {
    const limited = callers.find(({ name }) => name === 'project limited') as Caller;
    const create = 'mutation ($input: CreateClusterInput!) { createCluster(input: $input) { plan { problems { code } resources { action kind } } } }';
    const input = { projectId: target.id('project'), name: 'limited', version: '1.34.2', controlPlane: { flavor: 'small' }, dryRun: true };
    const refused = await limited.api.refusal(create, { input });
    expect(refused.extensions).toMatchObject({ code: 'FORBIDDEN', data: { kind: 'network', allowedBy: ['CONTRIBUTOR', 'OWNER'] } });
    const { createCluster } = await limited.api.request<{ createCluster: { plan: { resources: { kind: string }[] } } }>(create, { input: { ...input, network: 'net' } });
    expect(createCluster.plan.resources.map((resource) => resource.kind)).toEqual(expect.arrayContaining(['cluster', 'load balancer', 'virtual machine']));
  });

  it('closes what the audit log says of a command with the end of its operation', async () => {
    const audit = `query ($tenant: ID!) { auditEntries(tenantId: $tenant, command: "createVirtualMachine", outcome: ACCEPTED) {
      nodes { operationId operationOutcome endedAt } } }`;
    const { auditEntries } = await system.owner.request<{ auditEntries: { nodes: unknown[] } }>(audit, { tenant: target.id('tenant') });
    expect(auditEntries.nodes).toEqual([{ operationId: expect.any(String), operationOutcome: 'SUCCEEDED', endedAt: expect.any(String) }]);
  });

  it('covers every field of every type, and is what docs/access-matrix.md says', async () => {
    const owner = (outcomes.get('system owner') as Outcome).sightings;
    const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].map((type) => Object.keys(type?.getFields() ?? {}).sort());
    const uncovered = roots.flat().filter((field) => callers.some((caller) => outcomes.get(caller.name)?.cells.get(field) === undefined));
    expect(uncovered).toEqual([]);
    const { cells } = outcomes.get('system owner') as Outcome;
    expect(roots.flat().filter((field) => cells.get(field) !== Cell.YES && !(field in NOT_REACHED))).toEqual([]);
    const fields = fieldsOfTypes(schema).filter((field) => !PLUMBING.test(field.split('.')[0] ?? ''));
    const shown = new Set([...outcomes.values()].flatMap((outcome) => [...outcome.sightings.fields]));
    const excused = (field: string): boolean => field in NOT_SHOWN || (field.split('.')[0] ?? '') in NOT_SHOWN;
    expect(fields.filter((field) => !shown.has(field) && !excused(field))).toEqual([]);
    expect(Object.keys(NOT_SHOWN).filter((excuse) => fields.some((field) => shown.has(field) && (field === excuse || field.split('.')[0] === excuse)))).toEqual([]);
    const rows = (names: readonly string[]): Row[] =>
      names.map((title) => ({ title, cells: callers.map((caller) => outcomes.get(caller.name)?.cells.get(title) ?? Cell.UNSEEN) }));
    const types = Map.groupBy(
      fields.filter((field) => shown.has(field)),
      (field) => field.split('.')[0] ?? '',
    );
    const page = render(callers, {
      queries: rows(roots[0] ?? []),
      mutations: rows(roots[1] ?? []),
      subscriptions: rows(roots[2] ?? []),
      types: new Map(
        [...types].map(([type, list]) => [
          type,
          list.map((field) => ({
            title: field.split('.')[1] ?? '',
            cells: callers.map((caller) => (caller.name === 'nobody' ? Cell.NOBODY : (outcomes.get(caller.name) as Outcome).sightings.cell(field, owner))),
          })),
        ]),
      ),
    });
    await expect(page).toMatchFileSnapshot(PAGE);
  });

  function faultsOf(caller: Caller, answered: Answered): string[] {
    const { call, answer } = answered;
    const leaked = leaks(answered, caller.hidden).map((leak) => `${caller.name} was shown ${leak} by ${call.label}`);
    const counted = overcounted(answer.data) > 0 ? [`${caller.name} was told of more than was shown by ${call.label}`] : [];
    return [...leaked, ...counted, ...unexpected(answer).map((error) => `${caller.name} met ${error} by ${call.label}`)];
  }

  /** Periods that have something in them. */
  function nowadays(call: Call): Call {
    const { from, to } = call.variables;
    if (typeof from !== 'string' || typeof to !== 'string') return call;
    const [start, end] = [-HOUR_MS, HOUR_MS].map((offset) => new Date(Date.now() + offset).toISOString());
    return { ...call, variables: { ...call.variables, from: start, to: end } };
  }

  /** All that hangs on each node, by its id. */
  async function nodeCalls(): Promise<Call[]> {
    const ids = [...new Set(target.ids.values())];
    const kinds = await callAll(system.owner, ids.map((id) => ({ field: 'node', query: 'query ($id: ID!) { node(id: $id) { __typename } }', variables: { id }, label: id })));
    return kinds.flatMap(({ call, answer }) => {
      const typeName = (answer.data?.['node'] as { __typename?: string } | null | undefined)?.__typename;
      if (typeName === undefined) return [];
      const query = `query ($id: ID!) { node(id: $id) { __typename ... on ${typeName} ${everything(schema, schema.getType(typeName) as never)} } }`;
      return [{ field: 'node', query, variables: call.variables, label: `node ${typeName}` }];
    });
  }

  /** Each mutation in every way; only planned where it can be. */
  async function mutationCalls(): Promise<Call[]> {
    let made = 0;
    const [pool] = await query<{ name: string; backendId: string; hostId: string }>(
      database,
      'SELECT name, backend_id AS "backendId", host_id AS "hostId" FROM datastore WHERE host_id IS NOT NULL LIMIT 1',
    );
    const issuer = { scopeId: target.id('tenant'), url: 'https://new.example', audience: 'new' };
    const examples: Readonly<Record<string, object | undefined>> = { ...EXAMPLES, revokeRole: { id: target.id('role_binding') }, addDatastore: pool, createIssuer: issuer };
    const all = callsOf(schema, 'mutation', target, () => `matrix-${(made += 1)}`, (output) => everything(schema, output, 2));
    return all.map((call) => {
      if (call.field === 'createDockerBundle') return { ...call, variables: { ...call.variables, input: { ...(call.variables['input'] as object), id: swarm } } };
      const type = schema.getMutationType()?.getFields()[call.field];
      const argument = type?.args.find((each) => each.name === 'input');
      const named = argument === undefined ? undefined : schema.getType(String(argument.type).replace('!', ''));
      if (!isInputObjectType(named) || named.getFields()['dryRun'] === undefined) return call;
      const input = { ...(call.variables['input'] as object), ...examples[call.field], dryRun: true };
      return { ...call, variables: { ...call.variables, input } };
    });
  }

  async function watch(caller: Caller, selection: string, sightings: Sightings): Promise<Cell> {
    const socket = caller.api.socket();
    const stream = socket.iterate<{ events: { resourceId: string } }>({ query: `subscription ($from: Cursor) { events(from: $from) ${selection} }`, variables: { from: start } });
    try {
      const sentinel = await caller.sentinel();
      let heard = 0;
      for await (const { data, errors } of stream) {
        expect(errors).toBeUndefined();
        if (data == null) continue;
        const text = JSON.stringify(data);
        expect(caller.hidden.filter((secret) => text.includes(secret))).toEqual([]);
        sightings.add('events', { status: 200, data: data as never, errors: [] });
        heard += 1;
        if (text.includes(sentinel)) break;
      }
      return heard > 1 ? Cell.YES : Cell.LESS;
    } catch (error) {
      if ((error as { code?: number }).code !== 4403) throw error;
      return Cell.NOBODY;
    } finally {
      await socket.dispose();
    }
  }

  async function keepTo({ api, projectId }: Tenant, name: string, storagePolicy: string): Promise<void> {
    const find = 'query ($projectId: ID!, $name: String!) { disks(projectId: $projectId, name: $name) { nodes { id } } }';
    const { disks } = await api.request<{ disks: { nodes: { id: string }[] } }>(find, { projectId, name });
    await api.request('mutation ($input: UpdateDiskInput!) { updateDisk(input: $input) { disk { id } } }', { input: { id: disks.nodes[0]?.id, storagePolicy } });
  }

  async function idsOf(...tables: string[]): Promise<string[]> {
    const rows = await Promise.all(tables.map((table) => query<{ id: string }>(database, `SELECT id FROM "${table}"`)));
    return rows.flat().map((row) => row.id);
  }

  /** Ids of all that is in the tenant's first project. */
  async function ofProject(owner: Tenant): Promise<string[]> {
    const tables = await query<{ name: string }>(
      database,
      `SELECT table_name AS name FROM information_schema.columns
       WHERE table_schema = 'public' AND column_name IN ('id', 'project_id') AND table_name NOT IN ('scope', 'project', 'event')
       GROUP BY table_name HAVING count(*) = 2`,
    );
    const rows = await Promise.all(tables.map(({ name }) => query<{ id: string }>(database, `SELECT id::text FROM "${name}" WHERE project_id = $1`, [owner.projectId])));
    return [owner.projectId, ...rows.flat().map((row) => row.id)];
  }

  /** The target with what a table's first row is no good example of. */
  async function withExamples(found: Target, owner: Tenant): Promise<Target> {
    const ids = new Map(found.ids);
    const [token] = await query<{ id: string; principal_id: string }>(database, `SELECT id, principal_id FROM api_token WHERE name = 'night' AND tenant_id = $1`, [owner.tenantId]);
    ids.set('api_token', token?.id ?? '').set('service_account', token?.principal_id ?? '');
    // Ended before anybody asks, so that all see the same of it.
    await owner.api.request('mutation ($id: ID!) { revokeApiToken(input: { id: $id }) { tokenId } }', { id: token?.id });
    for (const table of SHARED) ids.set(table, (await idsOf(table))[0] ?? '');
    // One of its own, that keeps to a storage policy.
    const [disk] = await query<{ id: string }>(database, 'SELECT id FROM disk WHERE storage_policy_id IS NOT NULL LIMIT 1');
    ids.set('disk', disk?.id ?? '');
    return { ...found, ids, id: (table) => ids.get(table) ?? owner.projectId };
  }

  async function accountIn(scopeId: string, name: string): Promise<string> {
    const { createServiceAccount } = await system.owner.request<{ createServiceAccount: { principal: { id: string } } }>(
      'mutation ($input: CreateServiceAccountInput!) { createServiceAccount(input: $input) { principal { id } } }',
      { input: { scopeId, name } },
    );
    return createServiceAccount.principal.id;
  }

  async function signedIn(principalId: string): Promise<ApiClient> {
    const { createApiToken } = await system.owner.request<{ createApiToken: { token: string } }>(
      'mutation ($id: ID!) { createApiToken(input: { principalId: $id, name: "matrix" }) { token } }',
      { id: principalId },
    );
    return system.client(createApiToken.token);
  }

  async function grant(input: Record<string, unknown>): Promise<void> {
    await system.owner.request('mutation ($input: GrantRoleInput!) { grantRole(input: $input) { roleBindingId } }', { input });
  }

  async function callerOf(scopeId: string, role: (typeof ROLES)[number]): Promise<ApiClient> {
    const principalId = await accountIn(scopeId, `caller-${role.toLowerCase().replace('_', '-')}`);
    await grant({ principalId, scopeId, role });
    return signedIn(principalId);
  }

  async function custom(owner: Tenant): Promise<ApiClient> {
    const principalId = await accountIn(owner.tenantId, 'caller-custom');
    const [role] = await query<{ id: string }>(database, 'SELECT id FROM custom_role WHERE tenant_id = $1', [owner.tenantId]);
    await grant({ principalId, scopeId: owner.tenantId, customRoleId: role?.id });
    return signedIn(principalId);
  }

  async function project(owner: Tenant, name: string): Promise<string> {
    const { createProject } = await owner.api.request<{ createProject: { project: { id: string } } }>(
      'mutation ($input: CreateProjectInput!) { createProject(input: $input) { project { id } } }',
      { input: { tenantId: owner.tenantId, name } },
    );
    return createProject.project.id;
  }

  /** @returns its id, once it is ready */
  async function cluster(owner: Tenant, input: Record<string, unknown>): Promise<string> {
    const create = 'mutation ($input: CreateClusterInput!) { createCluster(input: $input) { cluster { id } } }';
    const { createCluster } = await owner.api.request<{ createCluster: { cluster: { id: string } } }>(create, { input: { projectId: owner.projectId, ...input } });
    const { id } = createCluster.cluster;
    const state = async (): Promise<string> =>
      (await owner.api.request<{ cluster: { state: string } }>('query ($id: ID!) { cluster(id: $id) { state } }', { id })).cluster.state;
    await vi.waitFor(async () => expect(await state()).toBe('READY'), { timeout: 60_000, interval: 250 });
    return id;
  }
});
