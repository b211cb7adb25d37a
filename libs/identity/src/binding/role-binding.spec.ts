import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { identityBench, idOf, newTenant, type IdentityBench, type TestTenant } from '#testing';

const PERMISSIONS = [
  { kind: 'role binding' as const, actions: ['READ' as const, 'CREATE_CHILD' as const] },
  { kind: 'principal' as const, actions: ['READ' as const] },
  { kind: 'role' as const, actions: ['READ' as const, 'CREATE_CHILD' as const, 'MODIFY' as const] },
  { kind: 'disk' as const, actions: ['READ' as const] },
];

describe('granting a role', () => {
  let bench: IdentityBench;
  let tenant: TestTenant;

  beforeAll(async () => {
    bench = await identityBench();
  });
  afterAll(() => bench.close());
  beforeEach(async () => {
    tenant = await newTenant(bench.database, 2);
  });

  const projects = (): [string, string] => [tenant.projectIds[0] ?? '', tenant.projectIds[1] ?? ''];
  const customRole = async (permissions = PERMISSIONS): Promise<string> =>
    idOf((await bench.services.roles.create(bench.system, { tenantId: tenant.id, name: 'granter', permissions })).result);

  it('leaves a principal or group inside of its own project: whoever may make tokens of it must not rise by them', async () => {
    const [own, other] = projects();
    const robot = await bench.account('robot', own);
    const { result } = await bench.services.groups.create(bench.system, { scopeId: own, name: 'robots' });
    for (const subject of [{ principalId: robot.id }, { groupId: idOf(result) }]) {
      const grant = (scopeId: string): Promise<unknown> => bench.services.bindings.grantRole(bench.system, { ...subject, scopeId, role: 'VIEWER' });
      for (const scopeId of [tenant.id, other]) await expect(grant(scopeId)).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.scopeId' });
      await grant(own);
      await expect(grant(own)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    }
  });

  it('is for OWNER, or whoever a custom role lets; and nobody gives more than they hold', async () => {
    const [project] = projects();
    const ann = await bench.account('ann', tenant.id, [{ scopeId: tenant.id, role: 'CONTRIBUTOR' }]);
    const bob = await bench.account('bob', tenant.id);
    const grant = async (role: { role: 'OWNER' | 'VIEWER' } | { customRoleId: string }, scopeId = project): Promise<unknown> =>
      bench.services.bindings.grantRole(await ann.access(), { principalId: bob.id, scopeId, ...role });
    await expect(grant({ role: 'VIEWER' })).rejects.toMatchObject({ code: 'FORBIDDEN', data: { allowedBy: ['OWNER'] } });
    const customRoleId = await customRole();
    await bench.services.bindings.grantRole(bench.system, { principalId: ann.id, scopeId: tenant.id, customRoleId });
    await expect(grant({ role: 'OWNER' })).rejects.toMatchObject({ code: 'FORBIDDEN', field: 'input.role' });
    await grant({ role: 'VIEWER' });
    await grant({ customRoleId });
    expect((await bob.access()).filter('disk')).toEqual([false, [], [project, project]]);
    expect((await bob.access()).filter('role')).toEqual([false, [], [project, project]]);
  });

  it('by a custom role holds inside of its tenant only, and follows the role', async () => {
    const elsewhere = await newTenant(bench.database);
    const customRoleId = await customRole();
    const outside = bench.services.bindings.grantRole(bench.system, { principalId: (await bench.account('eve', elsewhere.id)).id, scopeId: elsewhere.id, customRoleId });
    await expect(outside).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.customRoleId' });
    const bob = await bench.account('bob', tenant.id);
    const bound = await bench.services.bindings.grantRole(bench.system, { principalId: bob.id, scopeId: tenant.id, customRoleId });
    const place = { tenantId: tenant.id, projectId: null };
    expect((await bob.access()).can('READ', 'network', place)).toBe(false);
    await bench.services.roles.update(bench.system, { id: customRoleId, permissions: [{ kind: 'network', actions: ['READ'] }] });
    expect((await bob.access()).can('READ', 'network', place)).toBe(true);
    expect((await bob.access()).can('READ', 'disk', place)).toBe(false);
    const inUse = bench.services.roles.delete(bench.system, customRoleId);
    await expect(inUse).rejects.toMatchObject({ code: 'INVALID_STATE', data: { roleBindingIds: [bound.result.id] } });
    await bench.services.bindings.revokeRole(bench.system, idOf(bound.result));
    await bench.services.roles.delete(bench.system, customRoleId);
    expect((await bob.access()).can('READ', 'network', place)).toBe(false);
  });

  it('of the tenant’s own is for the owners of its projects to give, on their project', async () => {
    const [project, other] = projects();
    const customRoleId = await customRole();
    const owner = await (await bench.account('project-owner', project, [{ scopeId: project, role: 'OWNER' }])).access();
    const robot = await bench.account('robot', project);
    await bench.services.bindings.grantRole(owner, { principalId: robot.id, scopeId: project, customRoleId });
    expect((await robot.access()).filter('disk')).toEqual([false, [], [project]]);
    const beside = bench.services.bindings.grantRole(owner, { principalId: robot.id, scopeId: other, customRoleId });
    await expect(beside).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.scopeId' });
  });

  it('nor does anybody put into a custom role what they do not hold, or change one that holds more', async () => {
    const ann = await bench.account('ann', tenant.id);
    const customRoleId = await customRole();
    await bench.services.bindings.grantRole(bench.system, { principalId: ann.id, scopeId: tenant.id, customRoleId });
    const access = await ann.access();
    const all = (kind: 'disk' | 'network'): Parameters<typeof bench.services.roles.create>[1]['permissions'] => [{ kind, actions: ['READ', 'DELETE'] }];
    const more = bench.services.roles.create(access, { tenantId: tenant.id, name: 'more', permissions: all('disk') });
    await expect(more).rejects.toMatchObject({ code: 'FORBIDDEN', field: 'input.permissions' });
    const raised = bench.services.roles.update(access, { id: customRoleId, permissions: [...PERMISSIONS, ...all('network')] });
    await expect(raised).rejects.toMatchObject({ code: 'FORBIDDEN' });
    const strong = await bench.services.roles.create(bench.system, { tenantId: tenant.id, name: 'strong', permissions: all('disk') });
    const renamed = bench.services.roles.update(access, { id: idOf(strong.result), description: 'mine now' });
    await expect(renamed).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await bench.services.roles.update(access, { id: customRoleId, permissions: PERMISSIONS.slice(0, 3), expectedVersion: 1 });
    const late = bench.services.roles.update(bench.system, { id: customRoleId, description: 'late', expectedVersion: 1 });
    await expect(late).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  it('is not deleted while it is being given to somebody, whoever comes first', async () => {
    const other = bench.servicesOf(await bench.another());
    const bob = await bench.account('bob', tenant.id);
    for (let round = 0; round < 5; round += 1) {
      const { result } = await bench.services.roles.create(bench.system, { tenantId: tenant.id, name: `round-${round}`, permissions: PERMISSIONS });
      const customRoleId = idOf(result);
      const grant = (): Promise<unknown> => bench.services.bindings.grantRole(bench.system, { principalId: bob.id, scopeId: tenant.id, customRoleId });
      const remove = (): Promise<unknown> => other.roles.delete(bench.system, customRoleId);
      const ended = await Promise.allSettled(round % 2 === 0 ? [grant(), remove()] : [remove(), grant()]);
      expect(ended.map((each) => each.status).sort()).toEqual(['fulfilled', 'rejected']);
    }
  });

  it('takes one role for one subject, with an input that says so', async () => {
    const [scopeId] = projects();
    for (const input of [{ scopeId, role: 'VIEWER' as const }, { scopeId, principalId: 'pri_x' }, { scopeId, principalId: 'pri_x', groupId: 'grp_x', role: 'VIEWER' as const }]) {
      await expect(bench.services.bindings.grantRole(bench.system, input)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    }
    const missing = bench.services.bindings.grantRole(bench.system, { scopeId, principalId: 'pri_x', role: 'VIEWER' });
    await expect(missing).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.principalId' });
  });
});
