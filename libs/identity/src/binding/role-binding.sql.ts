import { statement } from '#database';
import type { Grant } from '../access/access.js';
import type { Permissions, Role } from '../access/role.js';

export interface BindingRow {
  id: string;
  /** One of the two is set. */
  principal_id: string | null;
  group_id: string | null;
  scope_id: string;
  tenant_id: string | null;
  project_id: string | null;
  /** One of the two is set. */
  role: Role | null;
  custom_role_id: string | null;
  custom_role_name: string | null;
  permissions: Permissions | null;
  version: number;
  created_at: Date;
}

const BINDINGS = `SELECT b.id, b.principal_id, b.group_id, b.scope_id, b.tenant_id, b.project_id, b.role, b.custom_role_id,
     c.name AS custom_role_name, c.permissions, b.version, b.created_at
   FROM role_binding AS b LEFT JOIN custom_role AS c ON c.id = b.custom_role_id`;

export const findBindings = statement<BindingRow, [ids: string[]]>('role_binding.find', `${BINDINGS} WHERE b.id = ANY($1)`);

/** What principals hold, themselves or by their groups. */
export const findBindingsOfPrincipals = statement<BindingRow & { holder_id: string }, [principalIds: string[]]>(
  'role_binding.find_of_principals',
  `SELECT held.holder_id, b.* FROM (
     SELECT id, principal_id AS holder_id FROM role_binding WHERE principal_id = ANY($1)
     UNION ALL
     SELECT g.id, m.principal_id FROM group_membership AS m JOIN role_binding AS g ON g.group_id = m.group_id
     WHERE m.principal_id = ANY($1)
   ) AS held JOIN (${BINDINGS}) AS b ON b.id = held.id ORDER BY held.holder_id, b.id`,
);

export const findBindingsOfGroups = statement<BindingRow, [groupIds: string[]]>(
  'role_binding.find_of_groups',
  `${BINDINGS} WHERE b.group_id = ANY($1) ORDER BY b.group_id, b.id`,
);

export const findBindingsOfRole = statement<BindingRow, [customRoleId: string, limit: number]>(
  'role_binding.find_of_role',
  `${BINDINGS} WHERE b.custom_role_id = $1 ORDER BY b.id LIMIT $2::int`,
);

export function grantOf(row: BindingRow): Grant {
  return { role: row.role, permissions: row.permissions, tenantId: row.tenant_id, projectId: row.project_id };
}
