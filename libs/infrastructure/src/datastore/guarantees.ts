import { z } from 'zod';
import { invalidInput } from '#core';
import type { DatastoreRow } from './datastore.js';

/** What may fail as one, from the narrowest to the widest: what survives a rack survives a host of it, and its disks. */
export const FailureDomain = { DISK: 'DISK', HOST: 'HOST', RACK: 'RACK', ZONE: 'ZONE' } as const;
export type FailureDomain = (typeof FailureDomain)[keyof typeof FailureDomain];

export const RedundancyMethod = { MIRRORING: 'MIRRORING', ERASURE_CODING: 'ERASURE_CODING' } as const;
export type RedundancyMethod = (typeof RedundancyMethod)[keyof typeof RedundancyMethod];

/** Whether one is at least as wide as the other. */
export function isAsWide(one: FailureDomain, other: FailureDomain): boolean {
  const all = Object.values(FailureDomain);
  return all.indexOf(one) >= all.indexOf(other);
}

export const MAX_FAILURES = 3;

/** What an operator says that a pool survives; backends do not tell. */
export const guaranteesSchema = z.strictObject({
  /** Of the domain, at once, without loss: 0 to 3. */
  failuresToTolerate: z.int().min(0).max(MAX_FAILURES).default(0),
  failureDomain: z.enum(FailureDomain).optional(),
  redundancyMethod: z.enum(RedundancyMethod).optional(),
  /** At rest. */
  isEncrypted: z.boolean().default(false),
});
export type DatastoreGuarantees = z.output<typeof guaranteesSchema>;

export const NO_GUARANTEES: DatastoreGuarantees = { failuresToTolerate: 0, isEncrypted: false };

/** The columns that hold it. @throws INVALID_INPUT for what a pool there cannot keep */
export function guaranteeColumns(
  { failuresToTolerate, failureDomain, redundancyMethod, isEncrypted }: DatastoreGuarantees,
  pool: Pick<DatastoreRow, 'host_id' | 'zone_id'>,
  field: string,
): Record<string, unknown> {
  const isNamed = failureDomain !== undefined && redundancyMethod !== undefined;
  if (failuresToTolerate > 0 && !isNamed) {
    const missing = failureDomain === undefined ? 'failureDomain' : 'redundancyMethod';
    throw invalidInput(`${field}.${missing}`, 'A pool that tolerates failures does so over a domain and by a method: name both.');
  }
  if (failuresToTolerate === 0 && (failureDomain !== undefined || redundancyMethod !== undefined)) {
    throw invalidInput(`${field}.failuresToTolerate`, 'A domain and a method are for a pool that tolerates failures; say how many.');
  }
  if (failureDomain !== undefined) {
    if (pool.host_id !== null && failureDomain !== FailureDomain.DISK) {
      throw invalidInput(`${field}.failureDomain`, 'A host’s own pool goes with its host: it tolerates failures of disks at most.');
    }
    if (pool.zone_id !== null && failureDomain === FailureDomain.ZONE) {
      throw invalidInput(`${field}.failureDomain`, 'A pool of one zone goes with it: it tolerates failures of racks at most.');
    }
  }
  return {
    failures_to_tolerate: failuresToTolerate,
    failure_domain: failureDomain ?? null,
    redundancy_method: redundancyMethod ?? null,
    is_encrypted: isEncrypted,
  };
}

/** What a datastore has to offer to a disk besides room; many offer the same. */
export interface DatastoreOffer {
  kind: string;
  /** Several hosts reach it. */
  isShared: boolean;
  failuresToTolerate: number;
  failureDomain: FailureDomain | null;
  redundancyMethod: RedundancyMethod | null;
  isEncrypted: boolean;
  /** Its backend holds disks to a number of accesses. */
  limitsIops: boolean;
}

/** The same as `placement_datastore_offer` of placement; a test holds the two together. */
export function offerOf(row: DatastoreRow): DatastoreOffer {
  return {
    kind: row.kind,
    isShared: row.host_id === null,
    failuresToTolerate: row.failures_to_tolerate,
    failureDomain: row.failure_domain,
    redundancyMethod: row.redundancy_method,
    isEncrypted: row.is_encrypted,
    limitsIops: row.limits_iops,
  };
}
