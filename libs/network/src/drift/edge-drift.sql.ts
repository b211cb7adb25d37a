import { statement } from '#database';
import { MAY_LEAD } from '../external-network/external-network.sql.js';

/** A part of a backend's edge that it shall have and was known to have, or has lost the ground of. */
export interface ExpectedEdgePart {
  id: string;
  kind: 'EXTERNAL_NETWORK' | 'PROVIDER_ROUTER' | 'ROUTER' | 'FLOATING_IP';
  /** Null of what is no tenant's. */
  tenant_id: string | null;
  project_id: string | null;
  desired_revision: number;
  realised_revision: number;
  /** Of a floating IP: its backend shall have nothing of it. */
  is_led_nowhere: boolean;
}

export const findBackendsWithEdge = statement<{ backend_id: string }, [limit: number]>(
  'edge_drift.backends',
  `SELECT backend_id FROM external_network UNION SELECT backend_id FROM router ORDER BY backend_id LIMIT $1::int`,
);

/** A page by id. What an operation is still bringing up, taking down or has only just changed is left out. */
export const findExpectedEdgeParts = statement<ExpectedEdgePart, [backendId: string, after: string, limit: number, unchangedSince: Date]>(
  'edge_drift.expected',
  `SELECT * FROM (
     (SELECT id, 'EXTERNAL_NETWORK' AS kind, tenant_id, project_id, desired_revision, realised_revision, false AS is_led_nowhere FROM external_network
      WHERE backend_id = $1 AND id > $2 AND lifecycle = 'PRESENT' AND updated_at < $4
      ORDER BY id LIMIT $3::int)
     UNION ALL
     (SELECT id, 'PROVIDER_ROUTER', tenant_id, project_id, desired_revision, realised_revision, false FROM provider_router
      WHERE backend_id = $1 AND id > $2 AND lifecycle = 'PRESENT' AND updated_at < $4
      ORDER BY id LIMIT $3::int)
     UNION ALL
     (SELECT id, 'ROUTER', tenant_id, project_id, desired_revision, realised_revision, false FROM router
      WHERE backend_id = $1 AND id > $2 AND lifecycle = 'PRESENT' AND updated_at < $4
      ORDER BY id LIMIT $3::int)
     UNION ALL
     (SELECT f.id, 'FLOATING_IP', f.tenant_id, f.project_id, f.desired_revision, f.realised_revision, f.network_id IS NULL FROM floating_ip AS f
      JOIN external_network AS e ON e.id = f.external_network_id
      WHERE e.backend_id = $1 AND f.id > $2 AND (f.network_id IS NULL OR f.realised_revision > 0) AND f.lifecycle = 'PRESENT'
        AND f.updated_at < $4
      ORDER BY f.id LIMIT $3::int)
   ) AS part ORDER BY id COLLATE "C" LIMIT $3::int`,
);

/**
 * Those whose uplink their backend was told to lead by other hosts than it would be now: some have come or gone, or reach
 * outside no more. Where none does, no other is better.
 */
export const findMovedGateways = statement<
  Pick<ExpectedEdgePart, 'id' | 'kind' | 'tenant_id' | 'project_id' | 'desired_revision'>,
  [backendId: string, gatewayHosts: number, limit: number]
>(
  'edge_drift.moved_gateways',
  `SELECT l.id, l.kind, l.tenant_id, l.project_id, l.desired_revision FROM (
     SELECT id, 'ROUTER' AS kind, tenant_id, project_id, desired_revision, gateway_hosts, external_network_id FROM router
     WHERE backend_id = $1 AND lifecycle = 'PRESENT' AND realised_revision > 0 AND external_network_id IS NOT NULL
     UNION ALL
     SELECT id, 'PROVIDER_ROUTER', tenant_id, project_id, desired_revision, gateway_hosts, external_network_id FROM provider_router
     WHERE backend_id = $1 AND lifecycle = 'PRESENT' AND realised_revision > 0
   ) AS l JOIN external_network AS e ON e.id = l.external_network_id
   WHERE e.connected_hosts IS DISTINCT FROM '{}' AND l.gateway_hosts <> ARRAY(
     SELECT h.name FROM host AS h WHERE h.backend_id = $1 AND ${MAY_LEAD}
     ORDER BY h.intent <> 'ENABLED', md5(l.id || h.id), h.id LIMIT $2::int)
   ORDER BY l.id LIMIT $3::int`,
);
