import { constraintMeans, statement } from '#database';
import { backendGone, type InfrastructureUsers } from '#infrastructure';

for (const constraint of ['external_network_backend', 'router_backend', 'network_backend_known']) constraintMeans(constraint, backendGone);

const count = (name: string, text: string) => statement<{ count: number }, [backendId: string]>(`${name}.count_of_backend`, text);

const ON_BACKENDS = {
  'external networks': count('external_network', 'SELECT count(*) AS count FROM external_network WHERE backend_id = $1'),
  'floating IPs': count(
    'floating_ip',
    `SELECT count(*) AS count FROM floating_ip AS f JOIN external_network AS e ON e.id = f.external_network_id WHERE e.backend_id = $1`,
  ),
  routers: count('router', 'SELECT count(*) AS count FROM router WHERE backend_id = $1'),
  networks: count('network', 'SELECT count(*) AS count FROM network_backend WHERE backend_id = $1'),
};

/** Tells infrastructure which backends cannot go yet: none of these could ever be deleted without its backend. */
export const networkBackendUsers: readonly InfrastructureUsers[] = Object.entries(ON_BACKENDS).map(([name, uses]) => ({
  name,
  count: async (reader, noun, id) => (noun === 'backend' ? ((await reader.first(uses, id))?.count ?? 0) : 0),
}));
