import { keysetList, statement } from '#database';
import { visible } from '#identity';
import { MAY_LEAD } from '../external-network/external-network.sql.js';
import type { RouterNetworkRow, RouterRow } from './router.js';

const COLUMNS = `id, tenant_id, project_id, name, description, owner_id, backend_id, external_network_id,
  host(external_address) AS external_address, provider_router_id, host(transit_address) AS transit_address, source_nat, gateway_hosts, lifecycle, desired_revision, realised_revision, failure,
  version, revision, created_at, updated_at`;

export const findRouters = statement<RouterRow, [ids: string[]]>('router.find', `SELECT ${COLUMNS} FROM router WHERE id = ANY($1) ORDER BY id`);

export const findVisibleRouters = statement<
  RouterRow,
  [all: boolean, tenantIds: string[], projectIds: string[], ids: string[]]
>('router.find_visible', `SELECT ${COLUMNS} FROM router AS r WHERE ${visible('r', 1)} AND r.id = ANY($4)`);

export const findRouterByName = statement<RouterRow, [projectId: string, name: string]>(
  'router.find_by_name',
  `SELECT ${COLUMNS} FROM router WHERE project_id = $1 AND name = $2`,
);

export const findRoutersOfOwners = statement<RouterRow, [ownerIds: string[]]>(
  'router.of_owners',
  `SELECT ${COLUMNS} FROM router WHERE owner_id = ANY($1) ORDER BY owner_id, id`,
);

export const routers = keysetList<
  RouterRow,
  [
    all: boolean,
    tenantIds: string[],
    projectIds: string[],
    projectId: string | null,
    tenantId: string | null,
    externalNetworkId: string | null,
    name: string | null,
    providerRouterId: string | null,
  ]
>(
  'router.list',
  `SELECT ${COLUMNS} FROM router AS r
   WHERE ${visible('r', 1)} AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
     AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7)
     AND ($8::text IS NULL OR provider_router_id = $8)`,
  8,
  {
    CREATED: { column: 'created_at', direction: 'ASC', type: 'timestamptz' },
    NEWEST: { column: 'created_at', direction: 'DESC', type: 'timestamptz' },
    NAME: { column: 'name', direction: 'ASC', type: 'text' },
  },
);

/** Blocks outside that subnets of a router's networks may not overlap: of where it leads to, or may go back to while it is being changed. */
export const findBlocksOutside = statement<{ kind: string; name: string; cidr: string }, [routerId: string]>(
  'router.blocks_outside',
  'SELECT kind, name, cidr::text AS cidr FROM muon_outside_of($1, true) ORDER BY kind, name',
);

const NETWORK_COLUMNS = 'network_id, router_id, link, external_network_id';

export const findNetworksOfRouters = statement<RouterNetworkRow, [routerIds: string[]]>(
  'router_network.of_routers',
  `SELECT ${NETWORK_COLUMNS} FROM router_network WHERE router_id = ANY($1) ORDER BY router_id, link`,
);

export const findRoutersOfNetworks = statement<RouterNetworkRow & Pick<RouterRow, 'provider_router_id'>, [networkIds: string[]]>(
  'router_network.of_networks',
  `SELECT n.network_id, n.router_id, n.link, n.external_network_id, r.provider_router_id
   FROM router_network AS n JOIN router AS r ON r.id = n.router_id WHERE n.network_id = ANY($1) ORDER BY n.network_id`,
);

export const lockRouters = statement<Pick<RouterRow, 'id' | 'name' | 'lifecycle' | 'provider_router_id'>, [ids: string[]]>(
  'router.lock',
  'SELECT id, name, lifecycle, provider_router_id FROM router WHERE id = ANY($1) ORDER BY id FOR UPDATE',
);

/** The routers that these networks are on, for who leads something through them. */
export const shareRoutersOfNetworks = statement<Pick<RouterRow, 'id' | 'name' | 'lifecycle' | 'provider_router_id'>, [networkIds: string[]]>(
  'router.share_of_networks',
  `SELECT r.id, r.name, r.lifecycle, r.provider_router_id FROM router AS r
   WHERE r.id IN (SELECT router_id FROM router_network WHERE network_id = ANY($1)) ORDER BY r.id FOR SHARE`,
);

/** The external network that an uplink leads to, itself or by a provider's router. */
const reached = (externalNetworkId: string, providerRouterId: string): string =>
  `coalesce(${externalNetworkId}::text, (SELECT p.external_network_id FROM provider_router AS p WHERE p.id = ${providerRouterId}::text))`;

export const attachNetworks = statement<
  never,
  [routerId: string, networkIds: string[], links: number[], externalNetworkId: string | null, providerRouterId: string | null]
>(
  'router_network.attach',
  `INSERT INTO router_network (network_id, router_id, link, external_network_id)
   SELECT a.network_id, $1, a.link, ${reached('$4', '$5')} FROM unnest($2::text[], $3::int[]) AS a (network_id, link) ORDER BY a.network_id`,
);

export const detachNetworks = statement<never, [routerId: string, networkIds: string[]]>(
  'router_network.detach',
  'DELETE FROM router_network WHERE router_id = $1 AND network_id = ANY($2)',
);

export const changeUplinkOfNetworks = statement<never, [routerId: string, externalNetworkId: string | null, providerRouterId: string | null]>(
  'router_network.change_uplink',
  `UPDATE router_network SET external_network_id = ${reached('$2', '$3')}
   WHERE router_id = $1 AND external_network_id IS DISTINCT FROM ${reached('$2', '$3')}`,
);

/** What its backend is told has changed; only from the version that was seen. */
export const changeRouter = statement<
  { id: string },
  [
    id: string,
    description: string,
    externalNetworkId: string | null,
    externalAddress: string | null,
    sourceNat: boolean,
    providerRouterId: string | null,
    transitAddress: string | null,
    version: number | null,
  ]
>(
  'router.change',
  `UPDATE router SET description = $2, external_network_id = $3, external_address = $4::inet, source_nat = $5,
     provider_router_id = $6, transit_address = $7::inet, desired_revision = desired_revision + 1, version = version + 1
   WHERE id = $1 AND ($8::bigint IS NULL OR version = $8) RETURNING id`,
);

export const markRoutersRealised = statement<never, [realised: string]>(
  'router.mark_realised',
  `UPDATE router AS r SET realised_revision = n.revision,
     gateway_hosts = ARRAY(SELECT jsonb_array_elements_text(n."gatewayHosts"))
   FROM jsonb_to_recordset($1::jsonb) AS n (id text, revision bigint, "gatewayHosts" jsonb)
   WHERE r.id = n.id AND r.realised_revision <= n.revision
     AND (r.realised_revision < n.revision OR to_jsonb(r.gateway_hosts) <> n."gatewayHosts")`,
);

/** The backend has lost one of their networks, and with it its link. */
export const markRoutersOfNetworksBehind = statement<never, [networkIds: string[], backendId: string]>(
  'router.mark_behind',
  `UPDATE router SET realised_revision = 0
   WHERE backend_id = $2 AND realised_revision > 0 AND id IN (SELECT router_id FROM router_network WHERE network_id = ANY($1))`,
);

export const routerMade = statement<never, [id: string]>(
  'router.made',
  `UPDATE router SET lifecycle = 'PRESENT', failure = NULL WHERE id = $1 AND lifecycle = 'CREATING'`,
);

/** Its making failed and was undone: it keeps its name and networks for another attempt, and no address. */
export const failRouter = statement<{ id: string; backend_id: string }, [id: string, failure: string]>(
  'router.fail',
  `UPDATE router SET failure = $2::jsonb, external_address = NULL, transit_address = NULL, realised_revision = 0,
     lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'FAILED' ELSE lifecycle END
   WHERE id = $1 RETURNING id, backend_id`,
);

/** To be made once more, from `FAILED`. */
export const routerRemade = statement<{ id: string; backend_id: string }, [id: string, externalAddress: string | null, transitAddress: string | null]>(
  'router.remade',
  `UPDATE router SET lifecycle = 'CREATING', failure = NULL, external_address = $2::inet, transit_address = $3::inet,
     desired_revision = desired_revision + 1
   WHERE id = $1 AND lifecycle = 'FAILED' RETURNING id, backend_id`,
);

/** Its deletion was called off before it began. */
export const routerKept = statement<never, [id: string]>(
  'router.kept',
  `UPDATE router SET lifecycle = CASE WHEN failure IS NULL THEN 'PRESENT' ELSE 'FAILED' END WHERE id = $1`,
);

export const removeRouters = statement<{ id: string; backend_id: string }, [ids: string[]]>(
  'router.remove',
  `WITH links AS (DELETE FROM router_network WHERE router_id = ANY($1))
   DELETE FROM router WHERE id = ANY($1) RETURNING id, backend_id`,
);

export interface GatewayHostsRow {
  router_id: string;
  host_names: string[];
}

/**
 * Hosts that lead a router's uplink, the first live one does, of those that reach it: those in use before those that are not, and then in an order
 * of the router's own, so that routers spread, and a host that comes or goes moves few of them.
 */
export const chooseGatewayHosts = statement<GatewayHostsRow, [routerIds: string[], limit: number]>(
  'router.choose_gateways',
  `SELECT r.id AS router_id, ARRAY(
     SELECT h.name FROM host AS h WHERE h.backend_id = r.backend_id AND ${MAY_LEAD}
     ORDER BY h.intent <> 'ENABLED', md5(r.id || h.id), h.id LIMIT $2::int) AS host_names
   FROM router AS r LEFT JOIN external_network AS e ON e.id = r.external_network_id WHERE r.id = ANY($1) ORDER BY r.id`,
);
