import { keysetList, statement } from '#database';
import { visible } from '#identity';
import type { SecurityGroupRow, SecurityRule } from './security-group.js';

const COLUMNS = `g.id, g.tenant_id, g.project_id, g.name, g.description, g.rules, g.lifecycle, g.desired_revision, g.version, g.revision,
  g.created_at, g.updated_at,
  EXISTS (SELECT FROM security_group_backend AS b WHERE b.security_group_id = g.id AND b.realised_revision < g.desired_revision) AS is_behind`;

export const findSecurityGroups = statement<SecurityGroupRow, [ids: string[]]>(
  'security_group.find',
  `SELECT ${COLUMNS} FROM security_group AS g WHERE g.id = ANY($1) ORDER BY g.id`,
);

export const findVisibleSecurityGroups = statement<
  SecurityGroupRow,
  [all: boolean, tenantIds: string[], projectIds: string[], ids: string[]]
>('security_group.find_visible', `SELECT ${COLUMNS} FROM security_group AS g WHERE ${visible('g', 1)} AND g.id = ANY($4)`);

export const findSecurityGroupByName = statement<{ id: string }, [projectId: string, name: string]>(
  'security_group.find_by_name',
  'SELECT id FROM security_group WHERE project_id = $1 AND name = $2',
);

export const securityGroups = keysetList<
  SecurityGroupRow,
  [all: boolean, tenantIds: string[], projectIds: string[], projectId: string | null, tenantId: string | null, name: string | null]
>(
  'security_group.list',
  `SELECT ${COLUMNS} FROM security_group AS g
   WHERE ${visible('g', 1)} AND ($4::text IS NULL OR g.project_id = $4) AND ($5::text IS NULL OR g.tenant_id = $5)
     AND ($6::text IS NULL OR g.name = $6)`,
  6,
  {
    CREATED: { column: 'created_at', direction: 'ASC', type: 'timestamptz' },
    NAME: { column: 'name', direction: 'ASC', type: 'text' },
  },
);

export interface MembershipRow {
  port_id: string;
  security_group_id: string;
}

export const findGroupsOfPorts = statement<MembershipRow, [portIds: string[]]>(
  'port_security_group.of_ports',
  'SELECT port_id, security_group_id FROM port_security_group WHERE port_id = ANY($1) ORDER BY port_id, security_group_id',
);

/** The groups of a project that have a port with this address, in whichever of its networks. */
export const findGroupsOfAddress = statement<Pick<MembershipRow, 'security_group_id'>, [projectId: string, address: string]>(
  'port_security_group.of_address',
  `SELECT DISTINCT m.security_group_id FROM port AS p JOIN port_security_group AS m ON m.port_id = p.id
   WHERE p.project_id = $1 AND p.address = $2::inet`,
);

/** Its ports on a backend, by id. */
export const findGroupMembers = statement<{ id: string }, [securityGroupId: string, backendId: string, after: string, limit: number]>(
  'port_security_group.members',
  `SELECT p.id FROM port_security_group AS m JOIN port AS p ON p.id = m.port_id
   WHERE m.security_group_id = $1 AND p.backend_id = $2 AND p.id > $3 AND p.lifecycle = 'PRESENT' ORDER BY p.id LIMIT $4::int`,
);

export interface GroupUserRow {
  id: string;
  kind: 'PORT' | 'SECURITY_GROUP';
  name: string;
}

/** Who holds it, at most `limit`: ports that are in it, and other groups whose rules name it. */
export const findGroupUsers = statement<GroupUserRow, [securityGroupId: string, limit: number]>(
  'security_group.users',
  `SELECT p.id, 'PORT' AS kind, p.name FROM port_security_group AS m JOIN port AS p ON p.id = m.port_id WHERE m.security_group_id = $1
   UNION ALL
   SELECT g.id, 'SECURITY_GROUP', g.name FROM security_group_reference AS r JOIN security_group AS g ON g.id = r.security_group_id
   WHERE r.referenced_id = $1 AND r.security_group_id <> $1
   ORDER BY id LIMIT $2::int`,
);

export interface GroupBackendRow {
  security_group_id: string;
  backend_id: string;
  realised_revision: number;
}

export const findGroupBackends = statement<GroupBackendRow, [ids: string[]]>(
  'security_group_backend.find',
  `SELECT security_group_id, backend_id, realised_revision FROM security_group_backend WHERE security_group_id = ANY($1)
   ORDER BY security_group_id, backend_id`,
);

type LockedRow = Pick<SecurityGroupRow, 'id' | 'name' | 'lifecycle'>;

export const lockSecurityGroups = statement<LockedRow, [ids: string[]]>(
  'security_group.lock',
  'SELECT id, name, lifecycle FROM security_group WHERE id = ANY($1) ORDER BY id FOR UPDATE',
);

export const shareSecurityGroups = statement<LockedRow, [ids: string[]]>(
  'security_group.share',
  'SELECT id, name, lifecycle FROM security_group WHERE id = ANY($1) ORDER BY id FOR SHARE',
);

export const lockPorts = statement<{ id: string; backend_id: string }, [ids: string[]]>(
  'port.lock',
  `SELECT id, backend_id FROM port WHERE id = ANY($1) AND lifecycle = 'PRESENT' ORDER BY id FOR UPDATE`,
);

export const raisePortRevision = statement<never, [ids: string[]]>(
  'port.raise_revision',
  'UPDATE port SET desired_revision = desired_revision + 1, version = version + 1 WHERE id = ANY($1)',
);

/**
 * The ports in these groups on a backend, so that each is told again. Without that, nobody would see that a group which is
 * there again has none of those that were in it before: they would be open.
 */
export const raiseRevisionOfMembers = statement<never, [securityGroupIds: string[], backendId: string]>(
  'port.raise_revision_of_members',
  `UPDATE port SET desired_revision = desired_revision + 1, version = version + 1
   WHERE id IN (
     SELECT id FROM port WHERE backend_id = $2 AND lifecycle = 'PRESENT'
       AND id IN (SELECT port_id FROM port_security_group WHERE security_group_id = ANY($1))
     ORDER BY id FOR UPDATE)`,
);

/** Repeating it does nothing. A group that is gone or going is left out. */
export const insertMemberships = statement<never, [portIds: string[], securityGroupIds: string[]]>(
  'port_security_group.insert',
  `INSERT INTO port_security_group (port_id, security_group_id)
   SELECT m.port_id, m.security_group_id FROM unnest($1::text[], $2::text[]) AS m (port_id, security_group_id)
   JOIN security_group AS g ON g.id = m.security_group_id AND g.lifecycle = 'PRESENT'
   ORDER BY m.port_id, m.security_group_id
   ON CONFLICT (port_id, security_group_id) DO NOTHING`,
);

/** Ports that are in more groups than that. */
export const findCrowdedPorts = statement<{ id: string }, [portIds: string[], maximum: number]>(
  'port_security_group.crowded',
  'SELECT port_id AS id FROM port_security_group WHERE port_id = ANY($1) GROUP BY port_id HAVING count(*) > $2::int ORDER BY port_id',
);

export const deleteMemberships = statement<never, [portIds: string[], securityGroupIds: string[]]>(
  'port_security_group.delete',
  `DELETE FROM port_security_group AS m USING unnest($1::text[], $2::text[]) AS g (port_id, security_group_id)
   WHERE m.port_id = g.port_id AND m.security_group_id = g.security_group_id`,
);

/** They shall be on these backends, from now on. */
export const spanGroups = statement<never, [securityGroupIds: string[], backendIds: string[]]>(
  'security_group_backend.span',
  `INSERT INTO security_group_backend (security_group_id, backend_id)
   SELECT DISTINCT s.security_group_id, s.backend_id FROM unnest($1::text[], $2::text[]) AS s (security_group_id, backend_id)
   JOIN security_group AS g ON g.id = s.security_group_id
   ORDER BY s.security_group_id, s.backend_id
   ON CONFLICT (security_group_id, backend_id) DO NOTHING`,
);

export const replaceReferences = statement<never, [securityGroupId: string, referencedIds: string[]]>(
  'security_group_reference.replace',
  `WITH gone AS (DELETE FROM security_group_reference WHERE security_group_id = $1 AND referenced_id <> ALL($2::text[]))
   INSERT INTO security_group_reference (security_group_id, referenced_id)
   SELECT $1, r.id FROM unnest($2::text[]) AS r (id) ORDER BY r.id
   ON CONFLICT (security_group_id, referenced_id) DO NOTHING`,
);

export const dropReferences = statement<never, [referencedIds: string[]]>(
  'security_group_reference.drop',
  'DELETE FROM security_group_reference WHERE referenced_id = ANY($1)',
);

/** The rules of before, after a change of them has failed. A group that they named and that is gone is nobody. */
export const restoreRules = statement<{ rules: SecurityRule[] }, [id: string, rules: string]>(
  'security_group.restore_rules',
  `UPDATE security_group SET rules = $2::jsonb, desired_revision = desired_revision + 1, version = version + 1 WHERE id = $1 RETURNING rules`,
);

export const markGroupsRealised = statement<never, [realised: string]>(
  'security_group_backend.mark_realised',
  `UPDATE security_group_backend AS b SET realised_revision = r.revision
   FROM (
     SELECT b.security_group_id, b.backend_id, n.revision FROM security_group_backend AS b
     JOIN jsonb_to_recordset($1::jsonb) AS n ("securityGroupId" text, "backendId" text, revision bigint)
       ON n."securityGroupId" = b.security_group_id AND n."backendId" = b.backend_id
     WHERE b.realised_revision < n.revision
     ORDER BY b.security_group_id, b.backend_id FOR UPDATE OF b
   ) AS r
   WHERE b.security_group_id = r.security_group_id AND b.backend_id = r.backend_id AND b.realised_revision < r.revision`,
);

/** The backend was seen without them, or with older ones. */
export const markGroupsBehind = statement<never, [securityGroupIds: string[], backendId: string]>(
  'security_group_backend.mark_behind',
  `UPDATE security_group_backend SET realised_revision = 0
   WHERE security_group_id = ANY($1) AND backend_id = $2 AND realised_revision > 0`,
);

/** Its deletion was called off before it began. */
export const securityGroupKept = statement<never, [id: string]>(
  'security_group.kept',
  `UPDATE security_group SET lifecycle = 'PRESENT' WHERE id = $1`,
);

export const removeSecurityGroup = statement<never, [id: string]>('security_group.remove', 'DELETE FROM security_group WHERE id = $1');
