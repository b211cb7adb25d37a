import { keysetList, statement } from '#database';
import { visible } from '../access/access.js';
import type { PrincipalRow } from '../principal/principal.sql.js';

export interface GroupRow {
  id: string;
  scope_id: string;
  tenant_id: string | null;
  project_id: string | null;
  issuer: string | null;
  name: string;
  version: number;
  created_at: Date;
}

const COLUMNS = 'id, scope_id, tenant_id, project_id, issuer, name, version, created_at';

export const findGroups = statement<GroupRow, [ids: string[]]>('group.find', `SELECT ${COLUMNS} FROM principal_group WHERE id = ANY($1)`);

/** The groups of an issuer's claims in a scope, by the names that the claims give. */
export const findClaimedGroups = statement<GroupRow, [scopeId: string, issuer: string, names: string[]]>(
  'group.find_claimed',
  `SELECT ${COLUMNS} FROM principal_group WHERE scope_id = $1 AND issuer = $2 AND name = ANY($3)`,
);

/** A tenant's principal stays inside of its tenant, a project's inside of its project: see `grantRole`. */
const FITS = `(p.tenant_id IS NULL OR p.tenant_id = g.tenant_id) AND (p.project_id IS NULL OR p.project_id = g.project_id)`;

/** Answers how many of the groups are an issuer's and may take the principal. */
export const replaceMemberships = statement<{ fitting: number }, [principalId: string, groupIds: string[]]>(
  'group.replace_memberships',
  `WITH wanted AS (
     SELECT g.id FROM principal_group AS g JOIN principal AS p ON p.id = $1
     WHERE g.id = ANY($2) AND g.issuer IS NOT NULL AND ${FITS}
   ), gone AS (
     DELETE FROM group_membership AS m USING principal_group AS g
     WHERE m.principal_id = $1 AND g.id = m.group_id AND g.issuer IS NOT NULL AND g.id <> ALL($2)
   ), come AS (
     INSERT INTO group_membership (group_id, principal_id) SELECT id, $1 FROM wanted ON CONFLICT DO NOTHING
   )
   SELECT count(*) AS fitting FROM wanted`,
);

export const addMembership = statement<never, [groupId: string, principalId: string]>(
  'group.add_member',
  'INSERT INTO group_membership (group_id, principal_id) VALUES ($1, $2) ON CONFLICT DO NOTHING',
);

export const removeMembership = statement<never, [groupId: string, principalId: string]>(
  'group.remove_member',
  'DELETE FROM group_membership WHERE group_id = $1 AND principal_id = $2',
);

export const findMembers = statement<PrincipalRow & { group_id: string }, [groupIds: string[], limit: number]>(
  'group.members',
  `SELECT g.id AS group_id, m.* FROM unnest($1::text[]) AS g (id)
   CROSS JOIN LATERAL (
     SELECT p.* FROM group_membership AS gm JOIN principal AS p ON p.id = gm.principal_id
     WHERE gm.group_id = g.id ORDER BY p.name, p.id LIMIT $2::int) AS m`,
);

type ListParameters = [all: boolean, tenantIds: string[], projectIds: string[], scopeId: string | null];

export const groups = keysetList<GroupRow, ListParameters>(
  'group.list',
  `SELECT ${COLUMNS} FROM principal_group AS g WHERE ${visible('g', 1)} AND ($4::text IS NULL OR g.scope_id = $4)`,
  4,
  { NAME: { column: 'name', direction: 'ASC', type: 'text' } },
);
