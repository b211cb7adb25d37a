import { statement } from '#database';

/** What SQL filters and ranks by, for one class of machines; null lists allow everything. */
export interface DemandRecord {
  class: number;
  /** Where machines may go: of the zones that were asked for, those that affinity leaves. */
  zones: string[];
  asked_zones: string[];
  cpu: number;
  memory: number;
  disk: number;
  kind: string | null;
  offers: string[] | null;
  traits: string[];
  backends: string[] | null;
  only_hosts: string[] | null;
  only_racks: string[] | null;
  not_hosts: string[];
  not_racks: string[];
  excluded: string[];
  near_hosts: string[] | null;
  near_racks: string[] | null;
  far_hosts: string[];
  far_racks: string[];
  pack: boolean;
}

const DEMAND = `jsonb_to_recordset($1::jsonb) AS d (class int, zones text[], asked_zones text[], cpu bigint, memory bigint, disk bigint, kind text,
  offers text[], traits text[], backends text[], only_hosts text[], only_racks text[], not_hosts text[], not_racks text[], excluded text[],
  near_hosts text[], near_racks text[], far_hosts text[], far_racks text[], pack boolean)`;

/** Hosts without a rack count as one rack a zone: nobody knows better. */
const RACK = 'coalesce(h.rack_id, h.zone_id)';
const REACHES = '(s.host_id IS NULL AND s.backend_id = h.backend_id AND (s.zone_id IS NULL OR s.zone_id = h.zone_id))';
const TAKES = `s.state = 'ACTIVE' AND (d.kind IS NULL OR s.kind = d.kind) AND (d.offers IS NULL OR s.offer = ANY (d.offers))`;
const HOLDS = `${TAKES} AND s.claimed_gib + d.disk <= s.limit_gib`;

const ZONE_OK = `(h.zone_id = ANY(d.asked_zones) AND h.zone_id IN (SELECT id FROM zone WHERE state = 'ACTIVE'))`;
const STATE_OK = `(h.state = 'ACTIVE' AND h.backend_id IN (SELECT id FROM backend WHERE state = 'ACTIVE'))`;
const EXCLUDED_OK = 'h.host_id <> ALL (d.excluded)';
const NETWORK_OK = '(d.backends IS NULL OR h.backend_id = ANY (d.backends))';
const TRAITS_OK = `(d.traits = '{}' OR h.traits @> d.traits)`;
const AFFINITY_OK = `((d.only_hosts IS NULL OR h.host_id = ANY (d.only_hosts)) AND (d.only_racks IS NULL OR ${RACK} = ANY (d.only_racks))
  AND h.host_id <> ALL (d.not_hosts) AND ${RACK} <> ALL (d.not_racks) AND h.zone_id = ANY (d.zones))`;
const CPU_OK = 'h.cpu_claimed + d.cpu <= h.cpu_limit';
const MEMORY_OK = 'h.memory_claimed_mib + d.memory <= h.memory_limit_mib';
const DATASTORE_OK = `(d.disk = 0 OR EXISTS (SELECT FROM datastore_capacity AS s WHERE s.host_id = h.host_id AND ${HOLDS})
  OR EXISTS (SELECT FROM datastore_capacity AS s WHERE ${REACHES} AND ${HOLDS}))`;

export interface CandidateRow {
  class: number;
  host_id: string;
  host_name: string;
  backend_id: string;
  zone_id: string;
  rack_id: string | null;
  cpu_limit: number;
  memory_limit_mib: number;
  cpu_claimed: number;
  memory_claimed_mib: number;
}

/**
 * The best hosts of each zone for each class: those that break no preference first, then the emptiest (or fullest), a
 * little shuffled so that equal ones do not always come in the same order. One narrow table, one pass for a class and
 * zone: what is the same for all hosts (zone, backends) is looked up outside of the pass.
 */
export const findCandidates = statement<CandidateRow, [demands: string, perZone: number]>(
  'placement.candidates',
  `WITH usable AS (SELECT array_agg(id) AS backends FROM backend WHERE state = 'ACTIVE')
   SELECT d.class, best.*
   FROM ${DEMAND} CROSS JOIN usable JOIN zone ON zone.id = ANY (d.zones) AND zone.state = 'ACTIVE'
   CROSS JOIN LATERAL (
     SELECT h.host_id, h.host_name, h.backend_id, h.zone_id, h.rack_id, h.cpu_limit, h.memory_limit_mib, h.cpu_claimed,
            h.memory_claimed_mib
     FROM host_capacity AS h
     CROSS JOIN LATERAL (
       SELECT (h.cpu_claimed + d.cpu)::float8 / greatest(h.cpu_limit, 1) AS cpu,
              (h.memory_claimed_mib + d.memory)::float8 / greatest(h.memory_limit_mib, 1) AS memory
     ) AS share
     WHERE h.zone_id = zone.id AND h.state = 'ACTIVE' AND ${CPU_OK} AND ${MEMORY_OK} AND ${TRAITS_OK}
       AND h.backend_id = ANY (usable.backends) AND ${NETWORK_OK} AND ${EXCLUDED_OK} AND ${AFFINITY_OK} AND ${DATASTORE_OK}
     ORDER BY
       (h.host_id = ANY (d.far_hosts))::int + (${RACK} = ANY (d.far_racks))::int
         + (d.near_hosts IS NOT NULL AND h.host_id <> ALL (d.near_hosts))::int
         + (d.near_racks IS NOT NULL AND ${RACK} <> ALL (d.near_racks))::int,
       CASE WHEN d.pack THEN -(share.cpu + share.memory) / 2 ELSE greatest(share.cpu, share.memory) END
         + 0.25 * abs(share.cpu - share.memory) + random() * 0.02
     LIMIT $2::int
   ) AS best`,
);

export interface PoolRow {
  datastore_id: string;
  backend_id: string;
  zone_id: string | null;
  host_id: string | null;
  kind: string;
  offer: string;
  limit_gib: number;
  claimed_gib: number;
}

const POOL_COLUMNS = 'datastore_id, backend_id, zone_id, host_id, kind, offer, limit_gib, claimed_gib';

/** What these hosts have for themselves, and what their backends share. */
export const findPools = statement<PoolRow, [hostIds: string[], backendIds: string[]]>(
  'placement.pools',
  `SELECT ${POOL_COLUMNS} FROM datastore_capacity WHERE host_id = ANY ($1) AND state = 'ACTIVE'
   UNION ALL
   SELECT ${POOL_COLUMNS} FROM datastore_capacity WHERE host_id IS NULL AND backend_id = ANY ($2) AND state = 'ACTIVE'`,
);

export interface DomainRow {
  host_id: string;
  rack_domain: string;
  zone_id: string;
}

/** Where hosts stand; whoever holds a machine of a group may be in any state. */
export const findDomains = statement<DomainRow, [hostIds: string[]]>(
  'placement.domains',
  `SELECT h.host_id, ${RACK} AS rack_domain, h.zone_id FROM host_capacity AS h WHERE h.host_id = ANY ($1)`,
);

export interface ExplanationRow {
  /** Null for the hosts that are left. */
  filter: string | null;
  hosts: number;
}

/** Every host, judged by the first filter that removes it. */
const JUDGED = `
  SELECT h.host_id, h.host_name,
    CASE WHEN NOT ${ZONE_OK} THEN 'ZONE' WHEN NOT ${STATE_OK} THEN 'STATE' WHEN NOT ${EXCLUDED_OK} THEN 'EXCLUDED'
         WHEN NOT ${NETWORK_OK} THEN 'NETWORK' WHEN NOT ${TRAITS_OK} THEN 'TRAITS' WHEN NOT ${AFFINITY_OK} THEN 'AFFINITY'
         WHEN NOT ${CPU_OK} THEN 'CPU' WHEN NOT ${MEMORY_OK} THEN 'MEMORY' WHEN NOT ${DATASTORE_OK} THEN 'DATASTORE'
    END AS filter`;

export const explainFilters = statement<ExplanationRow, [demand: string]>(
  'placement.explain',
  `SELECT filter, count(*) AS hosts FROM (${JUDGED} FROM ${DEMAND} CROSS JOIN host_capacity AS h) AS judged GROUP BY filter`,
);

export interface NearestRow {
  host_id: string;
  host_name: string;
  cpu: number;
  cpu_free: number;
  memory: number;
  memory_free: number;
  disk: number;
  disk_free: number;
}

/** Of the hosts that only size rules out, the one that lacks the smallest share of what is needed. */
export const explainNearest = statement<NearestRow, [demand: string]>(
  'placement.nearest',
  `WITH size AS MATERIALIZED (
     SELECT h.host_id, h.host_name, d.cpu, d.memory, d.disk, h.cpu_limit - h.cpu_claimed AS cpu_free,
       h.memory_limit_mib - h.memory_claimed_mib AS memory_free,
       CASE WHEN d.disk = 0 THEN 0 ELSE greatest(
         (SELECT max(s.limit_gib - s.claimed_gib) FROM datastore_capacity AS s
          WHERE s.host_id = h.host_id AND ${TAKES}),
         (SELECT max(s.limit_gib - s.claimed_gib) FROM datastore_capacity AS s
          WHERE ${REACHES} AND ${TAKES}), 0) END AS disk_free
     FROM ${DEMAND} CROSS JOIN host_capacity AS h
     WHERE ${ZONE_OK} AND ${STATE_OK} AND ${EXCLUDED_OK} AND ${NETWORK_OK} AND ${TRAITS_OK} AND ${AFFINITY_OK}
   )
   SELECT * FROM size WHERE cpu > cpu_free OR memory > memory_free OR disk > disk_free
   ORDER BY greatest(cpu - cpu_free, 0)::float8 / greatest(cpu, 1) + greatest(memory - memory_free, 0)::float8 / greatest(memory, 1)
     + greatest(disk - disk_free, 0)::float8 / greatest(disk, 1), host_id
   LIMIT 1`,
);
