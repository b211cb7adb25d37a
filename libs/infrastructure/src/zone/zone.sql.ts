import { keysetList, statement } from '#database';
import type { ZoneRow } from './zone.js';

const COLUMNS = 'id, tenant_id, project_id, name, description, state, version, revision, created_at, updated_at';

export const findZones = statement<ZoneRow, [ids: string[]]>('zone.find', `SELECT ${COLUMNS} FROM zone WHERE id = ANY($1)`);

/** By id or by name: people write names. */
export const findZonesByReference = statement<ZoneRow, [references: string[]]>(
  'zone.find_by_reference',
  `SELECT ${COLUMNS} FROM zone WHERE id = ANY($1) OR name = ANY($1)`,
);

/** @param ids only these, or all for null: what a tenant may use is known above */
export const zones = keysetList<ZoneRow, [ids: string[] | null, name: string | null]>(
  'zone.list',
  `SELECT ${COLUMNS} FROM zone WHERE ($1::text[] IS NULL OR id = ANY($1)) AND ($2::text IS NULL OR name = $2)`,
  2,
  { NAME: { column: 'name', direction: 'ASC', type: 'text' } },
);
