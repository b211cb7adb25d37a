import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Authenticator, findTokensOfPrincipals, type Access } from '#identity';
import { identityBench, idOf, newTenant, type IdentityBench, type TestTenant } from '#testing';

const ORIGIN = { requestId: 'spec', address: null };

describe('a service account', () => {
  let bench: IdentityBench;
  let tenant: TestTenant;
  let owner: Access;

  beforeAll(async () => {
    bench = await identityBench();
  });
  afterAll(() => bench.close());
  beforeEach(async () => {
    tenant = await newTenant(bench.database, 1);
    owner = await (await bench.account('owner', tenant.id, [{ scopeId: tenant.id, role: 'OWNER' }])).access();
  });

  it('has named tokens that are shown once and kept hashed, expire, and remember their last use', async () => {
    const robot = await bench.account('robot', tenant.id);
    const made = await bench.services.principals.createApiToken(owner, { principalId: robot.id, name: 'night', validDays: 2 });
    expect(made.token).toMatch(/^muon_/);
    const again = bench.services.principals.createApiToken(owner, { principalId: robot.id, name: 'night' });
    await expect(again).rejects.toMatchObject({ code: 'ALREADY_EXISTS', field: 'input.name' });
    const authenticator = new Authenticator(bench.database);
    const access = await authenticator.authenticate(made.token ?? '', ORIGIN);
    await authenticator.recordUse();
    const [, row] = await bench.database.rows(findTokensOfPrincipals, [robot.id]);
    expect(row).toMatchObject({ name: 'night', revoked_at: null, last_used_at: expect.any(Date), expires_at: access.expiresAt });
    const texts = await bench.database.dataSource.query<{ text: string }[]>('SELECT to_jsonb(t)::text AS text FROM api_token AS t UNION ALL SELECT to_jsonb(a)::text FROM audit_entry AS a');
    expect(texts.some(({ text }) => text.includes(made.token?.slice(-43) ?? ''))).toBe(false);
    await bench.database.dataSource.query(`UPDATE api_token SET expires_at = now() - interval '1 second' WHERE id = $1`, [made.result.id]);
    await expect(new Authenticator(bench.database).authenticate(made.token ?? '', ORIGIN)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  it('ends everywhere with its token, its binding, its membership, its being disabled and its deletion; sockets close', async () => {
    const processes = [new Authenticator(bench.database), new Authenticator(await bench.another())];
    const [project = ''] = tenant.projectIds;
    const { result } = await bench.services.groups.create(owner, { scopeId: tenant.id, name: 'robots' });
    const groupId = idOf(result);
    await bench.services.bindings.grantRole(owner, { groupId, scopeId: project, role: 'CONTRIBUTOR' });
    const ends: Record<string, (account: Awaited<ReturnType<typeof bench.account>>) => Promise<unknown>> = {
      token: (account) => bench.services.principals.revokeApiToken(owner, account.tokenId),
      binding: (account) => bench.services.bindings.revokeRole(owner, account.bindingIds[0] ?? ''),
      membership: (account) => bench.services.groups.removeMember(owner, { groupId, principalId: account.id }),
      disabled: (account) => bench.services.principals.disable(owner, account.id),
      deleted: (account) => bench.services.principals.deleteServiceAccount(owner, account.id),
    };
    for (const [way, end] of Object.entries(ends)) {
      const account = await bench.account(way, tenant.id, [{ scopeId: tenant.id, role: 'VIEWER' }]);
      await bench.services.groups.addMember(owner, { groupId, principalId: account.id });
      const sockets = await Promise.all(processes.map((each) => each.authenticate(account.token, ORIGIN)));
      await end(account);
      for (const [index, each] of processes.entries()) {
        const socket = sockets[index] as Access;
        expect(await each.invalid([socket]), way).toEqual(new Set([socket]));
        await vi.waitFor(
          async () => {
            const now = await each.authenticate(account.token, ORIGIN).catch(() => undefined);
            expect(now?.can('READ', 'disk', { tenantId: tenant.id, projectId: null }) === true && now.can('MODIFY', 'disk', { tenantId: tenant.id, projectId: project })).toBe(false);
          },
          { timeout: 10_000, interval: 50 },
        );
      }
    }
  });

  it('can be disabled and enabled again, by whoever holds what it holds', async () => {
    const robot = await bench.account('robot', tenant.id, [{ scopeId: tenant.id, role: 'CONTRIBUTOR' }]);
    await bench.services.principals.disable(owner, robot.id);
    await expect(robot.access()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    const permissions = [{ kind: 'principal' as const, actions: ['READ' as const, 'MODIFY' as const] }, { kind: 'token' as const, actions: ['CREATE_CHILD' as const] }];
    const role = await bench.services.roles.create(owner, { tenantId: tenant.id, name: 'keeper', permissions });
    const keeper = await bench.account('keeper', tenant.id);
    await bench.services.bindings.grantRole(owner, { principalId: keeper.id, scopeId: tenant.id, customRoleId: idOf(role.result) });
    const access = await keeper.access();
    await expect(bench.services.principals.enable(access, robot.id)).rejects.toMatchObject({ code: 'FORBIDDEN', field: 'input.id' });
    const token = bench.services.principals.createApiToken(access, { principalId: robot.id, name: 'mine' });
    await expect(token).rejects.toMatchObject({ code: 'FORBIDDEN', field: 'input.principalId' });
    await bench.services.principals.enable(owner, robot.id);
    expect((await robot.access()).principal.name).toBe('robot');
    await bench.services.principals.disable(access, robot.id);
  });

  it('may end its own token, nobody else’s; people are not deleted', async () => {
    const robot = await bench.account('robot', tenant.id, [{ scopeId: tenant.id, role: 'VIEWER' }]);
    const other = await bench.account('other', tenant.id);
    const access = await robot.access();
    await expect(bench.services.principals.revokeApiToken(access, other.tokenId)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await bench.services.principals.revokeApiToken(access, robot.tokenId);
    await expect(robot.access()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    await bench.database.dataSource.query(`INSERT INTO principal (id, kind, scope_id, tenant_id, name) VALUES ('pri_00000000000000000000000009', 'USER', $1, $1, 'ann')`, [tenant.id]);
    const person = bench.services.principals.deleteServiceAccount(owner, 'pri_00000000000000000000000009');
    await expect(person).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.id' });
  });
});
