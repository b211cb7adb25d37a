import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { statement, type Database, type Transaction } from '#database';
import { setGroupMemberships } from '#identity';
import { SYSTEM_SCOPE_ID } from '#scopes';
import { besides, identityBench, idOf, newTenant, type IdentityBench, type TestAccount } from '#testing';

const ownersOf = statement<{ count: number }, [scopeId: string]>(
  'spec.owners_of',
  `SELECT count(DISTINCT p.id) AS count FROM role_binding AS b
   LEFT JOIN group_membership AS m ON m.group_id = b.group_id
   JOIN principal AS p ON p.id = coalesce(b.principal_id, m.principal_id)
   WHERE b.scope_id = $1 AND b.role = 'OWNER' AND p.disabled_at IS NULL`,
);

const disable = statement<never, [id: string]>('spec.disable', 'UPDATE principal SET disabled_at = now() WHERE id = $1');
const leave = statement<never, [id: string]>('spec.leave', 'DELETE FROM group_membership WHERE principal_id = $1');
const LAST_OWNER = { code: 'INVALID_STATE', message: expect.stringContaining('without an owner') };

describe('the last owner of a scope', () => {
  let bench: IdentityBench;
  let other: Database;

  beforeAll(async () => {
    bench = await identityBench();
    other = await bench.another();
  });
  afterAll(() => bench.close());

  const tenantWith = async (...names: string[]): Promise<{ scopeId: string; projectId: string; owners: TestAccount[] }> => {
    const tenant = await newTenant(bench.database, 1);
    const owners: TestAccount[] = [];
    for (const name of names) owners.push(await bench.account(name, tenant.id, [{ scopeId: tenant.id, role: 'OWNER' }]));
    return { scopeId: tenant.id, projectId: tenant.projectIds[0] ?? '', owners };
  };
  /** A group that owns the scope, with this one member. */
  const ownedByGroup = async (scopeId: string, member: string): Promise<string> => {
    const { result } = await bench.services.groups.create(bench.system, { scopeId, name: 'owners' });
    const groupId = idOf(result);
    await bench.services.bindings.grantRole(bench.system, { groupId, scopeId, role: 'OWNER' });
    await bench.services.groups.addMember(bench.system, { groupId, principalId: member });
    return groupId;
  };
  const owners = async (scopeId: string): Promise<number | undefined> => (await bench.database.first(ownersOf, scopeId))?.count;

  it('cannot be revoked, disabled or deleted, on tenant, project and system', async () => {
    const { scopeId, projectId, owners: [ann] } = await tenantWith('ann');
    const robot = await bench.account('robot', projectId, [{ scopeId: projectId, role: 'OWNER' }]);
    const root = await bench.account('root', SYSTEM_SCOPE_ID, [{ scopeId: SYSTEM_SCOPE_ID, role: 'OWNER' }]);
    for (const account of [ann, robot, root]) {
      const [bindingId = ''] = account?.bindingIds ?? [];
      const id = account?.id ?? '';
      await expect(bench.services.bindings.revokeRole(bench.system, bindingId)).rejects.toMatchObject(LAST_OWNER);
      await expect(bench.services.principals.disable(bench.system, id)).rejects.toMatchObject(LAST_OWNER);
      await expect(bench.services.principals.deleteServiceAccount(bench.system, id)).rejects.toMatchObject(LAST_OWNER);
    }
    expect(await owners(scopeId)).toBe(1);
    const second = await bench.account('bob', scopeId, [{ scopeId, role: 'OWNER' }]);
    await bench.services.principals.deleteServiceAccount(bench.system, ann?.id ?? '');
    await expect(bench.services.principals.disable(bench.system, second.id)).rejects.toMatchObject({ ...LAST_OWNER, data: { scopeId } });
  });

  it('cannot lose it with a group or its membership; a disabled owner does not count, a group of an issuer does', async () => {
    const { scopeId } = await tenantWith();
    const ann = await bench.account('ann', scopeId);
    const groupId = await ownedByGroup(scopeId, ann.id);
    await expect(bench.services.groups.removeMember(bench.system, { groupId, principalId: ann.id })).rejects.toMatchObject(LAST_OWNER);
    await expect(bench.services.groups.delete(bench.system, groupId)).rejects.toMatchObject(LAST_OWNER);
    await expect(bench.services.principals.disable(bench.system, ann.id)).rejects.toMatchObject(LAST_OWNER);
    const bob = await bench.account('bob', scopeId, [{ scopeId, role: 'OWNER' }]);
    await bench.services.principals.disable(bench.system, bob.id);
    await expect(bench.services.groups.delete(bench.system, groupId)).rejects.toMatchObject(LAST_OWNER);
    const made = await bench.services.issuers.create(bench.system, { scopeId, name: 'directory', url: 'https://issuer.example', audience: 'muon' });
    const claimed = await bench.services.groups.create(bench.system, { scopeId, name: 'owners', issuer: idOf(made.result) });
    const claimedId = idOf(claimed.result);
    await bench.services.bindings.grantRole(bench.system, { groupId: claimedId, scopeId, role: 'OWNER' });
    await bench.services.groups.delete(bench.system, groupId);
    const claims = (...ids: string[]): Promise<void> => bench.database.transaction((transaction) => setGroupMemberships(transaction, ann.id, ids));
    await claims(claimedId);
    await claims();
    await expect(bench.services.groups.delete(bench.system, claimedId)).rejects.toMatchObject(LAST_OWNER);
  });

  it('stays when two are taken away at once over two connections, whatever takes them away', async () => {
    const ways = ['revoke', 'disable', 'delete', 'leave'] as const;
    for (const [left, right] of ways.flatMap((way, index) => ways.slice(index).map((second) => [way, second] as const))) {
      const { scopeId } = await tenantWith();
      const remove = async (database: Database, way: (typeof ways)[number], name: string): Promise<() => Promise<unknown>> => {
        const services = bench.servicesOf(database);
        const account = await bench.account(name, scopeId, way === 'leave' ? [] : [{ scopeId, role: 'OWNER' }]);
        if (way === 'revoke') return () => services.bindings.revokeRole(bench.system, account.bindingIds[0] ?? '');
        if (way === 'disable') return () => services.principals.disable(bench.system, account.id);
        if (way === 'delete') return () => services.principals.deleteServiceAccount(bench.system, account.id);
        const { result } = await bench.services.groups.create(bench.system, { scopeId, name });
        const groupId = idOf(result);
        await bench.services.bindings.grantRole(bench.system, { groupId, scopeId, role: 'OWNER' });
        await bench.services.groups.addMember(bench.system, { groupId, principalId: account.id });
        return () => services.groups.removeMember(bench.system, { groupId, principalId: account.id });
      };
      const both = [await remove(bench.database, left, 'ann'), await remove(other, right, 'bob')];
      const ended = await Promise.allSettled(both.map((each) => each()));
      expect(ended.map((each) => each.status).sort(), `${left} and ${right}`).toEqual(['fulfilled', 'rejected']);
      expect(ended.find((each) => each.status === 'rejected')).toMatchObject({ reason: LAST_OWNER });
      expect(await owners(scopeId)).toBe(1);
    }
  });

  it.each(['disabled', 'taken out of the group', 'taken into the group'] as const)(
    'is not given up for somebody who is being %s meanwhile',
    async (way) => {
      const { scopeId, owners: [ann] } = await tenantWith('ann');
      const bob = await bench.account('bob', scopeId);
      const { result } = await bench.services.groups.create(bench.system, { scopeId, name: 'owners' });
      const groupId = idOf(result);
      if (way === 'taken out of the group') await bench.services.groups.addMember(bench.system, { groupId, principalId: bob.id });
      if (way === 'taken into the group') await bench.services.bindings.grantRole(bench.system, { groupId, scopeId, role: 'OWNER' });
      const handOver = async (): Promise<void> => {
        if (way === 'taken into the group') await bench.services.groups.addMember(bench.system, { groupId, principalId: bob.id });
        else await bench.services.bindings.grantRole(bench.system, { ...(way === 'disabled' ? { principalId: bob.id } : { groupId }), scopeId, role: 'OWNER' });
        await bench.services.bindings.revokeRole(bench.system, ann?.bindingIds[0] ?? '');
      };
      const away = (transaction: Transaction): Promise<unknown> => transaction.execute(way === 'taken out of the group' ? leave : disable, bob.id);
      expect(await besides(other, away, handOver)).toMatchObject({ status: 'rejected', reason: LAST_OWNER });
      expect(await owners(scopeId)).toBe(1);
    },
  );
});
