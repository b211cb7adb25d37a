import { Transaction, type Monitor, type Outcome, type Row } from '#ovsdb';
import { chassisByName } from '../chassis.js';
import type { Draft } from '../draft.js';
import { Mark, type ExternalIds } from '../marks.js';
import { macOf, rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import type { Southbound } from '../schema/southbound.js';

/** Where a router is plugged in outside: its own port, and the one of the switch there. */
export const gatewayName = (routerId: string): string => `${routerId}-gateway`;
export const gatewayUuid = (routerId: string): string => rowUuid('Logical_Router_Port', gatewayName(routerId));
const plugName = (routerId: string): string => `${routerId}-outside`;
const plugUuid = (routerId: string): string => rowUuid('Logical_Switch_Port', plugName(routerId));

export const defaultRouteUuid = (id: string): string => rowUuid('Logical_Router_Static_Route', `${id}/default`);
export const EVERYWHERE = '0.0.0.0/0';

/** The first of the gateway's hosts has the highest. */
const HIGHEST_PRIORITY = 1_000;

/** What there is of a router's way out, beside the router. */
export interface FoundGateway {
  port: Northbound['Logical_Router_Port'] | undefined;
  route: Northbound['Logical_Router_Static_Route'] | undefined;
  /** The switch's end, and which switches hold that. */
  plug: Row<Northbound['Logical_Switch_Port']> | undefined;
  plugged: string[];
  /** The switch that it shall lead to; undefined where it is to lead nowhere, or that is not there. */
  outside: Northbound['Logical_Switch'] | undefined;
}

export interface Gateway {
  routerId: string;
  router: Pick<Northbound['Logical_Router'], 'ports' | 'static_routes'> | undefined;
  /** The external network or the provider's router whose switch that is. */
  outsideId: string;
  /** The router's own there. */
  address: string;
  /** Which hosts lead it. */
  chassis: Pick<Northbound['Logical_Router_Port'], 'gateway_chassis' | 'ha_chassis_group'>;
  marks: ExternalIds;
}

/** Adds what reads a router's way out. @returns what takes it out of the outcome */
export function readGateway(reading: Transaction<Northbound>, routerId: string, outsideId: string | null): (found: Outcome) => FoundGateway {
  const ports = reading.select('Logical_Router_Port', [['_uuid', '==', gatewayUuid(routerId)]]);
  const routes = reading.select('Logical_Router_Static_Route', [['_uuid', '==', defaultRouteUuid(routerId)]]);
  const plugs = reading.select('Logical_Switch_Port', [['_uuid', '==', plugUuid(routerId)]]);
  const plugged = reading.select('Logical_Switch', [['ports', 'includes', [plugUuid(routerId)]]], ['name']);
  const outside = outsideId === null ? undefined : reading.select('Logical_Switch', [['_uuid', '==', rowUuid('Logical_Switch', outsideId)]]);
  return (found) => ({
    port: found.of(ports)[0],
    route: found.of(routes)[0],
    plug: found.of(plugs)[0],
    plugged: found.of(plugged).map(({ _uuid }) => _uuid),
    outside: outside === undefined ? undefined : found.of(outside)[0],
  });
}

/** A distributed gateway port (ovn-nb(5)) on the switch outside, and the default route by that. */
export function plugIn(draft: Draft, gateway: Gateway, seen: FoundGateway): void {
  const { routerId, router, marks } = gateway;
  const { outside } = seen;
  if (outside === undefined) return;
  const routerUuid = rowUuid('Logical_Router', routerId);
  const outsideUuid = rowUuid('Logical_Switch', gateway.outsideId);
  const [port, plug, route] = [gatewayUuid(routerId), plugUuid(routerId), defaultRouteUuid(routerId)];
  draft.expect('Logical_Switch', outsideUuid, outside);
  draft.ensure('Logical_Router_Port', port, seen.port, {
    name: gatewayName(routerId),
    mac: macOf(`router/${routerId}`),
    networks: new Set([`${gateway.address}/${outside.external_ids.get(Mark.CIDR)?.split('/')[1] ?? '32'}`]),
    ...gateway.chassis,
    external_ids: marks,
  });
  if (router?.ports.has(port) !== true) draft.join('Logical_Router', routerUuid, 'ports', port);
  draft.ensure('Logical_Switch_Port', plug, seen.plug, {
    name: plugName(routerId),
    type: 'router',
    addresses: new Set(['router']),
    options: new Map([
      ['router-port', gatewayName(routerId)],
      // The outside hears where its addresses are, also after another host has taken over.
      ['nat-addresses', 'router'],
    ]),
    external_ids: marks,
  });
  if (!seen.plugged.includes(outsideUuid)) draft.join('Logical_Switch', outsideUuid, 'ports', plug);
  for (const other of seen.plugged) if (other !== outsideUuid) draft.leave('Logical_Switch', other, 'ports', plug);
  draft.ensure('Logical_Router_Static_Route', route, seen.route, {
    ip_prefix: EVERYWHERE,
    nexthop: outside.external_ids.get(Mark.GATEWAY) ?? '',
    output_port: gatewayName(routerId),
    external_ids: marks,
  });
  if (router?.static_routes.has(route) !== true) draft.join('Logical_Router', routerUuid, 'static_routes', route);
}

export function unplug(draft: Draft, routerId: string, router: Gateway['router'], seen: FoundGateway): void {
  const routerUuid = rowUuid('Logical_Router', routerId);
  const out = defaultRouteUuid(routerId);
  if (router?.static_routes.has(out) === true) draft.leave('Logical_Router', routerUuid, 'static_routes', out);
  if (router?.ports.has(gatewayUuid(routerId)) === true) draft.leave('Logical_Router', routerUuid, 'ports', gatewayUuid(routerId));
  leaveOutside(draft, routerId, seen);
}

/** Takes the switch's end away, which the router's own removal leaves. */
export function leaveOutside(draft: Draft, routerId: string, { plugged }: Pick<FoundGateway, 'plugged'>): void {
  for (const outside of plugged) draft.leave('Logical_Switch', outside, 'ports', plugUuid(routerId));
}

export interface RankedChassis {
  name: string;
  /** Of the row that names it as one of the gateway's. */
  uuid: string;
  /** What its host is called elsewhere. */
  host: string;
  priority: number;
}

type SeenChassis = Row<Pick<Northbound['HA_Chassis'], 'chassis_name' | 'external_ids'>>;

interface GatewayChassis {
  hostNames: readonly string[];
  /** What there is of them. */
  seen: readonly SeenChassis[];
  /** The row's, by the name of the chassis. */
  uuidOf: (chassisName: string) => string;
}

/**
 * The chassis of these hosts, the first one first. One that is not there stays what it was called when it was, and one that
 * never was is expected to come by the host's name.
 */
export function rankedChassis(southbound: Monitor<Southbound>, { hostNames, seen, uuidOf }: GatewayChassis): RankedChassis[] {
  const chassis = chassisByName(southbound);
  // Nobody has given them another name by hand.
  const untouched = seen.filter(({ _uuid, chassis_name: name }) => _uuid === uuidOf(name));
  const before = new Map(untouched.map(({ chassis_name: name, external_ids: marks }) => [marks.get(Mark.HOST), name]));
  const ranked = new Map<string, RankedChassis>();
  for (const [place, host] of hostNames.entries()) {
    const name = chassis.get(host)?.name ?? before.get(host) ?? host;
    if (!ranked.has(name)) ranked.set(name, { name, uuid: uuidOf(name), host, priority: HIGHEST_PRIORITY - place });
  }
  return [...ranked.values()];
}
