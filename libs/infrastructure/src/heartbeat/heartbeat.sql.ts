import { statement } from '#database';
import type { BackendRow } from '../backend/backend.js';
import type { HostRow } from '../host/host.js';

/** One host as its backend shows it now. */
export interface Beat {
  name: string;
  alive: boolean;
  cpu: number;
  memory_mib: number;
  traits: string[];
  cpu_percent: number | null;
  memory_used_mib: number | null;
}

/** A host whose state may have changed: what it was made of before. */
export type ChangedHost = Pick<HostRow, 'id' | 'intent' | 'health' | 'fence' | 'vacant'>;

export const findLiveBackends = statement<Pick<BackendRow, 'id'>>('heartbeat.backends', 'SELECT id FROM backend ORDER BY id LIMIT 1000');

const RETURNS = `j.now_health = 'UP' AND j.health = 'DOWN'`;

/**
 * Records one look at a backend's hosts: heartbeats of all, and changes of the few that changed. Silent for longer than
 * the threshold and missed at least twice, a host is DOWN; seen often enough in a row, it is UP again and its fence
 * forgotten. What was not looked at (no worker ran, the backend was away) counts as neither: after such a gap a host has
 * the whole threshold again to answer in.
 */
export const recordBeat = statement<
  ChangedHost,
  [backendId: string, beats: string, silentAfterMs: number, beatsToReturn: number, gapAfterMs: number]
>(
  'heartbeat.record',
  `WITH seen AS (
     SELECT * FROM jsonb_to_recordset($2::jsonb) AS s (name text, alive boolean, cpu integer, memory_mib integer, traits text[],
       cpu_percent float8, memory_used_mib bigint)
   ), looked AS (
     SELECT h.id, h.intent, h.health, h.fence, h.vacant, coalesce(s.alive, false) AS alive, s.name IS NOT NULL AS listed,
       coalesce(nullif(s.cpu, 0), h.cpu) AS cpu, coalesce(nullif(s.memory_mib, 0), h.memory_mib) AS memory_mib, s.traits, s.cpu_percent, s.memory_used_mib,
       CASE WHEN coalesce(s.alive, false) THEN least(coalesce(b.beats, 0) + 1, 1000000) ELSE 0 END AS beats,
       CASE WHEN coalesce(s.alive, false) THEN 0 ELSE least(coalesce(b.misses, 0) + 1, 1000000) END AS misses,
       CASE WHEN s.alive THEN NULL
         WHEN b.observed_at >= now() - $5::float8 * interval '1 millisecond' THEN coalesce(b.silent_since, b.last_seen_at, h.created_at)
         ELSE now() END AS silent_since
     FROM host AS h LEFT JOIN seen AS s ON s.name = h.name LEFT JOIN host_heartbeat AS b ON b.host_id = h.id
     WHERE h.backend_id = $1
   ), beat AS (
     INSERT INTO host_heartbeat (host_id, last_seen_at, silent_since, beats, misses, cpu_percent, memory_used_mib, observed_at)
     SELECT id, CASE WHEN alive THEN now() END, silent_since, beats, misses, cpu_percent, memory_used_mib, now() FROM looked ORDER BY id
     ON CONFLICT (host_id) DO UPDATE SET
       last_seen_at = coalesce(excluded.last_seen_at, host_heartbeat.last_seen_at), silent_since = excluded.silent_since,
       beats = excluded.beats, misses = excluded.misses,
       cpu_percent = excluded.cpu_percent, memory_used_mib = excluded.memory_used_mib, observed_at = excluded.observed_at
   ), judged AS (
     SELECT *, CASE
         WHEN alive AND (health = 'UP' OR beats >= $4::int) THEN 'UP'
         WHEN NOT alive AND misses >= 2 AND silent_since < now() - $3::float8 * interval '1 millisecond' THEN 'DOWN'
         ELSE health END AS now_health
     FROM looked
   )
   UPDATE host AS h SET
     health = j.now_health,
     health_since = CASE WHEN j.now_health <> j.health THEN now() ELSE h.health_since END,
     health_reason = CASE j.now_health
       WHEN j.health THEN h.health_reason
       WHEN 'DOWN' THEN CASE WHEN j.listed THEN 'Its backend reports that it does not answer.' ELSE 'Its backend does not list it any more.' END
       ELSE NULL END,
     fence = CASE WHEN j.now_health = 'UP' THEN 'NONE' ELSE h.fence END,
     fence_source = CASE WHEN j.now_health = 'UP' THEN NULL ELSE h.fence_source END,
     fence_since = CASE WHEN j.now_health = 'UP' THEN NULL ELSE h.fence_since END,
     fence_reason = CASE WHEN j.now_health = 'UP' THEN NULL ELSE h.fence_reason END,
     network_behind_since = CASE WHEN ${RETURNS} THEN coalesce(h.network_behind_since, now()) ELSE h.network_behind_since END,
     network_behind_reason = CASE WHEN ${RETURNS} THEN 'It was away; it is being asked whether it has all that its network was told meanwhile.'
       ELSE h.network_behind_reason END,
     network_tellings = CASE WHEN ${RETURNS} THEN h.network_tellings + 1 ELSE h.network_tellings END,
     cpu = CASE WHEN j.alive THEN j.cpu ELSE h.cpu END,
     memory_mib = CASE WHEN j.alive THEN j.memory_mib ELSE h.memory_mib END,
     traits = CASE WHEN j.alive THEN j.traits ELSE h.traits END
   FROM judged AS j
   WHERE h.id = j.id AND (
     j.now_health <> h.health OR (j.now_health = 'UP' AND h.fence <> 'NONE')
     OR (j.alive AND (h.cpu, h.memory_mib, h.traits) IS DISTINCT FROM (j.cpu, j.memory_mib, j.traits)))
   RETURNING h.id, j.intent, j.health, j.fence, j.vacant`,
);

/** One pool as its backend shows it now; `host` is null for a shared one. */
export interface PoolBeat {
  host: string | null;
  name: string;
  capacity_gib: number;
  used_gib: number;
}

/** Follows the pools: their use when it changed, their capacity in the row that placement follows. */
export const recordPools = statement<never, [backendId: string, pools: string]>(
  'heartbeat.record_pools',
  `WITH told AS MATERIALIZED (
     SELECT * FROM jsonb_to_recordset($2::jsonb) AS t (host text, name text, capacity_gib bigint, used_gib bigint)
   ), seen AS MATERIALIZED (
     SELECT d.id, t.capacity_gib, t.used_gib
     FROM told AS t JOIN host AS h ON h.backend_id = $1 AND h.name = t.host JOIN datastore AS d ON d.host_id = h.id AND d.name = t.name
     UNION ALL
     SELECT d.id, t.capacity_gib, t.used_gib
     FROM told AS t JOIN datastore AS d ON d.backend_id = $1 AND d.host_id IS NULL AND d.name = t.name
     WHERE t.host IS NULL
   ), used AS (
     INSERT INTO datastore_heartbeat AS b (datastore_id, used_gib, observed_at)
     SELECT id, used_gib, now() FROM seen ORDER BY id
     ON CONFLICT (datastore_id) DO UPDATE SET used_gib = excluded.used_gib, observed_at = excluded.observed_at
     WHERE b.used_gib <> excluded.used_gib
   )
   UPDATE datastore AS d SET capacity_gib = s.capacity_gib, limits_iops = b.limits_iops
   FROM seen AS s CROSS JOIN (SELECT coalesce((capabilities->>'iopsLimit')::boolean, false) AS limits_iops FROM backend WHERE id = $1) AS b
   WHERE d.id = s.id AND (d.capacity_gib, d.limits_iops) <> (s.capacity_gib, b.limits_iops)`,
);

export const recordBackendUp = statement<never, [backendId: string, capabilities: string]>(
  'heartbeat.backend_up',
  `WITH beat AS (
     INSERT INTO backend_heartbeat (backend_id) SELECT id FROM backend WHERE id = $1
     ON CONFLICT (backend_id) DO UPDATE SET last_seen_at = now()
   )
   UPDATE backend SET
     health = 'UP', health_reason = NULL, capabilities = $2::jsonb,
     health_since = CASE WHEN health <> 'UP' THEN now() ELSE health_since END
   WHERE id = $1 AND (health <> 'UP' OR capabilities <> $2::jsonb)`,
);

/** Why a backend that is up cannot list what it has, or that it can. One that is down has another reason. */
export const recordBackendListing = statement<never, [backendId: string, failure: string | null]>(
  'heartbeat.backend_listing',
  `UPDATE backend SET health_reason = $2::text WHERE id = $1 AND health = 'UP' AND health_reason IS DISTINCT FROM $2::text`,
);

/**
 * The backend has not answered. After the threshold it is DOWN, and nobody can tell of its hosts: those that were up
 * become UNKNOWN and leave placement; those that were down stay so.
 */
export const recordBackendSilent = statement<ChangedHost, [backendId: string, reason: string, silentAfterMs: number]>(
  'heartbeat.backend_silent',
  `WITH silent AS (
     SELECT b.id FROM backend AS b LEFT JOIN backend_heartbeat AS s ON s.backend_id = b.id
     WHERE b.id = $1 AND coalesce(s.last_seen_at, b.created_at) < now() - $3::float8 * interval '1 millisecond'
   ), down AS (
     UPDATE backend AS b SET health = 'DOWN', health_since = now(), health_reason = $2
     FROM silent WHERE b.id = silent.id AND b.health <> 'DOWN'
   )
   UPDATE host AS h SET health = 'UNKNOWN', health_since = now(), health_reason = 'Its backend does not answer.'
   FROM silent WHERE h.backend_id = silent.id AND h.health = 'UP'
   RETURNING h.id, h.intent, 'UP' AS health, h.fence, h.vacant`,
);

/**
 * Silent for the threshold and at the last look too, not proven to be off, and not asked for a while: one that has begun to
 * answer again, or has not had the time to since it is looked at again, is on its way back and must not be turned off. An
 * empty one in maintenance may be off.
 */
const TO_BE_FENCED = `h.health = 'DOWN' AND b.beats = 0 AND b.silent_since < now() - $4::float8 * interval '1 millisecond'
     AND h.fence <> 'PROVEN_OFF' AND NOT (h.intent = 'MAINTENANCE' AND h.vacant)
     AND (b.fence_asked_at IS NULL OR b.fence_asked_at < now() - $2::float8 * interval '1 millisecond')`;

export const findHostsToFence = statement<
  Pick<HostRow, 'id' | 'name'>,
  [backendId: string, againAfterMs: number, limit: number, silentAfterMs: number]
>(
  'heartbeat.to_fence',
  `SELECT h.id, h.name
   FROM host AS h JOIN host_heartbeat AS b ON b.host_id = h.id
   WHERE h.backend_id = $1 AND ${TO_BE_FENCED}
   ORDER BY b.fence_asked_at NULLS FIRST, h.id LIMIT $3::int`,
);

/** How many of the backend's hosts are down, and how many it has. */
export interface SilentHosts {
  down: number;
  total: number;
}

/** Immediately before the fence: whoever gets a row asks for this host, and nobody else does meanwhile. */
export const claimFence = statement<SilentHosts, [backendId: string, againAfterMs: number, hostId: string, silentAfterMs: number]>(
  'heartbeat.claim_fence',
  `UPDATE host_heartbeat AS b SET fence_asked_at = now()
   FROM host AS h
   CROSS JOIN (SELECT count(*) FILTER (WHERE health = 'DOWN') AS down, count(*) AS total FROM host WHERE backend_id = $1) AS counts
   WHERE h.id = $3 AND b.host_id = h.id AND ${TO_BE_FENCED}
   RETURNING counts.down, counts.total`,
);

/** What asking came to; an operator's word that came in between stands, and a host that returned is left alone. */
export const recordFence = statement<ChangedHost, [hostId: string, result: string, reason: string]>(
  'heartbeat.record_fence',
  `WITH before AS (SELECT id, intent, health, fence, vacant FROM host WHERE id = $1)
   UPDATE host AS h SET fence = $2, fence_source = 'BACKEND', fence_reason = $3,
     fence_since = CASE WHEN h.fence <> $2 THEN now() ELSE h.fence_since END
   FROM before AS b
   WHERE h.id = b.id AND h.health = 'DOWN' AND h.fence <> 'PROVEN_OFF' AND (h.fence, h.fence_reason) IS DISTINCT FROM ($2, $3)
   RETURNING h.id, b.intent, b.health, b.fence, b.vacant`,
);
