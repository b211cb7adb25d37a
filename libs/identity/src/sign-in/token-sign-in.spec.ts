import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { applyRows, insertRows } from '#database';
import { CommandRunner, createToken, FailedAttempts, newBindingRow, newTokenRow, RoleBindingService, SYSTEM_PLACE, type Access, type Authenticator } from '#identity';
import { SYSTEM_SCOPE_ID } from '#scopes';
import { accessWith, besides, newTenant, signInBench, systemAccess, TEST_ORIGIN, type SignInBench, type TestIssuer, type TestTenant } from '#testing';
import { takeClaims } from './sign-in.sql.js';

interface PrincipalRow {
  id: string;
  scope_id: string;
  tenant_id: string | null;
  name: string;
  email: string | null;
  version: number;
}

let bench: SignInBench;
let server: TestIssuer;
let issuerId: string;
let processes: [Authenticator, Authenticator];
const owner = systemAccess();

beforeAll(async () => {
  bench = await signInBench();
  ({ server, id: issuerId } = await bench.issuer());
  processes = [await bench.process(), await bench.process()];
});
afterAll(() => bench.close());

const sql = <Row>(text: string, values: unknown[] = []): Promise<Row[]> => bench.room.database.dataSource.query(text, values);
const principal = async (id: string): Promise<PrincipalRow | undefined> => (await sql<PrincipalRow>('SELECT * FROM principal WHERE id = $1', [id]))[0];
const signIn = async (token: string | Promise<string>, process = processes[0]): Promise<Access> => process.authenticate(await token, TEST_ORIGIN);
const seconds = (from: number): number => Math.floor(Date.now() / 1000) + from;
const grant = async (principalId: string, scopeId = SYSTEM_SCOPE_ID): Promise<string> =>
  String((await bench.bindings.grantRole(owner, { principalId, scopeId, role: 'VIEWER' })).result.id);
/** Until both processes have heard of it, which they must within a second. */
const everywhere = (check: (process: Authenticator) => Promise<void>): Promise<unknown> =>
  Promise.all(processes.map((process) => vi.waitFor(() => check(process), { timeout: 10_000, interval: 50 })));

describe('the principal of a token', () => {
  let subjects = 0;
  let sub: string;
  beforeEach(() => {
    subjects += 1;
    sub = `subject-${subjects}`;
  });

  it('is made at its first sight, in the scope of its issuer, and holds nothing', async () => {
    const access = await signIn(server.token({ sub, name: 'Ann Other', email: 'ann@example.com' }));
    expect(access.filter('principal')).toEqual([false, [], []]);
    expect(access.tokenId).toBeNull();
    expect(await principal(access.principal.id)).toMatchObject({ scope_id: SYSTEM_SCOPE_ID, tenant_id: null, name: 'Ann Other', email: 'ann@example.com' });
  });

  it('is made once, by many requests at once to two processes', async () => {
    const token = await server.token({ sub });
    const accesses = await Promise.all(Array.from({ length: 40 }, (_, index) => signIn(token, processes[index % 2 === 0 ? 0 : 1])));
    expect(new Set(accesses.map((access) => access.principal.id)).size).toBe(1);
    expect(await principal(accesses[0]?.principal.id ?? '')).toMatchObject({ version: 1 });
  });

  it('is written again only when a newer token says something else', async () => {
    const first = await signIn(server.token({ sub, name: 'Ann', iat: seconds(-100) }));
    const { id } = first.principal;
    await signIn(server.token({ sub, name: 'Ann', iat: seconds(-90) }));
    expect(await principal(id)).toMatchObject({ name: 'Ann', version: 1 });
    expect((await signIn(server.token({ sub, name: 'Ann Married', iat: seconds(-80) }))).principal).toEqual({ id, kind: 'USER', name: 'Ann Married', tenantId: null });
    await signIn(server.token({ sub, name: 'Ann Older', iat: seconds(-85) }), processes[1]);
    expect(await principal(id)).toMatchObject({ name: 'Ann Married', version: 2 });
  });

  it('is named by its subject when the token names nobody', async () => {
    expect((await signIn(server.token({ sub }))).principal.name).toBe(sub);
  });

  it('may share a name with others, and gains nothing by that', async () => {
    await bench.principals.createServiceAccount(owner, { name: 'robot' });
    const [one, two] = [await signIn(server.token({ sub, name: 'owner' })), await signIn(server.token({ sub: `${sub}-b`, name: 'owner' }))];
    expect(one.principal.id).not.toBe(two.principal.id);
  });

  it('is out on every process when it is disabled', async () => {
    const token = await server.token({ sub });
    const accesses = await Promise.all(processes.map((process) => signIn(token, process)));
    await sql('UPDATE principal SET disabled_at = now() WHERE id = $1', [accesses[0]?.principal.id]);
    for (const [index, process] of processes.entries()) {
      expect(await process.invalid([accesses[index] as Access])).toEqual(new Set([accesses[index]]));
    }
    await everywhere((process) => expect(signIn(token, process)).rejects.toMatchObject({ code: 'UNAUTHENTICATED', data: { reason: 'DISABLED' } }));
    await expect(signIn(server.token({ sub, name: 'Changed', iat: seconds(1) }))).rejects.toMatchObject({ data: { reason: 'DISABLED' } });
  });

  it('gains and loses rights on every process when bindings come and go, its sockets end', async () => {
    const token = await server.token({ sub });
    const [before] = await Promise.all(processes.map((process) => signIn(token, process)));
    const binding = await grant(before?.principal.id ?? '');
    await everywhere(async (process) => expect((await signIn(token, process)).sees('principal', SYSTEM_PLACE)).toBe(true));
    const during = await signIn(token);
    expect(await processes[0].invalid([before as Access, during])).toEqual(new Set([before]));
    await bench.bindings.revokeRole(owner, binding);
    await everywhere(async (process) => expect((await signIn(token, process)).sees('principal', SYSTEM_PLACE)).toBe(false));
    expect(await processes[0].invalid([during])).toEqual(new Set([during]));
  });

  it('belongs to the groups that its newest token names and that somebody has made', async () => {
    const group = async (name: string, issuer: string | null = issuerId): Promise<string> => {
      const id = `grp_${Math.random().toString(36).slice(2)}`;
      await bench.room.database.transaction((transaction) =>
        insertRows(transaction, 'principal_group', [{ id, scope_id: SYSTEM_SCOPE_ID, tenant_id: null, project_id: null, issuer, name }]),
      );
      return id;
    };
    const [admins, byHand] = [await group('admins'), await group('operators', null)];
    const { principal: who } = await signIn(server.token({ sub, groups: ['admins', 'operators', 'late'], iat: seconds(-50) }));
    const groups = async (): Promise<string[]> => (await sql<{ id: string }>('SELECT group_id AS id FROM group_membership WHERE principal_id = $1', [who.id])).map(({ id }) => id).sort();
    expect(await groups()).toEqual([admins]);
    // One that is made after the claim was seen has its members at once.
    const late = await group('late');
    expect(await groups()).toEqual([admins, late].sort());
    await signIn(server.token({ sub, groups: ['late'], iat: seconds(-40) }));
    expect(await groups()).toEqual([late]);
    expect(byHand).toBeDefined();
  });

  it('ends with the expiry of its token', async () => {
    const exp = seconds(60);
    expect((await signIn(server.token({ sub, exp }))).expiresAt).toEqual(new Date((exp + 30) * 1000));
  });
});

describe('a group of an issuer', () => {
  let groups = 0;
  const group = (name: string): { id: string; row: Record<string, unknown> } => {
    groups += 1;
    const id = `grp_late${groups}`;
    return { id, row: { id, scope_id: SYSTEM_SCOPE_ID, tenant_id: null, project_id: null, issuer: issuerId, name } };
  };
  const members = async (id: string): Promise<string[]> =>
    (await sql<{ subject: string }>('SELECT subject FROM group_membership JOIN principal ON principal.id = principal_id WHERE group_id = $1', [id])).map(({ subject }) => subject);

  it('has whoever signs in while it is being made', async () => {
    const { id, row } = group('first');
    const token = await server.token({ sub: 'during', groups: ['first'] });
    const outcome = await besides(bench.room.database, (transaction) => insertRows(transaction, 'principal_group', [row]), () => signIn(token));
    expect(outcome.status).toBe('fulfilled');
    expect(await members(id)).toEqual(['during']);
  });

  it('is one of an issuer of its own scope', async () => {
    const tenant = await newTenant(bench.room.database);
    const { id: foreign } = await bench.issuer({ scopeId: (await newTenant(bench.room.database)).id });
    for (const issuer of [foreign, issuerId, 'https://issuer.example']) {
      await expect(bench.groups.create(owner, { scopeId: tenant.id, name: 'all', issuer })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.issuer' });
    }
    const { id: own } = await bench.issuer({ scopeId: tenant.id });
    await bench.groups.create(owner, { scopeId: tenant.id, name: 'all', issuer: own });
  });

  it('has whoever was signing in when it was made', async () => {
    const { id, row } = group('second');
    const [issuer] = await sql<{ version: number }>('SELECT version FROM issuer WHERE id = $1', [issuerId]);
    const principal = `pri_${'0'.repeat(26)}`;
    const outcome = await besides(bench.room.database, 
      (transaction) => transaction.first(takeClaims, principal, issuerId, Number(issuer?.version), 'earlier', 'Earlier', null, ['second'], 'digest', new Date()),
      () => bench.room.database.transaction((transaction) => insertRows(transaction, 'principal_group', [row])),
    );
    expect(outcome.status).toBe('fulfilled');
    expect(await members(id)).toEqual(['earlier']);
  });
});

describe('issuers', () => {
  let tenants: [TestTenant, TestTenant];
  beforeAll(async () => {
    tenants = [await newTenant(bench.room.database), await newTenant(bench.room.database)];
  });

  it('of two tenants make two principals of one subject, each inside of its tenant', async () => {
    const [one, two] = [await bench.issuer({ scopeId: tenants[0].id }), await bench.issuer({ scopeId: tenants[1].id })];
    const [first, second] = [await signIn(one.server.token({ sub: 'same' })), await signIn(two.server.token({ sub: 'same' }))];
    expect(await principal(first.principal.id)).toMatchObject({ scope_id: tenants[0].id, tenant_id: tenants[0].id });
    expect(await principal(second.principal.id)).toMatchObject({ scope_id: tenants[1].id, tenant_id: tenants[1].id });
    // Its principals can hold nothing elsewhere, whoever grants it.
    for (const scopeId of [SYSTEM_SCOPE_ID, tenants[1].id]) await expect(grant(first.principal.id, scopeId)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  });

  it('of one URL are told apart by the audience, and none signs in for the other', async () => {
    const { server: shared } = await bench.issuer({ scopeId: tenants[0].id, audience: 'of-one' });
    await bench.issuers.create(owner, { scopeId: tenants[1].id, name: 'shared', url: shared.url, audience: 'of-two' });
    const tenantOf = async (aud: string): Promise<unknown> => (await principal((await signIn(shared.token({ aud }))).principal.id))?.tenant_id;
    expect(await tenantOf('of-one')).toBe(tenants[0].id);
    expect(await tenantOf('of-two')).toBe(tenants[1].id);
    await expect(
      bench.issuers.create(owner, { scopeId: tenants[1].id, name: 'taken', url: shared.url, audience: 'of-one' }),
    ).rejects.toMatchObject({ code: 'ALREADY_EXISTS', field: 'input.audience' });
  });

  it('come between nobody and their own, whatever a tenant trusts, and by which keys', async () => {
    const { server: shared } = await bench.issuer({ scopeId: tenants[0].id, audience: 'app-of-one' });
    const { server: own } = await bench.issuer({ scopeId: tenants[1].id, audience: 'unused' });
    const squat = { scopeId: tenants[1].id, url: shared.url };
    await bench.issuers.create(owner, { ...squat, name: 'squat', audience: 'account' });
    await bench.issuers.create(owner, { ...squat, name: 'squat-with-keys', audience: 'profile', jwksUri: `${own.url}/jwks` });
    await bench.issuers.create(owner, { name: 'late', url: shared.url, audience: 'app-of-system' });
    const tenantOf = async (aud: string[]): Promise<unknown> => (await principal((await signIn(shared.token({ aud }))).principal.id))?.tenant_id;
    expect(await tenantOf(['account', 'profile', 'app-of-system'])).toBeNull();
    expect(await tenantOf(['app-of-one', 'account'])).toBe(tenants[0].id);
    expect(await tenantOf(['profile', 'app-of-one'])).toBe(tenants[0].id);
    expect(await tenantOf(['account'])).toBe(tenants[1].id);
  });

  it('hold a URL and an audience among tenants while they are enabled, and never against the system', async () => {
    const pair = { url: 'https://login.example', audience: 'muon' };
    const { result } = await bench.issuers.create(owner, { ...pair, scopeId: tenants[0].id, name: 'first' });
    const second = { ...pair, scopeId: tenants[1].id, name: 'second' };
    const taken = { code: 'ALREADY_EXISTS', field: 'input.audience', message: expect.stringContaining('ask the operator') as string };
    await expect(bench.issuers.create(owner, second)).rejects.toMatchObject(taken);
    await bench.issuers.create(owner, { ...pair, name: 'of-system' });
    await bench.issuers.update(owner, { id: String(result.id), enabled: false });
    await bench.issuers.create(owner, second);
    await expect(bench.issuers.update(owner, { id: String(result.id), enabled: true })).rejects.toMatchObject(taken);
  });

  it.each(['itself', 'by a group of the issuer', 'by a group kept by hand'])('are not disabled when a scope is owned by their people alone (%s), who are no owners while they are', async (way) => {
    const { id: scopeId } = await newTenant(bench.room.database);
    const { server: directory, id } = await bench.issuer({ scopeId });
    const lastOwner = { code: 'INVALID_STATE', message: expect.stringContaining('without an owner') as string };
    const own = async (subject: { principalId: string } | { groupId: string }): Promise<string> =>
      String((await bench.bindings.grantRole(owner, { ...subject, scopeId, role: 'OWNER' })).result.id);
    const group = async (issuer?: string): Promise<string> =>
      String((await bench.groups.create(owner, { scopeId, name: 'owners', ...(issuer === undefined ? {} : { issuer }) })).result.id);
    const [{ principal: ann }, { principal: root }] = [await signIn(directory.token({ sub: 'ann' })), await signIn(server.token({ sub: 'root' }))];
    if (way === 'itself') await own({ principalId: ann.id });
    else {
      const groupId = await group(way === 'by a group of the issuer' ? id : undefined);
      if (way === 'by a group kept by hand') await bench.groups.addMember(owner, { groupId, principalId: ann.id });
      await own({ groupId });
    }
    await expect(bench.issuers.update(owner, { id, enabled: false })).rejects.toMatchObject({ ...lastOwner, data: { scopeId } });
    const second = await own({ principalId: root.id });
    await bench.issuers.update(owner, { id, enabled: false });
    await expect(bench.bindings.revokeRole(owner, second)).rejects.toMatchObject(lastOwner);
    await bench.issuers.update(owner, { id, enabled: true });
    await bench.bindings.revokeRole(owner, second);
  });

  it('are disabled, or the other owner goes, when both are asked at once over two connections', async () => {
    const bindings = new RoleBindingService(new CommandRunner(await bench.room.another(), bench.room.applier, bench.room.log));
    for (let round = 0; round < 5; round += 1) {
      const { id: scopeId } = await newTenant(bench.room.database);
      const { server: directory, id } = await bench.issuer({ scopeId });
      const own = async (token: Promise<string>): Promise<string> =>
        String((await bench.bindings.grantRole(owner, { principalId: (await signIn(token)).principal.id, scopeId, role: 'OWNER' })).result.id);
      await own(directory.token({ sub: 'ann' }));
      const second = await own(server.token({ sub: 'root' }));
      const ended = await Promise.allSettled([bench.issuers.update(owner, { id, enabled: false }), bindings.revokeRole(owner, second)]);
      expect(ended.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      expect(ended.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'INVALID_STATE' } });
    }
  });

  it('that are disabled let nobody in any more, by tokens of ours neither', async () => {
    const { server: other, id } = await bench.issuer({ scopeId: tenants[0].id });
    const token = await other.token();
    const { principal: who } = await signIn(token);
    const own = createToken();
    const row = newTokenRow({ tenantId: tenants[0].id, projectId: null }, who.id, 'own', own, null);
    await bench.room.database.transaction((transaction) => insertRows(transaction, 'api_token', 'insert' in row ? [row.insert] : []));
    await signIn(own.text);
    await bench.issuers.update(owner, { id, enabled: false });
    await everywhere((process) => expect(signIn(token, process)).rejects.toMatchObject({ data: { reason: 'ISSUER_OR_AUDIENCE' } }));
    await everywhere((process) => expect(signIn(own.text, process)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' }));
    await bench.issuers.update(owner, { id, enabled: true });
    await everywhere(async (process) => expect((await signIn(token, process)).principal.id).toBe(who.id));
  });

  it('that are deleted take their people with them, unless one of them holds a role', async () => {
    const { server: other, id } = await bench.issuer({ scopeId: tenants[0].id });
    const token = await other.token();
    const { principal: who } = await signIn(token);
    const binding = await grant(who.id, tenants[0].id);
    await expect(bench.issuers.delete(owner, id)).rejects.toMatchObject({ code: 'INVALID_STATE', data: { fact: 'role_binding' } });
    await bench.bindings.revokeRole(owner, binding);
    await bench.issuers.delete(owner, id);
    expect(await principal(who.id)).toBeUndefined();
    await everywhere((process) => expect(signIn(token, process)).rejects.toMatchObject({ data: { reason: 'ISSUER_OR_AUDIENCE' } }));
  });

  it('are not changed by whoever holds less than their people do: new keys would make anybody of them', async () => {
    const { server: other, id } = await bench.issuer({ scopeId: tenants[0].id });
    const { principal: who } = await signIn(other.token());
    const delegate = accessWith([{ role: null, permissions: { issuer: ['READ', 'MODIFY'] }, tenantId: tenants[0].id, projectId: null }]);
    await bench.issuers.update(delegate, { id, audience: 'other-1' });
    const binding = await grant(who.id, tenants[0].id);
    await expect(bench.issuers.update(delegate, { id, jwksUri: `${server.url}/jwks` })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await bench.bindings.revokeRole(owner, binding);
    await bench.issuers.update(delegate, { id, audience: 'other-2' });
  });

  it('stay when a role is being granted to one of their people', async () => {
    const { server: other, id } = await bench.issuer({ scopeId: tenants[0].id });
    const { principal: who } = await signIn(other.token());
    const place = { scopeId: tenants[0].id, tenantId: tenants[0].id, projectId: null };
    const binding = newBindingRow(place, who.id, 'VIEWER');
    const outcome = await besides(bench.room.database, 
      (transaction) => applyRows(transaction, [binding]),
      () => bench.issuers.delete(owner, id),
    );
    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'INVALID_STATE', data: { fact: 'role_binding' } } });
    expect(await sql('SELECT id FROM role_binding WHERE principal_id = $1', [who.id])).toHaveLength(1);
  });

  it('of a tenant that is going take nobody in', async () => {
    const going = await newTenant(bench.room.database);
    const { server: other } = await bench.issuer({ scopeId: going.id });
    await sql(`UPDATE scope SET state = 'DELETING' WHERE id = $1`, [going.id]);
    await expect(signIn(other.token())).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(await sql('SELECT id FROM principal WHERE scope_id = $1', [going.id])).toEqual([]);
  });
});

describe('a request with a token that is known', () => {
  it('writes nothing and asks the issuer nothing', async () => {
    const token = await server.token({ sub: 'quiet' });
    await signIn(token);
    const [asked, written] = [server.requests.length, await sql('SELECT xmin::text FROM principal WHERE subject = $1', ['quiet'])];
    for (let round = 0; round < 20; round += 1) await signIn(token);
    expect(server.requests).toHaveLength(asked);
    expect(await sql('SELECT xmin::text FROM principal WHERE subject = $1', ['quiet'])).toEqual(written);
  });
});

describe('failed attempts', () => {
  it('are slowed down by address, and whoever has shown to be right is not', async () => {
    const process = await bench.process({ attempts: new FailedAttempts(5) });
    const from = (address: string, token: string): Promise<Access> => process.authenticate(token, { requestId: 'r', address });
    const good = await server.token();
    await from('192.0.2.1', good);
    for (let round = 0; round < 5; round += 1) await expect(from('192.0.2.1', `muon_x${round}`)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    await expect(from('192.0.2.1', 'muon_y')).rejects.toMatchObject({
      code: 'RATE_LIMITED',
      data: { limit: 5, used: 5, resets: expect.any(String) as string, retryAfterMs: expect.any(Number) as number },
    });
    await from('192.0.2.1', good);
    await from('192.0.2.2', await server.token({ sub: 'elsewhere' }));
  });

  it('are not those with a token that has merely expired', async () => {
    const process = await bench.process({ attempts: new FailedAttempts(1) });
    const from = async (token: string | Promise<string>): Promise<Access> => process.authenticate(await token, { requestId: 'r', address: '192.0.2.9' });
    for (let round = 0; round < 3; round += 1) await expect(from(server.token({ exp: seconds(-60) }))).rejects.toMatchObject({ data: { reason: 'EXPIRED' } });
    await from(server.token({ sub: 'fresh' }));
  });

  it('count for all addresses that a subscriber has', async () => {
    const process = await bench.process({ attempts: new FailedAttempts(1) });
    const from = (address: string): Promise<Access> => process.authenticate('muon_x', { requestId: 'r', address });
    await expect(from('2001:db8:0:1::1')).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    await expect(from('2001:db8:0:1:ffff::2')).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    await expect(from('2001:db8:0:2::1')).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });
});
