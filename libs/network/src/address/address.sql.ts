import { statement } from '#database';

/** An address that is given out. Its owner is a port, a load balancer, or the subnet itself. */
export interface AllocationRow {
  subnet_id: string;
  address: string;
  owner_id: string;
}

export interface SubnetUsageRow {
  subnet_id: string;
  used: number;
}

interface FreeAddressRow {
  subnet_id: string;
  address: string;
}

type ChooseParameters = [subnetIds: string[], amounts: number[], takenSubnetIds: string[], takenAddresses: string[]];

/** Each wanted subnet's pools, laid end to end: a place from 0 to total - 1 names one address. */
const POOLS = `
  wanted AS (
    SELECT w.subnet_id, w.amount FROM unnest($1::text[], $2::int[]) AS w (subnet_id, amount)
  ), taken AS (
    SELECT t.subnet_id, t.address FROM unnest($3::text[], $4::inet[]) AS t (subnet_id, address)
  ), pool AS (
    SELECT w.subnet_id, w.amount, s.gateway, p.first, p.size,
      (sum(p.size) OVER (PARTITION BY s.id ORDER BY p.first) - p.size)::bigint AS before,
      (sum(p.size) OVER (PARTITION BY s.id))::bigint AS total
    FROM wanted AS w
    JOIN subnet AS s ON s.id = w.subnet_id
    CROSS JOIN LATERAL (
      SELECT (r ->> 'first')::inet AS first, (r ->> 'last')::inet - (r ->> 'first')::inet + 1 AS size
      FROM jsonb_array_elements(s.pools) AS r
    ) AS p
  )`;

const isFree = (alias: string): string => `${alias}.address <> ${alias}.gateway
    AND NOT EXISTS (SELECT FROM address_allocation AS a WHERE a.subnet_id = ${alias}.subnet_id AND a.address = ${alias}.address)
    AND NOT EXISTS (SELECT FROM taken AS t WHERE t.subnet_id = ${alias}.subnet_id AND t.address = ${alias}.address)`;

/**
 * Free addresses at random, by a few probes: quick in any subnet that is not nearly full, and parallel requests do not
 * chase one address. May find fewer than wanted although there are enough; `findFreeAddresses` then looks at all.
 */
export const probeFreeAddresses = statement<FreeAddressRow, ChooseParameters>(
  'address.probe_free',
  `WITH ${POOLS}, probe AS (
    SELECT DISTINCT pool.subnet_id, pool.amount, pool.gateway, pool.first + (draw.place - pool.before) AS address
    FROM (SELECT DISTINCT subnet_id, amount, total FROM pool) AS s
    CROSS JOIN LATERAL (
      SELECT floor(random() * s.total)::bigint AS place FROM generate_series(1, s.amount * 2 + 16)
    ) AS draw
    JOIN pool ON pool.subnet_id = s.subnet_id AND draw.place >= pool.before AND draw.place < pool.before + pool.size
  )
  SELECT subnet_id, host(address) AS address FROM (
    SELECT probe.*, row_number() OVER (PARTITION BY probe.subnet_id ORDER BY random()) AS place
    FROM probe WHERE ${isFree('probe')}
  ) AS free
  WHERE free.place <= free.amount`,
);

/** The same by looking at every address: for subnets that are nearly full. A subnet has at most 65,534. */
export const findFreeAddresses = statement<FreeAddressRow, ChooseParameters>(
  'address.find_free',
  `WITH ${POOLS}, every AS (
    SELECT pool.subnet_id, pool.amount, pool.gateway, pool.first + n AS address
    FROM pool CROSS JOIN LATERAL generate_series(0, pool.size - 1) AS n
  )
  SELECT subnet_id, host(address) AS address FROM (
    SELECT every.*, row_number() OVER (PARTITION BY every.subnet_id ORDER BY random()) AS place
    FROM every WHERE ${isFree('every')}
  ) AS free
  WHERE free.place <= free.amount`,
);

/** How many addresses of each subnet are given out, without the one that it keeps itself. */
export const countUsed = statement<SubnetUsageRow, [subnetIds: string[]]>(
  'address.count_used',
  'SELECT subnet_id, count(*) AS used FROM address_allocation WHERE subnet_id = ANY($1) AND owner_id <> subnet_id GROUP BY subnet_id',
);

/** One row for each claim that won; nothing for an address that somebody has. */
export const insertAllocations = statement<AllocationRow, [claims: string]>(
  'address.claim',
  `INSERT INTO address_allocation (subnet_id, address, owner_id, tenant_id, project_id)
   SELECT c."subnetId", c.address::inet, c."ownerId", c."tenantId", c."projectId"
   FROM jsonb_to_recordset($1::jsonb) AS c ("subnetId" text, address text, "ownerId" text, "tenantId" text, "projectId" text)
   ORDER BY c."subnetId", c.address::inet
   ON CONFLICT (subnet_id, address) DO NOTHING
   RETURNING subnet_id, host(address) AS address, owner_id`,
);

export const deleteAllocations = statement<never, [ownerIds: string[]]>(
  'address.release',
  'DELETE FROM address_allocation WHERE owner_id = ANY($1)',
);

export const findAllocations = statement<AllocationRow, [ownerIds: string[]]>(
  'address.by_owner',
  'SELECT subnet_id, host(address) AS address, owner_id FROM address_allocation WHERE owner_id = ANY($1) ORDER BY owner_id, address',
);
