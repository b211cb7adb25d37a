import { statement } from '#database';
import type { VirtualMachineRow } from '../virtual-machine/virtual-machine.js';

export interface MachineOnHost
  extends Pick<
    VirtualMachineRow,
    'id' | 'name' | 'owner_id' | 'affinity_group_id' | 'tenant_id' | 'project_id' | 'backend_id' | 'rack_id' | 'lifecycle' | 'desired_power' | 'observed_power'
  > {
  /** Disks that lie on the host itself. */
  local_disk_ids: string[];
  /** Those of them that can be detached. */
  local_data_disk_ids: string[];
  /** Who is at it, or at what it belongs to. */
  busy_operation_id: string | null;
  busy_operation_kind: string | null;
}

/** What is on a host, with what keeps it there. */
export const findMachinesOnHost = statement<MachineOnHost, [hostId: string, limit: number]>(
  'virtual_machine.on_host',
  `SELECT m.id, m.name, m.owner_id, m.affinity_group_id, m.tenant_id, m.project_id, m.backend_id, m.rack_id, m.lifecycle, m.desired_power, m.observed_power,
     coalesce(local.ids, '{}') AS local_disk_ids, coalesce(local.data_ids, '{}') AS local_data_disk_ids, busy.id AS busy_operation_id, busy.kind AS busy_operation_kind
   FROM virtual_machine AS m
   LEFT JOIN LATERAL (
     SELECT array_agg(d.id ORDER BY d.id) AS ids, array_agg(d.id ORDER BY d.id) FILTER (WHERE d.attachment IS NOT NULL) AS data_ids
     FROM disk AS d WHERE d.owner_id = m.id AND d.host_id = m.host_id
   ) AS local ON true
   LEFT JOIN LATERAL (
     SELECT o.id, o.kind FROM resource_lock AS l JOIN operation AS o ON o.id = l.root_operation_id
     WHERE l.resource_id IN (m.id, m.owner_id) ORDER BY l.resource_id = m.id DESC LIMIT 1
   ) AS busy ON true
   WHERE m.host_id = $1 AND m.lifecycle <> 'FAILED' ORDER BY m.id LIMIT $2::int`,
);

export const countMachinesOnHost = statement<{ machines: number }, [hostId: string]>(
  'virtual_machine.count_on_host',
  `SELECT count(*) AS machines FROM virtual_machine WHERE host_id = $1 AND lifecycle <> 'FAILED'`,
);

export const countMachinesInZone = statement<{ machines: number }, [zoneId: string]>(
  'virtual_machine.count_in_zone',
  `SELECT count(*) AS machines FROM virtual_machine WHERE zone_id = $1 AND lifecycle <> 'FAILED'`,
);

/** Who has machines on these hosts: the clusters that they are nodes of. */
export const findMachineOwnersOnHosts = statement<{ owner_id: string }, [hostIds: string[]]>(
  'virtual_machine.owners_on_hosts',
  `SELECT DISTINCT owner_id FROM virtual_machine WHERE host_id = ANY($1) AND owner_id IS NOT NULL ORDER BY owner_id`,
);

/**
 * What is on hosts that do not answer can be anything; since when, for people. At most `limit` a call.
 * @param hostIds null for all hosts
 */
export const markMachinesSilent = statement<{ id: string }, [hostIds: string[] | null, limit: number]>(
  'virtual_machine.mark_silent',
  `WITH silent AS (
     SELECT m.id, format(CASE WHEN h.health = 'DOWN' AND h.fence = 'PROVEN_OFF' THEN 'Its host is proven to be off; it is silent since %s.'
       ELSE 'Its host is silent since %s.' END, to_char(h.health_since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) AS reason
     FROM host AS h JOIN virtual_machine AS m ON m.host_id = h.id
     WHERE h.health <> 'UP' AND ($1::text[] IS NULL OR h.id = ANY ($1)) AND m.lifecycle = 'PRESENT'
   ), locked AS (
     SELECT m.id, silent.reason FROM silent JOIN virtual_machine AS m ON m.id = silent.id
     WHERE m.lifecycle = 'PRESENT' AND (m.observed_power <> 'UNKNOWN' OR m.observed_reason IS DISTINCT FROM silent.reason)
     ORDER BY m.id LIMIT $2::int FOR UPDATE OF m
   )
   UPDATE virtual_machine AS m SET observed_power = 'UNKNOWN', observed_at = now(), observed_reason = locked.reason
   FROM locked WHERE m.id = locked.id RETURNING m.id`,
);
