import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createLogger } from '#core';
import { Database, databaseRoom, migrate, schemaDrift, statement } from '#database';
import { findCanary, testDatabase, type TestDatabase } from '#testing';
import { generateKeyLine, KeyRing, MAX_SECRET_BYTES, SecretService, SecretsModule, secretsRoom, SecretValue } from '../index.js';
import type { KeyProvider, NewSecret } from '../index.js';

const CANARY = 'canary-4f1c9b27d6e84a0f';
const line1 = generateKeyLine('k1');
const line2 = generateKeyLine('k2');

let home: TestDatabase;
let database: Database;
const service = new SecretService(KeyRing.parse(line1));

const removeAll = statement('spec.secretRemoveAll', 'DELETE FROM secret');
const countAll = statement<{ count: number }>('spec.secretCount', 'SELECT count(*) FROM secret');
const allSealed = statement<{ ciphertext: Buffer; wrapped_key: Buffer }>(
  'spec.secretAll',
  'SELECT ciphertext, wrapped_key FROM secret ORDER BY id',
);
const setOwner = statement<never, [id: string, owner: string]>('spec.secretOwner', 'UPDATE secret SET owner_id = $2 WHERE id = $1');
const swapContent = statement<never, [to: string, from: string]>(
  'spec.secretSwap',
  `UPDATE secret SET ciphertext = other.ciphertext, wrapped_key = other.wrapped_key
   FROM secret AS other WHERE secret.id = $1 AND other.id = $2`,
);
const flipBit = (column: string) =>
  statement<never, [id: string, bit: number]>(`spec.secretFlip.${column}`, `UPDATE secret SET ${column} = set_bit(${column}, $2, 1 - get_bit(${column}, $2)) WHERE id = $1`);
const flips = { ciphertext: flipBit('ciphertext'), wrapped_key: flipBit('wrapped_key') };

function secret(value: NewSecret['value'], ownerId = 'kc_1'): NewSecret {
  return { ownerId, tenantId: 'ten_1', projectId: 'prj_1', purpose: 'spec', value };
}

async function caught(work: Promise<unknown>): Promise<Error> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(Error);
  return error as Error;
}

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

test('entities and migration agree', async () => {
  expect(await schemaDrift(database)).toEqual([]);
});

test('what was put is opened again, byte by byte, inside and outside of a transaction', async () => {
  const binary = Buffer.from([0, 255, 10, 0, 92, 120, 39]);
  const [text, bytes, passedOn] = await database.transaction(async (transaction) => {
    const refs = await service.putAll(transaction, [secret('grüße\n"quoted"'), secret(binary), secret(new SecretValue('again'))]);
    expect((await service.open(transaction, refs[0]!, 'kc_1')).revealText()).toBe('grüße\n"quoted"');
    return refs;
  });
  expect(text).toMatch(/^sec_/);
  expect((await service.open(database, text!, 'kc_1')).revealText()).toBe('grüße\n"quoted"');
  expect((await service.open(database, bytes!, 'kc_1')).reveal()).toEqual(binary);
  expect((await service.open(database, passedOn!, 'kc_1')).revealText()).toBe('again');
  const all = await service.openAll(database, [text!, bytes!].map((ref) => ({ ref, ownerId: 'kc_1' })));
  expect(all.get(bytes!)?.reveal()).toEqual(binary);
});

test('a sealed secret is kept by a later transaction, and a rolled back one leaves nothing', async () => {
  const sealed = await service.seal(secret(CANARY));
  const ref = await database.transaction(async (transaction) => service.put(transaction, sealed));
  expect(ref).toBe(sealed.id);
  expect((await service.open(database, ref, 'kc_1')).revealText()).toBe(CANARY);
  await caught(
    database.transaction(async (transaction) => {
      await service.put(transaction, secret('lost'));
      throw new Error('no');
    }),
  );
  expect(await database.first(countAll)).toEqual({ count: 1 });
});

test('secrets of the system have no tenant', async () => {
  const ref = await database.transaction(async (transaction) =>
    service.put(transaction, { ownerId: 'bk_1', tenantId: null, projectId: null, purpose: 'backend', value: 'x' }),
  );
  expect((await service.open(database, ref, 'bk_1')).revealText()).toBe('x');
});

test('another owner gets NOT_FOUND; a row that was given another owner does not open either', async () => {
  const ref = await database.transaction(async (transaction) => service.put(transaction, secret(CANARY)));
  await expect(service.open(database, ref, 'kc_2')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await database.transaction(async (transaction) => transaction.execute(setOwner, ref, 'kc_2'));
  await expect(service.open(database, ref, 'kc_2')).rejects.toMatchObject({ code: 'INTERNAL', fault: 'OPERATOR' });
  await database.transaction(async (transaction) => transaction.execute(setOwner, ref, 'kc_1'));
  expect((await service.open(database, ref, 'kc_1')).revealText()).toBe(CANARY);
});

test('one secret cannot take the place of another of the same owner', async () => {
  const [mine, other] = await database.transaction(async (transaction) =>
    service.putAll(transaction, [secret('mine'), secret('other')]),
  );
  await database.transaction(async (transaction) => transaction.execute(swapContent, mine!, other!));
  await expect(service.open(database, mine!, 'kc_1')).rejects.toMatchObject({ code: 'INTERNAL' });
});

test('a changed bit anywhere is refused: format, nonce, tag, content, and the same of the wrapped key', async () => {
  const ref = await database.transaction(async (transaction) => service.put(transaction, secret('123')));
  for (const [column, flip] of Object.entries(flips)) {
    // Bytes 0 (format), 1 to 12 (nonce), 13 to 28 (tag), then the content.
    for (const bit of [0, 8, 8 * 12, 8 * 13, 8 * 28, 8 * 29, 8 * 31 + 7]) {
      await database.transaction(async (transaction) => transaction.execute(flip, ref, bit));
      const error = await caught(service.open(database, ref, 'kc_1'));
      expect({ column, bit, error }).toMatchObject({
        error: { code: 'INTERNAL', fault: 'OPERATOR', data: { secretId: ref, keyId: 'k1' } },
      });
      await database.transaction(async (transaction) => transaction.execute(flip, ref, bit));
    }
  }
  expect((await service.open(database, ref, 'kc_1')).revealText()).toBe('123');
});

test('equal values are stored differently, and never in the clear', async () => {
  const largest = CANARY.padEnd(MAX_SECRET_BYTES, '.');
  await database.transaction(async (transaction) => service.putAll(transaction, [secret(CANARY), secret(CANARY), secret(largest)]));
  const rows = await database.rows(allSealed);
  expect(rows).toHaveLength(3);
  expect(rows[0]!.ciphertext.subarray(29).equals(rows[1]!.ciphertext.subarray(29))).toBe(false);
  expect(rows[0]!.wrapped_key.equals(rows[1]!.wrapped_key)).toBe(false);
  expect(await findCanary(CANARY, { databaseUrls: [home.url], log: '' })).toEqual([]);
  // The search looks at this very table.
  await database.transaction(async (transaction) => service.put(transaction, { ...secret('x'), purpose: CANARY }));
  expect(await findCanary(CANARY, { databaseUrls: [home.url], log: '' })).toMatchObject([{ where: 'public.secret.purpose' }]);
});

test('64 KiB is the largest, and one byte the smallest', async () => {
  const largest = Buffer.alloc(MAX_SECRET_BYTES, 7);
  const refs = await database.transaction(async (transaction) => service.putAll(transaction, [secret(largest), secret('x')]));
  expect((await service.open(database, refs[0]!, 'kc_1')).reveal().equals(largest)).toBe(true);
  const larger = await caught(service.seal(secret(Buffer.alloc(MAX_SECRET_BYTES + 1))));
  expect(larger).toMatchObject({ code: 'INVALID_INPUT', field: 'value', data: { bytes: 65537, maxBytes: 65536 } });
  // Bytes count, not characters.
  expect(await caught(service.seal(secret('ü'.repeat(40_000))))).toMatchObject({ code: 'INVALID_INPUT', data: { bytes: 80_000 } });
  expect(await caught(service.seal(secret('')))).toMatchObject({ code: 'INVALID_INPUT' });
});

test('remove takes what is named or owned, leaves the rest and does not mind what is gone', async () => {
  const refs = await database.transaction(async (transaction) =>
    service.putAll(transaction, [secret('a'), secret('b'), secret('c', 'kc_2'), secret('d', 'kc_2')]),
  );
  await database.transaction(async (transaction) => {
    expect(await service.remove(transaction, [refs[0]!, refs[0]!])).toBe(1);
    expect(await service.remove(transaction, [refs[0]!])).toBe(0);
    expect(await service.remove(transaction, [])).toBe(0);
    expect(await service.removeOwnedBy(transaction, ['kc_2', 'kc_3'])).toBe(2);
  });
  await expect(service.open(database, refs[0]!, 'kc_1')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expect((await service.open(database, refs[1]!, 'kc_1')).revealText()).toBe('b');
});

test('a missing key is the operator’s to give back, and is named', async () => {
  const ref = await database.transaction(async (transaction) => service.put(transaction, secret(CANARY)));
  const without = new SecretService(KeyRing.parse(line2));
  const error = await caught(without.open(database, ref, 'kc_1'));
  expect(error).toMatchObject({ code: 'UNAVAILABLE', fault: 'OPERATOR', retryable: true, data: { keyId: 'k1' } });
  expect(error.message).toContain('"k1"');
  expect(await without.checkKeys(database)).toMatchObject([{ keyId: 'k1', problem: 'MISSING' }]);
  const wrong = new SecretService(KeyRing.parse(generateKeyLine('k1')));
  expect(await wrong.checkKeys(database)).toMatchObject([{ keyId: 'k1', problem: 'WRONG' }]);
  expect(await caught(wrong.open(database, ref, 'kc_1'))).toMatchObject({ code: 'INTERNAL', fault: 'OPERATOR' });
  expect(await service.checkKeys(database)).toEqual([]);
});

test('one broken row does not make a good key look wrong', async () => {
  const refs = await database.transaction(async (transaction) => service.putAll(transaction, [secret('a'), secret('b')]));
  await database.transaction(async (transaction) => transaction.execute(flips.wrapped_key, refs[0]!, 100));
  expect(await service.checkKeys(database)).toEqual([]);
});

test('a key service that hangs is given up', async () => {
  let aborted = false;
  const hanging: KeyProvider = {
    currentKeyId: 'kms',
    callTimeoutMs: 20,
    knows: () => true,
    unwrap: async () => Buffer.alloc(32),
    wrap: async (_dataKey, _context, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          aborted = true;
          reject(signal.reason as Error);
        });
      }),
  };
  await expect(new SecretService(hanging).seal(secret('x'))).rejects.toMatchObject({ code: 'TIMEOUT', retryable: true });
  expect(aborted).toBe(true);
});

test('an opened secret shows itself nowhere', async () => {
  const ref = await database.transaction(async (transaction) => service.put(transaction, secret(CANARY)));
  const value = await service.open(database, ref, 'kc_1');
  // What the type checker and the linter forbid, and code may do all the same.
  const careless = value as unknown as string;
  const lines: string[] = [];
  const logger = createLogger('spec', 'info', { write: (text: string) => void lines.push(text) });
  logger.info({ value, nested: { list: [value] } }, `opened ${String(value)}`);
  logger.error(Object.assign(new Error(`failed with ${careless}`), { value }), 'failed');
  const shown = [
    ...lines,
    `${careless}`,
    '' + careless,
    JSON.stringify({ value }),
    inspect({ value }, { depth: 10, showHidden: true }),
    JSON.stringify(structuredClone(value)),
    Object.keys(value).join(),
  ];
  expect(lines.join('')).toContain('[secret]');
  expect([inspect(value), `${careless}`, JSON.stringify(value)]).toEqual(['[secret]', '[secret]', '"[secret]"']);
  expect(inspect(value, { customInspect: false, showHidden: true, depth: 10 })).not.toContain(CANARY);
  for (const text of shown) {
    expect(text).not.toContain(CANARY);
    expect(text).not.toContain(Buffer.from(CANARY).toString('hex'));
    expect(text).not.toContain(Buffer.from(CANARY).toString('base64'));
  }
  // A taken copy may be overwritten without hurting the next one.
  value.reveal().fill(0);
  expect(value.revealText()).toBe(CANARY);
});

test('refusals of the database and of the service do not carry the value', async () => {
  const tooLongPurpose = { ...secret(CANARY), purpose: 'p'.repeat(101) };
  const refused = await caught(database.transaction(async (transaction) => service.put(transaction, tooLongPurpose)));
  const duplicate = await service.seal(secret(CANARY));
  const twice = await caught(database.transaction(async (transaction) => service.putAll(transaction, [duplicate, duplicate])));
  const tooLarge = await caught(service.seal(secret(CANARY.repeat(4_000))));
  for (const error of [refused, twice, tooLarge]) {
    const shown = inspect(error, { depth: 20, showHidden: true, maxStringLength: null, maxArrayLength: null });
    expect(shown).not.toContain(CANARY);
    expect(shown).not.toContain(Buffer.from(CANARY).toString('hex'));
  }
});

test('the module gives Nest one service with the configured keys', async () => {
  const { NestFactory } = await import('@nestjs/core');
  await import('reflect-metadata');
  const app = await NestFactory.createApplicationContext(SecretsModule.register(KeyRing.parse(line1)), { logger: false });
  const ref = await database.transaction(async (transaction) => app.get(SecretService).put(transaction, secret('nest')));
  expect((await service.open(database, ref, 'kc_1')).revealText()).toBe('nest');
  await app.close();
});
