import { notFound } from '#core';
import { uplinkTarget, type Outcome, type RouterSpecification, type UplinkSpecification } from '#drivers';
import { Transaction, type Monitor, type Row } from '#ovsdb';
import type { CallTime, Store } from '../backend.js';
import { Draft } from '../draft.js';
import { inUse } from '../errors.js';
import { carries, Mark, marksOf, requireOwn, revisionOf, type ExternalIds, type RowKind } from '../marks.js';
import { macOf, rowUuid } from '../names.js';
import type { MarkedTable, Northbound } from '../schema/northbound.js';
import type { Southbound } from '../schema/southbound.js';
import { told } from '../specification.js';
import {
  defaultRouteUuid,
  EVERYWHERE,
  leaveOutside,
  plugIn,
  rankedChassis,
  readGateway,
  unplug,
  type FoundGateway,
} from './gateways.js';
import { chassisGroupUuid } from './provider-routers.js';
import {
  linkAddresses,
  networkEndName,
  networkEndUuid,
  routerEndName,
  writeSubnetPaths,
  type LinkedSubnet,
} from './router-links.js';
import { expectBalancers, readBalancers, separate, type BalancersByNetwork } from './shared-balancers.js';

type Rows<Table extends MarkedTable> = Row<Northbound[Table]>[];

/** What there is of a router. */
interface Found {
  router: Northbound['Logical_Router'] | undefined;
  ports: Rows<'Logical_Router_Port'>;
  routes: Rows<'Logical_Router_Static_Route'>;
  nats: Rows<'NAT'>;
  chassis: Rows<'Gateway_Chassis'>;
  gateway: FoundGateway;
  /** The hosts of the provider's router that the uplink leads to. */
  group: Pick<Northbound['HA_Chassis_Group'], 'name'> | undefined;
  /** Floating addresses that lead to load balancers. */
  balancers: Rows<'Load_Balancer'>;
  /** Of the networks that it has and of those that it shall have. */
  shared: BalancersByNetwork;
  /** In the order of the specification. */
  networks: FoundNetwork[];
}

interface FoundNetwork {
  network: Northbound['Logical_Router'] | undefined;
  end: Northbound['Logical_Router_Port'] | undefined;
  route: Northbound['Logical_Router_Static_Route'] | undefined;
  subnets: LinkedSubnet[];
  switches: Rows<'Logical_Switch'>;
}

/**
 * A tenant's router is a logical router, linked to the own router of each of its networks by a pair of ports. Its uplink is
 * a distributed gateway port (ovn-nb(5), `gateway_chassis`): what machines send without a floating address leaves by the
 * first live host of those that the specification names, or of the provider's router that the uplink leads to.
 */
export class Routers {
  constructor(
    private readonly backend: Store,
    private readonly southbound: Monitor<Southbound>,
  ) {}

  async ensure(time: CallTime, router: RouterSpecification): Promise<Outcome<void>> {
    return this.backend.settle(time, async () => {
      const found = await this.#read(time, router);
      return this.#plan(router, found);
    });
  }

  async #read(time: CallTime, { routerId, networks, uplink }: RouterSpecification): Promise<Found> {
    const reading = new Transaction<Northbound>();
    const ofRouter = [carries({ ROUTER: routerId })];
    const routers = reading.select('Logical_Router', [['_uuid', '==', rowUuid('Logical_Router', routerId)]]);
    const ports = reading.select('Logical_Router_Port', ofRouter);
    const routes = reading.select('Logical_Router_Static_Route', ofRouter);
    const nats = reading.select('NAT', ofRouter);
    const chassis = reading.select('Gateway_Chassis', ofRouter);
    const gateway = readGateway(reading, routerId, uplink === null ? null : uplinkTarget(uplink));
    const groups = reading.select('HA_Chassis_Group', [['_uuid', '==', chassisGroupUuid(providerRouterOf(uplink))]], ['name']);
    const balancers = reading.select('Load_Balancer', [carries({ KIND: 'FLOATING_IP', ROUTER: routerId })]);
    const ofNetworks = networks.map(({ networkId }) => ({
      network: reading.select('Logical_Router', [['_uuid', '==', rowUuid('Logical_Router', networkId)]]),
      end: reading.select('Logical_Router_Port', [['_uuid', '==', networkEndUuid(networkId)]]),
      route: reading.select('Logical_Router_Static_Route', [['_uuid', '==', defaultRouteUuid(networkId)]]),
      subnets: reading.select('DHCP_Options', [carries({ KIND: 'DHCP', NETWORK: networkId })], ['cidr', 'external_ids']),
      switches: reading.select('Logical_Switch', [carries({ KIND: 'SUBNET', NETWORK: networkId })]),
    }));
    const found = await this.backend.read(time, reading);
    const networkIds = [...networks.map(({ networkId }) => networkId), ...networksOf(found.of(ports).filter(isOf('ROUTER_LINK')))];
    return {
      router: found.of(routers)[0],
      ports: found.of(ports),
      routes: found.of(routes),
      nats: found.of(nats),
      chassis: found.of(chassis),
      gateway: gateway(found),
      group: found.of(groups)[0],
      balancers: found.of(balancers),
      shared: await readBalancers(this.backend, time, networkIds),
      networks: ofNetworks.map(({ network, end, route, subnets, switches }) => ({
        network: found.of(network)[0],
        end: found.of(end)[0],
        route: found.of(route)[0],
        subnets: found.of(subnets).map(({ cidr, external_ids: marks }) => ({ subnetId: marks.get(Mark.ID) ?? '', cidr })),
        switches: found.of(switches),
      })),
    };
  }

  /** @returns undefined when a newer revision is there */
  #plan(router: RouterSpecification, found: Found): Draft | undefined {
    const { routerId, revision, ownership, uplink } = router;
    requireOwn(this.backend.id, ownership.installationId, 'router', routerId, found.router);
    if (found.router !== undefined && revisionOf(found.router.external_ids) > revision) return undefined;
    this.#requireParts(router, found);
    requireUnneeded(router, found);

    const draft = new Draft();
    const routerUuid = rowUuid('Logical_Router', routerId);
    const sourceNat = uplink !== null && uplink.sourceNat ? uplink.address : '';
    draft.ensure('Logical_Router', routerUuid, found.router, {
      name: routerId,
      external_ids: marksOf(
        { kind: 'ROUTER', id: routerId, revision, ownership },
        { [Mark.ROUTER]: routerId, [Mark.SOURCE_NAT]: sourceNat, [Mark.PROVIDER_ROUTER]: providerRouterOf(uplink), ...told(router) },
      ),
    });
    // A floating address that comes meanwhile would not be on all networks, or need what goes.
    const floating = carries({ KIND: 'FLOATING_IP', ROUTER: routerId });
    draft.expectRows('NAT', floating, 'external_ids', found.nats.filter(isFloating));
    draft.expectRows('Load_Balancer', floating, 'external_ids', found.balancers);
    expectBalancers(draft, found.shared);
    router.networks.forEach((_, index) => this.#link(draft, router, found, index, sourceNat));
    unlink(draft, router, found);
    if (uplink === null) unplug(draft, routerId, found.router, found.gateway);
    else this.#plug(draft, router, uplink, found);
    return draft;
  }

  #requireParts({ routerId, ownership, networks, uplink }: RouterSpecification, found: Found): void {
    const { installationId } = ownership;
    if (uplink !== null) {
      const noun = 'providerRouterId' in uplink ? 'provider router' : 'external network';
      const { outside } = found.gateway;
      if (outside === undefined || ('providerRouterId' in uplink && found.group === undefined)) throw notFound(noun, uplinkTarget(uplink));
      requireOwn(this.backend.id, installationId, noun, uplinkTarget(uplink), outside);
    }
    networks.forEach(({ networkId }, index) => {
      const { network, end } = found.networks[index] ?? {};
      if (network === undefined) throw notFound('network', networkId);
      requireOwn(this.backend.id, installationId, 'network', networkId, network);
      const other = end?.external_ids.get(Mark.ROUTER);
      if (other !== undefined && other !== routerId) throw inUse(`The network "${networkId}" is on the router "${other}".`);
    });
  }

  /** One network: the pair of ports, the way out of the network, and the ways to its subnets. */
  #link(draft: Draft, router: RouterSpecification, found: Found, index: number, sourceNat: string): void {
    const { routerId, revision, ownership } = router;
    const attached = router.networks[index];
    const there = found.networks[index];
    if (attached === undefined || there?.network === undefined) return;
    const { networkId, link } = attached;
    const { network, end, route, subnets, switches } = there;
    const routerUuid = rowUuid('Logical_Router', routerId);
    const networkUuid = rowUuid('Logical_Router', networkId);
    // Its subnets must still be those.
    draft.expect('Logical_Router', networkUuid, network);
    const marks = (kind: RowKind): ExternalIds =>
      marksOf({ kind, id: routerId, revision, networkId, ownership }, { [Mark.ROUTER]: routerId, [Mark.LINK]: String(link) });
    const addresses = linkAddresses(link);
    const names = { router: routerEndName(routerId, networkId), network: networkEndName(networkId) };
    const routerEnd = rowUuid('Logical_Router_Port', names.router);
    draft.ensure('Logical_Router_Port', routerEnd, found.ports.find(({ _uuid }) => _uuid === routerEnd), {
      name: names.router,
      mac: macOf(`link/${names.router}`),
      networks: new Set([`${addresses.router}/30`]),
      peer: names.network,
      external_ids: marks('ROUTER_LINK'),
    });
    if (found.router?.ports.has(routerEnd) !== true) draft.join('Logical_Router', routerUuid, 'ports', routerEnd);
    draft.ensure('Logical_Router_Port', networkEndUuid(networkId), end, {
      name: names.network,
      mac: macOf(`link/${names.network}`),
      networks: new Set([`${addresses.network}/30`]),
      peer: names.router,
      external_ids: marks('ROUTER_LINK'),
    });
    if (!network.ports.has(networkEndUuid(networkId))) draft.join('Logical_Router', networkUuid, 'ports', networkEndUuid(networkId));
    const out = defaultRouteUuid(networkId);
    draft.ensure('Logical_Router_Static_Route', out, route, {
      ip_prefix: EVERYWHERE,
      nexthop: addresses.router,
      output_port: names.network,
      external_ids: marks('UPLINK'),
    });
    if (!network.static_routes.has(out)) draft.join('Logical_Router', networkUuid, 'static_routes', out);
    const ofNetwork = (row: { external_ids: ExternalIds }): boolean => row.external_ids.get(Mark.NETWORK) === networkId;
    writeSubnetPaths(draft, { routerId, revision, ownership, sourceNat }, attached, subnets, {
      router: found.router,
      routes: found.routes.filter((row) => isOf('ROUTE')(row) && ofNetwork(row)),
      nats: found.nats.filter((row) => isOf('SOURCE_NAT')(row) && ofNetwork(row)),
    });
    // Machines of the router's other networks reach a load balancer where they are, by its floating address and its own.
    const shared = router.networks.flatMap((each) => found.shared.get(each.networkId) ?? []);
    for (const { _uuid: balancer } of [...found.balancers, ...shared]) {
      for (const each of switches) if (!each.load_balancer.has(balancer)) draft.join('Logical_Switch', each._uuid, 'load_balancer', balancer);
    }
  }

  #plug(draft: Draft, router: RouterSpecification, uplink: UplinkSpecification, found: Found): void {
    const { routerId, revision, ownership } = router;
    const isBehind = 'providerRouterId' in uplink;
    const marks = marksOf(
      { kind: 'UPLINK', id: routerId, revision, ownership },
      { [Mark.ROUTER]: routerId, [Mark.EXTERNAL_NETWORK]: isBehind ? '' : uplink.externalNetworkId, [Mark.PROVIDER_ROUTER]: providerRouterOf(uplink) },
    );
    const uuidOf = (name: string): string => rowUuid('Gateway_Chassis', `${routerId}/${name}`);
    const chassis = isBehind ? [] : rankedChassis(this.southbound, { hostNames: uplink.gatewayHostNames, seen: found.chassis, uuidOf });
    for (const { name, host, priority, uuid } of chassis) {
      draft.ensure('Gateway_Chassis', uuid, found.chassis.find(({ _uuid }) => _uuid === uuid), {
        name: `${routerId}-${name}`,
        chassis_name: name,
        priority,
        external_ids: new Map([...marks, [Mark.HOST, host]]),
      });
    }
    const gateway = {
      routerId,
      router: found.router,
      outsideId: uplinkTarget(uplink),
      address: uplink.address,
      chassis: {
        gateway_chassis: new Set(chassis.map(({ uuid }) => uuid)),
        // The same row as the provider's router has: replies are translated only on the host that leads the uplink.
        ha_chassis_group: isBehind ? chassisGroupUuid(uplink.providerRouterId) : null,
      },
      marks,
    };
    plugIn(draft, gateway, found.gateway);
  }

  async remove(time: CallTime, routerId: string): Promise<Outcome<void>> {
    const routerUuid = rowUuid('Logical_Router', routerId);
    const floating = carries({ KIND: 'FLOATING_IP', ROUTER: routerId });
    return this.backend.settle(time, async () => {
      const reading = new Transaction<Northbound>();
      const routers = reading.select('Logical_Router', [['_uuid', '==', routerUuid]], ['external_ids']);
      const ends = reading.select('Logical_Router_Port', [carries({ KIND: 'ROUTER_LINK', ROUTER: routerId })], ['external_ids']);
      const gateway = readGateway(reading, routerId, null);
      const nats = reading.select('NAT', [floating], ['external_ids']);
      const balancers = reading.select('Load_Balancer', [floating], ['external_ids']);
      const found = await this.backend.read(time, reading);
      const [row] = found.of(routers);
      if (row === undefined) return undefined;
      requireOwn(this.backend.id, this.backend.settings.installationId, 'router', routerId, row);
      if (found.of(nats).length + found.of(balancers).length > 0) throw inUse(`The router "${routerId}" still has floating addresses.`);
      const networkIds = [...networksOf(found.of(ends))];
      const shared = await readBalancers(this.backend, time, networkIds);
      const draft = new Draft();
      draft.expect('Logical_Router', routerUuid, row);
      expectBalancers(draft, shared);
      separate(draft, shared, networkIds, networkIds);
      // None of them may come meanwhile.
      draft.expectRows('NAT', floating, 'external_ids', []);
      draft.expectRows('Load_Balancer', floating, 'external_ids', []);
      for (const networkId of networkIds) leaveNetwork(draft, networkId);
      leaveOutside(draft, routerId, gateway(found));
      draft.delete('Logical_Router', routerUuid);
      return draft;
    });
  }
}

/** Empty for none. */
const providerRouterOf = (uplink: UplinkSpecification | null): string => (uplink !== null && 'providerRouterId' in uplink ? uplink.providerRouterId : '');

const isOf =
  (kind: RowKind) =>
  (row: { external_ids: ExternalIds }): boolean =>
    row.external_ids.get(Mark.KIND) === kind;
const isFloating = isOf('FLOATING_IP');

const networksOf = (ends: readonly { external_ids: ExternalIds }[]): Set<string> =>
  new Set(ends.map(({ external_ids: marks }) => marks.get(Mark.NETWORK) ?? ''));

/** @throws INVALID_STATE when floating addresses need what goes */
function requireUnneeded({ routerId, networks, uplink }: RouterSpecification, found: Found): void {
  const providerRouter = providerRouterOf(uplink);
  const kept = new Set(networks.map(({ networkId }) => networkId));
  const floating = [...found.nats.filter(isFloating), ...found.balancers];
  for (const { external_ids: marks } of floating) {
    const isLed = uplink !== null && (marks.get(Mark.PROVIDER_ROUTER) ?? '') === providerRouter;
    if (isLed && kept.has(marks.get(Mark.NETWORK) ?? '')) continue;
    throw inUse(`The floating address "${marks.get(Mark.ID) ?? ''}" still needs the router "${routerId}".`);
  }
}

/** Lets go of the networks that are no longer the router's. */
function unlink(draft: Draft, { routerId, networks }: RouterSpecification, found: Found): void {
  const routerUuid = rowUuid('Logical_Router', routerId);
  const kept = new Set(networks.map(({ networkId }) => networkId));
  for (const networkId of networksOf(found.ports.filter(isOf('ROUTER_LINK')))) {
    if (kept.has(networkId)) continue;
    const others = [...found.shared.keys()].filter((each) => each !== networkId);
    separate(draft, found.shared, [networkId], others);
    separate(draft, found.shared, others, [networkId]);
    leaveNetwork(draft, networkId);
    draft.leave('Logical_Router', routerUuid, 'ports', rowUuid('Logical_Router_Port', routerEndName(routerId, networkId)));
    for (const { _uuid: balancer } of found.balancers) draft.leaveAll('Logical_Switch', carries({ KIND: 'SUBNET', NETWORK: networkId }), 'load_balancer', balancer);
    const ofNetwork = (row: { external_ids: ExternalIds }): boolean => row.external_ids.get(Mark.NETWORK) === networkId;
    for (const { _uuid } of found.routes.filter((row) => isOf('ROUTE')(row) && ofNetwork(row))) draft.leave('Logical_Router', routerUuid, 'static_routes', _uuid);
    for (const { _uuid } of found.nats.filter((row) => isOf('SOURCE_NAT')(row) && ofNetwork(row))) draft.leave('Logical_Router', routerUuid, 'nat', _uuid);
  }
}

/** Takes the network's end of its link away, and its way out. */
function leaveNetwork(draft: Draft, networkId: string): void {
  const networkUuid = rowUuid('Logical_Router', networkId);
  draft.leave('Logical_Router', networkUuid, 'ports', networkEndUuid(networkId));
  draft.leave('Logical_Router', networkUuid, 'static_routes', defaultRouteUuid(networkId));
}
