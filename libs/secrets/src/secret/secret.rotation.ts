import { assert, MuonError } from '#core';
import type { Database, Reader } from '#database';
import { unwrapKey, wrapKey, type KeyProvider, type WrappedKey } from '../encryption/key-provider.js';
import { BrokenSealError } from '../encryption/sealed-box.js';
import { associatedData } from './secret.js';
import { rewrapSecrets, secretKeysInUse, secretKeySamples, secretsOfKey, type SecretRow } from './secret.sql.js';

const MAX_BATCH = 1_000;
/** Calls to a key management service at the same time. */
const KEY_CALLS = 8;

export interface RotationOptions {
  /** Ends the rotation after the batch at hand; it may be called again later. */
  signal?: AbortSignal;
}

export interface RotationResult {
  currentKeyId: string;
  /** How many data keys this call has wrapped anew. */
  rewrapped: number;
  /** Old keys that still wrap something: theirs is missing, a row cannot be opened, or somebody wrote with it meanwhile. */
  remaining: { keyId: string; secrets: number; missing: boolean }[];
}

type KeyRow = Omit<SecretRow, 'ciphertext'>;

/**
 * Wraps data keys anew with the current key; the encrypted values stay as they are. No lock is held while keys are
 * wrapped and a row is replaced only if it is still the one that was read, so readers, writers and other rotations may
 * work at the same time, and a rotation that was broken off goes on where it was. Each key's work is bounded by what it
 * wrapped at the start.
 */
export async function rotateSecrets(
  database: Database,
  keys: KeyProvider,
  batchSize: number,
  options: RotationOptions = {},
): Promise<RotationResult> {
  assert(Number.isInteger(batchSize) && batchSize >= 1 && batchSize <= MAX_BATCH, `a batch has 1 to ${MAX_BATCH} secrets`);
  let rewrapped = 0;
  for (const { key_id: keyId, secrets } of await database.rows(secretKeysInUse)) {
    if (keyId === keys.currentKeyId || !keys.knows(keyId)) continue;
    let after = '';
    for (let seen = 0; seen < secrets && options.signal?.aborted !== true; ) {
      const batch = await database.rows(secretsOfKey, keyId, after, batchSize);
      const last = batch.at(-1);
      if (last === undefined) break;
      rewrapped += await rotateBatch(database, keys, batch);
      after = last.id;
      seen += batch.length;
    }
  }
  const inUse = await database.rows(secretKeysInUse);
  const remaining = inUse
    .filter((row) => row.key_id !== keys.currentKeyId)
    .map((row) => ({ keyId: row.key_id, secrets: row.secrets, missing: !keys.knows(row.key_id) }));
  return { currentKeyId: keys.currentKeyId, rewrapped, remaining };
}

async function rotateBatch(database: Database, keys: KeyProvider, batch: readonly KeyRow[]): Promise<number> {
  const done: { row: KeyRow; wrapped: WrappedKey }[] = [];
  for (let start = 0; start < batch.length; start += KEY_CALLS) {
    const rows = batch.slice(start, start + KEY_CALLS);
    const wrapped = await Promise.all(rows.map((row) => rewrap(keys, row)));
    for (const [index, row] of rows.entries()) {
      const item = wrapped[index];
      if (item !== undefined) done.push({ row, wrapped: item });
    }
  }
  if (done.length === 0) return 0;
  return database.transaction((transaction) =>
    transaction.execute(
      rewrapSecrets,
      done.map(({ row }) => row.id),
      done.map(({ row }) => row.wrapped_key),
      done.map(({ wrapped }) => wrapped.keyId),
      done.map(({ wrapped }) => wrapped.bytes),
    ),
  );
}

/** Undefined when it cannot be opened: one broken row must not keep all others on the old key. */
async function rewrap(keys: KeyProvider, row: KeyRow): Promise<WrappedKey | undefined> {
  const dataKey = await unwrapRow(keys, row);
  if (dataKey === undefined) return undefined;
  const context = associatedData(row.id, row.owner_id);
  try {
    return await wrapKey(keys, dataKey, context);
  } finally {
    dataKey.fill(0);
  }
}

async function unwrapRow(keys: KeyProvider, row: KeyRow): Promise<Buffer | undefined> {
  const wrapped: WrappedKey = { keyId: row.key_id, bytes: row.wrapped_key };
  const context = associatedData(row.id, row.owner_id);
  try {
    return await unwrapKey(keys, wrapped, context);
  } catch (error) {
    if (error instanceof BrokenSealError) return undefined;
    throw error;
  }
}

/** A key that secrets need and the configuration does not serve. */
export interface KeyProblem {
  keyId: string;
  /** MISSING: no key of this id. WRONG: it does not open a secret that was wrapped with a key of this id. */
  problem: 'MISSING' | 'WRONG';
  message: string;
}

/** Opens a few data keys of each key in use, so that a wrong configuration is seen at the start and not in mid-job. */
export async function checkKeys(reader: Reader, keys: KeyProvider): Promise<KeyProblem[]> {
  const opened = new Map<string, boolean>();
  for (const sample of await reader.rows(secretKeySamples)) {
    const keyId = sample.key_id;
    if (opened.get(keyId) === true) continue;
    opened.set(keyId, keys.knows(keyId) && (await unwrapRow(keys, sample)) !== undefined);
  }
  const problems: KeyProblem[] = [];
  for (const [keyId, good] of opened) {
    if (good) continue;
    const known = keys.knows(keyId);
    problems.push({
      keyId,
      problem: known ? 'WRONG' : 'MISSING',
      message: known
        ? `The configured key "${keyId}" is not the one that secrets were sealed with.`
        : `Secrets need the key "${keyId}", which is not configured.`,
    });
  }
  return problems;
}

/** For start-up: refuses to run with keys that cannot open what is kept. */
export function refuseKeyProblems(problems: readonly KeyProblem[]): void {
  if (problems.length === 0) return;
  throw new MuonError('UNAVAILABLE', problems.map((problem) => problem.message).join(' '), {
    fault: 'OPERATOR',
    data: { keyIds: problems.map((problem) => problem.keyId) },
  });
}
