import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { insertRows } from '#database';
import { eventsRoom } from '#events';
import { Authenticator, createToken, groupId, identityRoom, newBindingRow, newPrincipalRows, newTokenRow, setGroupMemberships } from '#identity';
import { scopesRoom, SYSTEM_SCOPE_ID } from '#scopes';
import { newTenant, roomDatabase, type RoomDatabase, type TestTenant } from '#testing';

describe('memberships of a principal', () => {
  let room: RoomDatabase;
  let tenant: TestTenant;
  const token = createToken();
  let principal = '';

  const insert = (table: string, row: Record<string, unknown>): Promise<void> =>
    room.database.transaction((transaction) => insertRows(transaction, table, [row]));
  const group = async (issuer: string | null, name: string, place: TestTenant | null = tenant): Promise<string> => {
    const id = groupId.create();
    await insert('principal_group', { id, scope_id: place?.id ?? SYSTEM_SCOPE_ID, tenant_id: place?.id ?? null, project_id: null, issuer, name });
    return id;
  };
  const belongTo = (...ids: string[]): Promise<void> =>
    room.database.transaction((transaction) => setGroupMemberships(transaction, principal, ids));
  const scopesOf = async (): Promise<unknown> =>
    (await new Authenticator(room.database).authenticate(token.text, { requestId: 'r', address: null })).filter('tenant');

  beforeAll(async () => {
    room = await roomDatabase([eventsRoom, scopesRoom, identityRoom]);
    tenant = await newTenant(room.database, 1);
    const place = { scopeId: tenant.id, tenantId: tenant.id, projectId: null };
    const made = newPrincipalRows(place, { kind: 'USER', name: 'ann', role: 'OWNER' });
    principal = made.id;
    for (const row of [...made.rows, newTokenRow(place, principal, 'first', token, null)]) {
      if ('insert' in row && row.table !== 'role_binding') await insert(row.table, row.insert);
    }
  });
  afterAll(() => room.close());

  it('give it what its groups hold, until a later token names others', async () => {
    const project = tenant.projectIds[0] ?? '';
    const developers = await group('https://issuer.example', 'developers');
    const testers = await group('https://issuer.example', 'testers');
    const byHand = await group(null, 'developers');
    const bound = newBindingRow({ scopeId: project, tenantId: tenant.id, projectId: project }, principal, 'OWNER');
    if ('insert' in bound) await insert('role_binding', { ...bound.insert, principal_id: null, group_id: developers });
    await insert('group_membership', { group_id: byHand, principal_id: principal });
    expect(await scopesOf()).toEqual([false, [], []]);
    await belongTo(developers, testers);
    expect(await scopesOf()).toEqual([false, [], [project]]);
    await belongTo(testers);
    expect(await scopesOf()).toEqual([false, [], []]);
    const left = await room.database.dataSource.query<{ group_id: string }[]>('SELECT group_id FROM group_membership ORDER BY group_id');
    expect(left.map((row) => row.group_id)).toEqual([testers, byHand].sort());
  });

  it('are refused, and nothing changes, in a group of another tenant, of the system, and in one that is kept by hand', async () => {
    const other = await newTenant(room.database);
    for (const id of [await group('https://issuer.example', 'a', other), await group('https://issuer.example', 'b', null), await group(null, 'c')]) {
      await expect(belongTo(id)).rejects.toMatchObject({ code: 'INTERNAL' });
    }
  });
});
