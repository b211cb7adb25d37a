import { Transaction, type Row } from '#ovsdb';
import type { CallTime, Store } from '../backend.js';
import type { Draft } from '../draft.js';
import type { Network } from '../input.js';
import { carries, Mark, revisionOf, type ExternalIds } from '../marks.js';
import { rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import { networkEndUuid, writeSubnetPaths, type SubnetPaths } from './router-links.js';
import { expectBalancers, readBalancers, readLinkedNetworks, type BalancersByNetwork } from './shared-balancers.js';
import type { SubnetRows } from './subnets.js';

/** The router that a network is on, as far as the network's subnets concern it. */
export interface Attachment extends SubnetPaths {
  end: { external_ids: ExternalIds };
  router: Pick<Northbound['Logical_Router'], 'static_routes' | 'nat' | 'external_ids'>;
  /** Load balancers under floating addresses of the router, of all its networks. */
  balancers: Row<Pick<Northbound['Load_Balancer'], 'external_ids'>>[];
  /** Those of the router's other networks. */
  shared: BalancersByNetwork;
}

/** @returns no end when it is on none; without the attachment when the router is to be told again, and with it its networks' paths */
export async function readAttachment(
  backend: Store,
  time: CallTime,
  networkId: string,
): Promise<{ end: Attachment['end'] | undefined; attachment: Attachment | undefined }> {
  const looking = new Transaction<Northbound>();
  const ends = looking.select('Logical_Router_Port', [['_uuid', '==', networkEndUuid(networkId)]], ['external_ids']);
  const [end] = (await backend.read(time, looking)).of(ends);
  if (end === undefined) return { end, attachment: undefined };
  const routerId = routerOf(end);
  const reading = new Transaction<Northbound>();
  const ofNetwork = { ROUTER: routerId, NETWORK: networkId };
  const routers = reading.select('Logical_Router', [['_uuid', '==', rowUuid('Logical_Router', routerId)]]);
  const routes = reading.select('Logical_Router_Static_Route', [carries({ KIND: 'ROUTE', ...ofNetwork })]);
  const nats = reading.select('NAT', [carries({ KIND: 'SOURCE_NAT', ...ofNetwork })]);
  const balancers = reading.select('Load_Balancer', [carries({ KIND: 'FLOATING_IP', ROUTER: routerId })], ['external_ids']);
  const found = await backend.read(time, reading);
  const [router] = found.of(routers);
  if (router === undefined) return { end, attachment: undefined };
  const others = (await readLinkedNetworks(backend, time, routerId)).filter((each) => each !== networkId);
  const shared = await readBalancers(backend, time, others);
  const attachment = { end, router, routes: found.of(routes), nats: found.of(nats), balancers: found.of(balancers), shared };
  return { end, attachment };
}

/**
 * The router keeps up with the network's subnets, and new switches get the load balancers of all of its networks.
 * @param seen what there is of the network's subnets, in their order
 */
export function writeAttachment(draft: Draft, network: Network, attachment: Attachment, seen: readonly SubnetRows[]): void {
  const { end, router, balancers, shared } = attachment;
  const { networkId, ownership, subnets } = network;
  const routerId = routerOf(end);
  draft.expect('Logical_Router', rowUuid('Logical_Router', routerId), router);
  draft.expectRows('Load_Balancer', carries({ KIND: 'FLOATING_IP', ROUTER: routerId }), 'external_ids', balancers);
  expectBalancers(draft, shared);
  const linked = { routerId, revision: revisionOf(router.external_ids), ownership, sourceNat: router.external_ids.get(Mark.SOURCE_NAT) ?? '' };
  writeSubnetPaths(draft, linked, { networkId, link: Number(end.external_ids.get(Mark.LINK)) }, subnets, attachment);
  for (const { _uuid: balancer } of [...balancers, ...[...shared.values()].flat()]) {
    subnets.forEach(({ subnetId }, index) => {
      if (seen[index]?.switch?.load_balancer.has(balancer) === true) return;
      draft.join('Logical_Switch', rowUuid('Logical_Switch', subnetId), 'load_balancer', balancer);
    });
  }
}

const routerOf = ({ external_ids: marks }: { external_ids: ExternalIds }): string => marks.get(Mark.ROUTER) ?? '';
