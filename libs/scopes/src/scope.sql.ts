import { statement } from '#database';
import type { ScopeRow } from './scope.js';

const COLUMNS = 'id, kind, parent_id, tenant_id, project_id, name, state, version, revision, created_at, updated_at';

export const findScopes = statement<ScopeRow, [ids: string[]]>(
  'scope.find',
  `SELECT ${COLUMNS} FROM scope WHERE id = ANY($1)`,
);

export const findScopeByName = statement<ScopeRow, [parentId: string, name: string]>(
  'scope.find_by_name',
  `SELECT ${COLUMNS} FROM scope WHERE parent_id = $1 AND name = $2`,
);

/** The scope itself and all above it, the system first. */
export const findScopeChain = statement<ScopeRow, [id: string]>(
  'scope.chain',
  `SELECT ${COLUMNS.split(', ')
    .map((column) => `up.${column}`)
    .join(', ')}
   FROM scope AS self
   JOIN scope AS up ON up.id = self.id OR up.id = self.parent_id OR up.kind = 'SYSTEM'
   WHERE self.id = $1
   ORDER BY CASE up.kind WHEN 'SYSTEM' THEN 0 WHEN 'TENANT' THEN 1 ELSE 2 END`,
);
