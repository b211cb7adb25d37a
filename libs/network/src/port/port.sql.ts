import { keysetList, statement } from '#database';
import { visible } from '#identity';
import type { PortRow } from './port.js';

const COLUMNS = `id, tenant_id, project_id, name, network_id, subnet_id, mac_address, host(address) AS address, owner_id, backend_id,
  host_id, lifecycle, desired_revision, realised_revision, version, revision, created_at, updated_at`;

export const findPorts = statement<PortRow, [ids: string[]]>('port.find', `SELECT ${COLUMNS} FROM port WHERE id = ANY($1) ORDER BY id`);

export const findVisiblePorts = statement<
  PortRow,
  [all: boolean, tenantIds: string[], projectIds: string[], ids: string[]]
>('port.find_visible', `SELECT ${COLUMNS} FROM port AS p WHERE ${visible('p', 1)} AND p.id = ANY($4)`);

export const findPortsOfOwners = statement<PortRow, [ownerIds: string[]]>(
  'port.of_owners',
  `SELECT ${COLUMNS} FROM port WHERE owner_id = ANY($1) ORDER BY owner_id, id`,
);

export const ports = keysetList<
  PortRow,
  [
    all: boolean,
    tenantIds: string[],
    projectIds: string[],
    projectId: string | null,
    tenantId: string | null,
    networkId: string | null,
    subnetId: string | null,
    ownerId: string | null,
    securityGroupId: string | null,
  ]
>(
  'port.list',
  `SELECT ${COLUMNS} FROM port AS p
   WHERE ${visible('p', 1)} AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
     AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR subnet_id = $7) AND ($8::text IS NULL OR owner_id = $8)
     AND ($9::text IS NULL OR EXISTS (
       SELECT FROM port_security_group AS m WHERE m.port_id = p.id AND m.security_group_id = $9))`,
  9,
  {
    CREATED: { column: 'created_at', direction: 'ASC', type: 'timestamptz' },
    NAME: { column: 'name', direction: 'ASC', type: 'text' },
  },
);

export const markPortsRealised = statement<never, [realised: string]>(
  'port.mark_realised',
  `UPDATE port AS p SET realised_revision = r.revision
   FROM (
     SELECT p.id, n.revision FROM port AS p
     JOIN jsonb_to_recordset($1::jsonb) AS n (id text, revision bigint) ON n.id = p.id
     WHERE p.realised_revision < n.revision ORDER BY p.id FOR UPDATE OF p
   ) AS r
   WHERE p.id = r.id`,
);

/** The backend was seen without them, or with older ones. */
export const markPortsBehind = statement<never, [ids: string[]]>(
  'port.mark_behind',
  'UPDATE port SET realised_revision = 0 WHERE id = ANY($1) AND realised_revision > 0',
);

/** Their machines run on another host from now on. */
export const movePorts = statement<never, [ownerIds: string[], hostId: string, backendId: string]>(
  'port.move',
  `UPDATE port SET host_id = $2, backend_id = $3, desired_revision = desired_revision + 1, version = version + 1
   WHERE owner_id = ANY($1) AND host_id <> $2`,
);

export const removePorts = statement<{ id: string; backend_id: string }, [ids: string[]]>(
  'port.remove',
  `DELETE FROM port WHERE id IN (SELECT id FROM port WHERE id = ANY($1) ORDER BY id FOR UPDATE) RETURNING id, backend_id`,
);
