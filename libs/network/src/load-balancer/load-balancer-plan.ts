import { z } from 'zod';
import { assert, invalidInput, MuonError, nameSchema, parseInput } from '#core';
import { ChangeSet, constraintMeans, ROWS, type Reader } from '#database';
import type { Access } from '#identity';
import { CHARGES, type Charge } from '#quota';
import { chooseAddresses } from '../address/address-choice.js';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { usableNetworks } from '../address/reachable-networks.js';
import { LOAD_BALANCER_COUNT } from '../quota-keys.js';
import { loadBalancerId, MAX_LISTENERS, MAX_MEMBERS, type Listener, type LoadBalancerRow } from './load-balancer.js';
import { findLoadBalancerByName } from './load-balancer.sql.js';

constraintMeans('load_balancer_name', () => nameTaken('input.name'));

function nameTaken(field: string): MuonError {
  return new MuonError('ALREADY_EXISTS', 'A load balancer of this name exists already in the project.', { field });
}

const portNumber = z.int().min(1).max(65_535);
export const listenersSchema = z
  .array(z.strictObject({ port: portNumber, memberPort: portNumber }))
  .min(1)
  .max(MAX_LISTENERS);
export const membersSchema = z.array(z.string().max(100)).max(MAX_MEMBERS);

export interface LoadBalancerRequest {
  /** Made when left out. */
  loadBalancerId?: string;
  name: string;
  networkId: string;
  subnetId?: string;
  tenantId: string;
  projectId: string;
  /** Where it is realised: the backend of its first members. */
  backendId: string;
  /** The cluster that alone may change it; null for one of its own. */
  ownerId: string | null;
  listeners: readonly Listener[];
  /** Ports of the same network, stored or planned alongside. */
  memberPortIds: readonly string[];
  /** PRESENT when its owner's operation makes it real. */
  lifecycle?: 'CREATING' | 'PRESENT';
  /** Path of the input that asks for it, for errors. */
  field?: string;
}

export interface PlannedLoadBalancer {
  /** Rows, charge and claims; no operation, no locks, no scope locks. */
  changes: ChangeSet;
  loadBalancerId: string;
  address: string;
}

/**
 * @param access null for the system's own work, as healing a cluster
 * @param alongside the change set that this will be part of, as for `planPorts`
 * @throws as `planPorts` does; INVALID_INPUT for listeners
 */
export async function planLoadBalancer(
  reader: Reader,
  access: Access | null,
  request: LoadBalancerRequest,
  alongside?: ChangeSet,
): Promise<PlannedLoadBalancer> {
  const field = request.field ?? 'input';
  const listeners = parseInput(listenersSchema, request.listeners, `${field}.listeners`);
  const members = parseInput(membersSchema, request.memberPortIds, `${field}.members`);
  parseInput(nameSchema, request.name, `${field}.name`);
  if (new Set(listeners.map((listener) => listener.port)).size !== listeners.length) {
    throw invalidInput(`${field}.listeners`, 'Two listeners of one load balancer need different ports.');
  }
  const networks = await usableNetworks(reader, access, [{ ...request, field: `${field}.networkId` }], alongside);
  const usable = networks.get(request.networkId);
  assert(usable !== undefined, `network ${request.networkId} was not looked up`);
  const changes = new ChangeSet();
  const id = request.loadBalancerId ?? loadBalancerId.create();
  const twin = await reader.first(findLoadBalancerByName, request.projectId, request.name);
  if (twin !== undefined && twin.id !== id) changes.problems.push(nameTaken(`${field}.name`).toRecord());
  const subnets = usable.subnets.filter((subnet) => request.subnetId === undefined || subnet.id === request.subnetId);
  const wish = { ownerId: id, networkId: request.networkId, networkName: usable.network.name, subnets };
  const place = (await chooseAddresses(reader, [wish], alongside)).get(id);
  assert(place !== undefined, `no address was chosen for ${id}`);
  addLoadBalancer(changes, { ...request, id, listeners, members, place });
  return { changes, loadBalancerId: id, address: place.address };
}

interface NewLoadBalancer extends LoadBalancerRequest {
  id: string;
  members: readonly string[];
  place: { subnetId: string; address: string };
}

function addLoadBalancer(changes: ChangeSet, made: NewLoadBalancer): void {
  const { id, tenantId, projectId, networkId, backendId, place, name } = made;
  changes.add(
    ADDRESS_CLAIMS,
    { action: 'CLAIM', networkId, ...place, ownerId: id, tenantId, projectId },
    { action: 'SPAN', networkId, backendId },
  );
  changes.add(ROWS, {
    table: 'load_balancer',
    insert: {
      id,
      tenant_id: tenantId,
      project_id: projectId,
      name,
      network_id: networkId,
      subnet_id: place.subnetId,
      address: place.address,
      owner_id: made.ownerId,
      backend_id: backendId,
      lifecycle: made.lifecycle ?? 'CREATING',
    },
  });
  for (const listener of made.listeners) {
    changes.add(ROWS, {
      table: 'load_balancer_listener',
      insert: { load_balancer_id: id, port: listener.port, member_port: listener.memberPort },
    });
  }
  for (const portId of made.members) {
    changes.add(ROWS, { table: 'load_balancer_member', insert: { load_balancer_id: id, port_id: portId } });
  }
  changes.add(CHARGES, chargeOf({ id, tenant_id: tenantId, project_id: projectId }));
  changes.resources.push({
    action: 'CREATE',
    kind: 'load balancer',
    id,
    name,
    data: { address: place.address, networkId, listeners: made.listeners.map((listener) => ({ ...listener })) },
  });
}

/** Another place for a load balancer whose making failed: it gave its address back. */
export async function planLoadBalancerRetry(reader: Reader, row: LoadBalancerRow): Promise<ChangeSet> {
  const { id, network_id: networkId, tenant_id: tenantId, project_id: projectId } = row;
  const networks = await usableNetworks(reader, null, [{ networkId, tenantId, projectId, field: 'input.networkId' }]);
  const usable = networks.get(networkId);
  assert(usable !== undefined, `network ${networkId} was not looked up`);
  const wish = { ownerId: id, networkId, networkName: usable.network.name, subnets: usable.subnets };
  const place = (await chooseAddresses(reader, [wish])).get(id);
  assert(place !== undefined, `no address was chosen for ${id}`);
  return new ChangeSet()
    .add(
      ADDRESS_CLAIMS,
      { action: 'CLAIM', networkId, ...place, ownerId: id, tenantId, projectId },
      { action: 'REMAKE_LOAD_BALANCER', loadBalancerId: id, ...place },
    )
    .add(CHARGES, chargeOf(row));
}

function chargeOf(row: Pick<LoadBalancerRow, 'id' | 'tenant_id' | 'project_id'>): Charge {
  return {
    action: 'CHARGE',
    resourceId: row.id,
    resourceKind: loadBalancerId.prefix,
    tenantId: row.tenant_id,
    projectId: row.project_id,
    zoneId: null,
    amounts: { [LOAD_BALANCER_COUNT]: 1 },
  };
}

/** Members come and go each on its own; who is one already, or none, is left out. */
export function planMemberChange(id: string, change: { add?: readonly string[]; remove?: readonly string[] }): ChangeSet {
  const { add = [], remove = [] } = change;
  const changes = new ChangeSet();
  if (add.length > 0) changes.add(ADDRESS_CLAIMS, { action: 'ADD_MEMBERS', loadBalancerId: id, portIds: [...add] });
  if (remove.length > 0) changes.add(ADDRESS_CLAIMS, { action: 'REMOVE_MEMBERS', loadBalancerId: id, portIds: [...remove] });
  return changes;
}

/** What ends load balancers: their rows, addresses and charges. For the change set of whoever owned them. */
export function planLoadBalancerRemoval(loadBalancerIds: readonly string[]): ChangeSet {
  const changes = new ChangeSet();
  if (loadBalancerIds.length === 0) return changes;
  changes.add(ADDRESS_CLAIMS, { action: 'REMOVE_LOAD_BALANCERS', loadBalancerIds: [...loadBalancerIds] });
  changes.add(CHARGES, ...loadBalancerIds.map((resourceId) => ({ action: 'REFUND' as const, resourceId })));
  return changes;
}
