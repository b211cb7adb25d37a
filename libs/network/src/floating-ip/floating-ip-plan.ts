import { MuonError, nameSchema, notFound, parseInput } from '#core';
import { ChangeSet, constraintMeans, ROWS, type Reader } from '#database';
import { CHARGES } from '#quota';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { claimFreeAddress, requireRouters, usableExternalNetwork } from '../external-network/external-address.js';
import { findExternalNetworks } from '../external-network/external-network.sql.js';
import { findLoadBalancers } from '../load-balancer/load-balancer.sql.js';
import { findPorts } from '../port/port.sql.js';
import { findTransitAddresses } from '../provider-router/provider-router.sql.js';
import { claimFreeTransitAddress } from '../provider-router/transit-address.js';
import { FLOATING_IP_COUNT } from '../quota-keys.js';
import { findRoutersOfNetworks } from '../router/router.sql.js';
import { floatingIpId, type FloatingIpRow, type FloatingTarget } from './floating-ip.js';
import { findFloatingIpByName, findFloatingIpsOfTargets } from './floating-ip.sql.js';

constraintMeans('floating_ip_name', () => nameTaken('input.name'));
constraintMeans('floating_ip_of_port', () => hasOne('port'));
constraintMeans('floating_ip_of_load_balancer', () => hasOne('load balancer'));
constraintMeans(
  'floating_ip_uplink',
  () =>
    new MuonError(
      'INVALID_STATE',
      'Floating IPs lead to a network only while it is on a router with an uplink to where they are from; dissociate them first, or attach the network.',
    ),
);

function nameTaken(field: string): MuonError {
  return new MuonError('ALREADY_EXISTS', 'A floating IP of this name exists already in the project.', { field });
}

function hasOne(noun: string, address?: string): MuonError {
  return new MuonError('INVALID_STATE', `The ${noun} has a floating IP${address === undefined ? '' : `, ${address}`}; dissociate that first.`);
}

/** What a floating IP shall lead to: one of both, stored or planned alongside. */
export type FloatingTargetRequest = { portId: string } | { loadBalancerId: string };

export interface FloatingIpRequest {
  /** Made when left out. */
  floatingIpId?: string;
  name: string;
  tenantId: string;
  projectId: string;
  /** Where the address is from, by id or name; where the target's router leads to when left out. */
  externalNetwork?: string;
  /** Leads nowhere yet when left out. */
  target?: FloatingTargetRequest;
  /** The cluster that alone may change it; null for one of its own. */
  ownerId: string | null;
  /** Path of the input that asks for it, for errors. */
  field?: string;
}

export interface PlannedFloatingIp {
  /** Rows, charge and claims; no operation, no locks, no scope locks. */
  changes: ChangeSet;
  floatingIpId: string;
  address: string;
}

/**
 * A new floating IP, with what it leads to: the operation of whoever includes it makes that real
 * (`NetworkRealiser.edge.ensureFloatingIps`).
 * @param alongside the change set that this will be part of: load balancers, ports and routers that it makes can be used
 * @throws NOT_FOUND, INVALID_STATE of the target and the external network; UNSUPPORTED; INSUFFICIENT_CAPACITY when that is full
 */
export async function planFloatingIp(reader: Reader, request: FloatingIpRequest, alongside?: ChangeSet): Promise<PlannedFloatingIp> {
  const field = request.field ?? 'input';
  const { tenantId, projectId } = request;
  const name = parseInput(nameSchema, request.name, `${field}.name`);
  const id = request.floatingIpId ?? floatingIpId.create();
  const changes = new ChangeSet();
  const twin = await reader.first(findFloatingIpByName, projectId, name);
  if (twin !== undefined && twin.id !== id) changes.problems.push(nameTaken(`${field}.name`).toRecord());
  const target = request.target === undefined ? null : await reachableTarget(reader, projectId, request.target, { field }, alongside);
  const reference = request.externalNetwork ?? target?.externalNetworkId;
  if (reference === undefined) throw notFound('external network', '', `${field}.externalNetwork`);
  const network = await usableExternalNetwork(reader, tenantId, reference, `${field}.externalNetwork`);
  await requireRouters(reader, network.backend_id, `${field}.externalNetwork`);
  if (target !== null) requireSame(target, network, field);
  const wish = { ownerId: id, tenantId, projectId };
  const address = await claimFreeAddress(reader, changes, network, wish, alongside);
  const providerRouterId = target?.providerRouterId ?? null;
  if (target !== null) changes.add(ADDRESS_CLAIMS, { action: 'USE_ROUTER_OF', networkId: target.networkId, providerRouterId });
  if (providerRouterId !== null) await claimFreeTransitAddress(reader, changes, providerRouterId, wish, alongside);
  changes.add(ROWS, {
    table: 'floating_ip',
    insert: {
      id,
      tenant_id: tenantId,
      project_id: projectId,
      name,
      owner_id: request.ownerId,
      external_network_id: network.id,
      address,
      network_id: target?.networkId ?? null,
      port_id: target?.portId ?? null,
      load_balancer_id: target?.loadBalancerId ?? null,
    },
  });
  changes.add(CHARGES, {
    action: 'CHARGE',
    resourceId: id,
    resourceKind: floatingIpId.prefix,
    tenantId,
    projectId,
    zoneId: null,
    amounts: { [FLOATING_IP_COUNT]: 1 },
  });
  const data = { address, externalNetwork: network.name, portId: target?.portId ?? null, loadBalancerId: target?.loadBalancerId ?? null };
  changes.resources.push({ action: 'CREATE', kind: 'floating ip', id, name, data });
  return { changes, floatingIpId: id, address };
}

export interface ReachableTarget extends FloatingTarget {
  backendId: string;
  /** Where the router of its network leads to. */
  externalNetworkId: string;
  /** By which provider's router; null where it leads there itself. */
  providerRouterId: string | null;
}

/**
 * @param options.floatingIpId may lead there already
 * @throws NOT_FOUND of the target; INVALID_STATE when its network does not reach the outside, or it has a floating IP
 */
export async function reachableTarget(
  reader: Reader,
  projectId: string,
  request: FloatingTargetRequest,
  options: { field: string; floatingIpId?: string },
  alongside?: ChangeSet,
): Promise<ReachableTarget> {
  const { field } = options;
  const isPort = 'portId' in request;
  const [noun, table, id] = isPort ? (['port', 'port', request.portId] as const) : (['load balancer', 'load_balancer', request.loadBalancerId] as const);
  const at = isPort ? `${field}.portId` : `${field}.loadBalancerId`;
  const row = await findTarget(reader, isPort, id, plannedRows(alongside, table));
  if (row === undefined || row.project_id !== projectId) throw notFound(noun, id, at);
  if (row.lifecycle === 'DELETING' || row.lifecycle === 'FAILED') {
    throw new MuonError('INVALID_STATE', `The ${noun} "${row.name}" is ${row.lifecycle}.`, { field: at, data: { state: row.lifecycle } });
  }
  const [other] = await reader.rows(findFloatingIpsOfTargets, [id]);
  if (other !== undefined && other.id !== options.floatingIpId) throw hasOne(noun, other.address);
  const planned = plannedRows(alongside, 'router_network').find((each) => each['network_id'] === row.network_id);
  const [stored] = await reader.rows(findRoutersOfNetworks, [row.network_id]);
  const externalNetworkId = stored?.external_network_id ?? (planned?.['external_network_id'] as string | null | undefined);
  if (externalNetworkId == null) {
    throw new MuonError('INVALID_STATE', `The network of the ${noun} "${row.name}" is not on a router with an uplink; attach it to one first.`, { field: at });
  }
  const plannedRouter = plannedRows(alongside, 'router').find((each) => each['id'] === planned?.['router_id']);
  const providerRouterId = stored === undefined ? ((plannedRouter?.['provider_router_id'] as string | null | undefined) ?? null) : stored.provider_router_id;
  const target: FloatingTarget = { networkId: row.network_id, portId: isPort ? id : null, loadBalancerId: isPort ? null : id };
  return { ...target, backendId: row.backend_id, externalNetworkId, providerRouterId };
}

interface TargetRow {
  name: string;
  project_id: string;
  network_id: string;
  backend_id: string;
  lifecycle: string;
}

async function findTarget(reader: Reader, isPort: boolean, id: string, planned: readonly Record<string, unknown>[]): Promise<TargetRow | undefined> {
  const made = planned.find((row) => row['id'] === id);
  if (made !== undefined) return { lifecycle: 'PRESENT', ...made } as unknown as TargetRow;
  const [row] = isPort ? await reader.rows(findPorts, [id]) : await reader.rows(findLoadBalancers, [id]);
  return row;
}

function plannedRows(alongside: ChangeSet | undefined, table: string): Record<string, unknown>[] {
  return (alongside?.items(ROWS) ?? []).flatMap((row) => ('insert' in row && row.table === table ? [row.insert] : []));
}

/** @throws INVALID_STATE when the target's router leads elsewhere */
export function requireSame(target: ReachableTarget, network: { id: string; name: string; backend_id: string }, field: string): void {
  if (target.externalNetworkId === network.id && target.backendId === network.backend_id) return;
  throw new MuonError('INVALID_STATE', `The router of the target leads elsewhere than to the external network "${network.name}".`, { field });
}

/** @throws as `requireSame` does */
export async function requireSameNetwork(reader: Reader, target: ReachableTarget, row: Pick<FloatingIpRow, 'external_network_id'>, field: string): Promise<void> {
  const [network] = await reader.rows(findExternalNetworks, [row.external_network_id]);
  if (network !== undefined) requireSame(target, network, field);
}

/**
 * What leads a floating IP elsewhere, or nowhere, with the transit address that it needs there.
 * @param version that it must still have; null for whichever
 */
export async function planPointing(
  reader: Reader,
  row: Pick<FloatingIpRow, 'id' | 'tenant_id' | 'project_id'>,
  target: FloatingTarget | null,
  version: number | null,
): Promise<ChangeSet> {
  const { id: ownerId, tenant_id: tenantId, project_id: projectId } = row;
  const { networkId, portId, loadBalancerId } = target ?? { networkId: null, portId: null, loadBalancerId: null };
  const [router] = networkId === null ? [] : await reader.rows(findRoutersOfNetworks, [networkId]);
  const [held] = await reader.rows(findTransitAddresses, [ownerId]);
  const providerRouterId = router?.provider_router_id ?? null;
  const changes = new ChangeSet();
  if (held !== undefined && held.provider_router_id !== providerRouterId) changes.add(ADDRESS_CLAIMS, { action: 'RELEASE_TRANSIT', ownerIds: [ownerId] });
  if (providerRouterId !== null && held?.provider_router_id !== providerRouterId) {
    await claimFreeTransitAddress(reader, changes, providerRouterId, { ownerId, tenantId, projectId });
  }
  return changes.add(ADDRESS_CLAIMS, { action: 'POINT_FLOATING_IP', floatingIpId: ownerId, networkId, portId, loadBalancerId, providerRouterId, version });
}

/** What ends floating IPs: their rows, addresses and charges. For the change set of whoever owned them. */
export function planFloatingIpRemoval(floatingIpIds: readonly string[]): ChangeSet {
  const changes = new ChangeSet();
  if (floatingIpIds.length === 0) return changes;
  changes.add(ADDRESS_CLAIMS, { action: 'REMOVE_FLOATING_IPS', floatingIpIds: [...floatingIpIds] });
  changes.add(CHARGES, ...floatingIpIds.map((resourceId) => ({ action: 'REFUND' as const, resourceId })));
  return changes;
}
