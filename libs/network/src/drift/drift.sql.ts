import { statement } from '#database';

/** A part that a backend shall have and was known to have. */
export interface ExpectedPart {
  id: string;
  kind: 'NETWORK' | 'PORT' | 'LOAD_BALANCER';
  network_id: string;
  desired_revision: number;
  realised_revision: number;
}

export const findBackendsInUse = statement<{ backend_id: string }, [limit: number]>(
  'network_drift.backends',
  'SELECT DISTINCT backend_id FROM network_backend ORDER BY backend_id LIMIT $1::int',
);

/**
 * A page of what a backend shall have, by id. What an operation is still bringing up, taking down or has only just changed
 * is left out: a listing may lag behind.
 */
export const findExpectedParts = statement<ExpectedPart, [backendId: string, after: string, limit: number, unchangedSince: Date]>(
  'network_drift.expected',
  `SELECT * FROM (
     (SELECT n.id, 'NETWORK' AS kind, n.id AS network_id, n.desired_revision, b.realised_revision
      FROM network_backend AS b JOIN network AS n ON n.id = b.network_id
      WHERE b.backend_id = $1 AND n.id > $2 AND b.realised_revision > 0 AND n.lifecycle = 'PRESENT' AND n.updated_at < $4
      ORDER BY n.id LIMIT $3::int)
     UNION ALL
     (SELECT id, 'PORT', network_id, desired_revision, realised_revision FROM port
      WHERE backend_id = $1 AND id > $2 AND realised_revision > 0 AND lifecycle = 'PRESENT' AND updated_at < $4
      ORDER BY id LIMIT $3::int)
     UNION ALL
     (SELECT id, 'LOAD_BALANCER', network_id, desired_revision, realised_revision FROM load_balancer
      WHERE backend_id = $1 AND id > $2 AND realised_revision > 0 AND lifecycle = 'PRESENT' AND updated_at < $4
      ORDER BY id LIMIT $3::int)
   ) AS part ORDER BY id COLLATE "C" LIMIT $3::int`,
);
