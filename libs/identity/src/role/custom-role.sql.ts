import { keysetList, statement } from '#database';
import { visible } from '../access/access.js';
import type { Permissions } from '../access/role.js';

export interface CustomRoleRow {
  id: string;
  tenant_id: string;
  project_id: null;
  name: string;
  description: string;
  permissions: Permissions;
  version: number;
  created_at: Date;
}

const COLUMNS = 'id, tenant_id, project_id, name, description, permissions, version, created_at';

export const findCustomRoles = statement<CustomRoleRow, [ids: string[]]>(
  'custom_role.find',
  `SELECT ${COLUMNS} FROM custom_role WHERE id = ANY($1)`,
);

type ListParameters = [all: boolean, tenantIds: string[], projectIds: string[], tenantId: string | null];

export const customRoles = keysetList<CustomRoleRow, ListParameters>(
  'custom_role.list',
  `SELECT ${COLUMNS} FROM custom_role AS r WHERE ${visible('r', 1)} AND ($4::text IS NULL OR r.tenant_id = $4)`,
  4,
  { NAME: { column: 'name', direction: 'ASC', type: 'text' } },
);
