import { keysetList, statement } from '#database';
import { visible } from '#identity';
import type { FloatingIpRow } from './floating-ip.js';

const COLUMNS = `id, tenant_id, project_id, name, owner_id, external_network_id, host(address) AS address, network_id, port_id,
  load_balancer_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at`;

export const findFloatingIps = statement<FloatingIpRow, [ids: string[]]>(
  'floating_ip.find',
  `SELECT ${COLUMNS} FROM floating_ip WHERE id = ANY($1) ORDER BY id`,
);

export const findVisibleFloatingIps = statement<
  FloatingIpRow,
  [all: boolean, tenantIds: string[], projectIds: string[], ids: string[]]
>('floating_ip.find_visible', `SELECT ${COLUMNS} FROM floating_ip AS f WHERE ${visible('f', 1)} AND f.id = ANY($4)`);

export const findFloatingIpByName = statement<FloatingIpRow, [projectId: string, name: string]>(
  'floating_ip.find_by_name',
  `SELECT ${COLUMNS} FROM floating_ip WHERE project_id = $1 AND name = $2`,
);

export const findFloatingIpsOfOwners = statement<FloatingIpRow, [ownerIds: string[]]>(
  'floating_ip.of_owners',
  `SELECT ${COLUMNS} FROM floating_ip WHERE owner_id = ANY($1) ORDER BY owner_id, id`,
);

/** Those that lead to these ports or load balancers. */
export const findFloatingIpsOfTargets = statement<FloatingIpRow, [targetIds: string[]]>(
  'floating_ip.of_targets',
  `SELECT ${COLUMNS} FROM floating_ip WHERE port_id = ANY($1) OR load_balancer_id = ANY($1) ORDER BY id`,
);

/** Those that lead into these networks, at most `limit`, for the explanation of a refusal. */
export const findFloatingIpsOfNetworks = statement<Pick<FloatingIpRow, 'id' | 'name' | 'address'>, [networkIds: string[], limit: number]>(
  'floating_ip.of_networks',
  'SELECT id, name, host(address) AS address FROM floating_ip WHERE network_id = ANY($1) ORDER BY id LIMIT $2::int',
);

export interface FloatingIpPlaceRow {
  id: string;
  router_id: string | null;
  /** What that leads to, and the address by which it knows the floating IP; null where it leads outside itself. */
  provider_router_id: string | null;
  transit_address: string | null;
  backend_id: string;
}

/** Where they are realised: on the router that their target's network is on, and the provider's router behind that. */
export const findFloatingIpRouters = statement<FloatingIpPlaceRow, [ids: string[]]>(
  'floating_ip.routers',
  `SELECT f.id, n.router_id, r.provider_router_id, host(t.address) AS transit_address, e.backend_id FROM floating_ip AS f
   JOIN external_network AS e ON e.id = f.external_network_id
   LEFT JOIN router_network AS n ON n.network_id = f.network_id
   LEFT JOIN router AS r ON r.id = n.router_id
   LEFT JOIN transit_address AS t ON t.owner_id = f.id AND t.provider_router_id = r.provider_router_id
   WHERE f.id = ANY($1) ORDER BY f.id`,
);

export const floatingIps = keysetList<
  FloatingIpRow,
  [
    all: boolean,
    tenantIds: string[],
    projectIds: string[],
    projectId: string | null,
    tenantId: string | null,
    externalNetworkId: string | null,
    name: string | null,
    address: string | null,
  ]
>(
  'floating_ip.list',
  `SELECT ${COLUMNS} FROM floating_ip AS f
   WHERE ${visible('f', 1)} AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
     AND ($6::text IS NULL OR external_network_id = $6) AND ($7::text IS NULL OR name = $7) AND ($8::text IS NULL OR host(address) = $8)`,
  8,
  {
    CREATED: { column: 'created_at', direction: 'ASC', type: 'timestamptz' },
    NEWEST: { column: 'created_at', direction: 'DESC', type: 'timestamptz' },
    NAME: { column: 'name', direction: 'ASC', type: 'text' },
  },
);

/** Leads it elsewhere, or nowhere; only from where it was seen to lead. */
export const pointFloatingIp = statement<
  { id: string },
  [id: string, networkId: string | null, portId: string | null, loadBalancerId: string | null, version: number | null]
>(
  'floating_ip.point',
  `UPDATE floating_ip SET network_id = $2, port_id = $3, load_balancer_id = $4, desired_revision = desired_revision + 1, version = version + 1
   WHERE id = $1 AND ($5::bigint IS NULL OR version = $5) RETURNING id`,
);

export const markFloatingIpsRealised = statement<never, [realised: string]>(
  'floating_ip.mark_realised',
  `UPDATE floating_ip AS f SET realised_revision = n.revision
   FROM jsonb_to_recordset($1::jsonb) AS n (id text, revision bigint)
   WHERE f.id = n.id AND f.realised_revision < n.revision`,
);

/** Its deletion was called off before it began. */
export const floatingIpKept = statement<never, [id: string]>(
  'floating_ip.kept',
  `UPDATE floating_ip SET lifecycle = 'PRESENT' WHERE id = $1 AND lifecycle = 'DELETING'`,
);

export const removeFloatingIps = statement<{ id: string; backend_id: string }, [ids: string[]]>(
  'floating_ip.remove',
  `DELETE FROM floating_ip AS f USING external_network AS e
   WHERE f.id = ANY($1) AND e.id = f.external_network_id RETURNING f.id, e.backend_id`,
);
