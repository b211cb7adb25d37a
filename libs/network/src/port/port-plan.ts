import { assert } from '#core';
import { ChangeSet, constraintMeans, LostRace, ROWS, type Reader } from '#database';
import type { Access } from '#identity';
import { CHARGES } from '#quota';
import { chooseAddresses } from '../address/address-choice.js';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { usableNetworks } from '../address/reachable-networks.js';
import { GROUP_CLAIMS } from '../security-group/group-claims.js';
import { PORT_COUNT } from '../quota-keys.js';
import { newMacAddress, portId } from './port.js';

// Two of 2^46 met: the next plan draws others.
constraintMeans('port_mac_address', (detail) => new LostRace('macAddress', detail));

/** A port that a machine shall have. */
export interface PortRequest {
  /** Made when left out. */
  portId?: string;
  /** As the machine is called. */
  name: string;
  networkId: string;
  /** The oldest subnet with a free address when left out. */
  subnetId?: string;
  /** The machine. */
  ownerId: string;
  tenantId: string;
  projectId: string;
  hostId: string;
  backendId: string;
  zoneId: string | null;
  /** Security groups of the project, looked up before; none when left out. */
  securityGroupIds?: readonly string[];
  /** Path of the input that names the network, for errors. */
  field?: string;
}

export interface PlannedPort {
  portId: string;
  ownerId: string;
  networkId: string;
  subnetId: string;
  address: string;
  macAddress: string;
}

export interface PlannedPorts {
  /** Rows, charges and claims; no operation, no locks, no scope locks. */
  changes: ChangeSet;
  /** In the order of the requests. */
  ports: PlannedPort[];
}

/**
 * Plans any number of ports by a handful of statements.
 * @param access null for the system's own work, as healing a cluster
 * @param alongside the change set that these will be part of: networks and subnets that it makes can be used, addresses
 * that it takes are left alone
 * @throws NOT_FOUND, INVALID_STATE of networks; INSUFFICIENT_CAPACITY when a network's subnets are full
 */
export async function planPorts(
  reader: Reader,
  access: Access | null,
  requests: readonly PortRequest[],
  alongside?: ChangeSet,
): Promise<PlannedPorts> {
  const uses = requests.map((request) => ({ ...request, field: request.field ?? 'input.networkId' }));
  const networks = await usableNetworks(reader, access, uses, alongside);
  const wanted = requests.map((request) => ({ ...request, portId: request.portId ?? (portId.create() as string) }));
  const wishes = wanted.map((request) => {
    const usable = networks.get(request.networkId);
    assert(usable !== undefined, `network ${request.networkId} was not looked up`);
    const subnets = usable.subnets.filter((subnet) => request.subnetId === undefined || subnet.id === request.subnetId);
    return { ownerId: request.portId, networkId: request.networkId, networkName: usable.network.name, subnets };
  });
  const chosen = await chooseAddresses(reader, wishes, alongside);
  const changes = new ChangeSet();
  const ports = wanted.map((request) => {
    const place = chosen.get(request.portId);
    assert(place !== undefined, `no address was chosen for ${request.portId}`);
    const port = { portId: request.portId, ownerId: request.ownerId, networkId: request.networkId, ...place, macAddress: newMacAddress() };
    addPort(changes, request, port);
    return port;
  });
  const spans = new Map(wanted.map(({ networkId, backendId }) => [`${networkId}/${backendId}`, { networkId, backendId }]));
  changes.add(ADDRESS_CLAIMS, ...[...spans.values()].map((span) => ({ action: 'SPAN' as const, ...span })));
  return { changes, ports };
}

function addPort(changes: ChangeSet, request: PortRequest, port: PlannedPort): void {
  const { tenantId, projectId, ownerId, networkId } = request;
  const { subnetId, address } = port;
  changes.add(ADDRESS_CLAIMS, { action: 'CLAIM', networkId, subnetId, address, ownerId: port.portId, tenantId, projectId });
  const { securityGroupIds = [], backendId } = request;
  if (securityGroupIds.length > 0) changes.add(GROUP_CLAIMS, { action: 'JOIN', portId: port.portId, backendId, securityGroupIds: [...securityGroupIds] });
  changes.add(ROWS, {
    table: 'port',
    insert: {
      id: port.portId,
      tenant_id: tenantId,
      project_id: projectId,
      name: request.name,
      network_id: networkId,
      subnet_id: subnetId,
      mac_address: port.macAddress,
      address,
      owner_id: ownerId,
      backend_id: request.backendId,
      host_id: request.hostId,
    },
  });
  changes.add(CHARGES, {
    action: 'CHARGE',
    resourceId: port.portId,
    resourceKind: portId.prefix,
    tenantId,
    projectId,
    zoneId: request.zoneId,
    amounts: { [PORT_COUNT]: 1 },
  });
  changes.resources.push({
    action: 'CREATE',
    kind: 'port',
    id: port.portId,
    name: request.name,
    data: { address, macAddress: port.macAddress, networkId, ownerId },
  });
}

/** What ends ports: their rows, addresses, memberships and charges. For the change set of whoever owned them. */
export function planPortRemoval(portIds: readonly string[]): ChangeSet {
  const changes = new ChangeSet();
  if (portIds.length === 0) return changes;
  changes.add(ADDRESS_CLAIMS, { action: 'REMOVE_PORTS', portIds: [...portIds] });
  changes.add(CHARGES, ...portIds.map((resourceId) => ({ action: 'REFUND' as const, resourceId })));
  return changes;
}
