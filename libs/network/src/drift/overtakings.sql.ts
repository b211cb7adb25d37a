import { statement } from '#database';

const overtake = (table: string) =>
  statement<never, [id: string, revision: number]>(
    `network_drift.overtake_${table}`,
    `UPDATE ${table} SET desired_revision = greatest(desired_revision, $2::bigint + 1) WHERE id = $1`,
  );

/** From now on the backend is told higher revisions than the one that it was seen with. */
export const overtakings = {
  external_network: overtake('external_network'),
  floating_ip: overtake('floating_ip'),
  load_balancer: overtake('load_balancer'),
  network: overtake('network'),
  port: overtake('port'),
  provider_router: overtake('provider_router'),
  router: overtake('router'),
  security_group: overtake('security_group'),
} as const;
export type OvertakenTable = keyof typeof overtakings;

/** The same of the firewall: what it is told next is everybody's. */
export const overtakeFirewall = statement<never, [revision: number]>(
  'network_drift.overtake_firewall',
  `WITH next AS (UPDATE firewall SET last_revision = greatest(last_revision, $1::bigint) + 1 RETURNING last_revision AS revision)
   INSERT INTO firewall_scope (tenant_id, changed_revision) SELECT '', next.revision FROM next
   ON CONFLICT (tenant_id) DO UPDATE SET changed_revision = excluded.changed_revision, changed_at = now()`,
);
