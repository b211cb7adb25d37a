import { ChangeSet, type Reader, type Statement } from '#database';
import { ContentsOrder, type GoingScope, type ScopeContent, type ScopeContents } from '#tenancy';
import { planPolicyDeletion } from './firewall-policy/firewall-policy.service.js';
import { findFirewallPolicies } from './firewall-policy/firewall-policy.sql.js';
import { planFloatingIpDeletion } from './floating-ip/floating-ip.service.js';
import { findFloatingIps } from './floating-ip/floating-ip.sql.js';
import { planLoadBalancerDeletion } from './load-balancer/load-balancer.service.js';
import { findLoadBalancers } from './load-balancer/load-balancer.sql.js';
import { planNetworkDeletion } from './network/network.service.js';
import { findNetworks } from './network/network.sql.js';
import { planRouterDeletion } from './router/router.service.js';
import { findRouters } from './router/router.sql.js';
import { GROUP_CLAIMS } from './security-group/group-claims.js';
import { planSecurityGroupDeletion } from './security-group/security-group.service.js';
import { findSecurityGroups } from './security-group/security-group.sql.js';
import * as sql from './scope-contents.sql.js';

interface ContentQueries {
  count: Statement<{ count: number }, [tenantId: string, projectId: string | null]>;
  list: Statement<ScopeContent, [tenantId: string, projectId: string | null, limit: number]>;
}

function contents(kind: string, order: number, queries: ContentQueries): ScopeContents {
  return {
    kind,
    order,
    count: async (reader, scope) => (await reader.first(queries.count, scope.tenantId, scope.projectId))?.count ?? 0,
    list: (reader, scope, limit) => reader.rows(queries.list, scope.tenantId, scope.projectId, limit),
  };
}

async function planLoadBalancers(reader: Reader, scope: GoingScope, limit: number): Promise<ChangeSet> {
  const ids = await reader.rows(sql.findDeletableLoadBalancers, scope.tenantId, scope.projectId, limit);
  const changes = new ChangeSet();
  if (ids.length === 0) return changes;
  for (const row of await reader.rows(findLoadBalancers, ids.map((each) => each.id))) changes.include(planLoadBalancerDeletion(row));
  return changes;
}

async function planNetworks(reader: Reader, scope: GoingScope, limit: number): Promise<ChangeSet> {
  const ids = await reader.rows(sql.findDeletableNetworks, scope.tenantId, scope.projectId, limit);
  const changes = new ChangeSet();
  if (ids.length === 0) return changes;
  for (const row of await reader.rows(findNetworks, ids.map((each) => each.id))) changes.include(planNetworkDeletion(row));
  return changes;
}

async function planRouters(reader: Reader, scope: GoingScope, limit: number): Promise<ChangeSet> {
  const ids = await reader.rows(sql.findDeletableRouters, scope.tenantId, scope.projectId, limit);
  const changes = new ChangeSet();
  if (ids.length === 0) return changes;
  for (const row of await reader.rows(findRouters, ids.map((each) => each.id))) changes.include(planRouterDeletion(row));
  return changes;
}

async function planFloatingIps(reader: Reader, scope: GoingScope, limit: number): Promise<ChangeSet> {
  const ids = await reader.rows(sql.findDeletableFloatingIps, scope.tenantId, scope.projectId, limit);
  const changes = new ChangeSet();
  if (ids.length === 0) return changes;
  for (const row of await reader.rows(findFloatingIps, ids.map((each) => each.id))) changes.include(planFloatingIpDeletion(row));
  return changes;
}

/** Groups may name each other, which keeps none of them when all go. */
async function planSecurityGroups(reader: Reader, scope: GoingScope, limit: number): Promise<ChangeSet> {
  const ids = await reader.rows(sql.findDeletableSecurityGroups, scope.tenantId, scope.projectId, limit);
  const changes = new ChangeSet();
  if (ids.length === 0) return changes;
  changes.add(GROUP_CLAIMS, { action: 'LET_GO', securityGroupIds: ids.map((each) => each.id) });
  for (const row of await reader.rows(findSecurityGroups, ids.map((each) => each.id))) changes.include(planSecurityGroupDeletion(row));
  return changes;
}

async function planPolicies(reader: Reader, scope: GoingScope, limit: number): Promise<ChangeSet> {
  const ids = await reader.rows(sql.findDeletablePolicies, scope.tenantId, scope.projectId, limit);
  const changes = new ChangeSet();
  if (ids.length === 0) return changes;
  for (const row of await reader.rows(findFirewallPolicies, ids.map((each) => each.id))) changes.include(planPolicyDeletion(row));
  return changes;
}

/** What this room keeps in tenants and projects; subnets, ports and addresses go with what they belong to. */
export const networkScopeContents: readonly ScopeContents[] = [
  { ...contents('floating ip', ContentsOrder.FLOATING_IP, sql.floatingIpsInScope), planDeletion: planFloatingIps },
  { ...contents('load balancer', ContentsOrder.LOAD_BALANCER, sql.loadBalancersInScope), planDeletion: planLoadBalancers },
  { ...contents('router', ContentsOrder.ROUTER, sql.routersInScope), planDeletion: planRouters },
  { ...contents('network', ContentsOrder.NETWORK, sql.networksInScope), planDeletion: planNetworks },
  { ...contents('security group', ContentsOrder.NETWORK, sql.securityGroupsInScope), planDeletion: planSecurityGroups },
  { ...contents('firewall policy', ContentsOrder.NETWORK, sql.policiesInScope), planDeletion: planPolicies },
  contents('port', ContentsOrder.CLAIM, sql.portsInScope),
  contents('subnet', ContentsOrder.CLAIM, sql.subnetsInScope),
  contents('address', ContentsOrder.CLAIM, { count: sql.countAddressesInScope, list: sql.listAddressesInScope }),
];
