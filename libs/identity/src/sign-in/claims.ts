import { createHash } from 'node:crypto';
import type { JWTPayload } from 'jose';
import type { IssuerRow } from '../issuer/issuer.js';
import { refusedToken } from './refused-token.js';

const MAX_SUBJECT = 255;
const MAX_TEXT = 255;
const MAX_GROUPS = 500;

/** What a token says of whom it speaks for. */
export interface Claims {
  subject: string;
  name: string;
  email: string | null;
  /** Sorted, each once. */
  groups: string[];
  /** The same for the same name, address and groups. */
  digest: string;
  issuedAt: Date;
}

/**
 * The claims that the issuer's mapping names: a claim by its name, or by a JSON pointer (`/realm_access/roles`) where it
 * stands deeper.
 * @throws UNAUTHENTICATED when the subject is missing, or the groups are more than can be heeded
 */
export function readClaims(payload: JWTPayload, issuer: IssuerRow): Claims {
  const subject = claim(payload, issuer.subject_claim);
  if (typeof subject !== 'string' || subject === '' || subject.length > MAX_SUBJECT || hasControls(subject)) {
    throw refusedToken('CLAIMS', `The claim "${issuer.subject_claim}" must be a text of 1 to ${MAX_SUBJECT} characters.`);
  }
  const name = textOf(claim(payload, issuer.name_claim)) ?? subject;
  const email = textOf(payload['email']);
  const groups = issuer.groups_claim === null ? [] : groupsOf(claim(payload, issuer.groups_claim), issuer.groups_claim);
  const digest = createHash('sha256').update(JSON.stringify([name, email, groups])).digest('base64url');
  // Checked to be a number by the verifier. A clock that runs ahead must not keep later tokens from being heeded.
  const issuedAt = new Date(Math.min(Number(payload.iat) * 1000, Date.now()));
  return { subject, name, email, groups, digest, issuedAt };
}

function claim(payload: JWTPayload, path: string): unknown {
  if (!path.startsWith('/')) return own(payload, path);
  const keys = path.slice(1).split('/').map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
  return keys.reduce<unknown>((value, key) => own(value, key), payload);
}

function own(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
}

function hasControls(text: string): boolean {
  return /\p{Cc}/u.test(text);
}

/** For people to read; what is no text of a usable length counts as not there. */
function textOf(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  const text = value.trim();
  return text === '' || hasControls(text) ? null : text.slice(0, MAX_TEXT);
}

/** A group that is cut off silently would be a right that is missing without a reason, so too many are refused. */
function groupsOf(value: unknown, path: string): string[] {
  if (value === undefined) return [];
  const groups = Array.isArray(value) ? value : [value];
  if (!groups.every((group) => typeof group === 'string')) throw refusedToken('CLAIMS', `The claim "${path}" must be a list of texts.`);
  const names = [...new Set(groups.filter((group) => group !== '' && group.length <= MAX_TEXT && !hasControls(group)))].sort();
  if (names.length > MAX_GROUPS) throw refusedToken('CLAIMS', `The claim "${path}" has ${names.length} groups; ${MAX_GROUPS} are heeded at most.`);
  return names;
}
