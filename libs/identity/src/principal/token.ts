import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { defineId } from '#core';

export const tokenId = defineId('tok');

/** 256 random bits: a plain SHA-256 of it cannot be searched, so no slow hash is needed. */
const SECRET_BYTES = 32;
const TOKEN = /^muon_([0-7][0-9a-hjkmnp-tv-z]{25})_([A-Za-z0-9_-]{43})$/;

export interface NewToken {
  id: string;
  /** Shown once: `muon_<id>_<secret>`. */
  text: string;
  secretHash: string;
}

export function createToken(): NewToken {
  const id = tokenId.create();
  const secret = randomBytes(SECRET_BYTES).toString('base64url');
  return { id, text: `muon_${id.slice('tok_'.length)}_${secret}`, secretHash: hashSecret(secret) };
}

/** The id and the secret's hash of a token's text; undefined when it is none of ours. */
export function readToken(text: string): { id: string; secretHash: string } | undefined {
  const match = TOKEN.exec(text);
  if (match === null) return undefined;
  return { id: `tok_${match[1] ?? ''}`, secretHash: hashSecret(match[2] ?? '') };
}

export function sameHash(left: string, right: string): boolean {
  const [a, b] = [Buffer.from(left, 'hex'), Buffer.from(right, 'hex')];
  return a.length === b.length && timingSafeEqual(a, b);
}

function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
