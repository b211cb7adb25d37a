import { keysetList, statement } from '#database';
import type { HostRow } from './host.js';

export const HOST_COLUMNS = `id, tenant_id, project_id, backend_id, zone_id, rack_id, name, intent, intent_reason, cpu_overcommit,
  memory_overcommit, labels, cpu, memory_mib, traits, health, health_since, health_reason, vacant, fence, fence_source, fence_since,
  fence_reason, network_behind_since, network_behind_reason, network_tellings, version, revision, created_at, updated_at`;

export const findHosts = statement<HostRow, [ids: string[]]>('host.find', `SELECT ${HOST_COLUMNS} FROM host WHERE id = ANY($1)`);

type ListParameters = [zoneId: string | null, rackId: string | null, backendId: string | null, name: string | null, health: string | null];

export const hosts = keysetList<HostRow, ListParameters>(
  'host.list',
  `SELECT ${HOST_COLUMNS} FROM host
   WHERE ($1::text IS NULL OR zone_id = $1) AND ($2::text IS NULL OR rack_id = $2) AND ($3::text IS NULL OR backend_id = $3)
     AND ($4::text IS NULL OR name = $4) AND ($5::text IS NULL OR health = $5)`,
  5,
  { NAME: { column: 'name', direction: 'ASC', type: 'text' } },
);

/** Names of a backend's registered hosts. */
export const findHostNames = statement<{ name: string }, [backendId: string]>(
  'host.names',
  'SELECT name FROM host WHERE backend_id = $1',
);

export const findDownHostNames = statement<{ name: string }, [backendId: string]>(
  'host.down_names',
  `SELECT name FROM host WHERE backend_id = $1 AND health = 'DOWN'`,
);

/** Those that answer, and may lack what their network was told. In no order, so that none is always the last. */
export const findHostsBehind = statement<Pick<HostRow, 'id' | 'backend_id' | 'name' | 'network_tellings'>, [limit: number]>(
  'host.behind',
  `SELECT id, backend_id, name, network_tellings FROM host WHERE network_behind_since IS NOT NULL AND health = 'UP' ORDER BY random() LIMIT $1::int`,
);

export const countHostsBehind = statement<{ hosts: number }>(
  'host.count_behind',
  'SELECT count(*) AS hosts FROM host WHERE network_behind_since IS NOT NULL',
);

/**
 * Their network was told something that they have not taken over. Of those that are known to be away that is noted once:
 * nobody asks them before they return, which counts as a telling.
 */
export const markHostsBehind = statement<never, [backendId: string, names: string[], reason: string]>(
  'host.mark_behind',
  `UPDATE host AS h SET network_behind_since = coalesce(h.network_behind_since, now()), network_behind_reason = $3, network_tellings = network_tellings + 1
   FROM (
     SELECT id FROM host WHERE backend_id = $1 AND name = ANY($2)
       AND (health <> 'DOWN' OR network_behind_since IS NULL OR network_behind_reason IS DISTINCT FROM $3)
     ORDER BY id FOR UPDATE
   ) AS behind
   WHERE h.id = behind.id`,
);

/** It was asked whether it has what its network was told, and has not, or cannot be asked. */
export const explainHostBehind = statement<never, [id: string, reason: string]>(
  'host.explain_behind',
  `UPDATE host SET network_behind_reason = $2
   WHERE id = $1 AND network_behind_since IS NOT NULL AND network_behind_reason IS DISTINCT FROM $2`,
);

/** It has all up to that telling; one that came while it was asked is still to be asked for. */
export const markHostCurrent = statement<never, [id: string, tellings: number]>(
  'host.mark_current',
  `UPDATE host SET network_behind_since = NULL, network_behind_reason = NULL
   WHERE id = $1 AND network_tellings = $2 AND network_behind_since IS NOT NULL`,
);

export interface HostLoadRow {
  host_id: string;
  last_seen_at: Date | null;
  cpu_percent: number | null;
  memory_used_mib: number | null;
  observed_at: Date;
}

export const findHostLoads = statement<HostLoadRow, [hostIds: string[]]>(
  'host.loads',
  'SELECT host_id, last_seen_at, cpu_percent, memory_used_mib, observed_at FROM host_heartbeat WHERE host_id = ANY($1)',
);
