import { z } from 'zod';
import { assert, descriptionSchema, invalidInput, MuonError, nameSchema, parseInput } from '#core';
import { ChangeSet, constraintMeans, LostRace, ROWS, type Reader } from '#database';
import type { Access } from '#identity';
import { CHARGES, type Charge } from '#quota';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { formatBlock, overlap, parseAddress, parseBlock } from '../address/ipv4.js';
import { usableNetworks, type UsableNetwork } from '../address/reachable-networks.js';
import { claimFreeAddress, requireRouters, usableExternalNetwork } from '../external-network/external-address.js';
import type { ExternalNetworkRow } from '../external-network/external-network.js';
import { findNetworkBackends } from '../network/network.sql.js';
import { ROUTER_COUNT } from '../quota-keys.js';
import { MAX_ROUTER_NETWORKS, routerId, type RouterRow } from './router.js';
import { findRouterByName, findRoutersOfNetworks } from './router.sql.js';

constraintMeans('router_name', () => nameTaken('input.name'));
constraintMeans('router_network_pkey', () => onAnotherRouter('input.networkIds'));
constraintMeans('router_network_links', (detail) => new LostRace('link', detail));

function nameTaken(field: string): MuonError {
  return new MuonError('ALREADY_EXISTS', 'A router of this name exists already in the project.', { field });
}

function onAnotherRouter(field: string, name?: string): MuonError {
  const subject = name === undefined ? 'A network' : `The network "${name}"`;
  return new MuonError('INVALID_STATE', `${subject} is on another router; take it off that first.`, { field });
}

export const routerNetworksSchema = z.array(z.string().max(100)).max(MAX_ROUTER_NETWORKS);

export interface RouterRequest {
  /** Made when left out. */
  routerId?: string;
  name: string;
  description?: string;
  tenantId: string;
  projectId: string;
  /** Networks of the project, stored or planned alongside. */
  networkIds: readonly string[];
  /** The external network that it leads to, by id or name; none when null. */
  externalNetwork: string | null;
  /** Whether machines without a floating IP reach the outside; true when left out and there is an uplink. */
  sourceNat?: boolean;
  /** Where it is realised when it has no uplink; where its networks are when left out. */
  backendId?: string;
  /** The cluster that alone may change it; null for one of its own. */
  ownerId: string | null;
  /** PRESENT when its owner's operation makes it real. */
  lifecycle?: 'CREATING' | 'PRESENT';
  /** Path of the input that asks for it, for errors. */
  field?: string;
}

export interface PlannedRouter {
  /** Rows, charge and claims; no operation, no locks, no scope locks. */
  changes: ChangeSet;
  routerId: string;
  backendId: string;
  /** Its own address outside; null without an uplink. */
  externalAddress: string | null;
}

/**
 * @param access null for the system's own work
 * @param alongside the change set that this will be part of: networks that it makes can be used
 * @throws NOT_FOUND, INVALID_STATE of networks and the external network; UNSUPPORTED of the backend; INVALID_INPUT when blocks
 * overlap; INSUFFICIENT_CAPACITY when the external network is full
 */
export async function planRouter(reader: Reader, access: Access | null, request: RouterRequest, alongside?: ChangeSet): Promise<PlannedRouter> {
  const field = request.field ?? 'input';
  const networkIds = [...new Set(parseInput(routerNetworksSchema, request.networkIds, `${field}.networkIds`))];
  const name = parseInput(nameSchema, request.name, `${field}.name`);
  const description = parseInput(descriptionSchema, request.description ?? '', `${field}.description`);
  const { tenantId, projectId } = request;
  const id = request.routerId ?? routerId.create();
  const changes = new ChangeSet();
  const twin = await reader.first(findRouterByName, projectId, name);
  if (twin !== undefined && twin.id !== id) changes.problems.push(nameTaken(`${field}.name`).toRecord());
  const outside =
    request.externalNetwork === null ? null : await usableExternalNetwork(reader, tenantId, request.externalNetwork, `${field}.externalNetwork`);
  const networks = await attachable(reader, access, { tenantId, projectId, networkIds, outside, field: `${field}.networkIds` }, alongside);
  const backendId = outside?.backend_id ?? request.backendId ?? (await backendOfNetworks(reader, networkIds, field));
  await requireRouters(reader, backendId, outside === null ? `${field}.networkIds` : `${field}.externalNetwork`);
  const externalAddress = outside === null ? null : await claimFreeAddress(reader, changes, outside, { ownerId: id, tenantId, projectId }, alongside);
  changes.add(ADDRESS_CLAIMS, ...networkIds.map((networkId) => ({ action: 'SPAN' as const, networkId, backendId })));
  changes.add(ROWS, {
    table: 'router',
    insert: {
      id,
      tenant_id: tenantId,
      project_id: projectId,
      name,
      description,
      owner_id: request.ownerId,
      backend_id: backendId,
      external_network_id: outside?.id ?? null,
      external_address: externalAddress,
      source_nat: outside !== null && (request.sourceNat ?? true),
      gateway_hosts: [],
      lifecycle: request.lifecycle ?? 'CREATING',
    },
  });
  networkIds.forEach((networkId, link) => {
    changes.add(ROWS, { table: 'router_network', insert: { network_id: networkId, router_id: id, link, external_network_id: outside?.id ?? null } });
  });
  changes.add(CHARGES, chargeOfRouter({ id, tenant_id: tenantId, project_id: projectId }));
  const names = networkIds.map((networkId) => networks.get(networkId)?.network.name ?? networkId);
  changes.resources.push({ action: 'CREATE', kind: 'router', id, name, data: { networks: names, externalAddress } });
  return { changes, routerId: id, backendId, externalAddress };
}

export interface Attachable {
  tenantId: string;
  projectId: string;
  networkIds: readonly string[];
  outside: Pick<ExternalNetworkRow, 'name' | 'cidr'> | null;
  /** The router that they may be on already. */
  routerId?: string;
  field: string;
}

/** Networks that may be on a router with that uplink. @throws as `planRouter` does */
export async function attachable(reader: Reader, access: Access | null, wanted: Attachable, alongside?: ChangeSet): Promise<Map<string, UsableNetwork>> {
  const { tenantId, projectId, networkIds, outside, field } = wanted;
  const uses = networkIds.map((networkId) => ({ networkId, tenantId, projectId, field }));
  const networks = await usableNetworks(reader, access, uses, alongside);
  for (const { network_id: networkId, router_id: other } of await reader.rows(findRoutersOfNetworks, [...networkIds])) {
    if (other !== wanted.routerId) throw onAnotherRouter(field, networks.get(networkId)?.network.name);
  }
  if (outside !== null) for (const { subnets } of networks.values()) requireInside(subnets, outside, field);
  return networks;
}

/** A block that is outside as well could not be told from it. @throws INVALID_INPUT */
export function requireInside(subnets: readonly { name: string; cidr: string }[], outside: Pick<ExternalNetworkRow, 'name' | 'cidr'>, field: string): void {
  const [address = '', prefixLength = ''] = outside.cidr.split('/');
  const first = parseAddress(address, field);
  const block = { first, last: first + 2 ** (32 - Number(prefixLength)) - 1 };
  for (const subnet of subnets) {
    const own = parseBlock(subnet.cidr, field);
    if (!overlap(own, block)) continue;
    throw invalidInput(field, `The subnet "${subnet.name}" (${formatBlock(own)}) overlaps the external network "${outside.name}" (${outside.cidr}).`);
  }
}

async function backendOfNetworks(reader: Reader, networkIds: readonly string[], field: string): Promise<string> {
  const [span] = await reader.rows(findNetworkBackends, [...networkIds]);
  if (span !== undefined) return span.backend_id;
  throw new MuonError('INVALID_STATE', 'No machine is in these networks yet, so the router is nowhere; give it an uplink, or make a machine first.', {
    field: `${field}.externalNetwork`,
  });
}

/** Another address for a router whose making failed: it gave its own back. */
export async function planRouterRetry(reader: Reader, row: RouterRow): Promise<ChangeSet> {
  const { id, tenant_id: tenantId, project_id: projectId, external_network_id: reference } = row;
  const changes = new ChangeSet();
  const outside = reference === null ? null : await usableExternalNetwork(reader, tenantId, reference, 'input.externalNetwork');
  const externalAddress = outside === null ? null : await claimFreeAddress(reader, changes, outside, { ownerId: id, tenantId, projectId });
  return changes.add(ADDRESS_CLAIMS, { action: 'REMAKE_ROUTER', routerId: id, externalAddress }).add(CHARGES, chargeOfRouter(row));
}

function chargeOfRouter(row: Pick<RouterRow, 'id' | 'tenant_id' | 'project_id'>): Charge {
  return {
    action: 'CHARGE',
    resourceId: row.id,
    resourceKind: routerId.prefix,
    tenantId: row.tenant_id,
    projectId: row.project_id,
    zoneId: null,
    amounts: { [ROUTER_COUNT]: 1 },
  };
}

/** The lowest links that none of these has. */
export function freeLinks(taken: readonly number[], amount: number): number[] {
  const used = new Set(taken);
  const free: number[] = [];
  for (let link = 0; link < MAX_ROUTER_NETWORKS && free.length < amount; link += 1) if (!used.has(link)) free.push(link);
  assert(free.length === amount, `a router has no ${amount} links left`);
  return free;
}

/**
 * What ends routers: their rows, addresses and charges. For the change set of whoever owned them; they are on no backend any
 * more. Applying it is refused while floating IPs need them.
 */
export function planRouterRemoval(routerIds: readonly string[]): ChangeSet {
  const changes = new ChangeSet();
  if (routerIds.length === 0) return changes;
  changes.add(ADDRESS_CLAIMS, { action: 'REMOVE_ROUTERS', routerIds: [...routerIds] });
  changes.add(CHARGES, ...routerIds.map((resourceId) => ({ action: 'REFUND' as const, resourceId })));
  return changes;
}
