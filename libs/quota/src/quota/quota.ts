import { z } from 'zod';
import { defineId, idPrefix, MAX_AMOUNT, MuonError } from '#core';
import type { Section } from '#database';
import { MAX_RESOURCE_KEY_LENGTH, RESOURCE_KEY_PATTERN, RESOURCE_KEY_RULE } from '../charge/charge.js';

export const quotaId = defineId('quo');

export const MAX_QUOTA_LINES = 200;

/** One limit: of a key, in one zone or, with null, in all zones together. */
export interface QuotaLine {
  resourceKey: string;
  zoneId: string | null;
  limit: number;
}

const keySchema = z.string().max(MAX_RESOURCE_KEY_LENGTH, RESOURCE_KEY_RULE).regex(RESOURCE_KEY_PATTERN, RESOURCE_KEY_RULE);
const zoneSchema = z
  .string()
  .refine((id) => idPrefix(id) === 'zon', 'The id of a zone begins with "zon_"; leave it out to speak of all zones.')
  .nullish()
  .transform((id) => id ?? null);
const limitSchema = z
  .number()
  .int('A limit is a whole number.')
  .min(0, 'A limit is 0 or more.')
  .max(MAX_AMOUNT, `A limit is at most ${MAX_AMOUNT}.`);

/** Names one counter of a scope. */
export const quotaCounterSchema = z.object({ resourceKey: keySchema, zoneId: zoneSchema });
export const quotaLineSchema = z.object({ resourceKey: keySchema, zoneId: zoneSchema, limit: limitSchema });

type CounterName = z.output<typeof quotaCounterSchema>;
export const counterName = (line: CounterName): string => `${line.resourceKey} ${line.zoneId ?? ''}`;

function onceEach(lines: readonly CounterName[]): boolean {
  return new Set(lines.map(counterName)).size === lines.length;
}
const ONCE = 'Each pair of resource key and zone may be named once.';

/** The lines of one scope. */
export const quotaLinesSchema = z
  .array(quotaLineSchema)
  .max(MAX_QUOTA_LINES, `A quota has at most ${MAX_QUOTA_LINES} lines.`)
  .refine(onceEach, ONCE);
export const quotaCountersSchema = z.array(quotaCounterSchema).min(1, 'Name at least one line.').max(MAX_QUOTA_LINES).refine(onceEach, ONCE);

/** New limits for a scope; null takes a limit away. */
export interface LimitChange {
  scopeId: string;
  scopeName: string;
  tenantId: string;
  tenantName: string;
  /** Null when the scope is the tenant itself. */
  projectId: string | null;
  /** The id that the scope's quota gets, should it have none yet. */
  quotaId: string;
  /** The version that the quota must have; 0 for one that was never set; null for any. */
  expectedVersion: number | null;
  /** Takes away every limit that no line names. */
  replace: boolean;
  lines: (Omit<QuotaLine, 'limit'> & { limit: number | null; /** Where the input has it. */ field: string })[];
}

/** Tenants are applied before projects, so that a change set may give to a tenant and carve from it. */
export const QUOTA_LIMITS: Section<LimitChange> = { name: 'quotaLimits' };

export function belowUsage(
  line: { resourceKey: string; zoneId: string | null; limit: number; field: string },
  scopeName: string,
  used: number,
): MuonError {
  const where = line.zoneId === null ? '' : ` in zone ${line.zoneId}`;
  return new MuonError(
    'INVALID_STATE',
    `"${scopeName}" uses ${used} of ${line.resourceKey}${where} already, what it has given to projects included; a limit of ${line.limit} is too low.`,
    { field: line.field, data: { key: line.resourceKey, zoneId: line.zoneId, limit: line.limit, used } },
  );
}
