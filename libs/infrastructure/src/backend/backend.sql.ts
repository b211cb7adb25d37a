import { keysetList, statement } from '#database';
import type { BackendRow } from './backend.js';

const COLUMNS = `id, tenant_id, project_id, name, kind, endpoint, secret_ref, options, max_concurrent_calls, call_timeout_ms, state,
  capabilities, health, health_since, health_reason, version, revision, created_at, updated_at`;

export const findBackends = statement<BackendRow, [ids: string[]]>(
  'backend.find',
  `SELECT ${COLUMNS} FROM backend WHERE id = ANY($1)`,
);

export const backends = keysetList<BackendRow, [name: string | null]>(
  'backend.list',
  `SELECT ${COLUMNS} FROM backend WHERE ($1::text IS NULL OR name = $1)`,
  1,
  { NAME: { column: 'name', direction: 'ASC', type: 'text' } },
);
