import { describe, expect, it } from 'vitest';
import { Action, ACTIONS, RESOURCE_KINDS, Role, ROLES, type Access, type Permissions, type ResourceKind } from '#identity';
import { accessOf } from '#identity/api';
import { accessWith } from '#testing';

const PROJECT = { tenantId: 'ten_a', projectId: 'prj_a' };
const TENANT = { tenantId: 'ten_a', projectId: null };
const SYSTEM = { tenantId: null, projectId: null };

const custom = (permissions: Permissions): Access => accessWith([{ role: null, permissions, ...TENANT }]);
const may = (access: Access, action: Action, at: typeof TENANT | typeof PROJECT = PROJECT): ResourceKind[] =>
  RESOURCE_KINDS.filter((kind) => access.can(action, kind, at));

describe('a role', () => {
  it('allows all that a weaker one allows, on its scope and below, and nothing beside or above', () => {
    for (const [index, role] of ROLES.entries()) {
      const weaker = ROLES[index + 1];
      const access = accessWith([{ role, ...TENANT }]);
      for (const action of ACTIONS) {
        const allowed = may(access, action);
        expect(may(access, action, TENANT)).toEqual(allowed);
        if (weaker !== undefined) expect(allowed).toEqual(expect.arrayContaining(may(accessWith([{ role: weaker, ...TENANT }]), action)));
        for (const kind of RESOURCE_KINDS) {
          expect(access.can(action, kind, SYSTEM)).toBe(false);
          expect(access.can(action, kind, { tenantId: 'ten_b', projectId: null })).toBe(false);
          expect(accessWith([{ role, ...PROJECT }]).can(action, kind, TENANT)).toBe(false);
        }
      }
    }
  });

  it('leaves who may do what, the scopes and their quotas to OWNER', () => {
    const contributor = accessWith([{ role: Role.CONTRIBUTOR, ...TENANT }]);
    const others = RESOURCE_KINDS.filter((kind) => !may(contributor, Action.MODIFY).includes(kind));
    expect(others).toEqual(['system', 'tenant', 'project', 'quota', 'principal', 'group', 'role', 'role binding', 'token', 'issuer', 'audit entry']);
    expect(may(accessWith([{ role: Role.OWNER, ...TENANT }]), Action.DELETE)).toEqual(RESOURCE_KINDS);
  });

  it('LIMITED_CONTRIBUTOR makes machines, disks and clusters, and no networks nor load balancers', () => {
    const limited = accessWith([{ role: Role.LIMITED_CONTRIBUTOR, ...PROJECT }]);
    const made = ['port', 'disk', 'disk snapshot', 'affinity group', 'virtual machine', 'cluster', 'node pool', 'node'];
    for (const action of [Action.CREATE_CHILD, Action.DELETE]) expect(may(limited, action)).toEqual(made);
    expect(may(limited, Action.MODIFY)).toEqual(['operation', ...made]);
  });

  it('VIEWER changes nothing, and reads neither the audit log nor tokens', () => {
    const viewer = accessWith([{ role: Role.VIEWER, ...TENANT }]);
    for (const action of [Action.CREATE_CHILD, Action.MODIFY, Action.DELETE]) expect(may(viewer, action)).toEqual([]);
    expect(RESOURCE_KINDS.filter((kind) => !may(viewer, Action.READ).includes(kind))).toEqual(['token', 'audit entry']);
  });

  it('of a tenant’s own allows exactly its actions, and to read the scope that it is held on', () => {
    const access = custom({ disk: [Action.READ, Action.MODIFY] });
    expect(may(access, Action.READ)).toEqual(['tenant', 'project', 'disk']);
    expect(may(access, Action.MODIFY)).toEqual(['disk']);
    expect(access.filter('disk')).toEqual([false, ['ten_a'], []]);
    expect(access.filter('network')).toEqual([false, [], []]);
  });
});

describe('a look-up', () => {
  const row = { ...PROJECT, id: 'dsk_1' };

  it('does not find what may not be seen, and says which roles would allow what may only be seen', () => {
    expect(() => custom({ network: [Action.READ] }).require(Action.READ, 'disk', row, row.id)).toThrow(/There is no disk/);
    const viewer = accessWith([{ role: Role.VIEWER, ...PROJECT }]);
    expect(viewer.require(Action.READ, 'disk', row, row.id)).toBe(row);
    expect(() => viewer.require(Action.DELETE, 'disk', row, row.id)).toThrow(
      expect.objectContaining({
        code: 'FORBIDDEN',
        message: 'You may not delete this disk; one of the roles LIMITED_CONTRIBUTOR, CONTRIBUTOR, OWNER on its project or tenant would allow it.',
        data: { action: 'DELETE', kind: 'disk', id: 'dsk_1', allowedBy: ['LIMITED_CONTRIBUTOR', 'CONTRIBUTOR', 'OWNER'], scopeId: 'prj_a' },
      }),
    );
    expect(() => accessWith([{ role: Role.CONTRIBUTOR, ...TENANT }]).requireSystem(Action.MODIFY, 'quota')).toThrow(/the role OWNER on the system/);
  });

  it('asks for the right to make a child by the kind of the child', () => {
    const limited = accessWith([{ role: Role.LIMITED_CONTRIBUTOR, ...PROJECT }]);
    expect(limited.requireChild('virtual machine', 'project', PROJECT, 'prj_a')).toBe(PROJECT);
    expect(() => limited.requireChild('network', 'project', PROJECT, 'prj_a')).toThrow(/may not make a network here/);
    expect(() => limited.requireChild('disk', 'project', { tenantId: 'ten_b', projectId: 'prj_b' }, 'prj_b')).toThrow(/There is no project/);
  });

  it('lets nobody give away what they do not hold', () => {
    const own = { role: Role.CONTRIBUTOR, ...TENANT };
    const contributor = accessWith([own]);
    contributor.requireHolds([own, { role: Role.VIEWER, ...PROJECT }], 'prj_a', 'input.role');
    for (const grant of [{ ...own, role: Role.OWNER }, { ...own, ...SYSTEM }, { role: null, permissions: { token: [Action.READ] }, ...PROJECT }]) {
      expect(() => contributor.requireHolds([grant], 'prj_a', 'input.role')).toThrow(expect.objectContaining({ code: 'FORBIDDEN', field: 'input.role' }));
    }
  });
});

describe('the access of an operation on a socket', () => {
  it('knows what that operation was let, and nothing of others', () => {
    const principal = accessWith([{ role: Role.OWNER, ...TENANT }]);
    const contextOf = (requestId: string): Parameters<typeof accessOf>[0] => ({
      requestId,
      transport: 'websocket',
      principal,
      remoteAddress: '192.0.2.1',
      userAgent: undefined,
      idempotencyKey: undefined,
      signal: new AbortController().signal,
    });
    const [one, other] = [contextOf('one'), contextOf('other')];
    accessOf(one).require('MODIFY', 'disk', PROJECT, 'dsk_a');
    accessOf(one).require('READ', 'disk', PROJECT, 'dsk_a');
    expect(accessOf(one).requirements.map(({ action }) => action)).toEqual(['MODIFY', 'READ']);
    expect(accessOf(other).requirements).toEqual([]);
    expect([accessOf(one), accessOf(other)].map(({ origin }) => origin.requestId)).toEqual(['one', 'other']);
  });
});
