import { keysetList, statement } from '#database';
import { visible } from '../access/access.js';
import type { BindingRow } from '../binding/role-binding.sql.js';

export interface HeldBindingRow extends BindingRow {
  /** The principal that holds it, by itself or by the group. */
  holder_id: string;
  group_name: string | null;
}

const BINDING = `b.id, b.principal_id, b.group_id, b.scope_id, b.tenant_id, b.project_id, b.role, b.custom_role_id,
     c.name AS custom_role_name, c.permissions, b.version, b.created_at, g.name AS group_name`;

/** Bindings with their holders; a group's once a member. */
const HELD = `role_binding AS b
   LEFT JOIN custom_role AS c ON c.id = b.custom_role_id
   LEFT JOIN principal_group AS g ON g.id = b.group_id
   LEFT JOIN group_membership AS m ON m.group_id = g.id
   JOIN principal AS p ON p.id = coalesce(b.principal_id, m.principal_id)`;

export const findHeldBindings = statement<HeldBindingRow, [principalId: string]>(
  'review.held',
  `SELECT p.id AS holder_id, ${BINDING} FROM ${HELD} WHERE p.id = $1 ORDER BY b.id`,
);

export interface ReviewRow {
  /** Of the pair: a group's binding stands here once a member. */
  id: string;
  binding_id: string;
  holder_id: string;
  holder_name: string;
  group_id: string | null;
  group_name: string | null;
  disabled_at: Date | null;
  is_inherited: boolean;
  last_acted_at: Date | null;
}

type ReviewParameters = [all: boolean, tenantIds: string[], projectIds: string[], tenantId: string | null, projectId: string | null, scopeId: string];

/** Who holds a role on a scope or above it, and when they last changed something in it. */
export const reviewEntries = keysetList<ReviewRow, ReviewParameters>(
  'review.list',
  `SELECT b.id || '/' || p.id AS id, b.id AS binding_id, p.id AS holder_id, p.name AS holder_name, g.id AS group_id, g.name AS group_name,
     p.disabled_at, b.scope_id <> $6 AS is_inherited,
     (SELECT a.at FROM audit_entry AS a
      WHERE a.principal_id = p.id AND a.outcome = 'ACCEPTED'
        AND ($4::text IS NULL OR a.tenant_id = $4) AND ($5::text IS NULL OR a.project_id = $5)
      ORDER BY a.at DESC LIMIT 1) AS last_acted_at
   FROM ${HELD}
   WHERE ${visible('b', 1)}
     AND (b.tenant_id IS NULL OR b.tenant_id = $4) AND (b.project_id IS NULL OR b.project_id = $5)`,
  6,
  { NAME: { column: 'holder_name', direction: 'ASC', type: 'text' } },
);
