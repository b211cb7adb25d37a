import { keysetList, statement } from '#database';
import type { DatastoreRow } from './datastore.js';

export const DATASTORE_COLUMNS = `id, tenant_id, project_id, backend_id, zone_id, host_id, name, kind, overcommit, state, capacity_gib,
  failures_to_tolerate, failure_domain, redundancy_method, is_encrypted, limits_iops, version, revision, created_at, updated_at`;

export const findDatastores = statement<DatastoreRow, [ids: string[]]>(
  'datastore.find',
  `SELECT ${DATASTORE_COLUMNS} FROM datastore WHERE id = ANY($1)`,
);

type ListParameters = [zoneId: string | null, backendId: string | null, hostId: string | null];

export const datastores = keysetList<DatastoreRow, ListParameters>(
  'datastore.list',
  `SELECT ${DATASTORE_COLUMNS} FROM datastore
   WHERE ($1::text IS NULL OR zone_id = $1) AND ($2::text IS NULL OR backend_id = $2) AND ($3::text IS NULL OR host_id = $3)`,
  3,
  { NAME: { column: 'name', direction: 'ASC', type: 'text' } },
);

export const findSharedPoolNames = statement<{ name: string }, [backendId: string]>(
  'datastore.shared_names',
  'SELECT name FROM datastore WHERE backend_id = $1 AND host_id IS NULL',
);

/** What goes with a host when it is deregistered. */
export const findLocalDatastores = statement<DatastoreRow, [hostId: string]>(
  'datastore.of_host',
  `SELECT ${DATASTORE_COLUMNS} FROM datastore WHERE host_id = $1 ORDER BY id`,
);

export interface DatastoreUseRow {
  datastore_id: string;
  used_gib: number;
}

export const findDatastoreUses = statement<DatastoreUseRow, [ids: string[]]>(
  'datastore.uses',
  'SELECT datastore_id, used_gib FROM datastore_heartbeat WHERE datastore_id = ANY($1)',
);
