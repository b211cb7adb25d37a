import type { JsonObject, JsonValue } from '#core';

const HIDDEN = '[secret]';
const NAMES_SECRET = /key|password|secret|token/i;
const PEM_BLOCK = /-----BEGIN [^-]+-----(?:[^-]|-(?!----END))*(?:-----END [^-]+-----)?/g;

/**
 * What the audit log sees of what was entered: never a secret, wherever it was put. Refused input is audited as well, and a
 * private key among the options is refused.
 * @returns the fields that differ from what was entered as `hidden`, so that they still tell two inputs apart
 */
export function withoutSecrets(input: JsonObject): { input: JsonObject; hidden?: JsonObject } {
  const shown = redacted(input) as JsonObject;
  const hidden = Object.fromEntries(Object.entries(input).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(shown[key])));
  return Object.keys(hidden).length === 0 ? { input } : { input: shown, hidden };
}

function redacted(value: JsonValue | undefined): JsonValue | undefined {
  if (typeof value === 'string') return value.replace(PEM_BLOCK, HIDDEN);
  if (Array.isArray(value)) return value.map((part) => redacted(part) ?? null);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [key, NAMES_SECRET.test(key) && part !== null && typeof part !== 'boolean' ? HIDDEN : redacted(part)]),
  );
}
