import { z } from 'zod';
import { assert, descriptionSchema, invalidInput, MuonError, nameSchema, parseInput } from '#core';
import { ChangeSet, constraintMeans, LostRace, ROWS, type Reader } from '#database';
import type { Access } from '#identity';
import { CHARGES, type Charge } from '#quota';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { formatBlock, overlap, parseAddress, parseBlock } from '../address/ipv4.js';
import { usableNetworks, type UsableNetwork } from '../address/reachable-networks.js';
import { claimFreeAddress, requireRouters } from '../external-network/external-address.js';
import { findNetworkBackends } from '../network/network.sql.js';
import { claimFreeTransitAddress } from '../provider-router/transit-address.js';
import { ROUTER_COUNT } from '../quota-keys.js';
import { MAX_ROUTER_NETWORKS, routerId, type RouterRow } from './router.js';
import { findRouterByName, findRoutersOfNetworks } from './router.sql.js';
import { blocksOf, usableUplink, type OutsideBlock } from './uplink.js';

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
  /** The provider's router that it leads to instead, by id or name. */
  providerRouter?: string | null;
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
  /** Its own address outside; null without an uplink, and behind a provider's router. */
  externalAddress: string | null;
}

/**
 * @param access null for the system's own work
 * @param alongside the change set that this will be part of: networks that it makes can be used
 * @throws NOT_FOUND, INVALID_STATE of networks and the uplink; UNSUPPORTED of the backend; INVALID_INPUT when blocks overlap;
 * INSUFFICIENT_CAPACITY when the external network or the transit block is full
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
  const uplink = await usableUplink(reader, tenantId, request, field);
  const outside = blocksOf(uplink);
  const networks = await attachable(reader, access, { tenantId, projectId, networkIds, outside, field: `${field}.networkIds` }, alongside);
  const backendId = uplink?.outside.backend_id ?? request.backendId ?? (await backendOfNetworks(reader, networkIds, field));
  const providerRouterId = uplink?.providerRouter?.id ?? null;
  const externalNetwork = uplink === null || providerRouterId !== null ? null : uplink.outside;
  await requireRouters(reader, backendId, `${field}.${uplink === null ? 'networkIds' : providerRouterId === null ? 'externalNetwork' : 'providerRouter'}`);
  const wish = { ownerId: id, tenantId, projectId };
  const externalAddress = externalNetwork === null ? null : await claimFreeAddress(reader, changes, externalNetwork, wish, alongside);
  const transitAddress = providerRouterId === null ? null : await claimFreeTransitAddress(reader, changes, providerRouterId, wish, alongside);
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
      external_network_id: externalNetwork?.id ?? null,
      external_address: externalAddress,
      provider_router_id: providerRouterId,
      transit_address: transitAddress,
      source_nat: uplink !== null && (request.sourceNat ?? true),
      gateway_hosts: [],
      lifecycle: request.lifecycle ?? 'CREATING',
    },
  });
  networkIds.forEach((networkId, link) => {
    changes.add(ROWS, { table: 'router_network', insert: { network_id: networkId, router_id: id, link, external_network_id: uplink?.outside.id ?? null } });
  });
  changes.add(CHARGES, chargeOfRouter({ id, tenant_id: tenantId, project_id: projectId }));
  const names = networkIds.map((networkId) => networks.get(networkId)?.network.name ?? networkId);
  changes.resources.push({ action: 'CREATE', kind: 'router', id, name, data: { networks: names, externalAddress, transitAddress } });
  return { changes, routerId: id, backendId, externalAddress };
}

export interface Attachable {
  tenantId: string;
  projectId: string;
  networkIds: readonly string[];
  /** Where it leads to. */
  outside: readonly OutsideBlock[];
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
  for (const { blocks } of networks.values()) requireInside(blocks, outside, field);
  return networks;
}

interface InsideBlock {
  name: string;
  cidr: string;
}

/** A block that is outside as well could not be told from it. @throws INVALID_INPUT */
export function requireInside(subnets: readonly InsideBlock[], outside: readonly OutsideBlock[], field: string): void {
  const message = overlapWithOutside(subnets, outside, field);
  if (message !== null) throw invalidInput(field, message);
}

/** What of these is outside as well, for people; null when nothing is. */
export function overlapWithOutside(subnets: readonly InsideBlock[], outside: readonly OutsideBlock[], field: string): string | null {
  for (const { called, cidr } of outside) {
    const [address = '', prefixLength = ''] = cidr.split('/');
    const first = parseAddress(address, field);
    const block = { first, last: first + 2 ** (32 - Number(prefixLength)) - 1 };
    for (const subnet of subnets) {
      const own = parseBlock(subnet.cidr, field);
      if (overlap(own, block)) return `The subnet "${subnet.name}" (${formatBlock(own)}) overlaps ${called}.`;
    }
  }
  return null;
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
  const { id, tenant_id: tenantId, project_id: projectId } = row;
  const changes = new ChangeSet();
  const uplink = await usableUplink(reader, tenantId, { externalNetwork: row.external_network_id, providerRouter: row.provider_router_id }, 'input');
  const wish = { ownerId: id, tenantId, projectId };
  const provider = uplink?.providerRouter ?? null;
  const externalAddress = uplink === null || provider !== null ? null : await claimFreeAddress(reader, changes, uplink.outside, wish);
  const transitAddress = provider === null ? null : await claimFreeTransitAddress(reader, changes, provider.id, wish);
  return changes.add(ADDRESS_CLAIMS, { action: 'REMAKE_ROUTER', routerId: id, externalAddress, transitAddress }).add(CHARGES, chargeOfRouter(row));
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
