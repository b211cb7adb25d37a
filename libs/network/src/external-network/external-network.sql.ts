import { keysetList, statement } from '#database';
import type { ExternalNetworkRow } from './external-network.js';

const COLUMNS = `id, tenant_id, project_id, name, description, backend_id, physical_network, vlan, cidr, host(gateway) AS gateway, pools,
  lifecycle, desired_revision, realised_revision, connected_hosts, failure, version, revision, created_at, updated_at`;

export const findExternalNetworks = statement<ExternalNetworkRow, [ids: string[]]>(
  'external_network.find',
  `SELECT ${COLUMNS} FROM external_network WHERE id = ANY($1) ORDER BY id`,
);

/** By id or by name: people write names. */
export const findExternalNetworksByReference = statement<ExternalNetworkRow, [references: string[]]>(
  'external_network.find_by_reference',
  `SELECT ${COLUMNS} FROM external_network WHERE id = ANY($1) OR name = ANY($1) ORDER BY id`,
);

export const externalNetworks = keysetList<ExternalNetworkRow, [name: string | null, backendId: string | null]>(
  'external_network.list',
  `SELECT ${COLUMNS} FROM external_network WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR backend_id = $2)`,
  2,
  { NAME: { column: 'name', direction: 'ASC', type: 'text' } },
);

/** Those of a backend that lead into the same network of cables. */
export const findNeighbouringExternalNetworks = statement<
  Pick<ExternalNetworkRow, 'id' | 'name' | 'cidr' | 'vlan'>,
  [backendId: string, physicalNetwork: string]
>(
  'external_network.neighbours',
  'SELECT id, name, cidr, vlan FROM external_network WHERE backend_id = $1 AND physical_network = $2 ORDER BY id',
);

/** Those that a backend has, the first so many by id. */
export const findExternalNetworksOfBackend = statement<ExternalNetworkRow, [backendId: string, limit: number]>(
  'external_network.of_backend',
  `SELECT ${COLUMNS} FROM external_network WHERE backend_id = $1 AND lifecycle = 'PRESENT' ORDER BY id LIMIT $2::int`,
);

/** All hosts that uplinks may be led by. */
export const findHostNames = statement<{ name: string }, [backendId: string]>(
  'external_network.host_names',
  'SELECT name FROM host WHERE backend_id = $1 ORDER BY name',
);

/** `[{ id, hosts }]` */
export const setConnectedHosts = statement<never, [connected: string]>(
  'external_network.set_connected',
  `UPDATE external_network AS e SET connected_hosts = n.hosts
   FROM (
     SELECT o.id, s.hosts FROM external_network AS o JOIN jsonb_to_recordset($1::jsonb) AS s (id text, hosts text[]) ON s.id = o.id
     WHERE o.connected_hosts IS DISTINCT FROM s.hosts ORDER BY o.id FOR UPDATE OF o
   ) AS n WHERE e.id = n.id`,
);

/** SQL: whether a host `h` may lead to the external network `e`. Where no host is known to reach it, any may. */
export const MAY_LEAD = `(coalesce(cardinality(e.connected_hosts), 0) = 0 OR h.name = ANY (e.connected_hosts))`;

export const externalNetworkMade = statement<never, [id: string]>(
  'external_network.made',
  `UPDATE external_network SET lifecycle = 'PRESENT', failure = NULL WHERE id = $1 AND lifecycle = 'CREATING'`,
);

export const failExternalNetwork = statement<{ id: string; backend_id: string }, [id: string, failure: string]>(
  'external_network.fail',
  `UPDATE external_network SET failure = $2::jsonb, realised_revision = 0,
     lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'FAILED' ELSE lifecycle END
   WHERE id = $1 RETURNING id, backend_id`,
);

/** To be made once more, from `FAILED`. */
export const externalNetworkRemade = statement<{ id: string; backend_id: string }, [id: string]>(
  'external_network.remade',
  `UPDATE external_network SET lifecycle = 'CREATING', failure = NULL, desired_revision = desired_revision + 1
   WHERE id = $1 AND lifecycle = 'FAILED' RETURNING id, backend_id`,
);

/** Its deletion was called off before it began. */
export const externalNetworkKept = statement<never, [id: string]>(
  'external_network.kept',
  `UPDATE external_network SET lifecycle = CASE WHEN failure IS NULL THEN 'PRESENT' ELSE 'FAILED' END WHERE id = $1`,
);

export const markExternalNetworksRealised = statement<never, [realised: string]>(
  'external_network.mark_realised',
  `UPDATE external_network AS e SET realised_revision = n.revision
   FROM jsonb_to_recordset($1::jsonb) AS n (id text, revision bigint)
   WHERE e.id = n.id AND e.realised_revision < n.revision`,
);

/** How many routers, provider's routers and floating IPs have addresses of each. */
export const countExternalAddresses = statement<{ external_network_id: string; used: number }, [ids: string[]]>(
  'external_address.count_used',
  'SELECT external_network_id, count(*) AS used FROM external_address WHERE external_network_id = ANY($1) GROUP BY external_network_id',
);

/** One free address at random; none when all are given out. A pool has at most 65,536. */
export const findFreeExternalAddress = statement<{ address: string }, [externalNetworkId: string, takenAddresses: string[]]>(
  'external_address.find_free',
  `SELECT host(every.address) AS address FROM (
     SELECT e.id, e.gateway, (p ->> 'first')::inet + n AS address
     FROM external_network AS e
     CROSS JOIN LATERAL jsonb_array_elements(e.pools) AS p
     CROSS JOIN LATERAL generate_series(0, (p ->> 'last')::inet - (p ->> 'first')::inet) AS n
     WHERE e.id = $1
   ) AS every
   WHERE every.address <> every.gateway AND NOT every.address = ANY($2::inet[])
     AND NOT EXISTS (SELECT FROM external_address AS a WHERE a.external_network_id = every.id AND a.address = every.address)
   ORDER BY random() LIMIT 1`,
);

export const claimExternalAddress = statement<
  { address: string },
  [externalNetworkId: string, address: string, ownerId: string, tenantId: string | null, projectId: string | null]
>(
  'external_address.claim',
  `INSERT INTO external_address (external_network_id, address, owner_id, tenant_id, project_id) VALUES ($1, $2::inet, $3, $4, $5)
   ON CONFLICT (external_network_id, address) DO NOTHING RETURNING host(address) AS address`,
);

/** Given up, but not free: the backend is still to let go of it. */
export const handOverExternalAddress = statement<never, [from: string, to: string]>(
  'external_address.hand_over',
  'UPDATE external_address SET owner_id = $2 WHERE owner_id = $1',
);

export const releaseExternalAddresses = statement<never, [ownerIds: string[]]>(
  'external_address.release',
  'DELETE FROM external_address WHERE owner_id = ANY($1)',
);

/** Users lock it FOR SHARE, whoever deletes it FOR UPDATE. */
export const shareExternalNetworks = statement<Pick<ExternalNetworkRow, 'id' | 'name' | 'lifecycle'>, [ids: string[]]>(
  'external_network.share',
  'SELECT id, name, lifecycle FROM external_network WHERE id = ANY($1) ORDER BY id FOR SHARE',
);

export const lockExternalNetworks = statement<Pick<ExternalNetworkRow, 'id' | 'name' | 'lifecycle'>, [ids: string[]]>(
  'external_network.lock',
  'SELECT id, name, lifecycle FROM external_network WHERE id = ANY($1) ORDER BY id FOR UPDATE',
);

export const removeExternalNetworks = statement<{ id: string; backend_id: string }, [ids: string[]]>(
  'external_network.remove',
  'DELETE FROM external_network WHERE id = ANY($1) RETURNING id, backend_id',
);
