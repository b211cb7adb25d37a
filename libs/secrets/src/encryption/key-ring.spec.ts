import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { readConfiguration } from '#core';
import { generateKeyLine, KeyRing, keysFromFile, secretKeysSchema } from '../index.js';

const key = (): string => randomBytes(32).toString('base64');
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muon-keys-'));
});
afterAll(async () => rm(folder, { recursive: true }));

test('the first key is the current one; comments, empty lines, commas and Windows line ends are fine', () => {
  const ring = KeyRing.parse(`# the new one\r\n\r\nk2:${key()}\r\n  k1 : ${key()} \n`);
  expect(ring.currentKeyId).toBe('k2');
  expect(ring.keyIds).toEqual(['k2', 'k1']);
  expect(ring.knows('k1')).toBe(true);
  expect(ring.knows('k0')).toBe(false);
  expect(KeyRing.parse(`a:${key()},b:${key()}`).keyIds).toEqual(['a', 'b']);
});

const same = key();
const refusals: [name: string, text: string, says: RegExp][] = [
  ['nothing', '\n# only a comment\n', /At least one key/],
  ['a key without an id', `k1:${key()}\n${key()}`, /key 2 the colon/],
  ['id and key swapped', `${key()}:k1`, /key 1 the key id must/],
  ['a key pasted as an id in lower-case letters', `${'a1'.repeat(22)}:k1`, /key 1 the key id must/],
  ['too short', `k1:${randomBytes(31).toString('base64')}`, /"k1" is not the base64/],
  ['too long', `k1:${randomBytes(33).toString('base64')}`, /"k1" is not the base64/],
  ['hexadecimal', `k1:${randomBytes(32).toString('hex')}`, /"k1" is not the base64/],
  ['text after the key', `k1:${key()} old`, /"k1" is not the base64/],
  ['not canonical: spare bits set', `k1:${Buffer.alloc(32, 9).toString('base64').slice(0, 42)}l=`, /"k1" is not the base64/],
  ['no randomness', `k1:${Buffer.alloc(32).toString('base64')}`, /"k1" repeats one byte/],
  ['an id twice', `k1:${key()}\nk1:${key()}`, /"k1" appears twice/],
  ['a key twice', `k1:${same}\nk2:${same}`, /"k1" and "k2" are the same/],
  ['too many', Array.from({ length: 33 }, (_unused, index) => `k${index}:${key()}`).join('\n'), /at most 32/],
];

test.each(refusals)('start-up refuses %s, says why and shows no key', (_name, text, says) => {
  const parse = (): unknown => readConfiguration(z.object({ MUON_SECRET_KEYS: secretKeysSchema }), { MUON_SECRET_KEYS: text });
  expect(parse).toThrow(says);
  expect(parse).toThrow(/MUON_SECRET_KEYS/);
  try {
    parse();
  } catch (error) {
    const shown = inspect(error, { depth: 20, showHidden: true });
    for (const part of text.split(/[\s:,]+/).filter((word) => word.length > 40)) expect(shown).not.toContain(part);
  }
});

test('start-up without keys says what is needed', () => {
  expect(() => readConfiguration(z.object({ MUON_SECRET_KEYS: secretKeysSchema }), {})).toThrow(/the encryption keys are needed/);
});

test('keys may come from a file', async () => {
  const path = join(folder, 'configured');
  await writeFile(path, `k9:${key()}\n`);
  const configuration = readConfiguration(z.object({ MUON_SECRET_KEYS: secretKeysSchema }), { MUON_SECRET_KEYS_FILE: path });
  expect(configuration.MUON_SECRET_KEYS.currentKeyId).toBe('k9');
});

test('a key ring shows no key', () => {
  const text = key();
  const ring = KeyRing.parse(`k1:${text}`);
  const hex = Buffer.from(text, 'base64').toString('hex');
  for (const shown of [JSON.stringify(ring), inspect(ring, { depth: 10, showHidden: true })]) {
    expect(shown).not.toContain(text);
    expect(shown.replaceAll(' ', '')).not.toContain(hex);
  }
});

test('a development key file is made once, for its owner only, and is the same for all who start at once', async () => {
  const path = join(folder, 'state', 'secret.keys');
  const rings = await Promise.all(Array.from({ length: 8 }, async () => keysFromFile(path)));
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readdir(join(folder, 'state'))).toEqual(['secret.keys']);
  const context = 'spec';
  const wrapped = await rings[0]!.wrap(randomBytes(32), context);
  const opened = await Promise.all(rings.map(async (ring) => ring.unwrap(wrapped, context)));
  expect(new Set(opened.map((bytes) => bytes.toString('hex'))).size).toBe(1);
  const text = await readFile(path, 'utf8');
  await keysFromFile(path);
  expect(await readFile(path, 'utf8')).toBe(text);
});

test('a broken key file is named and never replaced', async () => {
  const path = join(folder, 'broken');
  await writeFile(path, 'k1:short');
  await expect(keysFromFile(path)).rejects.toThrow(/broken is not valid: The key "k1"/);
  expect(await readFile(path, 'utf8')).toBe('k1:short');
  expect(() => generateKeyLine('Not An Id')).toThrow(/key id/);
});
