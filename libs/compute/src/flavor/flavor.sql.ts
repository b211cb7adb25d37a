import { keysetList, statement } from '#database';
import type { CatalogueState } from '../catalogue.js';

export interface FlavorRow {
  id: string;
  tenant_id: null;
  project_id: null;
  name: string;
  cpu: number;
  memory_mib: number;
  disk_gib: number;
  /** Amounts per quota key that a machine of this flavor takes, beyond its size. */
  costs: Record<string, number>;
  /** What root disks of its machines keep to, unless they name another; null for the default one. */
  storage_policy_id: string | null;
  state: CatalogueState;
  version: number;
  revision: number;
  created_at: Date;
}

const COLUMNS = 'id, tenant_id, project_id, name, cpu, memory_mib, disk_gib, costs, storage_policy_id, state, version, revision, created_at';

export const findFlavors = statement<FlavorRow, [ids: string[]]>(
  'flavor.find',
  `SELECT ${COLUMNS} FROM flavor WHERE id = ANY($1)`,
);

/** By id or by name: people write names. */
export const findFlavorsByReference = statement<FlavorRow, [references: string[]]>(
  'flavor.find_by_reference',
  `SELECT ${COLUMNS} FROM flavor WHERE id = ANY($1) OR name = ANY($1)`,
);

export const flavors = keysetList<FlavorRow, [name: string | null]>(
  'flavor.list',
  `SELECT ${COLUMNS} FROM flavor WHERE ($1::text IS NULL OR name = $1)`,
  1,
  { NAME: { column: 'name', direction: 'ASC', type: 'text' } },
);

/** Deletes what is marked and has no machine left. */
export const removeUnusedFlavors = statement<{ id: string }>(
  'flavor.remove_unused',
  `DELETE FROM flavor WHERE state = 'PENDING_DELETE'
     AND NOT EXISTS (SELECT FROM virtual_machine AS m WHERE m.flavor_id = flavor.id) RETURNING id`,
);

export const flavorInUse = statement<{ machines: number }, [id: string]>(
  'flavor.in_use',
  'SELECT count(*) AS machines FROM (SELECT 1 FROM virtual_machine WHERE flavor_id = $1 LIMIT 1000) AS used',
);
