import { createHash } from 'node:crypto';
import type { DiskSpecification } from './storage.js';

/** The same for equal values, in whatever order their fields were named. */
export function hashOf(value: unknown): string {
  const text = JSON.stringify(value, (_key, part: unknown) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
  return createHash('sha256').update(text).digest('base64url');
}

/** What tells one disk from another by its hash. What disks came to have later counts only where it is asked for: the hash of those that were made before stays. */
export function distinguishingOf({ iopsLimit, ...specification }: DiskSpecification): Record<string, unknown> {
  return { ...specification, ...(iopsLimit === null ? {} : { iopsLimit }) };
}
