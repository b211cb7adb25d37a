import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closeAuditEntries, pruneAuditEntries, type Access } from '#identity';
import { identityResolvers } from '#identity/api';
import { insertRows } from '#database';
import { countStatements, identityBench, idOf, newTenant, testApi, type IdentityBench, type TestAccount, type TestApi, type TestTenant } from '#testing';

const EXPLAIN = `query ($principal: ID!, $action: Action!, $resource: ID!, $kind: ResourceKind) {
  explainAccess(principalId: $principal, action: $action, resourceId: $resource, kind: $kind) { isAllowed message allowedBy bindings { role customRole { name } } } }`;
const REVIEW = `query ($scope: ID!, $first: Int, $after: Cursor) { accessReview(scopeId: $scope, first: $first, after: $after) {
  totalCount pageInfo { endCursor } nodes { principal { name } binding { role } groupName isInherited lastActedAt } } }`;
const AUDIT = `query ($command: String, $principal: ID, $outcome: AuditOutcome, $since: DateTime, $until: DateTime) {
  auditEntries(command: $command, principalId: $principal, outcome: $outcome, since: $since, until: $until) {
    nodes { command outcome errorCode resourceId projectId operationOutcome operationErrorCode endedAt } } }`;

interface Explained {
  explainAccess: { isAllowed: boolean; message: string; allowedBy: string[]; bindings: { role: string | null; customRole: { name: string } | null }[] };
}
interface Reviewed {
  accessReview: {
    totalCount: number;
    pageInfo: { endCursor: string };
    nodes: { principal: { name: string }; binding: { role: string }; groupName: string | null; isInherited: boolean; lastActedAt: string | null }[];
  };
}
interface Audited {
  auditEntries: { nodes: { command: string; outcome: string; errorCode: string | null; resourceId: string; operationOutcome: string | null; operationErrorCode: string | null; endedAt: string | null }[] };
}

describe('who may do what, and who did', () => {
  let bench: IdentityBench;
  let api: TestApi;
  let tenant: TestTenant;
  let project: string;
  let people: Record<'owner' | 'developer' | 'viewer' | 'robot', TestAccount>;

  beforeAll(async () => {
    bench = await identityBench();
    tenant = await newTenant(bench.database, 2);
    project = tenant.projectIds[0] ?? '';
    people = {
      owner: await bench.account('owner', tenant.id, [{ scopeId: tenant.id, role: 'OWNER' }]),
      developer: await bench.account('developer', tenant.id),
      viewer: await bench.account('viewer', tenant.id, [{ scopeId: project, role: 'VIEWER' }]),
      robot: await bench.account('robot', project, [{ scopeId: project, role: 'LIMITED_CONTRIBUTOR' }]),
    };
    const owner = await people.owner.access();
    const group = await bench.services.groups.create(owner, { scopeId: tenant.id, name: 'developers' });
    const groupId = idOf(group.result);
    await bench.services.bindings.grantRole(owner, { groupId, scopeId: tenant.id, role: 'CONTRIBUTOR' });
    await bench.services.groups.addMember(owner, { groupId, principalId: people.developer.id });
    const callers: Record<string, Access> = { system: bench.system };
    for (const [name, account] of Object.entries(people)) callers[name] = await account.access();
    const services = [bench.database, bench.commands, ...Object.values(bench.services)];
    api = await testApi({ log: bench.log, services, resolvers: identityResolvers, callers });
  });
  afterAll(async () => {
    await api?.close();
    await bench.close();
  });

  const explain = async (caller: string, principal: TestAccount, action: string, resource: string, kind?: string): Promise<Explained['explainAccess']> =>
    (await api.data<Explained>(caller, EXPLAIN, { principal: principal.id, action, resource, kind })).explainAccess;

  it('is explained by the bindings that give a right, or the roles that would', async () => {
    const { developer, robot, viewer, owner } = people;
    expect(await explain('owner', developer, 'MODIFY', owner.id)).toEqual({
      isAllowed: false,
      message: '"developer" has no role there that allows MODIFY on principal; OWNER would.',
      allowedBy: ['OWNER'],
      bindings: [],
    });
    expect(await explain('owner', developer, 'READ', robot.id)).toMatchObject({
      isAllowed: true,
      message: 'The CONTRIBUTOR on the tenant, by the group "developers" allows READ on principal.',
      bindings: [{ role: 'CONTRIBUTOR', customRole: null }],
    });
    expect(await explain('robot', robot, 'CREATE_CHILD', robot.id, 'DISK')).toMatchObject({ isAllowed: true, allowedBy: ['LIMITED_CONTRIBUTOR', 'CONTRIBUTOR', 'OWNER'] });
    expect(await explain('robot', robot, 'CREATE_CHILD', robot.id, 'NETWORK')).toMatchObject({ isAllowed: false });
    const hidden = await api.ask('viewer', EXPLAIN, { principal: owner.id, action: 'READ', resource: robot.id });
    expect(hidden.errors?.[0]?.extensions).toMatchObject({ code: 'NOT_FOUND', field: 'principalId' });
    const unseen = await api.ask('viewer', EXPLAIN, { principal: viewer.id, action: 'READ', resource: owner.id });
    expect(unseen.errors?.[0]?.extensions).toMatchObject({ code: 'NOT_FOUND', field: 'resourceId' });
  });

  it('is reviewed page by page by the owners of the scope, with the last deed, in statements that do not grow', async () => {
    const review = async (caller: string, scope: string, more = {}): Promise<Reviewed['accessReview']> =>
      (await api.data<Reviewed>(caller, REVIEW, { scope, ...more })).accessReview;
    const whole = await review('owner', project);
    expect(whole.nodes.map((node) => [node.principal.name, node.binding.role, node.groupName, node.isInherited, node.lastActedAt !== null])).toEqual([
      ['developer', 'CONTRIBUTOR', 'developers', true, false],
      ['owner', 'OWNER', null, true, false],
      ['robot', 'LIMITED_CONTRIBUTOR', null, false, false],
      ['viewer', 'VIEWER', null, false, false],
    ]);
    expect((await review('owner', tenant.id)).nodes.map((node) => [node.principal.name, node.lastActedAt !== null])).toEqual([
      ['developer', false],
      ['owner', true],
    ]);
    const first = await review('system', project, { first: 2 });
    const second = await review('system', project, { first: 2, after: first.pageInfo.endCursor });
    expect([...first.nodes, ...second.nodes]).toEqual(whole.nodes);
    expect(first.totalCount).toBe(4);
    const few = await countStatements(bench.database, () => review('owner', project, { first: 1 }));
    expect(await countStatements(bench.database, () => review('owner', project, { first: 4 }))).toEqual(few);
    for (const caller of ['viewer', 'robot']) {
      expect((await api.ask(caller, REVIEW, { scope: project })).errors?.[0]?.extensions.code).toBe('FORBIDDEN');
      expect((await api.ask(caller, REVIEW, { scope: tenant.id })).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    }
  });

  it('is in the audit log for owners alone: refusals where they were aimed, filters, the outcome of operations, a term', async () => {
    const audit = async (caller: string, filter = {}): Promise<Audited['auditEntries']['nodes']> => (await api.data<Audited>(caller, AUDIT, filter)).auditEntries.nodes;
    const refused = api.ask('viewer', 'mutation ($input: CreateGroupInput!) { createGroup(input: $input) { group { id } } }', { input: { scopeId: project, name: 'mine' } });
    expect((await refused).errors?.[0]?.extensions).toMatchObject({ code: 'FORBIDDEN', data: { allowedBy: ['OWNER'], scopeId: project } });
    expect(await audit('owner', { principal: people.viewer.id, outcome: 'REFUSED' })).toEqual([
      expect.objectContaining({ command: 'createGroup', errorCode: 'FORBIDDEN', projectId: project }),
    ]);
    for (const caller of ['viewer', 'robot', 'developer']) expect(await audit(caller)).toEqual([]);
    expect(new Set((await audit('owner', { command: 'grantRole' })).map((entry) => entry.command))).toEqual(new Set(['grantRole']));
    expect(await audit('owner', { since: new Date(Date.now() + 60_000).toISOString() })).toEqual([]);
    expect(await audit('owner', { until: new Date(0).toISOString() })).toEqual([]);
    const entry = { request_id: 'r', outcome: 'ACCEPTED', input: {}, tenant_id: tenant.id, command: 'createDisk' };
    const old = { ...entry, id: 'aud_00000000000000000000000001', operation_id: 'op_1', at: new Date(Date.now() - 40 * 86_400_000) };
    await bench.database.transaction((transaction) => insertRows(transaction, 'audit_entry', [old]));
    for (const [state, errorCode] of [['FAILED', 'BACKEND_FAILED'], ['SUCCEEDED', null]] as const) {
      await bench.database.transaction((transaction) => closeAuditEntries(transaction, { operationId: 'op_1', state, errorCode }));
    }
    expect(await audit('owner', { command: 'createDisk' })).toEqual([
      expect.objectContaining({ operationOutcome: 'FAILED', operationErrorCode: 'BACKEND_FAILED', endedAt: expect.any(String) }),
    ]);
    expect(await pruneAuditEntries(bench.database, 50)).toBe(0);
    expect(await pruneAuditEntries(bench.database, 30)).toBe(1);
    expect(await audit('owner', { command: 'createDisk' })).toEqual([]);
  });

  it('tells on every node what the viewer can do, without asking the database', async () => {
    const can = async (caller: string, id: string): Promise<string[]> =>
      (await api.data<{ node: { viewerCan: string[] } }>(caller, 'query ($id: ID!) { node(id: $id) { viewerCan } }', { id })).node.viewerCan;
    expect(await can('owner', people.robot.id)).toEqual(['READ', 'LIST_CHILDREN', 'CREATE_CHILD', 'MODIFY', 'DELETE']);
    expect(await can('viewer', people.robot.id)).toEqual(['READ', 'LIST_CHILDREN']);
    const nodes = 'query { principals { nodes { id name } } }';
    const plain = await countStatements(bench.database, () => api.data('owner', nodes));
    expect(await countStatements(bench.database, () => api.data('owner', nodes.replace('name', 'name viewerCan')))).toEqual(plain);
  });
});
