import { statement } from '#database';

/** A part of a backend's edge that it shall have and was known to have, or has lost the ground of. */
export interface ExpectedEdgePart {
  id: string;
  kind: 'EXTERNAL_NETWORK' | 'ROUTER' | 'FLOATING_IP';
  /** Null of an external network. */
  tenant_id: string | null;
  project_id: string | null;
  desired_revision: number;
  realised_revision: number;
}

export const findBackendsWithEdge = statement<{ backend_id: string }, [limit: number]>(
  'edge_drift.backends',
  `SELECT backend_id FROM external_network UNION SELECT backend_id FROM router ORDER BY backend_id LIMIT $1::int`,
);

/** A page by id. What an operation is still bringing up, taking down or has only just changed is left out. */
export const findExpectedEdgeParts = statement<ExpectedEdgePart, [backendId: string, after: string, limit: number, unchangedSince: Date]>(
  'edge_drift.expected',
  `SELECT * FROM (
     (SELECT id, 'EXTERNAL_NETWORK' AS kind, tenant_id, project_id, desired_revision, realised_revision FROM external_network
      WHERE backend_id = $1 AND id > $2 AND lifecycle = 'PRESENT' AND updated_at < $4
      ORDER BY id LIMIT $3::int)
     UNION ALL
     (SELECT id, 'ROUTER', tenant_id, project_id, desired_revision, realised_revision FROM router
      WHERE backend_id = $1 AND id > $2 AND lifecycle = 'PRESENT' AND updated_at < $4
      ORDER BY id LIMIT $3::int)
     UNION ALL
     (SELECT f.id, 'FLOATING_IP', f.tenant_id, f.project_id, f.desired_revision, f.realised_revision FROM floating_ip AS f
      JOIN external_network AS e ON e.id = f.external_network_id
      WHERE e.backend_id = $1 AND f.id > $2 AND f.network_id IS NOT NULL AND f.realised_revision > 0 AND f.lifecycle = 'PRESENT'
        AND f.updated_at < $4
      ORDER BY f.id LIMIT $3::int)
   ) AS part ORDER BY id COLLATE "C" LIMIT $3::int`,
);

/** Routers with an uplink whose backend was told of other hosts than it would be now: some have come or gone. */
export const findMovedGateways = statement<
  { id: string; tenant_id: string; project_id: string },
  [backendId: string, gatewayHosts: number, limit: number]
>(
  'edge_drift.moved_gateways',
  `SELECT r.id, r.tenant_id, r.project_id FROM router AS r
   WHERE r.backend_id = $1 AND r.lifecycle = 'PRESENT' AND r.realised_revision > 0 AND r.external_network_id IS NOT NULL
     AND r.gateway_hosts <> ARRAY(
       SELECT h.name FROM host AS h WHERE h.backend_id = r.backend_id
       ORDER BY h.intent <> 'ENABLED', md5(r.id || h.id), h.id LIMIT $2::int)
   ORDER BY r.id LIMIT $3::int`,
);
