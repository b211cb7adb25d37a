import { keysetList, statement } from '#database';
import { visible } from '#identity';
import type { NetworkBackendRow, NetworkRow } from './network.js';

const COLUMNS = `id, tenant_id, project_id, name, description, lifecycle, desired_revision, failure, version, revision,
  created_at, updated_at`;

export const findNetworks = statement<NetworkRow, [ids: string[]]>(
  'network.find',
  `SELECT ${COLUMNS} FROM network WHERE id = ANY($1)`,
);

export const findVisibleNetworks = statement<
  NetworkRow,
  [all: boolean, tenantIds: string[], projectIds: string[], ids: string[]]
>('network.find_visible', `SELECT ${COLUMNS} FROM network AS n WHERE ${visible('n', 1)} AND n.id = ANY($4)`);

/** By id or by name: people write names. */
export const findNetworksByReference = statement<NetworkRow, [projectId: string, references: string[]]>(
  'network.find_by_reference',
  `SELECT ${COLUMNS} FROM network WHERE project_id = $1 AND (id = ANY($2) OR name = ANY($2))`,
);

export const networks = keysetList<
  NetworkRow,
  [
    all: boolean,
    tenantIds: string[],
    projectIds: string[],
    projectId: string | null,
    tenantId: string | null,
    name: string | null,
    lifecycles: string[] | null,
  ]
>(
  'network.list',
  `SELECT ${COLUMNS} FROM network AS n
   WHERE ${visible('n', 1)} AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
     AND ($6::text IS NULL OR name = $6) AND ($7::text[] IS NULL OR lifecycle = ANY($7))`,
  7,
  {
    CREATED: { column: 'created_at', direction: 'ASC', type: 'timestamptz' },
    NEWEST: { column: 'created_at', direction: 'DESC', type: 'timestamptz' },
    NAME: { column: 'name', direction: 'ASC', type: 'text' },
  },
);

export const findNetworkBackends = statement<NetworkBackendRow, [networkIds: string[]]>(
  'network_backend.find',
  `SELECT network_id, backend_id, realised_revision FROM network_backend WHERE network_id = ANY($1)
   ORDER BY network_id, backend_id`,
);

/** Takes the row locks of a set in one order; FOR SHARE keeps it usable while new users come. */
export const shareNetworks = statement<Pick<NetworkRow, 'id' | 'name' | 'lifecycle'>, [ids: string[]]>(
  'network.share',
  'SELECT id, name, lifecycle FROM network WHERE id = ANY($1) ORDER BY id FOR SHARE',
);

export const lockNetworks = statement<Pick<NetworkRow, 'id' | 'name' | 'lifecycle'>, [ids: string[]]>(
  'network.lock',
  'SELECT id, name, lifecycle FROM network WHERE id = ANY($1) ORDER BY id FOR UPDATE',
);

export const spanBackends = statement<never, [networkIds: string[], backendIds: string[]]>(
  'network_backend.span',
  `INSERT INTO network_backend (network_id, backend_id)
   SELECT s.network_id, s.backend_id FROM unnest($1::text[], $2::text[]) AS s (network_id, backend_id)
   ORDER BY s.network_id, s.backend_id
   ON CONFLICT (network_id, backend_id) DO NOTHING`,
);

/** What its backends are told has changed. */
export const raiseNetworkRevision = statement<never, [ids: string[]]>(
  'network.raise_revision',
  'UPDATE network SET desired_revision = desired_revision + 1 WHERE id = ANY($1)',
);

/** Notes what backends were made equal to; never takes back what a later call has noted. */
export const markNetworksRealised = statement<never, [realised: string]>(
  'network_backend.mark_realised',
  `UPDATE network_backend AS b SET realised_revision = r.revision
   FROM (
     SELECT b.network_id, b.backend_id, n.revision FROM network_backend AS b
     JOIN jsonb_to_recordset($1::jsonb) AS n ("networkId" text, "backendId" text, revision bigint)
       ON n."networkId" = b.network_id AND n."backendId" = b.backend_id
     WHERE b.realised_revision < n.revision
     ORDER BY b.network_id, b.backend_id FOR UPDATE OF b
   ) AS r
   WHERE b.network_id = r.network_id AND b.backend_id = r.backend_id AND b.realised_revision < r.revision`,
);

/** The backend was seen without it, or with an older one. */
export const markNetworkBehind = statement<never, [networkIds: string[], backendId: string]>(
  'network_backend.mark_behind',
  'UPDATE network_backend SET realised_revision = 0 WHERE network_id = ANY($1) AND backend_id = $2 AND realised_revision > 0',
);

/** Made: unless its deletion has been asked for meanwhile. Its subnets were made with it. */
export const networkMade = statement<never, [id: string]>(
  'network.made',
  `WITH blocks AS (UPDATE subnet SET lifecycle = 'PRESENT' WHERE network_id = $1 AND lifecycle = 'CREATING')
   UPDATE network SET lifecycle = 'PRESENT', failure = NULL WHERE id = $1 AND lifecycle = 'CREATING'`,
);

/** Not made: only the names and blocks are left. */
export const networkFailed = statement<never, [id: string, failure: string]>(
  'network.failed',
  `WITH blocks AS (UPDATE subnet SET lifecycle = 'FAILED', failure = $2::jsonb WHERE network_id = $1 AND lifecycle = 'CREATING'),
     spans AS (UPDATE network_backend SET realised_revision = 0 WHERE network_id = $1)
   UPDATE network SET failure = $2::jsonb, lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'FAILED' ELSE lifecycle END
   WHERE id = $1`,
);

/** To be made once more, with the subnets that failed with it. */
export const networkRemade = statement<{ id: string }, [id: string]>(
  'network.remade',
  `WITH blocks AS (UPDATE subnet SET lifecycle = 'CREATING', failure = NULL WHERE network_id = $1 AND lifecycle = 'FAILED')
   UPDATE network SET lifecycle = 'CREATING', failure = NULL WHERE id = $1 AND lifecycle = 'FAILED' RETURNING id`,
);

export const networkRemoving = statement<never, [id: string]>(
  'network.removing',
  `UPDATE network SET lifecycle = 'DELETING' WHERE id = $1`,
);

/** Its deletion was called off before it began. */
export const networkKept = statement<never, [id: string]>(
  'network.kept',
  `UPDATE network SET lifecycle = CASE WHEN failure IS NULL THEN 'PRESENT' ELSE 'FAILED' END WHERE id = $1`,
);

/** Its subnets, with the addresses that they keep themselves, and spans go with it; all other addresses must be gone. */
export const removeNetwork = statement<never, [id: string]>(
  'network.remove',
  `WITH spans AS (DELETE FROM network_backend WHERE network_id = $1),
     kept AS (DELETE FROM address_allocation AS a USING subnet AS s WHERE s.network_id = $1 AND a.subnet_id = s.id AND a.owner_id = s.id),
     blocks AS (DELETE FROM subnet WHERE network_id = $1)
   DELETE FROM network WHERE id = $1`,
);

export interface NetworkUsersRow {
  network_id: string;
  ports: number;
  load_balancers: number;
  /** At most one. */
  routers: number;
}

/** How many ports, load balancers and routers hold each network. */
export const countNetworkUsers = statement<NetworkUsersRow, [ids: string[]]>(
  'network.count_users',
  `SELECT n.id AS network_id,
     (SELECT count(*) FROM port AS p WHERE p.network_id = n.id) AS ports,
     (SELECT count(*) FROM load_balancer AS l WHERE l.network_id = n.id) AS load_balancers,
     (SELECT count(*) FROM router_network AS r WHERE r.network_id = n.id) AS routers
   FROM unnest($1::text[]) AS n (id)`,
);

export interface NetworkUserRow {
  id: string;
  kind: 'PORT' | 'LOAD_BALANCER' | 'ROUTER';
  name: string;
  /** Who has the port or load balancer: a machine, a cluster. */
  owner_id: string | null;
}

/** Who holds a network, at most `limit`, for the refusal's explanation. */
export const findNetworkUsers = statement<NetworkUserRow, [networkId: string, subnetId: string | null, limit: number]>(
  'network.users',
  `SELECT id, 'PORT' AS kind, name, owner_id FROM port
     WHERE network_id = $1 AND ($2::text IS NULL OR subnet_id = $2)
   UNION ALL
   SELECT id, 'LOAD_BALANCER', name, owner_id FROM load_balancer
     WHERE network_id = $1 AND ($2::text IS NULL OR subnet_id = $2)
   UNION ALL
   SELECT r.id, 'ROUTER', r.name, r.owner_id FROM router AS r JOIN router_network AS n ON n.router_id = r.id
     WHERE n.network_id = $1 AND $2::text IS NULL
   ORDER BY id LIMIT $3::int`,
);

/** Backends that have a network part and hosts in these zones. */
export const findNetworkBackendsOfZones = statement<{ backend_id: string }, [zoneIds: string[]]>(
  'network.backends_of_zones',
  `SELECT DISTINCT h.backend_id FROM host AS h JOIN backend AS b ON b.id = h.backend_id
   WHERE h.zone_id = ANY($1) AND b.state = 'ACTIVE' AND b.capabilities @> '{"network": true}'
   ORDER BY h.backend_id LIMIT 100`,
);
