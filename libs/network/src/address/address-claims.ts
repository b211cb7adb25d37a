import { allInOrder, MuonError } from '#core';
import { LostRace, ROWS, type ApplyContext, type Section, type Statement, type Transaction } from '#database';
import { MAX_MEMBERS } from '../load-balancer/load-balancer.js';
import {
  deleteMembers,
  findCrowdedLoadBalancers,
  findLoadBalancersOfPorts,
  insertMembers,
  loadBalancerRemade,
  lockLoadBalancers,
  raiseLoadBalancerRevision,
  removeLoadBalancers,
} from '../load-balancer/load-balancer.sql.js';
import { lockNetworks, networkRemade, raiseNetworkRevision, removeNetwork, shareNetworks, spanBackends } from '../network/network.sql.js';
import { removePorts } from '../port/port.sql.js';
import { applyEdgeClaims, EDGE_CLAIMS, type EdgeClaim } from '../router/edge-claims.js';
import { lockSubnets, moveSubnet, shareSubnets } from '../subnet/subnet.sql.js';
import { bury, networkPartsOf, ObjectKind, raise } from '../tombstones.js';
import { deleteAllocations, insertAllocations } from './address.sql.js';
import { refuseUsedNetwork, refuseUsedSubnet } from './users.js';

/**
 * What a change set takes of networks and gives back. Applied as one: networks and subnets are locked by id (FOR SHARE by
 * users, FOR UPDATE by whoever closes or changes them), so that nothing gets an address in what is on its way out.
 */
export type AddressClaim =
  | {
      /** A free address for a port, a load balancer, or the subnet's own health checks. */
      action: 'CLAIM';
      networkId: string;
      subnetId: string;
      address: string;
      ownerId: string;
      tenantId: string;
      projectId: string;
    }
  | {
      /** The network shall be realised on this backend too, from now on. */
      action: 'SPAN';
      networkId: string;
      backendId: string;
    }
  | {
      /** Its backends must be told anew: a subnet goes, or comes (EXTEND, which only an active network takes). */
      action: 'CHANGE_NETWORK' | 'EXTEND_NETWORK';
      networkId: string;
    }
  | {
      /** Nobody may use it, now or later. */
      action: 'CLOSE_NETWORK';
      networkId: string;
    }
  | {
      /** Its making failed and is tried again, with the subnets that failed with it. */
      action: 'REMAKE_NETWORK';
      networkId: string;
    }
  | {
      /** Nobody may use the subnet; or, its making failed and is tried again. */
      action: 'CLOSE_SUBNET' | 'REMAKE_SUBNET';
      networkId: string;
      subnetId: string;
    }
  | {
      /** The rows of these ports go, with their addresses; load balancers forget them. */
      action: 'REMOVE_PORTS';
      portIds: string[];
    }
  | { action: 'REMOVE_LOAD_BALANCERS'; loadBalancerIds: string[] }
  | {
      /** The rows of these networks go, with their subnets; nobody may use them any more once this change set has let go. */
      action: 'REMOVE_NETWORKS';
      networkIds: string[];
    }
  | {
      /** Ports of the same network; those that are members already, or not there any more, are left out. */
      action: 'ADD_MEMBERS' | 'REMOVE_MEMBERS';
      loadBalancerId: string;
      portIds: string[];
    }
  | {
      /** Its making failed and is tried again with this address, which the same change set claims. */
      action: 'REMAKE_LOAD_BALANCER';
      loadBalancerId: string;
      subnetId: string;
      address: string;
    }
  | {
      /** The addresses of load balancers that were not made; their rows stay. */
      action: 'RELEASE';
      ownerIds: string[];
    }
  | EdgeClaim;

export const ADDRESS_CLAIMS: Section<AddressClaim> = { name: 'addressClaims' };

/**
 * @throws LostRace when an address was taken in the meantime; INVALID_STATE when a network or subnet takes no new users,
 * or is closed while in use
 */
export async function applyAddressClaims(
  transaction: Transaction,
  items: readonly AddressClaim[],
  context: ApplyContext,
): Promise<void> {
  if (areNewClaims(items)) {
    await allInOrder([lock(transaction, items, madeHere(context)), claim(transaction, items), span(transaction, items)]);
    return;
  }
  await lock(transaction, items, madeHere(context));
  for (const item of items) {
    if (item.action === 'CLOSE_NETWORK') await refuseUsedNetwork(transaction, item.networkId);
    else if (item.action === 'CLOSE_SUBNET') await refuseUsedSubnet(transaction, item);
    else if (item.action === 'REMAKE_NETWORK') await remakeNetwork(transaction, item.networkId);
    else if (item.action === 'REMAKE_SUBNET') await transaction.rows(moveSubnet, item.subnetId, 'FAILED', 'CREATING', null);
  }
  await applyEdgeClaims(transaction, items.filter(isEdgeClaim));
  await release(transaction, items);
  for (const item of items) if (item.action === 'REMOVE_NETWORKS') await removeNetworks(transaction, item.networkIds);
  await changeMembers(transaction, items);
  await claim(transaction, items);
  for (const item of items) {
    if (item.action === 'REMAKE_LOAD_BALANCER') {
      const made = await transaction.rows(loadBalancerRemade, item.loadBalancerId, item.subnetId, item.address);
      await raise(transaction, ObjectKind.LOAD_BALANCER, made);
    }
  }
  await span(transaction, items);
  const isChange = (item: AddressClaim): boolean => item.action === 'CHANGE_NETWORK' || item.action === 'EXTEND_NETWORK';
  const changed = items.flatMap((item) => (isChange(item) && 'networkId' in item ? [item.networkId] : []));
  if (changed.length > 0) await transaction.execute(raiseNetworkRevision, changed);
}

const EDGE_ACTIONS: readonly string[] = EDGE_CLAIMS;
const isEdgeClaim = (item: AddressClaim): item is EdgeClaim => EDGE_ACTIONS.includes(item.action);

/** What new ports bring: taken by statements that rest on none of each other's answers, and are sent at once. */
export function areNewClaims(items: readonly AddressClaim[]): boolean {
  return items.every((item) => item.action === 'CLAIM' || item.action === 'SPAN');
}

/** Networks and subnets that the same change set makes: claims come before rows, so they are not there to be locked. */
function madeHere(context: ApplyContext): ReadonlySet<string> {
  const made = new Set<string>();
  for (const row of context.changes.items(ROWS)) {
    if ('insert' in row && (row.table === 'network' || row.table === 'subnet')) made.add(String(row.insert.id));
  }
  return made;
}

/** Which rows each kind of item locks, and which of them must be there and active. */
async function lock(transaction: Transaction, items: readonly AddressClaim[], made: ReadonlySet<string>): Promise<void> {
  const networks = { changed: new Set<string>(), used: new Set<string>(), extended: new Set<string>() };
  const subnets = { changed: new Set<string>(), used: new Set<string>() };
  for (const item of items) {
    if (item.action === 'CLOSE_NETWORK' || item.action === 'CHANGE_NETWORK' || item.action === 'REMAKE_NETWORK') networks.changed.add(item.networkId);
    else if (item.action === 'EXTEND_NETWORK') for (const set of [networks.changed, networks.extended]) set.add(item.networkId);
    else if (item.action === 'REMOVE_NETWORKS') for (const id of item.networkIds) networks.changed.add(id);
    else if (item.action === 'CLAIM' || item.action === 'SPAN') networks.used.add(item.networkId);
    if (item.action === 'CLOSE_SUBNET' || item.action === 'REMAKE_SUBNET') subnets.changed.add(item.subnetId);
    else if (item.action === 'CLAIM') subnets.used.add(item.subnetId);
  }
  const stored = (ids: ReadonlySet<string>): string[] => [...ids].filter((id) => !made.has(id));
  const rowsOf = async <Row>(query: Statement<Row, [ids: string[]]>, ids: string[]): Promise<Row[]> =>
    ids.length === 0 ? [] : transaction.rows(query, ids);
  const [changedNetworks, usedNetworks, , usedSubnets] = await allInOrder([
    rowsOf(lockNetworks, stored(networks.changed)),
    rowsOf(shareNetworks, stored(networks.used)),
    rowsOf(lockSubnets, stored(subnets.changed)),
    rowsOf(shareSubnets, stored(subnets.used)),
  ]);
  requireUsable('network', stored(networks.extended), changedNetworks);
  requireUsable('network', stored(networks.used), usedNetworks);
  requireUsable('subnet', stored(subnets.used), usedSubnets);
}

function requireUsable(
  noun: string,
  ids: readonly string[],
  rows: readonly { id: string; name: string; lifecycle: string }[],
): void {
  const byId = new Map(rows.map((row) => [row.id, row]));
  for (const id of ids) {
    const row = byId.get(id);
    if (row === undefined) throw new LostRace(noun, `${noun} ${id} is gone`);
    if (row.lifecycle === 'PRESENT') continue;
    throw new MuonError('INVALID_STATE', `The ${noun} "${row.name}" is ${row.lifecycle} and takes no new users.`, {
      data: { id, state: row.lifecycle, fact: noun },
    });
  }
}

async function remakeNetwork(transaction: Transaction, networkId: string): Promise<void> {
  const remade = await transaction.rows(networkRemade, networkId);
  if (remade.length > 0) await raise(transaction, ObjectKind.NETWORK, await networkPartsOf(transaction, networkId));
}

async function removeNetworks(transaction: Transaction, networkIds: readonly string[]): Promise<void> {
  for (const networkId of networkIds) {
    await refuseUsedNetwork(transaction, networkId);
    await bury(transaction, ObjectKind.NETWORK, await networkPartsOf(transaction, networkId), 'deleted');
    await transaction.execute(removeNetwork, networkId);
  }
}

async function release(transaction: Transaction, items: readonly AddressClaim[]): Promise<void> {
  const portIds = items.flatMap((item) => (item.action === 'REMOVE_PORTS' ? item.portIds : []));
  const loadBalancerIds = items.flatMap((item) => (item.action === 'REMOVE_LOAD_BALANCERS' ? item.loadBalancerIds : []));
  const others = items.flatMap((item) => (item.action === 'RELEASE' ? item.ownerIds : []));
  if (portIds.length > 0) {
    // Members go with their ports; the new revision lets drift tell the backends of it.
    const without = await transaction.rows(findLoadBalancersOfPorts, portIds);
    if (without.length > 0) await transaction.execute(raiseLoadBalancerRevision, without.map((row) => row.id));
    await bury(transaction, ObjectKind.PORT, await transaction.rows(removePorts, portIds), 'deleted');
  }
  if (loadBalancerIds.length > 0) {
    await bury(transaction, ObjectKind.LOAD_BALANCER, await transaction.rows(removeLoadBalancers, loadBalancerIds), 'deleted');
  }
  const owners = [...portIds, ...loadBalancerIds, ...others];
  if (owners.length > 0) await transaction.execute(deleteAllocations, owners);
}

async function changeMembers(transaction: Transaction, items: readonly AddressClaim[]): Promise<void> {
  const changes = items.flatMap((item) => (item.action === 'ADD_MEMBERS' || item.action === 'REMOVE_MEMBERS' ? [item] : []));
  if (changes.length === 0) return;
  const ids = [...new Set(changes.map((change) => change.loadBalancerId))];
  await transaction.rows(lockLoadBalancers, ids);
  for (const action of ['REMOVE_MEMBERS', 'ADD_MEMBERS'] as const) {
    const pairs = changes.flatMap((change) => (change.action === action ? change.portIds.map((portId) => [change.loadBalancerId, portId] as const) : []));
    if (pairs.length === 0) continue;
    const query = action === 'ADD_MEMBERS' ? insertMembers : deleteMembers;
    await transaction.execute(query, pairs.map(([id]) => id), pairs.map(([, portId]) => portId));
  }
  // They are locked: others that add members come before, or see these.
  const grown = changes.flatMap((change) => (change.action === 'ADD_MEMBERS' ? [change.loadBalancerId] : []));
  const [crowded] = grown.length === 0 ? [] : await transaction.rows(findCrowdedLoadBalancers, grown, MAX_MEMBERS);
  if (crowded !== undefined) {
    const data = { id: crowded.id, maximum: MAX_MEMBERS, fact: 'load balancer' };
    throw new MuonError('LIMIT_EXCEEDED', `A load balancer has at most ${MAX_MEMBERS} members.`, { data });
  }
  await transaction.execute(raiseLoadBalancerRevision, ids);
}

async function span(transaction: Transaction, items: readonly AddressClaim[]): Promise<void> {
  const spans = items.filter((item) => item.action === 'SPAN');
  if (spans.length === 0) return;
  await transaction.execute(
    spanBackends,
    spans.map((item) => item.networkId),
    spans.map((item) => item.backendId),
  );
}

async function claim(transaction: Transaction, items: readonly AddressClaim[]): Promise<void> {
  const claims = items.filter((item) => item.action === 'CLAIM');
  if (claims.length === 0) return;
  const won = await transaction.rows(insertAllocations, JSON.stringify(claims));
  if (won.length === claims.length) return;
  const has = new Set(won.map((row) => `${row.subnet_id}/${row.address}`));
  const lost = claims.filter((item) => !has.has(`${item.subnetId}/${item.address}`)).map((item) => item.address);
  throw new LostRace('address', `${lost.slice(0, 10).join(', ')} taken`);
}
