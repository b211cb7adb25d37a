import { keysetList, statement } from '#database';
import { visible } from '#identity';
import type { SubnetRow } from './subnet.js';

const COLUMNS = `id, tenant_id, project_id, network_id, name, cidr, gateway, pools, host(health_check_address) AS health_check_address,
  lifecycle, failure, version, revision, created_at, updated_at`;

export const findSubnets = statement<SubnetRow, [ids: string[]]>('subnet.find', `SELECT ${COLUMNS} FROM subnet WHERE id = ANY($1)`);

export const findVisibleSubnets = statement<
  SubnetRow,
  [all: boolean, tenantIds: string[], projectIds: string[], ids: string[]]
>('subnet.find_visible', `SELECT ${COLUMNS} FROM subnet AS s WHERE ${visible('s', 1)} AND s.id = ANY($4)`);

/** The oldest first: addresses are taken from it until it is full. */
export const findSubnetsOfNetworks = statement<SubnetRow, [networkIds: string[]]>(
  'subnet.of_networks',
  `SELECT ${COLUMNS} FROM subnet WHERE network_id = ANY($1) ORDER BY network_id, id`,
);

export const findBlocksOfProject = statement<Pick<SubnetRow, 'id' | 'name' | 'cidr' | 'network_id'>, [projectId: string]>(
  'subnet.blocks_of_project',
  'SELECT id, name, cidr, network_id FROM subnet WHERE project_id = $1 ORDER BY id',
);

export const subnets = keysetList<
  SubnetRow,
  [
    all: boolean,
    tenantIds: string[],
    projectIds: string[],
    projectId: string | null,
    tenantId: string | null,
    networkId: string | null,
    name: string | null,
  ]
>(
  'subnet.list',
  `SELECT ${COLUMNS} FROM subnet AS s
   WHERE ${visible('s', 1)} AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
     AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)`,
  7,
  {
    CREATED: { column: 'created_at', direction: 'ASC', type: 'timestamptz' },
    NAME: { column: 'name', direction: 'ASC', type: 'text' },
  },
);

export const shareSubnets = statement<Pick<SubnetRow, 'id' | 'name' | 'lifecycle'>, [ids: string[]]>(
  'subnet.share',
  'SELECT id, name, lifecycle FROM subnet WHERE id = ANY($1) ORDER BY id FOR SHARE',
);

export const lockSubnets = statement<Pick<SubnetRow, 'id' | 'name' | 'lifecycle'>, [ids: string[]]>(
  'subnet.lock',
  'SELECT id, name, lifecycle FROM subnet WHERE id = ANY($1) ORDER BY id FOR UPDATE',
);

/** Subnets of a network that its backends are told of. */
export const findRealSubnets = statement<
  Pick<SubnetRow, 'id' | 'network_id' | 'cidr' | 'gateway' | 'health_check_address'>,
  [networkIds: string[]]
>(
  'subnet.real',
  `SELECT id, network_id, cidr, gateway, host(health_check_address) AS health_check_address FROM subnet
   WHERE network_id = ANY($1) AND lifecycle IN ('CREATING', 'PRESENT') ORDER BY network_id, id`,
);

/** From one place in its life to the next; does nothing when it has left that place. */
export const moveSubnet = statement<{ id: string }, [id: string, from: string, to: string, failure: string | null]>(
  'subnet.move',
  'UPDATE subnet SET lifecycle = $3, failure = $4::jsonb WHERE id = $1 AND lifecycle = $2 RETURNING id',
);

/** With the address that it keeps itself; all others must be gone. */
export const removeSubnet = statement<never, [id: string]>(
  'subnet.remove',
  `WITH kept AS (DELETE FROM address_allocation WHERE subnet_id = $1 AND owner_id = $1) DELETE FROM subnet WHERE id = $1`,
);
