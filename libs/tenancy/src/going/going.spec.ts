import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { MuonError, type ErrorRecord } from '#core';
import { ChangeSet, insertRows, statement, type Reader } from '#database';
import { Authenticator } from '#identity';
import { defineOperation, done, operationId, OPERATIONS, RESOURCE_LOCKS, type OperationEngine, type OperationKind } from '#operations';
import { auditCounters } from '#quota';
import { accessWith, systemAccess, tenancyBench, type TenancyBench } from '#testing';
import { ContentsOrder, type GoingScope, type OnboardTenantInput, type ScopeContents } from '../index.js';

/** Things of a room above: boxes stand on shelves, shelves have labels that go with them. */
interface Thing {
  id: string;
  name: string;
}

const countThings = statement<{ count: number }, [kind: string, tenantId: string, projectId: string | null]>(
  'spec.thing_count',
  'SELECT count(*) AS count FROM thing WHERE kind = $1 AND tenant_id = $2 AND ($3::text IS NULL OR project_id = $3)',
);
const listThings = statement<Thing, [kind: string, tenantId: string, projectId: string | null, limit: number]>(
  'spec.thing_list',
  'SELECT id, name FROM thing WHERE kind = $1 AND tenant_id = $2 AND ($3::text IS NULL OR project_id = $3) ORDER BY id LIMIT $4',
);
const listFree = statement<Thing, [kind: string, tenantId: string, projectId: string | null, limit: number]>(
  'spec.thing_free',
  `SELECT id, name FROM thing AS t WHERE kind = $1 AND tenant_id = $2 AND ($3::text IS NULL OR project_id = $3)
     AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.resource_id = t.id) ORDER BY id LIMIT $4`,
);
const removeThing = statement<never, [id: string]>(
  'spec.thing_remove',
  `WITH noted AS (INSERT INTO thing_history (id) VALUES ($1)) DELETE FROM thing WHERE id = $1 OR name = 'label of ' || $1`,
);
const history = statement<{ id: string }>('spec.thing_history', 'SELECT id FROM thing_history ORDER BY at');

/** Set by tests: ids whose removal fails for good. */
const broken = new Set<string>();

const removal = defineOperation({
  kind: 'spec.thing.delete',
  version: 1,
  input: z.object({}),
  deadlineMs: 60_000,
  steps: [
    {
      name: 'remove',
      pivot: true,
      async run({ operation }) {
        if (broken.has(operation.resourceId)) throw new MuonError('BACKEND_FAILED', 'The rack is locked.');
        return Promise.resolve(done());
      },
    },
  ],
  async onSucceeded(transaction, { operation }) {
    await transaction.execute(removeThing, operation.resourceId);
    await bench.ledger.refund(transaction, [operation.resourceId]);
  },
});

function contentsOf(kind: string, order: number, deletes = true): ScopeContents {
  const planDeletion = async (reader: Reader, scope: GoingScope, limit: number): Promise<ChangeSet> => {
    const changes = new ChangeSet();
    for (const { id } of await reader.rows(listFree, kind, scope.tenantId, scope.projectId, limit)) {
      const operation = operationId.create();
      changes.add(RESOURCE_LOCKS, { resourceId: id, operationId: operation, mode: 'TAKE' });
      changes.add(OPERATIONS, { id: operation, kind: removal.kind, resourceKind: kind, resourceId: id, ...scope, input: {} });
    }
    return changes;
  };
  return {
    kind,
    order,
    count: async (reader, scope) => (await reader.first(countThings, kind, scope.tenantId, scope.projectId))?.count ?? 0,
    list: (reader, scope, limit) => reader.rows(listThings, kind, scope.tenantId, scope.projectId, limit),
    ...(deletes ? { planDeletion } : {}),
  };
}

const operator = systemAccess();
let bench: TenancyBench;
let engine: OperationEngine;
let tenant: string;
let project: string;
let ownerToken: string;
let number = 0;

const createTables = `
  CREATE TABLE thing (id text PRIMARY KEY, kind text, name text, tenant_id text, project_id text);
  CREATE TABLE thing_history (id text, at timestamptz DEFAULT clock_timestamp())`;

beforeAll(async () => {
  bench = await tenancyBench({
    kinds: [removal as OperationKind<unknown>],
    // Registered in the wrong order on purpose.
    contents: [contentsOf('label', ContentsOrder.CLAIM, false), contentsOf('shelf', ContentsOrder.DISK), contentsOf('box', ContentsOrder.VIRTUAL_MACHINE)],
  });
  await bench.database.transaction((transaction) => transaction.raw(createTables));
  engine = bench.startEngine();
});
afterAll(() => bench.close());

beforeEach(async () => {
  broken.clear();
  number += 1;
  await bench.database.transaction((transaction) => transaction.raw('DELETE FROM thing_history'));
  const input: OnboardTenantInput = {
    name: `customer-${number}`,
    owners: [{ name: 'ann' }],
    ownerToken: true,
    quota: [{ resourceKey: 'box.count', limit: 10 }],
    project: { name: 'web', quota: [{ resourceKey: 'box.count', limit: 6 }] },
  };
  const made = await bench.tenants.onboard(operator, input);
  tenant = String(made.result.id);
  project = String(made.result.projectId);
  ownerToken = made.ownerToken ?? '';
});

async function fill(projectId: string, ids: { boxes: string[]; shelves: string[]; labels?: string[] }): Promise<void> {
  const rows = [
    ...ids.boxes.map((id) => ({ id, kind: 'box', name: `box ${id}` })),
    ...ids.shelves.map((id) => ({ id, kind: 'shelf', name: `shelf ${id}` })),
    ...(ids.labels ?? []).map((id) => ({ id: `label-${id}`, kind: 'label', name: `label of ${id}` })),
  ].map((row) => ({ ...row, tenant_id: tenant, project_id: projectId }));
  await bench.database.transaction(async (transaction) => {
    await insertRows(transaction, 'thing', rows);
    const charge = { action: 'CHARGE' as const, resourceKind: 'box', tenantId: tenant, projectId, zoneId: null, amounts: { 'box.count': 1 } };
    await bench.ledger.charge(transaction, ids.boxes.map((id) => ({ ...charge, resourceId: id })));
  });
}

interface Seen {
  state: string;
  error: ErrorRecord | null;
  blocker: { code: string; message: string; fault: string; remedy?: string; data?: { leftovers?: unknown[] } } | null;
}
const seeOperation = statement<Seen, [id: string]>('spec.going_operation', 'SELECT state, error, blocker FROM operation WHERE id = $1');
const see = async (id: unknown): Promise<Seen | undefined> => bench.database.first(seeOperation, String(id));
const until = async (id: unknown, state: string): Promise<void> => {
  await expect.poll(async () => (await see(id))?.state, { timeout: 15_000, interval: 25 }).toBe(state);
};

/** Rows of any table that still name this tenant, except what stays: audit, metering, events, operations and plans. */
const traces = statement<{ table: string }, [tenantId: string]>(
  'spec.going_traces',
  `SELECT name AS "table" FROM (
     SELECT 'scope' AS name FROM scope WHERE tenant_id = $1 UNION ALL SELECT 'tenant' FROM tenant WHERE tenant_id = $1
     UNION ALL SELECT 'project' FROM project WHERE tenant_id = $1 UNION ALL SELECT 'zone_grant' FROM zone_grant WHERE tenant_id = $1
     UNION ALL SELECT 'quota' FROM quota WHERE tenant_id = $1 UNION ALL SELECT 'quota_counter' FROM quota_counter WHERE tenant_id = $1
     UNION ALL SELECT 'quota_charge' FROM quota_charge WHERE tenant_id = $1 UNION ALL SELECT 'principal' FROM principal WHERE tenant_id = $1
     UNION ALL SELECT 'role_binding' FROM role_binding WHERE tenant_id = $1 UNION ALL SELECT 'api_token' FROM api_token WHERE tenant_id = $1
     UNION ALL SELECT 'resource_lock' FROM resource_lock WHERE resource_id = $1 UNION ALL SELECT 'thing' FROM thing WHERE tenant_id = $1
   ) AS trace`,
);

test('a preview lists what goes, in the order in which it goes, and touches nothing', async () => {
  await fill(project, { boxes: ['b1', 'b2'], shelves: ['s1'], labels: ['s1'] });
  const { plan } = await bench.tenants.offboard(operator, { id: tenant }, { dryRun: true });
  expect(plan?.changes.resources.map((resource) => `${resource.action} ${resource.kind} ${resource.id}`)).toEqual([
    'DELETE box b1',
    'DELETE box b2',
    'DELETE shelf s1',
    'DELETE label label-s1',
    `DELETE project ${project}`,
    `DELETE tenant ${tenant}`,
  ]);
  expect(plan?.changes.reasons.slice(0, 3).map((reason) => reason.message)).toEqual(['2 of kind box', '1 of kind shelf', '1 of kind label']);
  expect((await bench.tenants.byName(operator, `customer-${number}`)).state).toBe('ACTIVE');
  await bench.database.transaction((transaction) => transaction.raw('DELETE FROM thing'));
  await bench.database.transaction((transaction) => bench.ledger.refund(transaction, ['b1', 'b2']));
});

test('a tenant goes kind by kind, ends with proof, leaves nothing, and its name starts clean', async () => {
  const boxes = Array.from({ length: 6 }, (_, index) => `b-${number}-${index}`);
  await fill(project, { boxes, shelves: [`s-${number}-1`, `s-${number}-2`], labels: [`s-${number}-1`] });
  const { result } = await bench.tenants.offboard(operator, { id: tenant });
  expect(result.id).toBe(tenant);
  await expect(bench.projects.create(operator, { tenantId: tenant, name: 'late' })).rejects.toMatchObject({ code: 'INVALID_STATE' });
  await expect(bench.tenants.onboard(operator, { name: `customer-${number}`, owners: [{ name: 'x' }] })).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  await expect(bench.tenants.offboard(operator, { id: tenant })).rejects.toMatchObject({
    code: 'INVALID_STATE',
    data: { operationId: result.operationId },
  });
  await until(result.operationId, 'SUCCEEDED');
  const order = (await bench.database.rows(history)).map((row) => row.id[0]);
  expect(order.join('')).toBe('bbbbbbss');
  expect(await bench.database.rows(traces, tenant)).toEqual([]);
  const proof = statement<{ output: unknown }, [id: string]>(
    'spec.going_proof',
    `SELECT output FROM operation_step WHERE operation_id = $1 AND name = 'prove-empty'`,
  );
  expect((await bench.database.first(proof, String(result.operationId)))?.output).toEqual({ proof: { left: { box: 0, shelf: 0, label: 0, charge: 0, secret: 0, operation: 0 } } });
  await expect(new Authenticator(bench.database).authenticate(ownerToken, { requestId: 'r', address: null })).rejects.toMatchObject({
    code: 'UNAUTHENTICATED',
  });
  expect((await auditCounters(bench.database)).drift).toEqual([]);
  // What was used is still to be billed.
  const range = { tenantId: tenant, from: new Date(Date.now() - 600_000), to: new Date(Date.now() + 600_000) };
  expect((await bench.quota.metering(operator, range, {})).rows).toHaveLength(6);

  const again = await bench.tenants.onboard(operator, { name: `customer-${number}`, owners: [{ name: 'ann' }] });
  expect(again.result.id).not.toBe(tenant);
  expect((await bench.quota.usage(operator, String(again.result.id))).lines).toEqual([]);
  expect((await bench.projects.find(operator, [project])).size).toBe(0);
});

test('a project goes alone: its carve returns to the tenant, the neighbour stays', async () => {
  const neighbour = String((await bench.projects.create(operator, { tenantId: tenant, name: 'api' })).result.id);
  await fill(project, { boxes: [`b-${number}-1`], shelves: [] });
  await fill(neighbour, { boxes: [`b-${number}-2`], shelves: [] });
  const owner = accessWith([{ role: 'OWNER', tenantId: tenant, projectId: null }]);
  const { result } = await bench.projects.delete(owner, { id: project });
  await until(result.operationId, 'SUCCEEDED');
  expect((await bench.projects.find(owner, [project, neighbour])).size).toBe(1);
  const { lines } = await bench.quota.usage(operator, tenant);
  expect(lines).toMatchObject([{ resource_key: 'box.count', limit_amount: 10, used_amount: 1, carved_amount: 0 }]);
  expect((await auditCounters(bench.database)).drift).toEqual([]);
  const again = await bench.projects.create(owner, { tenantId: tenant, name: 'web' });
  expect(again.result.id).not.toBe(project);
});

test('what cannot go is named one by one; mended and resumed, the end comes', async () => {
  // A label that goes with nothing: no room deletes it.
  await fill(project, { boxes: [`b-${number}`], shelves: [], labels: ['nothing'] });
  const charge = { action: 'CHARGE' as const, resourceKind: 'box', tenantId: tenant, projectId: project, zoneId: null };
  await bench.database.transaction((transaction) =>
    bench.ledger.charge(transaction, [{ ...charge, resourceId: 'ghost', amounts: { 'box.count': 1 } }]),
  );
  const { result } = await bench.tenants.offboard(operator, { id: tenant });
  await until(result.operationId, 'STUCK');
  const stuck = await see(result.operationId);
  expect(JSON.stringify(stuck)).toContain('label-nothing');
  const record = stuck?.error ?? stuck?.blocker;
  expect(record?.data?.leftovers).toEqual([
    { kind: 'label', id: 'label-nothing', name: 'label of nothing' },
    { kind: 'charge', id: 'ghost', name: 'box.count' },
  ]);
  expect((await bench.tenants.byName(operator, `customer-${number}`)).state).toBe('DELETING');
  await bench.database.transaction(async (transaction) => {
    await transaction.raw(`DELETE FROM thing WHERE id = 'label-nothing'`);
    await bench.ledger.refund(transaction, ['ghost']);
  });
  await bench.operations.retry(String(result.operationId));
  await until(result.operationId, 'SUCCEEDED');
  expect(await bench.database.rows(traces, tenant)).toEqual([]);
}, 40_000);

test('given up by an operator it stays closed, and can be taken away again', async () => {
  await fill(project, { boxes: [], shelves: [], labels: ['forgotten'] });
  const { result } = await bench.tenants.offboard(operator, { id: tenant });
  await until(result.operationId, 'STUCK');
  await bench.operations.abandon(String(result.operationId), 'nobody knows what this label is');
  await until(result.operationId, 'FAILED');
  expect(await bench.tenants.byName(operator, `customer-${number}`)).toMatchObject({ state: 'DELETING', deletion_operation_id: null });
  await expect(bench.tenants.resume(operator, { id: tenant })).rejects.toMatchObject({ code: 'INVALID_STATE' });
  await bench.database.transaction((transaction) => transaction.raw(`DELETE FROM thing WHERE id = 'label-forgotten'`));
  const again = await bench.tenants.offboard(operator, { id: tenant });
  await until(again.result.operationId, 'SUCCEEDED');
  expect(await bench.database.rows(traces, tenant)).toEqual([]);
});

test('one thing that fails to go holds the rest back and is shown; when it can go, all of it does', async () => {
  const [one, two] = [`b-${number}-1`, `b-${number}-2`];
  broken.add(one);
  await fill(project, { boxes: [one, two], shelves: [`s-${number}`] });
  const { result } = await bench.tenants.offboard(operator, { id: tenant });
  await expect.poll(async () => (await see(result.operationId))?.blocker?.fault).toBe('OPERATOR');
  expect((await see(result.operationId))?.blocker).toMatchObject({
    code: 'RESOURCE_BUSY',
    message: expect.stringMatching(/^1 of kind box are still to go\. Operation "op_\w+" \(spec\.thing\.delete\) is STUCK: .*The rack is locked\.$/),
    remedy: 'An operator can retry it once the cause is mended, or abandon it with a reason.',
    data: {
      kind: 'box',
      count: 1,
      first: [{ id: one, name: `box ${one}` }],
      operations: [{ kind: 'spec.thing.delete', resourceId: one, state: 'STUCK', code: 'BACKEND_FAILED', message: expect.stringContaining('The rack is locked.') }],
    },
  });
  expect((await bench.database.rows(history)).map((row) => row.id)).toEqual([two]);
  broken.clear();
  const stuck = statement<{ id: string }, [resourceId: string]>(
    'spec.going_stuck',
    `SELECT id FROM operation WHERE resource_id = $1 AND state = 'STUCK'`,
  );
  await expect.poll(async () => (await bench.database.rows(stuck, one)).length).toBe(1);
  await bench.operations.retry((await bench.database.rows(stuck, one))[0]!.id);
  await until(result.operationId, 'SUCCEEDED');
  expect(await bench.database.rows(traces, tenant)).toEqual([]);
}, 30_000);

test('until it has begun it can be called off, and everything is as it was', async () => {
  await engine.drain(1000);
  await bench.tenants.suspend(operator, { id: tenant });
  const { result } = await bench.tenants.offboard(operator, { id: tenant });
  await bench.operations.cancel(String(result.operationId));
  engine = bench.startEngine();
  await until(result.operationId, 'CANCELLED');
  expect(await bench.tenants.byName(operator, `customer-${number}`)).toMatchObject({ state: 'SUSPENDED', deletion_operation_id: null });
  await bench.tenants.resume(operator, { id: tenant });
  const again = await bench.tenants.offboard(operator, { id: tenant });
  await until(again.result.operationId, 'SUCCEEDED');
});

test('an offboarding waits for a project’s deletion that has begun, and takes the rest', async () => {
  await fill(project, { boxes: [`b-${number}`], shelves: [] });
  const first = await bench.projects.delete(operator, { id: project });
  const second = await bench.tenants.offboard(operator, { id: tenant });
  await until(second.result.operationId, 'SUCCEEDED');
  expect(['SUCCEEDED', 'CANCELLED']).toContain((await see(first.result.operationId))?.state);
  expect(await bench.database.rows(traces, tenant)).toEqual([]);
});

test('only those above may take it away', async () => {
  const owner = accessWith([{ role: 'OWNER', tenantId: tenant, projectId: null }]);
  const stranger = accessWith([{ role: 'OWNER', tenantId: 'ten_00000000000000000000000001', projectId: null }]);
  await expect(bench.tenants.offboard(owner, { id: tenant })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await expect(bench.tenants.offboard(stranger, { id: tenant })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.id' });
  await expect(bench.projects.delete(stranger, { id: project })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(bench.tenants.offboard(operator, { id: tenant, expectedVersion: 7 })).rejects.toMatchObject({ code: 'CONFLICT' });
});
