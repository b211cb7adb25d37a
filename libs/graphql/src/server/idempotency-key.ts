import { invalidInput } from '#core';

const PRINTABLE_ASCII = /^[\x20-\x7e]{1,255}$/;

/** @throws INVALID_INPUT when the header is there but not 1 to 255 printable ASCII characters. */
export function parseIdempotencyKey(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  if (typeof header === 'string' && PRINTABLE_ASCII.test(header)) return header;
  throw invalidInput('Idempotency-Key', 'An Idempotency-Key has 1 to 255 printable ASCII characters.');
}
