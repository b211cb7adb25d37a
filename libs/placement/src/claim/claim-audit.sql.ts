import { statement, type Reader } from '#database';

/** A counter that does not equal the sum of the claims behind it: always a defect. */
export interface ClaimDrift {
  kind: 'HOST' | 'DATASTORE';
  holder_id: string;
  resource: 'CPU' | 'MEMORY_MIB' | 'DISK_GIB';
  /** What the counter says. */
  counted: number;
  /** What the claims sum to. */
  claimed: number;
}

const findDrift = statement<ClaimDrift>(
  'placement.audit',
  `WITH hosts AS (
     SELECT h.host_id, h.cpu_claimed, h.memory_claimed_mib, coalesce(s.cpu, 0) AS cpu, coalesce(s.memory, 0) AS memory
     FROM host_capacity AS h
     LEFT JOIN (SELECT host_id, sum(cpu)::bigint AS cpu, sum(memory_mib)::bigint AS memory FROM host_claim GROUP BY host_id) AS s
       USING (host_id)
   ), datastores AS (
     SELECT d.datastore_id, d.claimed_gib, coalesce(s.gib, 0) AS gib
     FROM datastore_capacity AS d
     LEFT JOIN (SELECT datastore_id, sum(gib)::bigint AS gib FROM datastore_claim GROUP BY datastore_id) AS s USING (datastore_id)
   )
   SELECT 'HOST' AS kind, host_id AS holder_id, 'CPU' AS resource, cpu_claimed AS counted, cpu AS claimed
   FROM hosts WHERE cpu_claimed <> cpu
   UNION ALL
   SELECT 'HOST', host_id, 'MEMORY_MIB', memory_claimed_mib, memory FROM hosts WHERE memory_claimed_mib <> memory
   UNION ALL
   SELECT 'DATASTORE', datastore_id, 'DISK_GIB', claimed_gib, gib FROM datastores WHERE claimed_gib <> gib
   ORDER BY holder_id, resource LIMIT 1000`,
);

/** Every counter that differs from its claims, at most a thousand; one snapshot, so running claims do not disturb it. */
export async function auditClaims(reader: Reader): Promise<ClaimDrift[]> {
  return reader.rows(findDrift);
}
