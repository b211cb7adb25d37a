import { keysetList, statement } from '#database';
import type { CatalogueState } from '../catalogue.js';

/** A shared image has no tenant and no project; everybody may use it. */
export interface ImageRow {
  id: string;
  tenant_id: string | null;
  project_id: string | null;
  name: string;
  /** The backend's own name of it. */
  reference: string;
  operating_system: string;
  minimum_disk_gib: number;
  state: CatalogueState;
  version: number;
  revision: number;
  created_at: Date;
}

const COLUMNS =
  'id, tenant_id, project_id, name, reference, operating_system, minimum_disk_gib, state, version, revision, created_at';

export const findImages = statement<ImageRow, [ids: string[]]>(
  'image.find',
  `SELECT ${COLUMNS} FROM image WHERE id = ANY($1)`,
);

/** By id or name, shared or of the project; the project's own comes first. */
export const findImagesByReference = statement<ImageRow, [references: string[], projectId: string]>(
  'image.find_by_reference',
  `SELECT ${COLUMNS} FROM image
   WHERE (id = ANY($1) OR name = ANY($1)) AND (project_id IS NULL OR project_id = $2)
   ORDER BY project_id NULLS LAST`,
);

type ListParameters = [all: boolean, tenantIds: string[], projectIds: string[], name: string | null];

export const images = keysetList<ImageRow, ListParameters>(
  'image.list',
  `SELECT ${COLUMNS} FROM image
   WHERE (tenant_id IS NULL OR $1::boolean OR tenant_id = ANY($2::text[]) OR project_id = ANY($3::text[]))
     AND ($4::text IS NULL OR name = $4)`,
  4,
  { NAME: { column: 'name', direction: 'ASC', type: 'text' } },
);

export const imageInUse = statement<{ machines: number }, [id: string]>(
  'image.in_use',
  'SELECT count(*) AS machines FROM (SELECT 1 FROM virtual_machine WHERE image_id = $1 LIMIT 1000) AS used',
);

export const removeUnusedImages = statement<{ id: string }>(
  'image.remove_unused',
  `DELETE FROM image WHERE state = 'PENDING_DELETE'
     AND NOT EXISTS (SELECT FROM virtual_machine AS m WHERE m.image_id = image.id) RETURNING id`,
);
