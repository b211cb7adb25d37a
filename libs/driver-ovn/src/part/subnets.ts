import type { Outcome, Transaction } from '#ovsdb';
import { DHCP_SERVER } from '../dhcp.js';
import type { Draft } from '../draft.js';
import type { Network, Subnet } from '../input.js';
import { Mark, marksOf, type ExternalIds, type RowKind } from '../marks.js';
import { gatewayMac, routerPortName, rowUuid, switchPortName } from '../names.js';
import type { OvnNetworkSettings } from '../options.js';
import type { Northbound } from '../schema/northbound.js';

/** The four rows of a subnet, as far as they are there. */
export interface SubnetRows {
  switch?: Northbound['Logical_Switch'] | undefined;
  /** The switch's end of the link to the router, and the router's. */
  uplink?: Northbound['Logical_Switch_Port'] | undefined;
  gateway?: Northbound['Logical_Router_Port'] | undefined;
  dhcp?: Northbound['DHCP_Options'] | undefined;
}

/** Both ends of a link belong to the subnet; the seed sets the switch's end apart from ports. */
const uplinkUuid = (subnetId: string): string => rowUuid('Logical_Switch_Port', switchPortName(subnetId));

/** Adds what reads a subnet's rows. @returns what takes them out of the outcome */
export function readSubnet(reading: Transaction<Northbound>, subnetId: string): (found: Outcome) => SubnetRows {
  const switches = reading.select('Logical_Switch', [['_uuid', '==', rowUuid('Logical_Switch', subnetId)]]);
  const uplinks = reading.select('Logical_Switch_Port', [['_uuid', '==', uplinkUuid(subnetId)]]);
  const gateways = reading.select('Logical_Router_Port', [['_uuid', '==', rowUuid('Logical_Router_Port', subnetId)]]);
  const dhcp = reading.select('DHCP_Options', [['_uuid', '==', rowUuid('DHCP_Options', subnetId)]]);
  return (found) => ({
    switch: found.of(switches)[0],
    uplink: found.of(uplinks)[0],
    gateway: found.of(gateways)[0],
    dhcp: found.of(dhcp)[0],
  });
}

/** Everything of a subnet but its place on the router. */
export function writeSubnet(draft: Draft, network: Network, subnet: Subnet, seen: SubnetRows, settings: OvnNetworkSettings): void {
  const { subnetId, cidr, gatewayAddress, prefixLength, healthCheckAddress } = subnet;
  const { networkId, revision, ownership } = network;
  const marks = (kind: RowKind, more: Record<string, string> = {}): ExternalIds =>
    marksOf({ kind, id: subnetId, revision, networkId, ownership }, more);
  const switchUuid = rowUuid('Logical_Switch', subnetId);

  draft.ensure('Logical_Switch', switchUuid, seen.switch, {
    name: subnetId,
    external_ids: marks('SUBNET', { [Mark.HEALTH_CHECK_ADDRESS]: healthCheckAddress ?? '' }),
  });
  draft.ensure('DHCP_Options', rowUuid('DHCP_Options', subnetId), seen.dhcp, {
    cidr,
    options: dhcpOptions(subnet, network.domain, settings),
    external_ids: marks('DHCP'),
  });
  draft.ensure('Logical_Router_Port', rowUuid('Logical_Router_Port', subnetId), seen.gateway, {
    name: routerPortName(subnetId),
    mac: gatewayMac(subnetId),
    networks: new Set([`${gatewayAddress}/${prefixLength}`]),
    external_ids: marks('LINK'),
  });
  draft.ensure('Logical_Switch_Port', uplinkUuid(subnetId), seen.uplink, {
    name: switchPortName(subnetId),
    type: 'router',
    addresses: new Set(['router']),
    options: new Map([['router-port', routerPortName(subnetId)]]),
    external_ids: marks('LINK'),
  });
  if (seen.switch?.ports.has(uplinkUuid(subnetId)) !== true) draft.join('Logical_Switch', switchUuid, 'ports', uplinkUuid(subnetId));
}

/** ovn-nb(5), DHCP_Options. */
function dhcpOptions({ subnetId, gatewayAddress }: Subnet, domain: string | undefined, settings: OvnNetworkSettings): ReadonlyMap<string, string> {
  const { mtu, dhcpLeaseSeconds, dnsServers } = settings;
  // OVN answers names of the network on the way to any server. At the gateway is none, so that others fail at once.
  const servers = domain === undefined || dnsServers.length > 0 ? dnsServers : [gatewayAddress];
  return new Map([
    ['server_id', DHCP_SERVER],
    ['server_mac', gatewayMac(subnetId)],
    ['router', gatewayAddress],
    ['lease_time', String(dhcpLeaseSeconds)],
    ['mtu', String(mtu)],
    ...(servers.length === 0 ? [] : [['dns_server', `{${servers.join(', ')}}`] as const]),
    ...(domain === undefined ? [] : [['domain_name', `"${domain}"`] as const]),
  ]);
}
