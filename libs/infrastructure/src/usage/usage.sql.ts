import { statement } from '#database';
import type { Use } from './usage.js';

export const usesOfZone = statement<Use, [id: string]>(
  'zone.uses',
  `SELECT * FROM (
     SELECT 'racks' AS users, count(*) AS count FROM rack WHERE zone_id = $1
     UNION ALL SELECT 'hosts', count(*) FROM host WHERE zone_id = $1
     UNION ALL SELECT 'datastores', count(*) FROM datastore WHERE zone_id = $1
   ) AS uses WHERE count > 0`,
);

export const usesOfRack = statement<Use, [id: string]>(
  'rack.uses',
  `SELECT * FROM (SELECT 'hosts' AS users, count(*) AS count FROM host WHERE rack_id = $1) AS uses WHERE count > 0`,
);

export const usesOfBackend = statement<Use, [id: string]>(
  'backend.uses',
  `SELECT * FROM (
     SELECT 'hosts' AS users, count(*) AS count FROM host WHERE backend_id = $1
     UNION ALL SELECT 'shared datastores', count(*) FROM datastore WHERE backend_id = $1 AND host_id IS NULL
   ) AS uses WHERE count > 0`,
);

export interface PendingRow {
  kind: 'zone' | 'rack' | 'backend' | 'datastore';
  id: string;
}

/** What is on its way out and has no user in this room any more; rooms above may still have some. */
export const findRemovable = statement<PendingRow>(
  'infrastructure.removable',
  `SELECT 'datastore' AS kind, d.id FROM datastore AS d WHERE d.state = 'PENDING_DELETE'
   UNION ALL
   SELECT 'rack', r.id FROM rack AS r WHERE r.state = 'PENDING_DELETE' AND NOT EXISTS (SELECT FROM host WHERE rack_id = r.id)
   UNION ALL
   SELECT 'backend', b.id FROM backend AS b WHERE b.state = 'PENDING_DELETE'
     AND NOT EXISTS (SELECT FROM host WHERE backend_id = b.id) AND NOT EXISTS (SELECT FROM datastore WHERE backend_id = b.id)
   UNION ALL
   SELECT 'zone', z.id FROM zone AS z WHERE z.state = 'PENDING_DELETE'
     AND NOT EXISTS (SELECT FROM host WHERE zone_id = z.id) AND NOT EXISTS (SELECT FROM rack WHERE zone_id = z.id)
     AND NOT EXISTS (SELECT FROM datastore WHERE zone_id = z.id)
   LIMIT 100`,
);

const removal = (table: PendingRow['kind']) =>
  statement<never, [id: string]>(`${table}.remove_pending`, `DELETE FROM ${table} WHERE id = $1 AND state = 'PENDING_DELETE'`);

export const removePending = {
  zone: removal('zone'),
  rack: removal('rack'),
  backend: removal('backend'),
  datastore: removal('datastore'),
} as const;
