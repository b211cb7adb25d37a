import { createCipheriv, createDecipheriv, randomBytes, type KeyObject } from 'node:crypto';

/**
 * AES-256-GCM (NIST SP 800-38D) in one self-describing block: format (1 byte), nonce (12), tag (16), ciphertext. The
 * associated data is not stored: whoever opens the box must know what it was sealed for.
 */
const FORMAT = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
export const BOX_OVERHEAD_BYTES = 1 + NONCE_BYTES + TAG_BYTES;
export const KEY_BYTES = 32;

/** The key is not the one it was sealed with, the box was changed, or it was sealed for something else. */
export class BrokenSealError extends Error {
  constructor() {
    super('The sealed box cannot be opened with this key for this purpose.');
    this.name = 'BrokenSealError';
  }
}

export function seal(key: KeyObject, content: Buffer, associatedData: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(associatedData, 'utf8'));
  const ciphertext = Buffer.concat([cipher.update(content), cipher.final()]);
  return Buffer.concat([Buffer.of(FORMAT), nonce, cipher.getAuthTag(), ciphertext]);
}

/** @throws BrokenSealError, which says nothing about the content. */
export function unseal(key: KeyObject, box: Buffer, associatedData: string): Buffer {
  if (box.length < BOX_OVERHEAD_BYTES || box[0] !== FORMAT) throw new BrokenSealError();
  const nonce = box.subarray(1, 1 + NONCE_BYTES);
  const tag = box.subarray(1 + NONCE_BYTES, BOX_OVERHEAD_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(associatedData, 'utf8'));
  decipher.setAuthTag(tag);
  const content = decipher.update(box.subarray(BOX_OVERHEAD_BYTES));
  try {
    return Buffer.concat([content, decipher.final()]);
  } catch {
    content.fill(0);
    throw new BrokenSealError();
  }
}
