import { statement } from '#database';

export interface HostCapacityRow {
  host_id: string;
  cpu_limit: number;
  memory_limit_mib: number;
  cpu_claimed: number;
  memory_claimed_mib: number;
  /** Machines that have their place here, or are on their way to it. */
  claims: number;
}

export const findHostCapacities = statement<HostCapacityRow, [hostIds: string[]]>(
  'host_capacity.find',
  `SELECT h.host_id, h.cpu_limit, h.memory_limit_mib, h.cpu_claimed, h.memory_claimed_mib, count(c.resource_id) AS claims
   FROM host_capacity AS h LEFT JOIN host_claim AS c ON c.host_id = h.host_id
   WHERE h.host_id = ANY($1) GROUP BY h.host_id`,
);

export interface DatastoreCapacityRow {
  datastore_id: string;
  limit_gib: number;
  claimed_gib: number;
  claims: number;
}

export const findDatastoreCapacities = statement<DatastoreCapacityRow, [datastoreIds: string[]]>(
  'datastore_capacity.find',
  `SELECT d.datastore_id, d.limit_gib, d.claimed_gib, count(c.resource_id) AS claims
   FROM datastore_capacity AS d LEFT JOIN datastore_claim AS c ON c.datastore_id = d.datastore_id
   WHERE d.datastore_id = ANY($1) GROUP BY d.datastore_id`,
);

export interface ZoneCapacityRow {
  zone_id: string;
  hosts: number;
  active_hosts: number;
  cpu_limit: number;
  cpu_claimed: number;
  memory_limit_mib: number;
  memory_claimed_mib: number;
}

/** What a zone's active hosts can hold, and what of it is claimed. */
export const findZoneCapacities = statement<ZoneCapacityRow, [zoneIds: string[]]>(
  'host_capacity.of_zones',
  `SELECT zone_id, count(*) AS hosts, count(*) FILTER (WHERE state = 'ACTIVE') AS active_hosts,
     coalesce(sum(cpu_limit) FILTER (WHERE state = 'ACTIVE'), 0)::bigint AS cpu_limit,
     coalesce(sum(cpu_claimed) FILTER (WHERE state = 'ACTIVE'), 0)::bigint AS cpu_claimed,
     coalesce(sum(memory_limit_mib) FILTER (WHERE state = 'ACTIVE'), 0)::bigint AS memory_limit_mib,
     coalesce(sum(memory_claimed_mib) FILTER (WHERE state = 'ACTIVE'), 0)::bigint AS memory_claimed_mib
   FROM host_capacity WHERE zone_id = ANY($1) GROUP BY zone_id`,
);
