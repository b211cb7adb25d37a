import { statement } from '#database';
import type { DriftCode, MachineDrift, Power } from '../virtual-machine/virtual-machine.js';

export const findBackendsOfMachines = statement<{ backend_id: string }, [limit: number]>(
  'machine_drift.backends',
  `SELECT DISTINCT backend_id FROM virtual_machine WHERE lifecycle = 'PRESENT' ORDER BY backend_id LIMIT $1::int`,
);

export interface MachineToObserve {
  id: string;
  instance_id: string;
  revision: number;
  observed_power: Power | 'UNKNOWN';
  observed_reason: string | null;
  drift: MachineDrift | null;
  /** Within the grace: a listing may still show what was before. */
  has_just_changed: boolean;
  /** Its host answers again, and not for long. */
  has_host_returned: boolean;
  host_name: string;
  cpu: number;
  memory_mib: number;
  root_disk_ids: string[];
  /** Those that are attached to it. */
  data_disk_ids: string[];
}

/**
 * Machines of a backend that shall be there, by what it calls them after one, each with what was seen of it. Left out is
 * what an operation is at, and what is on hosts that do not answer.
 */
export const machinesToObserve = statement<MachineToObserve, [backendId: string, after: string, limit: number, graceMs: number, returnedMs: number]>(
  'machine_drift.machines',
  `SELECT m.id, m.instance_id, m.revision, m.observed_power, m.observed_reason, m.drift, h.name AS host_name, m.cpu, m.memory_mib,
     m.observed_power <> 'UNKNOWN' AND m.observed_at >= clock_timestamp() - make_interval(secs => $4::float8 / 1000) AS has_just_changed,
     h.health_since >= clock_timestamp() - make_interval(secs => $5::float8 / 1000) AS has_host_returned,
     coalesce(d.root_ids, '{}') AS root_disk_ids, coalesce(d.data_ids, '{}') AS data_disk_ids
   FROM virtual_machine AS m JOIN host AS h ON h.id = m.host_id
   LEFT JOIN LATERAL (
     SELECT array_agg(o.id) FILTER (WHERE o.attachment IS NULL) AS root_ids,
       array_agg(o.id ORDER BY o.id) FILTER (WHERE o.attachment IS NOT NULL) AS data_ids
     FROM disk AS o WHERE o.owner_id = m.id
   ) AS d ON true
   WHERE m.backend_id = $1 AND m.instance_id > $2 AND m.lifecycle = 'PRESENT' AND h.health = 'UP'
     AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.resource_id = m.id)
   ORDER BY m.instance_id LIMIT $3::int`,
);

export interface Observation {
  id: string;
  /** Of the row that was compared: what has changed since, or is being changed, is not overwritten. */
  revision: number;
  power: Power | 'UNKNOWN';
  reason: string | null;
  drift: MachineDrift | null;
}

export const recordObservations = statement<{ id: string }, [observations: string]>(
  'machine_drift.record',
  `WITH seen AS (
     SELECT m.id, s.power, s.reason, nullif(s.drift, 'null'::jsonb) AS drift
     FROM jsonb_to_recordset($1::jsonb) AS s (id text, revision bigint, power text, reason text, drift jsonb)
     JOIN virtual_machine AS m ON m.id = s.id AND m.revision = s.revision AND m.lifecycle = 'PRESENT'
     WHERE NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.resource_id = m.id)
     ORDER BY m.id FOR UPDATE OF m
   )
   UPDATE virtual_machine AS m SET observed_power = seen.power, observed_at = now(), observed_reason = seen.reason, drift = seen.drift
   FROM seen WHERE m.id = seen.id RETURNING m.id`,
);

export interface MachineToStart {
  id: string;
  tenant_id: string;
  project_id: string;
  backend_id: string;
}

/**
 * Machines that shall run and are off, on hosts that answer. What nobody could start a while ago is not tried again yet, nor
 * is one that has only just been started so, and a host in maintenance gets nothing started.
 */
export const machinesToStart = statement<MachineToStart, [limit: number, afterFailureMs: number, afterStartMs: number]>(
  'machine_drift.to_start',
  `SELECT m.id, m.tenant_id, m.project_id, m.backend_id
   FROM virtual_machine AS m JOIN host AS h ON h.id = m.host_id
   WHERE m.lifecycle = 'PRESENT' AND m.desired_power = 'RUNNING' AND m.observed_power = 'STOPPED'
     AND h.health = 'UP' AND h.intent <> 'MAINTENANCE'
     AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.resource_id = m.id)
     AND NOT EXISTS (
       SELECT FROM operation AS o WHERE o.resource_id = m.id AND o.kind = 'compute.virtual_machine.power' AND o.origin = 'RECONCILER'
         AND o.ended_at > clock_timestamp() - make_interval(secs => CASE o.state WHEN 'FAILED' THEN $2::float8 ELSE $3::float8 END / 1000))
   ORDER BY m.observed_at, m.id LIMIT $1::int`,
);

export interface MachineToPutRight extends MachineToStart {
  flavor_id: string;
  cpu: number;
  memory_mib: number;
}

/** Machines that are off and have another size than their rows say. What nobody could put right a while ago is left for later. */
export const machinesToPutRight = statement<MachineToPutRight, [limit: number, afterFailureMs: number]>(
  'machine_drift.to_put_right',
  `SELECT m.id, m.tenant_id, m.project_id, m.backend_id, m.flavor_id, m.cpu, m.memory_mib
   FROM virtual_machine AS m JOIN host AS h ON h.id = m.host_id
   WHERE m.lifecycle = 'PRESENT' AND m.drift ->> 'code' = 'SIZE_DIFFERS' AND m.observed_power = 'STOPPED' AND h.health = 'UP'
     AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.resource_id = m.id)
     AND NOT EXISTS (
       SELECT FROM operation AS o WHERE o.resource_id = m.id AND o.origin = 'RECONCILER' AND o.state = 'FAILED'
         AND o.ended_at > clock_timestamp() - make_interval(secs => $2::float8 / 1000))
   ORDER BY m.id LIMIT $1::int`,
);

export interface DiskToPutRight extends Omit<MachineToStart, 'id'> {
  disk_id: string;
  machine_id: string;
  /** It shall be attached, and is not; otherwise the other way round. */
  is_missing: boolean;
}

/** Disks by which machines differ from their rows. What nobody could put right a while ago is left for later. */
export const disksToPutRight = statement<DiskToPutRight, [limit: number, afterFailureMs: number]>(
  'machine_drift.disks_to_put_right',
  `SELECT d.id AS disk_id, m.id AS machine_id, d.tenant_id, d.project_id, d.backend_id, d.owner_id IS NOT DISTINCT FROM m.id AS is_missing
   FROM virtual_machine AS m JOIN host AS h ON h.id = m.host_id
   CROSS JOIN LATERAL jsonb_array_elements_text((m.drift -> 'missingDiskIds') || (m.drift -> 'surplusDiskIds')) AS differs (id)
   JOIN disk AS d ON d.id = differs.id AND d.lifecycle = 'PRESENT' AND d.image_reference IS NULL
   WHERE m.lifecycle = 'PRESENT' AND m.drift ->> 'code' = 'DISKS_DIFFER' AND m.observed_power IN ('RUNNING', 'STOPPED') AND h.health = 'UP'
     AND NOT EXISTS (SELECT FROM resource_lock AS l WHERE l.resource_id IN (m.id, d.id))
     AND NOT EXISTS (
       SELECT FROM operation AS o WHERE o.resource_id = d.id AND o.origin = 'RECONCILER' AND o.state = 'FAILED'
         AND o.ended_at > clock_timestamp() - make_interval(secs => $2::float8 / 1000))
   ORDER BY m.id, d.id LIMIT $1::int`,
);

/** How many machines differ from their rows, for monitoring. */
export const countMachineDrift = statement<{ code: DriftCode; count: number }>(
  'machine_drift.count',
  `SELECT drift ->> 'code' AS code, count(*) AS count FROM virtual_machine WHERE drift IS NOT NULL GROUP BY 1 ORDER BY 1`,
);
