import { inspect } from 'node:util';
import { defineId, invalidInput, type Id } from '#core';

/** All that inputs, outcomes, events, rows of other rooms and audit ever hold of a secret. */
export type SecretRef = Id<'sec'>;
export const SecretId = defineId('sec');

export const MAX_SECRET_BYTES = 64 * 1024;
/** What is shown in the place of a secret. */
export const SECRET_TEXT = '[secret]';

/** An opened secret. It shows itself only by `reveal`, and neither in logs, JSON, templates nor a debugger's print. */
export class SecretValue {
  readonly #bytes: Buffer;

  constructor(value: string | Buffer) {
    this.#bytes = Buffer.from(value as string);
  }

  get byteLength(): number {
    return this.#bytes.length;
  }

  /** A copy: whoever takes it may overwrite it after use. */
  reveal(): Buffer {
    return Buffer.from(this.#bytes);
  }

  /** The secret as UTF-8 text. */
  revealText(): string {
    return this.#bytes.toString('utf8');
  }

  toString(): string {
    return SECRET_TEXT;
  }

  toJSON(): string {
    return SECRET_TEXT;
  }

  [Symbol.toPrimitive](): string {
    return SECRET_TEXT;
  }

  [inspect.custom](): string {
    return SECRET_TEXT;
  }
}

/** A secret to be kept. */
export interface NewSecret {
  /** The resource that it belongs to: it opens only for this id. */
  ownerId: string;
  /** Null where the owner belongs to the system. */
  tenantId: string | null;
  projectId: string | null;
  /** What it is for, in a few words for operators, as `cluster.ca`. */
  purpose: string;
  /** 1 to 65536 bytes; text is kept as UTF-8. */
  value: string | Buffer | SecretValue;
}

/** An encrypted secret on its way into the database; may be made before the transaction that keeps it. */
export interface SealedSecret {
  readonly id: SecretRef;
  readonly ownerId: string;
  readonly tenantId: string | null;
  readonly projectId: string | null;
  readonly purpose: string;
  readonly keyId: string;
  readonly wrappedKey: Buffer;
  readonly ciphertext: Buffer;
}

/** Which secret, and for whom it is opened. */
export interface SecretLookup {
  ref: SecretRef;
  ownerId: string;
}

/** @throws INVALID_INPUT with the sizes, when it is empty or too large. */
export function secretBytes(value: string | Buffer | SecretValue): Buffer {
  const bytes = value instanceof SecretValue ? value.reveal() : Buffer.from(value as string);
  if (bytes.length === 0 || bytes.length > MAX_SECRET_BYTES) {
    throw invalidInput('value', `A secret has 1 to ${MAX_SECRET_BYTES} bytes.`, {
      bytes: bytes.length,
      maxBytes: MAX_SECRET_BYTES,
    });
  }
  return bytes;
}

/** What both layers of the envelope are bound to: a row copied to another secret or owner does not open. */
export function associatedData(id: SecretRef, ownerId: string): string {
  return JSON.stringify(['muon.secret.1', id, ownerId]);
}
