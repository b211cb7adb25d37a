import { keysetList, statement } from '#database';
import type { RackRow } from './rack.js';

const COLUMNS = 'id, tenant_id, project_id, zone_id, name, state, version, revision, created_at, updated_at';

export const findRacks = statement<RackRow, [ids: string[]]>('rack.find', `SELECT ${COLUMNS} FROM rack WHERE id = ANY($1)`);

export const racks = keysetList<RackRow, [zoneId: string | null, name: string | null]>(
  'rack.list',
  `SELECT ${COLUMNS} FROM rack WHERE ($1::text IS NULL OR zone_id = $1) AND ($2::text IS NULL OR name = $2)`,
  2,
  { NAME: { column: 'name', direction: 'ASC', type: 'text' } },
);
