import { MuonError, notFound } from '#core';
import type { FloatingIpSpecification, Outcome } from '#drivers';
import { Transaction, type Monitor, type Row } from '#ovsdb';
import type { CallTime, Store } from '../backend.js';
import { Draft } from '../draft.js';
import { carries, Mark, marksOf, requireOwn, revisionOf, type ExternalIds } from '../marks.js';
import { macOf, rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import type { Southbound } from '../schema/southbound.js';
import { told } from '../specification.js';
import { Bridges, type HasBridge } from './bridges.js';
import { writeFloatingBalancer } from './floating-balancers.js';
import { gatewayUuid } from './gateways.js';
import { networkEndUuid } from './router-links.js';

type NatRow = Row<Northbound['NAT']>;
type BalancerRow = Row<Northbound['Load_Balancer']>;

interface Found {
  nat: NatRow | undefined;
  /** Routers that hold that. */
  holders: string[];
  /** The same on the provider's router, where the router's uplink leads to one. */
  transit: { nat: NatRow | undefined; holders: string[]; router: Northbound['Logical_Router'] | undefined };
  balancer: BalancerRow | undefined;
  /** Routers and switches that hold that. */
  balancing: { table: 'Logical_Router' | 'Logical_Switch'; uuid: string; networkId: string }[];
  /** The router's other floating addresses. */
  nats: NatRow[];
  balancers: BalancerRow[];
  router: Northbound['Logical_Router'] | undefined;
  /** The networks of the router. */
  networkIds: Set<string>;
  /** Their switches, where a load balancer is led to. */
  switches: string[];
  end: Northbound['Logical_Router_Port'] | undefined;
  port: Pick<Northbound['Logical_Switch_Port'], 'external_ids'> | undefined;
  balanced: Northbound['Load_Balancer'] | undefined;
  checks: ReadonlyMap<string, Northbound['Load_Balancer_Health_Check']>;
  bridges: HasBridge;
  /** Of the other ports whose floating addresses the gateway's host answers. */
  hosts: HostByPort;
}

/** The hosts of ports, by the ports' ids. */
type HostByPort = ReadonlyMap<string, string>;

/**
 * A floating address is a row of `NAT` when it leads to a port, and a second row of `Load_Balancer` when it leads to a load
 * balancer. A port's is answered on the host of the port (ovn-nb(5), `external_mac`) where that has a bridge to the outside.
 * But once the router has a load balancer with a floating address all are on the gateway's host: members would send replies to the balancer's clients
 * from addresses of their own. On a router whose uplink leads to a provider's router all are, too: there a floating address
 * is known by one of the transit block, which the provider's router translates it to, packet by packet, in a row of `NAT`
 * of its own.
 */
export class FloatingIps {
  readonly #bridges: Bridges;

  constructor(
    private readonly backend: Store,
    southbound: Monitor<Southbound>,
  ) {
    this.#bridges = new Bridges(backend, southbound);
  }

  async ensure(time: CallTime, floatingIp: FloatingIpSpecification): Promise<Outcome<void>> {
    return this.backend.settle(time, async () => this.#plan(floatingIp, await this.#read(time, floatingIp)));
  }

  async #read(time: CallTime, { floatingIpId, routerId, networkId, target, transit }: FloatingIpSpecification): Promise<Found> {
    const reading = new Transaction<Northbound>();
    const portId = target.kind === 'PORT' ? target.portId : '';
    const loadBalancerId = target.kind === 'LOAD_BALANCER' ? target.loadBalancerId : '';
    const floating = [carries({ KIND: 'FLOATING_IP', ROUTER: routerId })];
    const nats = reading.select('NAT', [uuidIs(rowUuid('NAT', floatingIpId))]);
    const holders = reading.select('Logical_Router', [['nat', 'includes', [rowUuid('NAT', floatingIpId)]]], ['name']);
    const transitNats = reading.select('NAT', [uuidIs(transitUuid(floatingIpId))]);
    const transitHolders = reading.select('Logical_Router', [['nat', 'includes', [transitUuid(floatingIpId)]]], ['name']);
    const transitRouters = reading.select('Logical_Router', [uuidIs(rowUuid('Logical_Router', transit?.providerRouterId ?? ''))]);
    const balancers = reading.select('Load_Balancer', [uuidIs(rowUuid('Load_Balancer', floatingIpId))]);
    const held: ['load_balancer', 'includes', string[]] = ['load_balancer', 'includes', [rowUuid('Load_Balancer', floatingIpId)]];
    const balancingRouters = reading.select('Logical_Router', [held], ['external_ids']);
    const balancingSwitches = reading.select('Logical_Switch', [held], ['external_ids']);
    const otherNats = reading.select('NAT', floating);
    const otherBalancers = reading.select('Load_Balancer', floating);
    const routers = reading.select('Logical_Router', [uuidIs(rowUuid('Logical_Router', routerId))]);
    const links = reading.select('Logical_Router_Port', [carries({ KIND: 'ROUTER_LINK', ROUTER: routerId })], ['external_ids']);
    const ends = reading.select('Logical_Router_Port', [uuidIs(networkEndUuid(networkId))]);
    const ports = reading.select('Logical_Switch_Port', [uuidIs(rowUuid('Logical_Switch_Port', portId))], ['external_ids']);
    const balanced = reading.select('Load_Balancer', [uuidIs(rowUuid('Load_Balancer', loadBalancerId))]);
    const checks = reading.select('Load_Balancer_Health_Check', [carries({ ID: floatingIpId })]);
    const found = await this.backend.read(time, reading);
    const networkIds = new Set(found.of(links).map(({ external_ids: marks }) => marks.get(Mark.NETWORK) ?? ''));
    return {
      nat: found.of(nats)[0],
      holders: found.of(holders).map(({ _uuid }) => _uuid),
      transit: {
        nat: found.of(transitNats)[0],
        holders: found.of(transitHolders).map(({ _uuid }) => _uuid),
        router: found.of(transitRouters)[0],
      },
      balancer: found.of(balancers)[0],
      balancing: [
        ...found.of(balancingRouters).map((row) => ({ table: 'Logical_Router' as const, row })),
        ...found.of(balancingSwitches).map((row) => ({ table: 'Logical_Switch' as const, row })),
      ].map(({ table, row }) => ({ table, uuid: row._uuid, networkId: row.external_ids.get(Mark.NETWORK) ?? '' })),
      nats: found.of(otherNats),
      balancers: found.of(otherBalancers),
      router: found.of(routers)[0],
      networkIds,
      switches: target.kind === 'PORT' ? [] : await this.#switchesOf(time, networkIds),
      end: found.of(ends)[0],
      port: found.of(ports)[0],
      balanced: found.of(balanced)[0],
      checks: new Map(found.of(checks).map((check) => [check._uuid, check])),
      bridges: await this.#bridges.of(time, routerId),
      hosts: await this.#hostsOf(time, found.of(otherNats)),
    };
  }

  async #hostsOf(time: CallTime, nats: readonly NatRow[]): Promise<HostByPort> {
    const reading = new Transaction<Northbound>();
    const targets = nats.filter((nat) => nat.logical_port === null && !isBehind(nat)).map(({ external_ids: marks }) => marks.get(Mark.TARGET) ?? '');
    if (targets.length === 0) return new Map();
    const ports = targets.map((portId) => [portId, reading.select('Logical_Switch_Port', [uuidIs(rowUuid('Logical_Switch_Port', portId))], ['external_ids'])] as const);
    const found = await this.backend.read(time, reading);
    return new Map(ports.map(([portId, select]) => [portId, found.of(select)[0]?.external_ids.get(Mark.HOST) ?? '']));
  }

  async #switchesOf(time: CallTime, networkIds: ReadonlySet<string>): Promise<string[]> {
    const reading = new Transaction<Northbound>();
    const switches = [...networkIds].map((networkId) => reading.select('Logical_Switch', [subnetsOf(networkId)], ['name']));
    const found = await this.backend.read(time, reading);
    return switches.flatMap((select) => found.of(select).map(({ _uuid }) => _uuid));
  }

  /** @returns undefined when a newer revision is there */
  #plan(floatingIp: FloatingIpSpecification, found: Found): Draft | undefined {
    const { floatingIpId, routerId, networkId, revision, ownership, target, transit } = floatingIp;
    for (const row of [found.nat, found.balancer]) {
      requireOwn(this.backend.id, ownership.installationId, 'floating address', floatingIpId, row);
      if (row !== undefined && revisionOf(row.external_ids) > revision) return undefined;
    }
    this.#requireParts(floatingIp, found);
    const draft = new Draft();
    draft.expect('Logical_Router', rowUuid('Logical_Router', routerId), found.router);
    draft.expect('Logical_Router_Port', networkEndUuid(networkId), found.end);
    expectFloating(draft, routerId, found);
    const others = found.balancers.some(({ _uuid }) => _uuid !== found.balancer?._uuid);
    const isCentral = others || target.kind === 'LOAD_BALANCER' || transit !== undefined;
    if (target.kind === 'PORT') {
      draft.expect('Logical_Switch_Port', rowUuid('Logical_Switch_Port', target.portId), found.port);
      if (found.balancer !== undefined) removeBalancer(draft, found.balancer);
      this.#translate(draft, floatingIp, target.portId, found, isCentral);
    } else {
      draft.expect('Load_Balancer', rowUuid('Load_Balancer', target.loadBalancerId), found.balanced);
      if (found.nat !== undefined) removeNat(draft, found.nat, found.holders);
      this.#balance(draft, floatingIp, target.loadBalancerId, found);
    }
    this.#translateOutside(draft, floatingIp, found);
    placeOthers(draft, found.nats.filter(({ _uuid }) => _uuid !== found.nat?._uuid), isCentral, found);
    return draft;
  }

  #requireParts({ routerId, networkId, ownership, target, transit }: FloatingIpSpecification, found: Found): void {
    if (found.router === undefined) throw notFound('router', routerId);
    requireOwn(this.backend.id, ownership.installationId, 'router', routerId, found.router);
    if (target.kind === 'PORT' && found.port?.external_ids.get(Mark.NETWORK) !== networkId) throw notFound('port', target.portId);
    if (target.kind === 'LOAD_BALANCER' && found.balanced?.external_ids.get(Mark.NETWORK) !== networkId) throw notFound('load balancer', target.loadBalancerId);
    if (found.end?.external_ids.get(Mark.ROUTER) !== routerId || !found.router.ports.has(gatewayUuid(routerId))) {
      const message = `The network "${networkId}" does not reach the outside by the router "${routerId}".`;
      throw new MuonError('INVALID_STATE', message, { fault: 'OPERATOR' });
    }
    const providerRouterId = found.router.external_ids.get(Mark.PROVIDER_ROUTER) ?? '';
    if (providerRouterId !== (transit?.providerRouterId ?? '')) {
      const message = `The uplink of the router "${routerId}" leads ${providerRouterId === '' ? 'to no provider router' : `to the provider router "${providerRouterId}"`}.`;
      throw new MuonError('INVALID_STATE', message, { fault: 'OPERATOR' });
    }
    if (transit === undefined) return;
    if (found.transit.router === undefined) throw notFound('provider router', transit.providerRouterId);
    requireOwn(this.backend.id, ownership.installationId, 'provider router', transit.providerRouterId, found.transit.router);
  }

  #marks(floatingIp: FloatingIpSpecification, target: string): ExternalIds {
    const { floatingIpId: id, revision, ownership, networkId, routerId, transit } = floatingIp;
    const more = {
      [Mark.ROUTER]: routerId,
      [Mark.TARGET]: target,
      [Mark.ADDRESS]: addressOnRouter(floatingIp),
      [Mark.PROVIDER_ROUTER]: transit?.providerRouterId ?? '',
      ...told(floatingIp),
    };
    return marksOf({ kind: 'FLOATING_IP', id, revision, networkId, ownership }, more);
  }

  #translate(draft: Draft, floatingIp: FloatingIpSpecification, portId: string, found: Found, isCentral: boolean): void {
    const uuid = rowUuid('NAT', floatingIp.floatingIpId);
    const routerUuid = rowUuid('Logical_Router', floatingIp.routerId);
    draft.ensure('NAT', uuid, found.nat, {
      type: 'dnat_and_snat',
      external_ip: addressOnRouter(floatingIp),
      logical_ip: found.port?.external_ids.get(Mark.ADDRESS) ?? '',
      ...(isCentral || !isOnHost(found.port?.external_ids.get(Mark.HOST), found.bridges, found.nat) ? AT_GATEWAY : onHost(floatingIp.floatingIpId, portId)),
      external_ids: this.#marks(floatingIp, portId),
    });
    if (!found.holders.includes(routerUuid)) draft.join('Logical_Router', routerUuid, 'nat', uuid);
    for (const other of found.holders) if (other !== routerUuid) draft.leave('Logical_Router', other, 'nat', uuid);
  }

  /** On the provider's router, where the router's uplink leads to one. */
  #translateOutside(draft: Draft, floatingIp: FloatingIpSpecification, found: Found): void {
    const { floatingIpId: id, revision, ownership, address, transit, target } = floatingIp;
    const { nat, holders, router } = found.transit;
    const uuid = transitUuid(id);
    const routerUuid = transit === undefined ? undefined : rowUuid('Logical_Router', transit.providerRouterId);
    for (const other of holders) if (other !== routerUuid) draft.leave('Logical_Router', other, 'nat', uuid);
    if (transit === undefined || routerUuid === undefined) return;
    draft.expect('Logical_Router', routerUuid, router);
    const targetId = target.kind === 'PORT' ? target.portId : target.loadBalancerId;
    draft.ensure('NAT', uuid, nat, {
      type: 'dnat_and_snat',
      external_ip: address,
      logical_ip: transit.address,
      // One address for another needs no memory. With one, the provider's router would meet both ends of what goes from one
      // floating address behind it to another, and mix up their replies.
      options: new Map([['stateless', 'true']]),
      external_ids: marksOf({ kind: 'FLOATING_TRANSIT', id, revision, ownership }, { [Mark.ROUTER]: transit.providerRouterId, [Mark.TARGET]: targetId }),
    });
    if (!holders.includes(routerUuid)) draft.join('Logical_Router', routerUuid, 'nat', uuid);
  }

  #balance(draft: Draft, floatingIp: FloatingIpSpecification, loadBalancerId: string, found: Found): void {
    const { floatingIpId, routerId } = floatingIp;
    const { balanced } = found;
    if (balanced === undefined) return;
    const mappings = balanced.health_check.size === 0 ? undefined : balanced.ip_port_mappings;
    const marks = this.#marks(floatingIp, loadBalancerId);
    writeFloatingBalancer(draft, { floatingIpId, address: addressOnRouter(floatingIp), marks, seen: found.balancer, checks: found.checks }, { vips: balanced.vips, mappings });
    const uuid = rowUuid('Load_Balancer', floatingIpId);
    const routerUuid = rowUuid('Logical_Router', routerId);
    for (const place of found.balancing) {
      if (place.uuid !== routerUuid && !found.networkIds.has(place.networkId)) draft.leave(place.table, place.uuid, 'load_balancer', uuid);
    }
    const holders = new Set(found.balancing.map((place) => place.uuid));
    if (!holders.has(routerUuid)) draft.join('Logical_Router', routerUuid, 'load_balancer', uuid);
    if (found.switches.every((each) => holders.has(each))) return;
    // Clients inside are served where they are.
    for (const networkId of found.networkIds) draft.joinAll('Logical_Switch', subnetsOf(networkId), 'load_balancer', uuid);
  }

  async remove(time: CallTime, floatingIpId: string): Promise<Outcome<void>> {
    return this.backend.settle(time, async () => {
      const reading = new Transaction<Northbound>();
      const nats = reading.select('NAT', [uuidIs(rowUuid('NAT', floatingIpId))]);
      const holders = reading.select('Logical_Router', [['nat', 'includes', [rowUuid('NAT', floatingIpId)]]], ['name']);
      const transitNats = reading.select('NAT', [uuidIs(transitUuid(floatingIpId))]);
      const transitHolders = reading.select('Logical_Router', [['nat', 'includes', [transitUuid(floatingIpId)]]], ['name']);
      const balancers = reading.select('Load_Balancer', [uuidIs(rowUuid('Load_Balancer', floatingIpId))]);
      const found = await this.backend.read(time, reading);
      const [nat] = found.of(nats);
      const [transitNat] = found.of(transitNats);
      const [balancer] = found.of(balancers);
      for (const row of [nat, transitNat, balancer]) requireOwn(this.backend.id, this.backend.settings.installationId, 'floating address', floatingIpId, row);
      const draft = new Draft();
      if (nat !== undefined) removeNat(draft, nat, found.of(holders).map(({ _uuid }) => _uuid));
      if (transitNat !== undefined) removeNat(draft, transitNat, found.of(transitHolders).map(({ _uuid }) => _uuid));
      if (balancer !== undefined) await this.#removeBalancer(time, draft, balancer);
      return draft;
    });
  }

  /** With the last load balancer the others go back to the hosts of their ports. */
  async #removeBalancer(time: CallTime, draft: Draft, balancer: BalancerRow): Promise<void> {
    const routerId = balancer.external_ids.get(Mark.ROUTER) ?? '';
    const reading = new Transaction<Northbound>();
    const nats = reading.select('NAT', [carries({ KIND: 'FLOATING_IP', ROUTER: routerId })]);
    const balancers = reading.select('Load_Balancer', [carries({ KIND: 'FLOATING_IP', ROUTER: routerId })]);
    const found = await this.backend.read(time, reading);
    const others = { nats: found.of(nats), balancers: found.of(balancers) };
    const places = { bridges: await this.#bridges.of(time, routerId), hosts: await this.#hostsOf(time, others.nats) };
    expectFloating(draft, routerId, others);
    removeBalancer(draft, balancer);
    placeOthers(draft, others.nats, others.balancers.some(({ _uuid }) => _uuid !== balancer._uuid), places);
  }
}

/** The row on the provider's router. */
const transitUuid = (floatingIpId: string): string => rowUuid('NAT', `${floatingIpId}/transit`);

/** By which the router knows it: its own, or the one that a provider's router translates it to. */
const addressOnRouter = ({ address, transit }: FloatingIpSpecification): string => transit?.address ?? address;

const subnetsOf = (networkId: string): ReturnType<typeof carries> => carries({ KIND: 'SUBNET', NETWORK: networkId });

const uuidIs = (uuid: string): readonly ['_uuid', '==', string] => ['_uuid', '==', uuid];

/** Which of them there are decides where each of them is answered. */
function expectFloating(draft: Draft, routerId: string, { nats, balancers }: Pick<Found, 'nats' | 'balancers'>): void {
  const floating = carries({ KIND: 'FLOATING_IP', ROUTER: routerId });
  draft.expectRows('NAT', floating, 'external_ids', nats);
  draft.expectRows('Load_Balancer', floating, 'external_ids', balancers);
}

type Placement = Pick<Northbound['NAT'], 'external_mac' | 'logical_port'>;

/** The host that leads the router outside answers it. */
export const AT_GATEWAY: Placement = { external_mac: null, logical_port: null };

/** The host of the port answers it. */
const onHost = (floatingIpId: string, portId: string): Placement => ({ external_mac: macOf(`floating/${floatingIpId}`), logical_port: portId });

/** Whether the port's host may answer it. Where it is not known whether that has a bridge, what was so stays so. */
const isOnHost = (hostName: string | undefined, bridges: HasBridge, seen: Placement | undefined): boolean =>
  (hostName === undefined ? undefined : bridges(hostName)) ?? (seen?.logical_port ?? null) !== null;

const isBehind = ({ external_ids: marks }: Pick<NatRow, 'external_ids'>): boolean => (marks.get(Mark.PROVIDER_ROUTER) ?? '') !== '';

/** Those on the hosts of their ports stay there unless all are central: whether such a host still may is looked at with its own. */
function placeOthers(draft: Draft, nats: readonly NatRow[], isCentral: boolean, { bridges, hosts }: Pick<Found, 'bridges' | 'hosts'>): void {
  for (const nat of nats) {
    const { external_ids: marks } = nat;
    const portId = marks.get(Mark.TARGET) ?? '';
    const mayBeThere = !isCentral && !isBehind(nat) && (nat.logical_port !== null || isOnHost(hosts.get(portId), bridges, nat));
    draft.ensure('NAT', nat._uuid, nat, { ...(mayBeThere ? onHost(marks.get(Mark.ID) ?? '', portId) : AT_GATEWAY), external_ids: marks });
  }
}

/** Everything that leads floating addresses to a port or load balancer, on both routers. */
export const natsTo = (targetId: string): ReturnType<typeof carries> => carries({ TARGET: targetId });

/** Without a router it goes by itself. */
export function removeNat(draft: Draft, nat: Pick<NatRow, '_uuid' | 'external_ids'>, routerUuids: readonly string[]): void {
  draft.expect('NAT', nat._uuid, nat);
  for (const uuid of routerUuids) draft.leave('Logical_Router', uuid, 'nat', nat._uuid);
}

function removeBalancer(draft: Draft, balancer: BalancerRow): void {
  draft.expect('Load_Balancer', balancer._uuid, balancer);
  // Switches and the router hold it weakly: it leaves them by itself.
  draft.delete('Load_Balancer', balancer._uuid);
}
