import type { Row } from '#ovsdb';
import type { Draft } from '../draft.js';
import { Mark, marksOf, type ExternalIds, type MarkedResource } from '../marks.js';
import { rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';

/**
 * The links between routers and networks have /30 blocks out of 100.64.0.0/24 (RFC 6598), the same ones on every router:
 * each sees only its own. No subnet lies there.
 */
export function linkAddresses(link: number): { router: string; network: string } {
  const first = link * 4;
  return { router: `100.64.0.${first + 1}`, network: `100.64.0.${first + 2}` };
}

/** Both ends of a link: the router's port, and the one of the network's own router, of which there is one. */
export const routerEndName = (routerId: string, networkId: string): string => `${routerId}-${networkId}`;
export const networkEndName = (networkId: string): string => `${networkId}-uplink`;
export const networkEndUuid = (networkId: string): string => rowUuid('Logical_Router_Port', networkEndName(networkId));

export interface LinkedRouter {
  routerId: string;
  /** Of the rows that are written. */
  revision: number;
  ownership: MarkedResource['ownership'];
  /** By which address machines reach the outside; empty when they do not. */
  sourceNat: string;
}

/** What there is of a router that belongs to its networks' subnets. */
export interface SubnetPaths {
  router: Pick<Northbound['Logical_Router'], 'static_routes' | 'nat'> | undefined;
  routes: readonly Row<Northbound['Logical_Router_Static_Route']>[];
  nats: readonly Row<Northbound['NAT']>[];
}

export interface LinkedSubnet {
  subnetId: string;
  cidr: string;
}

const routeUuid = (routerId: string, subnetId: string): string => rowUuid('Logical_Router_Static_Route', `${routerId}/${subnetId}`);
const sourceNatUuid = (routerId: string, subnetId: string): string => rowUuid('NAT', `${routerId}/${subnetId}`);

/**
 * Leads a router to the subnets of one of its networks, and lets their machines out by its address. One rule for each
 * subnet: a rule for everything would catch also what machines of the router send to its floating addresses.
 * @param seen what there is of that network
 */
export function writeSubnetPaths(draft: Draft, router: LinkedRouter, network: { networkId: string; link: number }, subnets: readonly LinkedSubnet[], seen: SubnetPaths): void {
  const { routerId, revision, ownership, sourceNat } = router;
  const { networkId, link } = network;
  const routerUuid = rowUuid('Logical_Router', routerId);
  const wanted = new Set<string>();
  for (const { subnetId, cidr } of subnets) {
    const marks = (kind: 'ROUTE' | 'SOURCE_NAT'): ExternalIds =>
      marksOf({ kind, id: routerId, revision, networkId, ownership }, { [Mark.ROUTER]: routerId, [Mark.SUBNET]: subnetId });
    const route = routeUuid(routerId, subnetId);
    wanted.add(route);
    draft.ensure('Logical_Router_Static_Route', route, seen.routes.find(({ _uuid }) => _uuid === route), {
      ip_prefix: cidr,
      nexthop: linkAddresses(link).network,
      output_port: routerEndName(routerId, networkId),
      external_ids: marks('ROUTE'),
    });
    if (seen.router?.static_routes.has(route) !== true) draft.join('Logical_Router', routerUuid, 'static_routes', route);
    if (sourceNat === '') continue;
    const nat = sourceNatUuid(routerId, subnetId);
    wanted.add(nat);
    draft.ensure('NAT', nat, seen.nats.find(({ _uuid }) => _uuid === nat), {
      type: 'snat',
      external_ip: sourceNat,
      logical_ip: cidr,
      external_ids: marks('SOURCE_NAT'),
    });
    if (seen.router?.nat.has(nat) !== true) draft.join('Logical_Router', routerUuid, 'nat', nat);
  }
  // Without the router that holds them they go by themselves.
  for (const { _uuid } of seen.routes) if (!wanted.has(_uuid)) draft.leave('Logical_Router', routerUuid, 'static_routes', _uuid);
  for (const { _uuid } of seen.nats) if (!wanted.has(_uuid)) draft.leave('Logical_Router', routerUuid, 'nat', _uuid);
}
