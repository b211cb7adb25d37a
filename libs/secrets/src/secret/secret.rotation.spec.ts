import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Database, databaseRoom, migrate, statement } from '#database';
import { testDatabase, type TestDatabase } from '#testing';
import { generateKeyLine, KeyRing, SecretService, secretsRoom, type KeyProvider, type SecretRef } from '../index.js';

const line1 = generateKeyLine('k1');
const line2 = generateKeyLine('k2');
const line3 = generateKeyLine('k3');
const old = new SecretService(KeyRing.parse(line1));
const both = new SecretService(KeyRing.parse(`${line2}\n${line1}`));
const fresh = new SecretService(KeyRing.parse(line2));

const removeAll = statement('spec.rotationRemoveAll', 'DELETE FROM secret');
const rotated = statement<{ count: number }>('spec.rotationCount', `SELECT count(*) FROM secret WHERE rotated_at IS NOT NULL`);
const ciphertexts = statement<{ id: string; ciphertext: string }>(
  'spec.rotationCiphertexts',
  `SELECT id, encode(ciphertext, 'hex') AS ciphertext FROM secret ORDER BY id`,
);

let home: TestDatabase;
let database: Database;

beforeAll(async () => {
  home = await testDatabase();
  database = await Database.open({ url: home.url, rooms: [databaseRoom, secretsRoom], poolSize: 8 });
  await migrate(database);
});
afterEach(async () => database.transaction(async (transaction) => transaction.execute(removeAll)));
afterAll(async () => {
  await database.close();
  await home.drop();
});

async function plant(count: number, service = old): Promise<SecretRef[]> {
  return database.transaction(async (transaction) =>
    service.putAll(
      transaction,
      Array.from({ length: count }, (_unused, index) => ({
        ownerId: 'kc_1',
        tenantId: null,
        projectId: null,
        purpose: 'spec',
        value: `value ${index}`,
      })),
    ),
  );
}

async function openedBy(service: SecretService, refs: readonly SecretRef[]): Promise<string[]> {
  const opened = await service.openAll(
    database,
    refs.map((ref) => ({ ref, ownerId: 'kc_1' })),
  );
  return refs.map((ref) => opened.get(ref)!.revealText());
}

const expected = (count: number): string[] => Array.from({ length: count }, (_unused, index) => `value ${index}`);

test('rotation makes the old key dispensable, without touching the encrypted values', async () => {
  const refs = await plant(25);
  const before = await database.rows(ciphertexts);
  expect(await both.rotate(database, 4)).toEqual({ currentKeyId: 'k2', rewrapped: 25, remaining: [] });
  expect(await openedBy(fresh, refs)).toEqual(expected(25));
  await expect(old.open(database, refs[0]!, 'kc_1')).rejects.toMatchObject({ code: 'UNAVAILABLE', data: { keyId: 'k2' } });
  expect(await database.rows(ciphertexts)).toEqual(before);
  expect(await both.rotate(database, 4)).toEqual({ currentKeyId: 'k2', rewrapped: 0, remaining: [] });
});

test('several old keys at once, and a missing one is told and left alone', async () => {
  await plant(5);
  await plant(6, new SecretService(KeyRing.parse(line3)));
  await plant(7, fresh);
  expect(await both.rotate(database, 100)).toEqual({
    currentKeyId: 'k2',
    rewrapped: 5,
    remaining: [{ keyId: 'k3', secrets: 6, missing: true }],
  });
  const all = new SecretService(KeyRing.parse([line2, line3].join('\n')));
  expect(await all.rotate(database, 1)).toMatchObject({ rewrapped: 6, remaining: [] });
});

test('a rotation that is broken off goes on later', async () => {
  const refs = await plant(10);
  const controller = new AbortController();
  let wraps = 0;
  const ring = KeyRing.parse(`${line2}\n${line1}`);
  const counting: KeyProvider = {
    currentKeyId: ring.currentKeyId,
    callTimeoutMs: 1_000,
    knows: (keyId) => ring.knows(keyId),
    unwrap: async (wrapped, context) => ring.unwrap(wrapped, context),
    wrap: async (dataKey, context) => {
      wraps += 1;
      if (wraps === 4) controller.abort();
      return ring.wrap(dataKey, context);
    },
  };
  const first = await new SecretService(counting).rotate(database, 3, { signal: controller.signal });
  expect(first).toEqual({ currentKeyId: 'k2', rewrapped: 6, remaining: [{ keyId: 'k1', secrets: 4, missing: false }] });
  expect(await openedBy(both, refs)).toEqual(expected(10));
  expect(await both.rotate(database, 3)).toMatchObject({ rewrapped: 4, remaining: [] });
});

test('a key service that fails in the middle loses nothing', async () => {
  const refs = await plant(6);
  const ring = KeyRing.parse(`${line2}\n${line1}`);
  let wraps = 0;
  const failing: KeyProvider = {
    currentKeyId: 'k2',
    callTimeoutMs: 1_000,
    knows: () => true,
    unwrap: async (wrapped, context) => ring.unwrap(wrapped, context),
    wrap: async (dataKey, context) => {
      wraps += 1;
      if (wraps > 3) throw new Error('the key service is away');
      return ring.wrap(dataKey, context);
    },
  };
  await expect(new SecretService(failing).rotate(database, 3)).rejects.toThrow('the key service is away');
  expect(await database.first(rotated)).toEqual({ count: 3 });
  expect(await openedBy(both, refs)).toEqual(expected(6));
});

test('readers, writers, removers and two rotations at once: everything stays readable, each row is replaced once', async () => {
  const refs = await plant(120);
  const removed = refs.slice(100);
  const kept = refs.slice(0, 100);
  let rotating = true;
  let reads = 0;
  const read = async (): Promise<void> => {
    while (rotating || reads === 0) {
      expect(await openedBy(both, kept)).toEqual(expected(100));
      reads += 1;
    }
  };
  const added: SecretRef[] = [];
  const write = async (): Promise<void> => {
    while (rotating || added.length === 0) added.push(...(await plant(1, both)));
  };
  const remove = async (): Promise<void> => {
    for (const ref of removed) await database.transaction(async (transaction) => both.remove(transaction, [ref]));
  };
  const rotate = Promise.all([both.rotate(database, 5), both.rotate(database, 7)]).finally(() => (rotating = false));
  const [results] = await Promise.all([rotate, read(), read(), write(), remove()]);
  const rewrapped = results[0].rewrapped + results[1].rewrapped;
  expect(rewrapped).toBeGreaterThanOrEqual(100);
  expect(rewrapped).toBeLessThanOrEqual(120);
  expect(await both.rotate(database, 50)).toMatchObject({ rewrapped: 0, remaining: [] });
  expect(await database.first(rotated)).toEqual({ count: 100 });
  expect(await openedBy(fresh, kept)).toEqual(expected(100));
  expect(new Set(await openedBy(fresh, added))).toEqual(new Set(['value 0']));
});

test('a row that changed between reading and replacing is left alone', async () => {
  const refs = await plant(3);
  const ring = KeyRing.parse(`${line2}\n${line1}`);
  let raced = false;
  const racing: KeyProvider = {
    currentKeyId: 'k2',
    callTimeoutMs: 1_000,
    knows: (keyId) => ring.knows(keyId),
    unwrap: async (wrapped, context) => {
      // Another rotation overtakes this one after it has read its batch.
      if (!raced) {
        raced = true;
        expect(await both.rotate(database, 10)).toMatchObject({ rewrapped: 3 });
      }
      return ring.unwrap(wrapped, context);
    },
    wrap: async (dataKey, context) => ring.wrap(dataKey, context),
  };
  expect(await new SecretService(racing).rotate(database, 10)).toMatchObject({ rewrapped: 0, remaining: [] });
  expect(await openedBy(fresh, refs)).toEqual(expected(3));
});

test('one row that cannot be opened does not keep the others on the old key', async () => {
  const refs = await plant(5);
  const spoil = statement<never, [id: string]>('spec.rotationSpoil', `UPDATE secret SET wrapped_key = set_byte(wrapped_key, 30, 255 - get_byte(wrapped_key, 30)) WHERE id = $1`);
  await database.transaction(async (transaction) => transaction.execute(spoil, refs[2]!));
  expect(await both.rotate(database, 1)).toEqual({
    currentKeyId: 'k2',
    rewrapped: 4,
    remaining: [{ keyId: 'k1', secrets: 1, missing: false }],
  });
});

test('a batch has a bound', async () => {
  for (const size of [0, 1001, 1.5]) await expect(both.rotate(database, size)).rejects.toMatchObject({ code: 'INTERNAL' });
});
