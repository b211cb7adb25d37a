import { createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { missingKey, type KeyProvider, type WrappedKey } from './key-provider.js';
import { KEY_BYTES, seal, unseal } from './sealed-box.js';

/** Shorter than the text of a key, so that a key pasted in the place of its id is refused and not shown. */
const KEY_ID = /^[a-z0-9][a-z0-9._-]{0,31}$/;
const KEY_TEXT = /^[A-Za-z0-9+/]{43}=$/;
const MAX_KEYS = 32;

/** The key-encryption keys of the configuration. */
export class KeyRing implements KeyProvider {
  readonly currentKeyId: string;
  /** It makes no calls that could hang. */
  readonly callTimeoutMs = 5_000;
  readonly #keys: ReadonlyMap<string, KeyObject>;

  private constructor(currentKeyId: string, keys: ReadonlyMap<string, KeyObject>) {
    this.currentKeyId = currentKeyId;
    this.#keys = keys;
  }

  /**
   * Reads `keyId:base64 of 32 bytes`, one key a line (or separated by commas), empty lines and `#` comments allowed.
   * The first is the current key; the others still open what was sealed with them.
   * @throws Error that names the line and what is wrong, never the text of a key
   */
  static parse(text: string): KeyRing {
    const keys = new Map<string, KeyObject>();
    for (const [index, entry] of text.split(/[\n,]/).entries()) {
      const line = entry.trim();
      if (line === '' || line.startsWith('#')) continue;
      const { keyId, key } = parseKey(line, `key ${index + 1}`);
      if (keys.has(keyId)) throw new Error(`The key id "${keyId}" appears twice.`);
      for (const [other, known] of keys) {
        if (known.equals(key)) throw new Error(`The keys "${other}" and "${keyId}" are the same; make a new one.`);
      }
      keys.set(keyId, key);
    }
    const [current] = keys.keys();
    if (current === undefined) throw new Error('At least one key is needed, as keyId:base64 of 32 bytes.');
    if (keys.size > MAX_KEYS) throw new Error(`There are ${keys.size} keys; at most ${MAX_KEYS} are allowed.`);
    return new KeyRing(current, keys);
  }

  get keyIds(): string[] {
    return [...this.#keys.keys()];
  }

  knows(keyId: string): boolean {
    return this.#keys.has(keyId);
  }

  async wrap(dataKey: Buffer, context: string): Promise<WrappedKey> {
    return { keyId: this.currentKeyId, bytes: seal(this.key(this.currentKeyId), dataKey, context) };
  }

  async unwrap(wrapped: WrappedKey, context: string): Promise<Buffer> {
    return unseal(this.key(wrapped.keyId), wrapped.bytes, context);
  }

  private key(keyId: string): KeyObject {
    const key = this.#keys.get(keyId);
    if (key === undefined) throw missingKey(keyId);
    return key;
  }
}

function parseKey(line: string, where: string): { keyId: string; key: KeyObject } {
  const colon = line.indexOf(':');
  if (colon < 0) throw new Error(`In ${where} the colon between the key id and the key is missing.`);
  const keyId = line.slice(0, colon).trim();
  if (!KEY_ID.test(keyId)) {
    throw new Error(`In ${where} the key id must have 1 to 32 lower-case letters, digits, dots, hyphens or underscores.`);
  }
  const keyText = line.slice(colon + 1).trim();
  const bytes = Buffer.from(keyText, 'base64');
  if (!KEY_TEXT.test(keyText) || bytes.length !== KEY_BYTES || bytes.toString('base64') !== keyText) {
    throw new Error(`The key "${keyId}" is not the base64 form of ${KEY_BYTES} bytes (44 characters, the last one "=").`);
  }
  if (bytes.every((byte) => byte === bytes[0])) {
    throw new Error(`The key "${keyId}" repeats one byte; take a random one (openssl rand -base64 ${KEY_BYTES}).`);
  }
  const key = createSecretKey(bytes);
  bytes.fill(0);
  return { keyId, key };
}

/** One line for the configuration, made of fresh random bytes. */
export function generateKeyLine(keyId: string): string {
  if (!KEY_ID.test(keyId)) throw new Error('A key id has 1 to 32 lower-case letters, digits, dots, hyphens or underscores.');
  return `${keyId}:${randomBytes(KEY_BYTES).toString('base64')}`;
}

/** For an app's configuration schema: `MUON_SECRET_KEYS: secretKeysSchema` (or the file of `MUON_SECRET_KEYS_FILE`). */
export const secretKeysSchema = z
  .string('the encryption keys are needed, as keyId:base64 of 32 bytes, the current one first')
  .transform((text, context): KeyRing => {
    try {
      return KeyRing.parse(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : 'not valid' });
      return z.NEVER;
    }
  });
