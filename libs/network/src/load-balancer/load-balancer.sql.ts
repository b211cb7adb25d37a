import { keysetList, statement } from '#database';
import { visible } from '#identity';
import type { LoadBalancerRow } from './load-balancer.js';

const COLUMNS = `id, tenant_id, project_id, name, network_id, subnet_id, host(address) AS address, owner_id, backend_id, lifecycle,
  desired_revision, realised_revision, failure, version, revision, created_at, updated_at`;

export const findLoadBalancers = statement<LoadBalancerRow, [ids: string[]]>(
  'load_balancer.find',
  `SELECT ${COLUMNS} FROM load_balancer WHERE id = ANY($1) ORDER BY id`,
);

export const findVisibleLoadBalancers = statement<
  LoadBalancerRow,
  [all: boolean, tenantIds: string[], projectIds: string[], ids: string[]]
>('load_balancer.find_visible', `SELECT ${COLUMNS} FROM load_balancer AS l WHERE ${visible('l', 1)} AND l.id = ANY($4)`);

export const findLoadBalancerByName = statement<LoadBalancerRow, [projectId: string, name: string]>(
  'load_balancer.find_by_name',
  `SELECT ${COLUMNS} FROM load_balancer WHERE project_id = $1 AND name = $2`,
);

export const findLoadBalancersOfOwners = statement<LoadBalancerRow, [ownerIds: string[]]>(
  'load_balancer.of_owners',
  `SELECT ${COLUMNS} FROM load_balancer WHERE owner_id = ANY($1) ORDER BY owner_id, id`,
);

export const loadBalancers = keysetList<
  LoadBalancerRow,
  [
    all: boolean,
    tenantIds: string[],
    projectIds: string[],
    projectId: string | null,
    tenantId: string | null,
    networkId: string | null,
    name: string | null,
    lifecycles: string[] | null,
  ]
>(
  'load_balancer.list',
  `SELECT ${COLUMNS} FROM load_balancer AS l
   WHERE ${visible('l', 1)} AND ($4::text IS NULL OR project_id = $4) AND ($5::text IS NULL OR tenant_id = $5)
     AND ($6::text IS NULL OR network_id = $6) AND ($7::text IS NULL OR name = $7)
     AND ($8::text[] IS NULL OR lifecycle = ANY($8))`,
  8,
  {
    CREATED: { column: 'created_at', direction: 'ASC', type: 'timestamptz' },
    NEWEST: { column: 'created_at', direction: 'DESC', type: 'timestamptz' },
    NAME: { column: 'name', direction: 'ASC', type: 'text' },
  },
);

export interface ListenerRow {
  load_balancer_id: string;
  port: number;
  member_port: number;
}

export const findListeners = statement<ListenerRow, [loadBalancerIds: string[]]>(
  'load_balancer_listener.find',
  `SELECT load_balancer_id, port, member_port FROM load_balancer_listener WHERE load_balancer_id = ANY($1)
   ORDER BY load_balancer_id, port`,
);

export interface MemberRow {
  load_balancer_id: string;
  port_id: string;
  address: string;
  /** The machine that has the port. */
  owner_id: string;
}

export const findMembers = statement<MemberRow, [loadBalancerIds: string[]]>(
  'load_balancer_member.find',
  `SELECT m.load_balancer_id, m.port_id, host(p.address) AS address, p.owner_id
   FROM load_balancer_member AS m JOIN port AS p ON p.id = m.port_id
   WHERE m.load_balancer_id = ANY($1) ORDER BY m.load_balancer_id, m.port_id`,
);

/** Locks in one order, so that membership and revision change together. */
export const lockLoadBalancers = statement<Pick<LoadBalancerRow, 'id' | 'name' | 'lifecycle'>, [ids: string[]]>(
  'load_balancer.lock',
  'SELECT id, name, lifecycle FROM load_balancer WHERE id = ANY($1) ORDER BY id FOR UPDATE',
);

export const findLoadBalancersOfPorts = statement<{ id: string }, [portIds: string[]]>(
  'load_balancer.of_ports',
  'SELECT DISTINCT load_balancer_id AS id FROM load_balancer_member WHERE port_id = ANY($1) ORDER BY id',
);

/** Repeating it does nothing. A port that is gone is left out. */
export const insertMembers = statement<never, [loadBalancerIds: string[], portIds: string[]]>(
  'load_balancer_member.insert',
  `INSERT INTO load_balancer_member (load_balancer_id, port_id)
   SELECT m.load_balancer_id, m.port_id FROM unnest($1::text[], $2::text[]) AS m (load_balancer_id, port_id)
   JOIN port AS p ON p.id = m.port_id
   ORDER BY m.load_balancer_id, m.port_id
   ON CONFLICT (load_balancer_id, port_id) DO NOTHING`,
);

/** Load balancers with more members than that. */
export const findCrowdedLoadBalancers = statement<{ id: string }, [ids: string[], maximum: number]>(
  'load_balancer_member.crowded',
  `SELECT load_balancer_id AS id FROM load_balancer_member WHERE load_balancer_id = ANY($1)
   GROUP BY load_balancer_id HAVING count(*) > $2::int ORDER BY load_balancer_id`,
);

export const deleteMembers = statement<never, [loadBalancerIds: string[], portIds: string[]]>(
  'load_balancer_member.delete',
  `DELETE FROM load_balancer_member AS m USING unnest($1::text[], $2::text[]) AS g (load_balancer_id, port_id)
   WHERE m.load_balancer_id = g.load_balancer_id AND m.port_id = g.port_id`,
);

export const raiseLoadBalancerRevision = statement<never, [ids: string[]]>(
  'load_balancer.raise_revision',
  'UPDATE load_balancer SET desired_revision = desired_revision + 1, version = version + 1 WHERE id = ANY($1)',
);

export const markLoadBalancersRealised = statement<never, [realised: string]>(
  'load_balancer.mark_realised',
  `UPDATE load_balancer AS l SET realised_revision = r.revision
   FROM (
     SELECT l.id, n.revision FROM load_balancer AS l
     JOIN jsonb_to_recordset($1::jsonb) AS n (id text, revision bigint) ON n.id = l.id
     WHERE l.realised_revision < n.revision ORDER BY l.id FOR UPDATE OF l
   ) AS r
   WHERE l.id = r.id`,
);

/** The backend was seen without them, or with older ones. */
export const markLoadBalancersBehind = statement<never, [ids: string[]]>(
  'load_balancer.mark_behind',
  'UPDATE load_balancer SET realised_revision = 0 WHERE id = ANY($1) AND realised_revision > 0',
);

export const loadBalancerMade = statement<never, [id: string]>(
  'load_balancer.made',
  `UPDATE load_balancer SET lifecycle = 'PRESENT', failure = NULL WHERE id = $1 AND lifecycle = 'CREATING'`,
);

/** Its making failed and was undone: only the name is left. */
export const failLoadBalancer = statement<{ id: string; backend_id: string }, [id: string, failure: string | null]>(
  'load_balancer.fail',
  `UPDATE load_balancer SET failure = $2::jsonb, subnet_id = NULL, address = NULL, realised_revision = 0,
     lifecycle = CASE lifecycle WHEN 'CREATING' THEN 'FAILED' ELSE lifecycle END
   WHERE id = $1 RETURNING id, backend_id`,
);

export const loadBalancerRemade = statement<{ id: string; backend_id: string }, [id: string, subnetId: string, address: string]>(
  'load_balancer.remade',
  `UPDATE load_balancer SET lifecycle = 'CREATING', failure = NULL, subnet_id = $2, address = $3::inet,
     desired_revision = desired_revision + 1
   WHERE id = $1 AND lifecycle = 'FAILED' RETURNING id, backend_id`,
);

/** Its deletion was called off before it began. */
export const loadBalancerKept = statement<never, [id: string]>(
  'load_balancer.kept',
  `UPDATE load_balancer SET lifecycle = CASE WHEN failure IS NULL THEN 'PRESENT' ELSE 'FAILED' END WHERE id = $1`,
);

export const removeLoadBalancers = statement<{ id: string; backend_id: string }, [ids: string[]]>(
  'load_balancer.remove',
  `DELETE FROM load_balancer WHERE id IN (SELECT id FROM load_balancer WHERE id = ANY($1) ORDER BY id FOR UPDATE)
   RETURNING id, backend_id`,
);
