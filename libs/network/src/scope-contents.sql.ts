import { statement } from '#database';
import type { ScopeContent } from '#tenancy';

/** What is of a tenant, or of one of its projects. */
type ScopeParameters = [tenantId: string, projectId: string | null];

const IN_SCOPE = `tenant_id = $1 AND ($2::text IS NULL OR project_id = $2)`;

/** Load balancers of clusters go with them, and are only counted. */
const DELETABLE = {
  load_balancer: `owner_id IS NULL AND lifecycle <> 'DELETING'`,
  router: `owner_id IS NULL AND lifecycle <> 'DELETING'`,
  floating_ip: `owner_id IS NULL AND lifecycle <> 'DELETING'`,
  network: `lifecycle NOT IN ('PENDING_DELETE', 'DELETING')`,
};

function contentStatements(table: 'load_balancer' | 'network' | 'port' | 'subnet' | 'router' | 'floating_ip' | 'security_group') {
  return {
    count: statement<{ count: number }, ScopeParameters>(`${table}.count_in_scope`, `SELECT count(*) AS count FROM ${table} WHERE ${IN_SCOPE}`),
    list: statement<ScopeContent, [...ScopeParameters, limit: number]>(
      `${table}.list_in_scope`,
      `SELECT id, name FROM ${table} WHERE ${IN_SCOPE} ORDER BY id LIMIT $3::int`,
    ),
  };
}

export const loadBalancersInScope = contentStatements('load_balancer');
export const networksInScope = contentStatements('network');
export const portsInScope = contentStatements('port');
export const subnetsInScope = contentStatements('subnet');
export const routersInScope = contentStatements('router');
export const floatingIpsInScope = contentStatements('floating_ip');
export const securityGroupsInScope = contentStatements('security_group');

/** What operators say of a tenant or project goes with it. */
const OF_SCOPE = `scope_tenant_id = $1 AND ($2::text IS NULL OR scope_project_id = $2)`;

export const policiesInScope = {
  count: statement<{ count: number }, ScopeParameters>('firewall_policy.count_in_scope', `SELECT count(*) AS count FROM firewall_policy WHERE ${OF_SCOPE}`),
  list: statement<ScopeContent, [...ScopeParameters, limit: number]>(
    'firewall_policy.list_in_scope',
    `SELECT id, name FROM firewall_policy WHERE ${OF_SCOPE} ORDER BY id LIMIT $3::int`,
  ),
};

export const findDeletablePolicies = statement<{ id: string }, [...ScopeParameters, limit: number]>(
  'firewall_policy.deletable_in_scope',
  `SELECT id FROM firewall_policy WHERE ${OF_SCOPE} AND lifecycle <> 'DELETING' ORDER BY id LIMIT $3::int`,
);

/** Without those that a port is still in: it goes first. */
export const findDeletableSecurityGroups = statement<{ id: string }, [...ScopeParameters, limit: number]>(
  'security_group.deletable_in_scope',
  `SELECT id FROM security_group AS g WHERE ${IN_SCOPE} AND lifecycle <> 'DELETING'
     AND NOT EXISTS (SELECT FROM port_security_group AS m WHERE m.security_group_id = g.id)
   ORDER BY id LIMIT $3::int`,
);

export const findDeletableLoadBalancers = statement<{ id: string }, [...ScopeParameters, limit: number]>(
  'load_balancer.deletable_in_scope',
  `SELECT id FROM load_balancer WHERE ${IN_SCOPE} AND ${DELETABLE.load_balancer} ORDER BY id LIMIT $3::int`,
);

export const findDeletableRouters = statement<{ id: string }, [...ScopeParameters, limit: number]>(
  'router.deletable_in_scope',
  `SELECT id FROM router WHERE ${IN_SCOPE} AND ${DELETABLE.router} ORDER BY id LIMIT $3::int`,
);

export const findDeletableFloatingIps = statement<{ id: string }, [...ScopeParameters, limit: number]>(
  'floating_ip.deletable_in_scope',
  `SELECT id FROM floating_ip WHERE ${IN_SCOPE} AND ${DELETABLE.floating_ip} ORDER BY id LIMIT $3::int`,
);

export const findDeletableNetworks = statement<{ id: string }, [...ScopeParameters, limit: number]>(
  'network.deletable_in_scope',
  `SELECT id FROM network WHERE ${IN_SCOPE} AND ${DELETABLE.network} ORDER BY id LIMIT $3::int`,
);

/** What a subnet keeps itself is counted with it. */
const GIVEN_OUT = 'owner_id <> subnet_id';

export const countAddressesInScope = statement<{ count: number }, ScopeParameters>(
  'address.count_in_scope',
  `SELECT count(*) AS count FROM address_allocation WHERE ${IN_SCOPE} AND ${GIVEN_OUT}`,
);

export const listAddressesInScope = statement<ScopeContent, [...ScopeParameters, limit: number]>(
  'address.list_in_scope',
  `SELECT owner_id AS id, host(address) AS name FROM address_allocation WHERE ${IN_SCOPE} AND ${GIVEN_OUT}
   ORDER BY owner_id, address LIMIT $3::int`,
);
