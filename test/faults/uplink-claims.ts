import { statement } from '#database';

/** Routers with an uplink have an address there, and addresses of transit blocks are those of routers, and of floating IPs for as long as they lead through them. */
export const uplinkClaims = statement<{ violation: string }, [tenantId: string]>(
  'faults.uplink_claims',
  `SELECT concat('transit address without need: ', host(t.address), ' of ', t.owner_id) AS violation
   FROM transit_address AS t WHERE t.tenant_id = $1
     AND NOT EXISTS (SELECT FROM router AS r WHERE r.id = t.owner_id AND r.provider_router_id = t.provider_router_id AND r.transit_address = t.address
       AND r.lifecycle <> 'FAILED')
     AND NOT EXISTS (SELECT FROM floating_ip AS f JOIN router_network AS n ON n.network_id = f.network_id JOIN router AS r ON r.id = n.router_id
       WHERE f.id = t.owner_id AND r.provider_router_id = t.provider_router_id)
   UNION ALL
   SELECT concat('floating IP without its transit address: ', f.id)
   FROM floating_ip AS f JOIN router_network AS n ON n.network_id = f.network_id JOIN router AS r ON r.id = n.router_id
   WHERE f.tenant_id = $1 AND r.provider_router_id IS NOT NULL
     AND NOT EXISTS (SELECT FROM transit_address AS t WHERE t.owner_id = f.id AND t.provider_router_id = r.provider_router_id)
   UNION ALL
   SELECT concat('router with an uplink without its address: ', r.id) FROM router AS r
   WHERE r.tenant_id = $1 AND r.lifecycle <> 'FAILED' AND (r.external_network_id IS NOT NULL AND r.external_address IS NULL
     OR r.provider_router_id IS NOT NULL AND r.transit_address IS NULL)`,
);
