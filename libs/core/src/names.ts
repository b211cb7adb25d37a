import { z } from 'zod';

/** Names become DNS labels (RFC 1035 with the digits of RFC 1123 after the first letter). */
export const NAME_PATTERN = /^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
export const NAME_RULE =
  'A name has 1 to 63 lower-case letters, digits and hyphens, begins with a letter and does not end with a hyphen.';

export const nameSchema = z.string().regex(NAME_PATTERN, NAME_RULE);
/** Free text that people read: one line to a short paragraph. */
export const descriptionSchema = z.string().max(1000, 'A description has at most 1000 characters.');
