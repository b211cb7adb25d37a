import { keysetList, statement } from '#database';
import { MAY_LEAD } from '../external-network/external-network.sql.js';
import type { ProviderRouterRow, TransitAddressRow } from './provider-router.js';

const COLUMNS = `id, tenant_id, project_id, name, description, backend_id, external_network_id, host(external_address) AS external_address,
  transit_cidr, host(transit_address) AS transit_address, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
  version, revision, created_at, updated_at`;

export const findProviderRouters = statement<ProviderRouterRow, [ids: string[]]>(
  'provider_router.find',
  `SELECT ${COLUMNS} FROM provider_router WHERE id = ANY($1) ORDER BY id`,
);

/** By id or by name: people write names. */
export const findProviderRoutersByReference = statement<ProviderRouterRow, [references: string[]]>(
  'provider_router.find_by_reference',
  `SELECT ${COLUMNS} FROM provider_router WHERE id = ANY($1) OR name = ANY($1) ORDER BY id`,
);

export const providerRouters = keysetList<ProviderRouterRow, [name: string | null, externalNetworkId: string | null]>(
  'provider_router.list',
  `SELECT ${COLUMNS} FROM provider_router WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR external_network_id = $2)`,
  2,
  { NAME: { column: 'name', direction: 'ASC', type: 'text' } },
);

export const providerRouterMade = statement<never, [id: string]>(
  'provider_router.made',
  `UPDATE provider_router SET lifecycle = 'PRESENT', failure = NULL WHERE id = $1 AND lifecycle = 'CREATING'`,
);

/** Its making failed and was undone: it keeps its name and address for another attempt. */
export const failProviderRouter = statement<{ id: string; backend_id: string }, [id: string, failure: string]>(
  'provider_router.fail',
  `UPDATE provider_router SET failure = $2::jsonb, realised_revision = 0,
     lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'FAILED' ELSE lifecycle END
   WHERE id = $1 RETURNING id, backend_id`,
);

/** To be made once more, from `FAILED`. */
export const providerRouterRemade = statement<{ id: string; backend_id: string }, [id: string]>(
  'provider_router.remade',
  `UPDATE provider_router SET lifecycle = 'CREATING', failure = NULL, desired_revision = desired_revision + 1
   WHERE id = $1 AND lifecycle = 'FAILED' RETURNING id, backend_id`,
);

/** Its deletion was called off before it began. */
export const providerRouterKept = statement<never, [id: string]>(
  'provider_router.kept',
  `UPDATE provider_router SET lifecycle = CASE WHEN failure IS NULL THEN 'PRESENT' ELSE 'FAILED' END WHERE id = $1`,
);

export const markProviderRoutersRealised = statement<never, [realised: string]>(
  'provider_router.mark_realised',
  `UPDATE provider_router AS p SET realised_revision = n.revision,
     gateway_hosts = ARRAY(SELECT jsonb_array_elements_text(n."gatewayHosts"))
   FROM jsonb_to_recordset($1::jsonb) AS n (id text, revision bigint, "gatewayHosts" jsonb)
   WHERE p.id = n.id AND p.realised_revision <= n.revision
     AND (p.realised_revision < n.revision OR to_jsonb(p.gateway_hosts) <> n."gatewayHosts")`,
);

/** Users lock it FOR SHARE, whoever deletes it FOR UPDATE. */
export const shareProviderRouters = statement<Pick<ProviderRouterRow, 'id' | 'name' | 'lifecycle'>, [ids: string[]]>(
  'provider_router.share',
  'SELECT id, name, lifecycle FROM provider_router WHERE id = ANY($1) ORDER BY id FOR SHARE',
);

export const lockProviderRouters = statement<Pick<ProviderRouterRow, 'id' | 'name' | 'lifecycle'>, [ids: string[]]>(
  'provider_router.lock',
  'SELECT id, name, lifecycle FROM provider_router WHERE id = ANY($1) ORDER BY id FOR UPDATE',
);

export const removeProviderRouters = statement<{ id: string; backend_id: string }, [ids: string[]]>(
  'provider_router.remove',
  'DELETE FROM provider_router WHERE id = ANY($1) RETURNING id, backend_id',
);

/** As `chooseGatewayHosts` does for routers. */
export const chooseProviderGatewayHosts = statement<{ id: string; host_names: string[] }, [ids: string[], limit: number]>(
  'provider_router.choose_gateways',
  `SELECT p.id, ARRAY(
     SELECT h.name FROM host AS h WHERE h.backend_id = p.backend_id AND ${MAY_LEAD}
     ORDER BY h.intent <> 'ENABLED', md5(p.id || h.id), h.id LIMIT $2::int) AS host_names
   FROM provider_router AS p JOIN external_network AS e ON e.id = p.external_network_id WHERE p.id = ANY($1) ORDER BY p.id`,
);

/** How many routers and floating IPs have addresses of each transit block. */
export const countTransitAddresses = statement<{ provider_router_id: string; used: number }, [ids: string[]]>(
  'transit_address.count_used',
  'SELECT provider_router_id, count(*) AS used FROM transit_address WHERE provider_router_id = ANY($1) GROUP BY provider_router_id',
);

const transitSize = 'broadcast(p.transit_cidr) - host(p.transit_cidr)::inet - 1';

/** Routers have links in 100.64.0.0/24 to their networks, so that nothing else is there. */
const freeTransitAddress = (places: string): string => `SELECT host(every.address) AS address FROM (
     SELECT p.id, p.transit_address, host(p.transit_cidr)::inet + n AS address
     FROM provider_router AS p
     CROSS JOIN LATERAL ${places} AS place (n)
     WHERE p.id = $1
   ) AS every
   WHERE every.address <> every.transit_address AND NOT every.address <<= '100.64.0.0/24' AND NOT every.address = ANY($2::inet[])
     AND NOT EXISTS (SELECT FROM transit_address AS t WHERE t.provider_router_id = every.id AND t.address = every.address)
   ORDER BY random() LIMIT 1`;

/** A free address at random, by a few probes: quick in any block that is not nearly full. None may be found though some are free. */
export const probeFreeTransitAddress = statement<{ address: string }, [providerRouterId: string, takenAddresses: string[]]>(
  'transit_address.probe_free',
  freeTransitAddress(`(SELECT 1 + floor(random() * (${transitSize}))::bigint FROM generate_series(1, 16))`),
);

/** The same by looking at every address, of which a block has 65,534 at most: none when all are given out. */
export const findFreeTransitAddress = statement<{ address: string }, [providerRouterId: string, takenAddresses: string[]]>(
  'transit_address.find_free',
  freeTransitAddress(`generate_series(1, ${transitSize})`),
);

export const claimTransitAddress = statement<
  { address: string },
  [providerRouterId: string, address: string, ownerId: string, tenantId: string, projectId: string]
>(
  'transit_address.claim',
  `INSERT INTO transit_address (provider_router_id, address, owner_id, tenant_id, project_id) VALUES ($1, $2::inet, $3, $4, $5)
   ON CONFLICT (provider_router_id, address) DO NOTHING RETURNING host(address) AS address`,
);

export const findTransitAddresses = statement<TransitAddressRow, [ownerIds: string[]]>(
  'transit_address.of_owners',
  'SELECT provider_router_id, host(address) AS address, owner_id FROM transit_address WHERE owner_id = ANY($1) ORDER BY owner_id',
);

/** As `handOverExternalAddress` does. */
export const handOverTransitAddress = statement<never, [from: string, to: string]>(
  'transit_address.hand_over',
  'UPDATE transit_address SET owner_id = $2 WHERE owner_id = $1',
);

export const releaseTransitAddresses = statement<never, [ownerIds: string[]]>(
  'transit_address.release',
  'DELETE FROM transit_address WHERE owner_id = ANY($1)',
);
