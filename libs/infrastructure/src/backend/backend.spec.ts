import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { statement } from '#database';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { findBackends, infrastructureRoom, PendingRemoval } from '#infrastructure';
import { operationsRoom } from '#operations';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { accessWith, findCanary, infrastructureBench, roomDatabase, systemAccess, type InfrastructureBench, type RoomDatabase } from '#testing';

let room: RoomDatabase;
let bench: InfrastructureBench;
const access = systemAccess();

const countSecrets = statement<{ secrets: number }>('spec.backend_secrets', 'SELECT count(*) AS secrets FROM secret');
const auditTexts = statement<{ text: string }>(
  'spec.backend_audit',
  `SELECT to_jsonb(a)::text AS text FROM audit_entry AS a UNION ALL SELECT to_jsonb(p)::text FROM plan AS p`,
);

const refusals = statement<{ command: string }>(
  'spec.backend_refusals',
  `SELECT command FROM audit_entry WHERE outcome = 'REFUSED' AND error_code = 'FORBIDDEN'`,
);

beforeAll(async () => {
  room = await roomDatabase([secretsRoom, eventsRoom, scopesRoom, identityRoom, operationsRoom, infrastructureRoom]);
  bench = await infrastructureBench(room);
});
afterAll(async () => {
  await bench.close();
  await room.close();
});

const input = (name: string) => ({ name, kind: 'simulated', endpoint: bench.endpoint, secret: bench.password });

it('keeps a backend that answers, its secret sealed and named by reference only', async () => {
  const { result } = await bench.backends.create(access, input('first'));
  const [row] = await room.database.rows(findBackends, [String(result.id)]);
  expect(row).toMatchObject({ name: 'first', kind: 'simulated', state: 'ACTIVE', health: 'UP', version: 1, max_concurrent_calls: 16 });
  expect(row?.secret_ref).toMatch(/^sec_/);
  expect(row?.capabilities).toMatchObject({ compute: true, fence: true });
  expect((await bench.secrets.open(room.database, row?.secret_ref ?? 'sec_', row?.id ?? '')).revealText()).toBe(bench.password);
  const driver = await bench.drivers.driver(String(result.id));
  expect(await driver.hosts.listHosts({ idempotencyKey: 'spec', timeoutMs: 5000, signal: new AbortController().signal })).toEqual([]);
  await bench.backends.create(access, input('planned'), { dryRun: true });
  const texts = await room.database.rows(auditTexts);
  expect(texts.length).toBeGreaterThan(2);
  expect(bench.password).not.toBe('');
  for (const { text } of texts) expect(text).not.toContain(`"${bench.password}"`);
});

it('refuses what does not work, naming the field, and keeps nothing', async () => {
  const before = await room.database.first(countSecrets);
  await expect(bench.backends.create(access, { ...input('bad'), kind: 'vsphere' })).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    field: 'input.kind',
    data: { kinds: ['simulated'] },
  });
  await expect(bench.backends.create(access, { ...input('bad'), endpoint: 'ftp://nowhere' })).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    field: 'input.endpoint',
  });
  await expect(bench.backends.create(access, { ...input('bad'), options: { nonsense: 1 } })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  await expect(bench.backends.create(access, { ...input('Bad') })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.name' });
  await expect(bench.backends.create(access, { ...input('bad'), endpoint: 'postgres://u@127.0.0.1:1/x' })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
  });
  await expect(bench.backends.create(access, input('first'))).rejects.toMatchObject({ code: 'ALREADY_EXISTS', field: 'input.name' });
  expect(await room.database.first(countSecrets)).toEqual(before);
});

it('answers only the owners of the system', async () => {
  const tenant = accessWith([{ role: 'OWNER', tenantId: 'ten_1', projectId: null }]);
  await expect(bench.backends.create(tenant, input('theirs'))).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await expect(bench.zones.create(tenant, { name: 'theirs' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await expect(bench.backends.update(tenant, { id: 'bck_1', secret: 'guess' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await expect(bench.datastores.add(tenant, { backendId: 'bck_1', name: 'pool' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await expect(bench.registration.register(tenant, { backendId: 'bck_1', zoneId: 'zon_1' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  const refused = await room.database.rows(refusals);
  expect(refused.map((row) => row.command).sort()).toEqual(['addDatastore', 'createBackend', 'createZone', 'registerHosts', 'updateBackend']);
});

it('answers a repeat without asking the backend, and tells the same key with another secret apart', async () => {
  const first = await bench.backends.create(access, input('repeated'), { idempotencyKey: 'repeated' });
  const id = String(first.result.id);
  expect(await bench.backends.create(access, input('repeated'), { idempotencyKey: 'repeated' })).toMatchObject({ result: { id }, replayed: true });
  const other = bench.backends.create(access, { ...input('repeated'), secret: 'another' }, { idempotencyKey: 'repeated' });
  await expect(other).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
  // A wrong secret would be refused by the backend if it were asked.
  await bench.backends.update(access, { id, secret: bench.password }, { idempotencyKey: 'changed' });
  await expect(bench.backends.update(access, { id, secret: 'another' }, { idempotencyKey: 'changed' })).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
});

it('audits no secret that was put among the options, refused or not', async () => {
  const canary = `canary-${randomBytes(12).toString('hex')}`;
  const pem = `-----BEGIN PRIVATE KEY-----\n${canary}\n-----END PRIVATE KEY-----\n`;
  const options = { network: { tls: { privateKey: canary, ca: [pem] } }, apiToken: { value: canary }, passwords: [canary], note: `as ${pem} here` };
  const refused = bench.backends.create(access, { ...input('careless'), options });
  await expect(refused).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  const { result } = await bench.backends.create(access, input('careful'));
  await expect(bench.backends.update(access, { id: String(result.id), options })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  expect(await findCanary(canary, { databaseUrls: [room.url], log: '' })).toEqual([]);
  const texts = (await room.database.rows(auditTexts)).map(({ text }) => text).filter((text) => text.includes('"careless"'));
  expect(texts.join()).toContain('as [secret]');
  expect(texts.join()).toContain('"privateKey": "[secret]"');
});

it('is applied as it was planned, with its sealed secret', async () => {
  const { plan } = await bench.backends.create(access, input('by-plan'), { dryRun: true });
  expect(plan?.changes.problems).toEqual([]);
  expect(JSON.stringify(plan?.changes)).not.toContain(`"${bench.password}"`);
  const { result } = await bench.commands.applyPlan(access, plan?.id ?? '');
  await expect(bench.drivers.driver(String(result.id))).resolves.toBeDefined();
});

it('changes what is entered after trying it, forgets the old secret, and minds the expected version', async () => {
  const id = String((await bench.backends.create(access, input('changing'))).result.id);
  const before = await room.database.first(countSecrets);
  const first = await bench.drivers.driver(id);
  await bench.backends.update(access, { id, secret: bench.password, maxConcurrentCalls: 3, expectedVersion: 1 });
  expect(await room.database.first(countSecrets)).toEqual(before);
  expect((await room.database.rows(findBackends, [id]))[0]).toMatchObject({ version: 2, max_concurrent_calls: 3 });
  await expect(bench.backends.update(access, { id, callTimeoutMs: 2000, expectedVersion: 1 })).rejects.toMatchObject({ code: 'CONFLICT' });
  await expect(bench.backends.update(access, { id, options: { poolSize: 0 } })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  await expect.poll(async () => (await bench.drivers.driver(id)) !== first).toBe(true);
});

it('goes at once when nothing is on it, else with the last host', async () => {
  const unused = String((await bench.backends.create(access, input('unused'))).result.id);
  const secrets = (await room.database.first(countSecrets))?.secrets ?? 0;
  expect((await bench.backends.delete(access, unused)).result).toEqual({ id: unused, isPending: false });
  expect(await room.database.first(countSecrets)).toEqual({ secrets: secrets - 1 });
  await expect(bench.drivers.driver(unused)).rejects.toMatchObject({ code: 'NOT_FOUND' });

  const { backendId, zoneId } = await bench.datacenter({ count: 1, pools: [] });
  const { plan } = await bench.zones.delete(access, zoneId, { dryRun: true });
  expect(plan?.changes.reasons[0]).toMatchObject({ message: 'It is in use (1 hosts) and goes with the last of them.' });
  expect((await bench.backends.delete(access, backendId)).result.isPending).toBe(true);
  expect((await bench.zones.delete(access, zoneId)).result.isPending).toBe(true);
  await expect(bench.registration.register(access, { backendId, zoneId })).rejects.toMatchObject({ code: 'INVALID_STATE' });
  const removal = new PendingRemoval(room.database, bench.usage, room.log);
  const run = async (): Promise<number> => removal.run(new AbortController().signal);
  expect(await run()).toBe(0);
  const host = await room.database.first(statement<{ id: string }, [string]>('spec.backend_host', 'SELECT id FROM host WHERE backend_id = $1'), backendId);
  await bench.hosts.deregister(access, { id: host?.id ?? '' });
  expect(await run()).toBe(2);
  expect(await room.database.rows(findBackends, [backendId])).toEqual([]);
});
