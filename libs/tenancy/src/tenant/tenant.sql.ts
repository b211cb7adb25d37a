import { keysetList, statement } from '#database';
import { visible } from '#identity';
import type { TenantRow } from './tenant.js';

const COLUMNS = `t.id, t.tenant_id, t.project_id, s.name, t.display_name, s.state, t.all_zones, t.deletion_operation_id,
  s.version AS scope_version, t.version, t.revision, t.created_at`;

export const findTenants = statement<TenantRow, [ids: string[]]>(
  'tenant.find',
  `SELECT ${COLUMNS} FROM tenant AS t JOIN scope AS s ON s.id = t.id WHERE t.id = ANY($1)`,
);

export const findTenantByName = statement<TenantRow, [name: string]>(
  'tenant.find_by_name',
  `SELECT ${COLUMNS} FROM tenant AS t JOIN scope AS s ON s.id = t.id WHERE s.kind = 'TENANT' AND s.name = $1`,
);

type ListParameters = [all: boolean, tenantIds: string[], projectIds: string[], state: string | null, name: string | null];

/** @param name a part of the name or display name, whatever its case */
export const tenants = keysetList<TenantRow, ListParameters>(
  'tenant.list',
  `SELECT ${COLUMNS} FROM tenant AS t JOIN scope AS s ON s.id = t.id
   WHERE ${visible('t', 1)}
     AND ($4::text IS NULL OR s.state = $4)
     AND ($5::text IS NULL OR strpos(lower(s.name || ' ' || t.display_name), lower($5)) > 0)`,
  5,
  {
    NAME: { column: 'name', direction: 'ASC', type: 'text' },
    NEWEST: { column: 'created_at', direction: 'DESC', type: 'timestamptz' },
    OLDEST: { column: 'created_at', direction: 'ASC', type: 'timestamptz' },
  },
);

export interface OwnerRow {
  principal_id: string;
  tenant_id: string;
  name: string;
}

/** Principals with the role OWNER on the tenant itself, as far as the caller may see the binding. */
export const findOwners = statement<
  OwnerRow,
  [all: boolean, tenantIds: string[], projectIds: string[], ids: string[]]
>(
  'tenant.owners',
  `SELECT b.principal_id, b.tenant_id, p.name FROM role_binding AS b JOIN principal AS p ON p.id = b.principal_id
   WHERE ${visible('b', 1)} AND b.scope_id = ANY($4) AND b.role = 'OWNER' ORDER BY b.scope_id, p.name`,
);
