import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Access, CommandResult } from '#identity';
import { identityBench, idOf, newTenant, type IdentityBench, type TestAccount, type TestTenant } from '#testing';

/** What lets somebody keep groups, accounts, issuers and bindings, and is far from being an owner. */
const KEEPER = (['group', 'principal', 'issuer', 'role', 'role binding'] as const).map((kind) => ({
  kind,
  actions: ['READ' as const, 'CREATE_CHILD' as const, 'MODIFY' as const],
}));

describe('a plan that was made while somebody held nothing', () => {
  let bench: IdentityBench;
  let tenant: TestTenant;
  let keeper: TestAccount;
  let access: Access;

  beforeAll(async () => {
    bench = await identityBench();
  });
  afterAll(() => bench.close());
  beforeEach(async () => {
    tenant = await newTenant(bench.database, 1);
    keeper = await bench.account('keeper', tenant.id);
    const { result } = await bench.services.roles.create(bench.system, { tenantId: tenant.id, name: 'keeper', permissions: KEEPER });
    await bench.services.bindings.grantRole(bench.system, { principalId: keeper.id, scopeId: tenant.id, customRoleId: idOf(result) });
    access = await keeper.access();
  });

  const own = (subject: { principalId: string } | { groupId: string }): Promise<unknown> =>
    bench.services.bindings.grantRole(bench.system, { ...subject, scopeId: tenant.id, role: 'OWNER' });
  const apply = ({ plan }: CommandResult): Promise<unknown> => bench.commands.applyPlan(access, plan?.id ?? '');
  const isStale = (planned: CommandResult): Promise<void> =>
    expect(apply(planned)).rejects.toMatchObject({ code: 'PLAN_STALE', data: { fact: 'holdings' } });

  it('lets nobody into a group that was given something since', async () => {
    const groupId = idOf((await bench.services.groups.create(bench.system, { scopeId: tenant.id, name: 'owners' })).result);
    const join = (): Promise<CommandResult> => bench.services.groups.addMember(access, { groupId, principalId: keeper.id }, { dryRun: true });
    const [early, good] = [await join(), await join()];
    const { result } = await bench.services.bindings.grantRole(bench.system, { groupId, scopeId: tenant.id, role: 'OWNER' });
    await isStale(early);
    await own({ principalId: (await bench.account('ann', tenant.id)).id });
    await bench.services.bindings.revokeRole(bench.system, idOf(result));
    await apply(good);
    expect((await keeper.access()).can('DELETE', 'tenant', { tenantId: tenant.id, projectId: null })).toBe(false);
  });

  it('enables nobody who was given something since', async () => {
    const bob = await bench.account('bob', tenant.id);
    await bench.services.principals.disable(bench.system, bob.id);
    const planned = await bench.services.principals.enable(access, bob.id, { dryRun: true });
    await own({ principalId: bob.id });
    await isStale(planned);
  });

  it('does not change the keys of an issuer whose groups were given something since', async () => {
    const scopeId = tenant.id;
    const issuer = idOf((await bench.services.issuers.create(bench.system, { scopeId, name: 'directory', url: `https://${tenant.id}.example`, audience: 'muon' })).result);
    const planned = await bench.services.issuers.update(access, { id: issuer, jwksUri: 'https://mine.example/keys' }, { dryRun: true });
    await own({ groupId: idOf((await bench.services.groups.create(bench.system, { scopeId, name: 'owners', issuer })).result) });
    await isStale(planned);
  });

  it('gives no custom role that allows more since', async () => {
    const { result } = await bench.services.roles.create(bench.system, { tenantId: tenant.id, name: 'small', permissions: [{ kind: 'group', actions: ['READ'] }] });
    const customRoleId = idOf(result);
    const planned = await bench.services.bindings.grantRole(access, { principalId: keeper.id, scopeId: tenant.id, customRoleId }, { dryRun: true });
    await bench.services.roles.update(bench.system, { id: customRoleId, permissions: [{ kind: 'tenant', actions: ['DELETE'] }] });
    await isStale(planned);
  });
});
