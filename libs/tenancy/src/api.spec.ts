import 'reflect-metadata';
import { Module, type Provider } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GraphQLSchemaHost } from '@nestjs/graphql';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { insertRows } from '#database';
import { EventFeed } from '#events';
import { EVENT_VISIBILITY, eventsResolvers } from '#events/api';
import { assertDescribed } from '#graphql';
import { graphqlModule } from '#graphql/api';
import { Authenticator, bootstrapOwner, createToken, identityServices } from '#identity';
import { BearerAuthenticator, GrantedEvents, identityResolvers } from '#identity/api';
import { zoneId } from '#infrastructure';
import { OperationQueries, OperationRequests } from '#operations';
import { operationsResolvers } from '#operations/api';
import { quotaResolvers } from '#quota/api';
import { tenancyBench, type TenancyBench } from '#testing';
import { tenancyResolvers } from './api.js';

interface Answer {
  // oxlint-disable-next-line typescript/no-explicit-any -- answers are compared, not used
  data: any;
  errors?: { message: string; extensions: { code: string; field?: string; data?: unknown } }[];
}

let bench: TenancyBench;
let app: NestFastifyApplication;
let url: string;
let operator: string;
let owner: string;

beforeAll(async () => {
  bench = await tenancyBench();
  const { database, commands, log } = bench;
  const feed = new EventFeed(database, log);
  const values = [
    database,
    feed,
    commands,
    new Authenticator(database),
    ...identityServices(commands),
    new OperationQueries(),
    new OperationRequests(commands, bench.operations),
    bench.quota,
    bench.tenants,
    bench.projects,
  ];
  const providers: Provider[] = [
    ...values.map((value) => ({ provide: value.constructor, useValue: value })),
    BearerAuthenticator,
    { provide: EVENT_VISIBILITY, useClass: GrantedEvents },
  ];
  @Module({ providers, exports: providers })
  class ServicesModule {}
  const graphql = graphqlModule({ imports: [ServicesModule], authenticator: BearerAuthenticator, logger: log });
  @Module({
    imports: [ServicesModule, graphql],
    providers: [...eventsResolvers, ...identityResolvers, ...operationsResolvers, ...quotaResolvers, ...tenancyResolvers],
  })
  class ApiModule {}
  app = await NestFactory.create<NestFastifyApplication>(ApiModule, new FastifyAdapter(), { logger: false, abortOnError: false });
  await app.listen(0, '127.0.0.1');
  url = `${await app.getUrl()}/graphql`;
  operator = createToken().text;
  await bootstrapOwner(database, operator);
  await database.transaction((transaction) => insertRows(transaction, 'zone', [{ id: zoneId.create(), name: 'east' }, { id: zoneId.create(), name: 'west' }]));
});
afterAll(async () => {
  await app?.close();
  await bench?.close();
});

async function ask(query: string, variables: Record<string, unknown> = {}, token = operator, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...headers },
    body: JSON.stringify({ query, variables }),
  });
  return (await response.json()) as Answer;
}

const ONBOARD = `mutation Onboard($input: OnboardTenantInput!) { onboardTenant(input: $input) {
  ownerToken
  tenant { id name displayName state allZones version zones { name } owners { name }
    quota { version lines { resourceKey limit used carvedOut available } } projects(first: 5) { totalCount nodes { name } } }
  project { id name state tenant { name } quota { lines { resourceKey limit used available } } }
  plan { id resources { action kind name } reasons { message } problems { code field } }
} }`;

const input = {
  name: 'acme',
  displayName: 'Acme',
  owners: [{ name: 'ann' }],
  ownerToken: true,
  zones: ['east'],
  quota: [{ resourceKey: 'vm.cpu', limit: 100 }, { resourceKey: 'vm.count', limit: 20 }],
  project: { name: 'web', quota: [{ resourceKey: 'vm.cpu', limit: 40 }] },
};

test('every part of the schema is described', () => {
  assertDescribed(app.get(GraphQLSchemaHost).schema);
});

test('an operator previews and onboards a tenant by one mutation', async () => {
  const dry = await ask(ONBOARD, { input: { ...input, dryRun: true } });
  expect(dry.errors).toBeUndefined();
  expect(dry.data.onboardTenant).toMatchObject({ tenant: null, project: null, ownerToken: null, plan: { problems: [] } });
  expect(dry.data.onboardTenant.plan.resources).toHaveLength(3);
  const made = await ask(ONBOARD, { input }, operator, { 'idempotency-key': 'one' });
  expect(made.errors).toBeUndefined();
  expect(made.data.onboardTenant).toMatchObject({
    plan: null,
    tenant: {
      name: 'acme',
      displayName: 'Acme',
      state: 'ACTIVE',
      allZones: false,
      zones: [{ name: 'east' }],
      owners: [{ name: 'ann' }],
      quota: {
        lines: [
          { resourceKey: 'vm.count', limit: 20, used: 0, carvedOut: 0, available: 20 },
          { resourceKey: 'vm.cpu', limit: 100, used: 40, carvedOut: 40, available: 60 },
        ],
      },
      projects: { totalCount: 1, nodes: [{ name: 'web' }] },
    },
    project: {
      name: 'web',
      state: 'ACTIVE',
      tenant: { name: 'acme' },
      quota: { lines: [{ resourceKey: 'vm.count', limit: null, used: 0, available: 20 }, { resourceKey: 'vm.cpu', limit: 40, used: 0, available: 40 }] },
    },
  });
  owner = made.data.onboardTenant.ownerToken;
  const again = await ask(ONBOARD, { input }, operator, { 'idempotency-key': 'one' });
  expect(again.data.onboardTenant).toMatchObject({ ownerToken: null, tenant: { id: made.data.onboardTenant.tenant.id } });
  const taken = await ask(ONBOARD, { input });
  expect(taken.errors?.[0]?.extensions).toMatchObject({ code: 'ALREADY_EXISTS', field: 'input.name' });
});

test('the owner works in the tenant: projects, carves, usage and its reasons', async () => {
  const tenant = (await ask('{ tenant(name: "acme") { id } }', {}, owner)).data.tenant.id as string;
  const created = await ask(
    `mutation($input: CreateProjectInput!) { createProject(input: $input) { project { id name } } }`,
    { input: { tenantId: tenant, name: 'api', quota: [{ resourceKey: 'vm.cpu', limit: 10 }] } },
    owner,
  );
  expect(created.errors).toBeUndefined();
  const project = created.data.createProject.project.id as string;
  const set = await ask(
    `mutation($input: PatchQuotaInput!) { patchQuota(input: $input) { quota { version lines { resourceKey limit } } } }`,
    { input: { scopeId: project, expectedVersion: 1, lines: [{ resourceKey: 'vm.cpu', limit: 70 }] } },
    owner,
  );
  expect(set.errors?.[0]?.extensions).toMatchObject({
    code: 'QUOTA_EXCEEDED',
    field: 'input.lines.0.limit',
    data: { key: 'vm.cpu', scopeId: tenant, limit: 100, used: 50, requested: 60 },
  });
  await bench.database.transaction((transaction) =>
    bench.ledger.charge(transaction, [
      { action: 'CHARGE', resourceId: 'vm_1', resourceKind: 'vm', tenantId: tenant, projectId: project, zoneId: null, amounts: { 'vm.cpu': 4, 'vm.count': 1 } },
    ]),
  );
  const seen = await ask(
    `query($tenant: ID!, $project: ID!, $from: DateTime!, $to: DateTime!) {
      usageEntries(scopeId: $tenant, resourceKey: "vm.cpu", first: 10) { totalCount nodes { source resourceId amount resource { id __typename } } }
      one: usageEntries(scopeId: $project, resourceKey: "vm.cpu") { nodes { source resourceId resourceKind amount } eventCursor }
      meteringRecords(tenantId: $tenant, from: $from, to: $to, resourceKey: "vm.cpu") { totalCount nodes { resourceId amount to } }
      meteringTotals(tenantId: $tenant, from: $from, to: $to) { resourceKey amountHours }
      quota(scopeId: $project) { version lines { resourceKey limit used available } }
      projects(nameContains: "AP") { nodes { name quota { version } } }
      project(name: "api") { id }
      node(id: $project) { id ... on Project { name } }
    }`,
    { tenant, project, from: new Date(Date.now() - 60_000), to: new Date(Date.now() + 60_000) },
    owner,
  );
  expect(seen.errors).toBeUndefined();
  expect(seen.data.usageEntries.totalCount).toBe(2);
  expect(seen.data.usageEntries.nodes[1]).toEqual({ source: 'CARVE', resourceId: project, amount: 10, resource: { id: project, __typename: 'Project' } });
  expect(seen.data.one.nodes).toEqual([{ source: 'CHARGE', resourceId: 'vm_1', resourceKind: 'vm', amount: 4 }]);
  expect(seen.data.meteringRecords).toEqual({ totalCount: 1, nodes: [{ resourceId: 'vm_1', amount: 4, to: null }] });
  expect(seen.data.meteringTotals.map((total: { resourceKey: string }) => total.resourceKey)).toEqual(['vm.count', 'vm.cpu']);
  expect(seen.data.quota).toEqual({
    version: 1,
    lines: [
      { resourceKey: 'vm.count', limit: null, used: 1, available: 19 },
      { resourceKey: 'vm.cpu', limit: 10, used: 4, available: 6 },
    ],
  });
  expect(seen.data.projects.nodes).toEqual([{ name: 'api', quota: { version: 1 } }]);
  expect(seen.data.project.id).toBe(project);
  expect(seen.data.node).toEqual({ id: project, name: 'api' });
  const wrong = await ask('query($id: ID!) { usageEntries(scopeId: $id, resourceKey: "cpu") { nodes { amount } } }', { id: tenant }, owner);
  expect(wrong.errors?.[0]?.extensions).toMatchObject({ code: 'INVALID_INPUT', field: 'resourceKey' });
});

test('suspend, resume, zones; and a tenant’s owner may not', async () => {
  const { id } = (await ask('{ tenant(name: "acme") { id } }')).data.tenant as { id: string };
  const suspend = 'mutation($input: SuspendTenantInput!) { suspendTenant(input: $input) { tenant { state } plan { id } } }';
  expect((await ask(suspend, { input: { id } }, owner)).errors?.[0]?.extensions.code).toBe('FORBIDDEN');
  expect((await ask(suspend, { input: { id } })).data.suspendTenant).toEqual({ tenant: { state: 'SUSPENDED' }, plan: null });
  expect((await ask('{ project(name: "web") { state } }', {}, owner)).data.project.state).toBe('SUSPENDED');
  const resumed = await ask('mutation($input: ResumeTenantInput!) { resumeTenant(input: $input) { tenant { state } } }', { input: { id } });
  expect(resumed.data.resumeTenant.tenant.state).toBe('ACTIVE');
  const update = 'mutation($input: UpdateTenantInput!) { updateTenant(input: $input) { tenant { displayName allZones zones { name } } } }';
  const opened = await ask(update, { input: { id, zones: null } });
  expect(opened.data.updateTenant.tenant).toEqual({ displayName: 'Acme', allZones: true, zones: [{ name: 'east' }, { name: 'west' }] });
  const renamed = await ask(update, { input: { id, displayName: 'Acme & Sons' } });
  expect(renamed.data.updateTenant.tenant).toMatchObject({ displayName: 'Acme & Sons', allZones: true });
});

test('a project and a tenant are previewed and taken away, and the operation shows it', async () => {
  await bench.database.transaction((transaction) => bench.ledger.refund(transaction, ['vm_1']));
  const { id } = (await ask('{ project(name: "api") { id } }', {}, owner)).data.project as { id: string };
  const remove = `mutation($input: DeleteProjectInput!) { deleteProject(input: $input) {
    project { state currentOperation { id } } operation { id kind state resource { id } } plan { resources { action kind name } } } }`;
  const preview = await ask(remove, { input: { id, dryRun: true } }, owner);
  expect(preview.data.deleteProject).toEqual({
    project: null,
    operation: null,
    plan: { resources: [{ action: 'DELETE', kind: 'project', name: 'api' }] },
  });
  const { project, operation } = (await ask(remove, { input: { id } }, owner)).data.deleteProject;
  expect(project).toEqual({ state: 'DELETING', currentOperation: { id: operation.id } });
  expect(operation).toMatchObject({ kind: 'tenancy.project.delete', state: 'QUEUED', resource: { id } });
  const tenant = (await ask('{ tenant(name: "acme") { id } }')).data.tenant.id as string;
  const offboard = 'mutation($input: OffboardTenantInput!) { offboardTenant(input: $input) { tenant { state } operation { id } plan { resources { name } } } }';
  const planned = await ask(offboard, { input: { id: tenant, dryRun: true } });
  expect(planned.data.offboardTenant.plan.resources.map((resource: { name: string }) => resource.name)).toEqual(['api', 'web', 'acme']);
  const going = await ask(offboard, { input: { id: tenant } });
  expect(going.data.offboardTenant.tenant.state).toBe('DELETING');
  bench.startEngine();
  const state = 'query($id: ID!) { operation(id: $id) { state steps { name proof } } }';
  const watch = async (): Promise<unknown> => (await ask(state, { id: going.data.offboardTenant.operation.id })).data.operation?.state;
  await expect.poll(watch, { timeout: 10_000 }).toBe('SUCCEEDED');
  const [, proof] = (await ask(state, { id: going.data.offboardTenant.operation.id })).data.operation.steps;
  expect(proof.name).toBe('prove-empty');
  expect(new Set(Object.values(proof.proof.left))).toEqual(new Set([0]));
  expect(Object.keys(proof.proof.left)).toEqual(expect.arrayContaining(['charge', 'secret', 'operation']));
  expect((await ask('{ tenant(name: "acme") { id } }')).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
  expect((await ask('{ tenants { nodes { name } } }')).data.tenants.nodes).toEqual([]);
  await expect.poll(async () => (await ask('{ projects { nodes { name } } }', {}, owner)).errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
});
