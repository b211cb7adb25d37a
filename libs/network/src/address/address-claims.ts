import { MuonError } from '#core';
import { LostRace, ROWS, type ApplyContext, type Section, type Transaction } from '#database';
import { findLoadBalancersOfPorts, raiseLoadBalancerRevision, removeLoadBalancers } from '../load-balancer/load-balancer.sql.js';
import { lockNetworks, raiseNetworkRevision, shareNetworks, spanBackends } from '../network/network.sql.js';
import { removePorts } from '../port/port.sql.js';
import { lockSubnets, shareSubnets } from '../subnet/subnet.sql.js';
import { deleteAllocations, insertAllocations } from './address.sql.js';
import { refuseUsedNetwork, refuseUsedSubnet } from './users.js';

/**
 * What a change set takes of networks and gives back. Applied as one: networks and subnets are locked by id (FOR SHARE by
 * users, FOR UPDATE by whoever closes or changes them), so that nothing gets an address in what is on its way out.
 */
export type AddressClaim =
  | {
      /** A free address for a port or load balancer. */
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
      /** Its backends must be told anew: a subnet comes or goes. */
      action: 'CHANGE_NETWORK';
      networkId: string;
    }
  | {
      /** Nobody may use it, now or later. */
      action: 'CLOSE_NETWORK';
      networkId: string;
    }
  | { action: 'CLOSE_SUBNET'; networkId: string; subnetId: string }
  | {
      /** The rows of these ports go, with their addresses; load balancers forget them. */
      action: 'REMOVE_PORTS';
      portIds: string[];
    }
  | { action: 'REMOVE_LOAD_BALANCERS'; loadBalancerIds: string[] }
  | {
      /** The addresses of load balancers that were not made; their rows stay. */
      action: 'RELEASE';
      ownerIds: string[];
    };

export const ADDRESS_CLAIMS: Section<AddressClaim> = { name: 'addressClaims' };

type Claim = Extract<AddressClaim, { action: 'CLAIM' }>;

/**
 * @throws LostRace when an address was taken in the meantime; INVALID_STATE when a network or subnet takes no new users,
 * or is closed while in use
 */
export async function applyAddressClaims(
  transaction: Transaction,
  items: readonly AddressClaim[],
  context: ApplyContext,
): Promise<void> {
  await lock(transaction, items, madeHere(context));
  for (const item of items) {
    if (item.action === 'CLOSE_NETWORK') await refuseUsedNetwork(transaction, item.networkId);
    else if (item.action === 'CLOSE_SUBNET') await refuseUsedSubnet(transaction, item);
  }
  await release(transaction, items);
  await claim(transaction, items.filter((item) => item.action === 'CLAIM'));
  const spans = items.filter((item) => item.action === 'SPAN');
  if (spans.length > 0) {
    await transaction.execute(
      spanBackends,
      spans.map((item) => item.networkId),
      spans.map((item) => item.backendId),
    );
  }
  const changed = items.flatMap((item) => (item.action === 'CHANGE_NETWORK' ? [item.networkId] : []));
  if (changed.length > 0) await transaction.execute(raiseNetworkRevision, changed);
}

/** Networks and subnets that the same change set makes: claims come before rows, so they are not there to be locked. */
function madeHere(context: ApplyContext): ReadonlySet<string> {
  const made = new Set<string>();
  for (const row of context.changes.items(ROWS)) {
    if ('insert' in row && (row.table === 'network' || row.table === 'subnet')) made.add(String(row.insert.id));
  }
  return made;
}

async function lock(transaction: Transaction, items: readonly AddressClaim[], made: ReadonlySet<string>): Promise<void> {
  const changed = new Set<string>();
  const used = new Set<string>();
  const closedSubnets = new Set<string>();
  const usedSubnets = new Set<string>();
  for (const item of items) {
    if (item.action === 'CLOSE_NETWORK' || item.action === 'CHANGE_NETWORK') changed.add(item.networkId);
    else if (item.action === 'CLAIM' || item.action === 'SPAN') used.add(item.networkId);
    if (item.action === 'CLOSE_SUBNET') closedSubnets.add(item.subnetId);
    else if (item.action === 'CLAIM') usedSubnets.add(item.subnetId);
  }
  const missing = (ids: ReadonlySet<string>): string[] => [...ids].filter((id) => !made.has(id));
  if (changed.size > 0) await transaction.rows(lockNetworks, missing(changed));
  requireUsable('network', missing(used), used.size === 0 ? [] : await transaction.rows(shareNetworks, missing(used)));
  if (closedSubnets.size > 0) await transaction.rows(lockSubnets, missing(closedSubnets));
  requireUsable('subnet', missing(usedSubnets), usedSubnets.size === 0 ? [] : await transaction.rows(shareSubnets, missing(usedSubnets)));
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

async function release(transaction: Transaction, items: readonly AddressClaim[]): Promise<void> {
  const portIds = items.flatMap((item) => (item.action === 'REMOVE_PORTS' ? item.portIds : []));
  const loadBalancerIds = items.flatMap((item) => (item.action === 'REMOVE_LOAD_BALANCERS' ? item.loadBalancerIds : []));
  const others = items.flatMap((item) => (item.action === 'RELEASE' ? item.ownerIds : []));
  if (portIds.length > 0) {
    // Members go with their ports; the new revision lets drift tell the backends of it.
    const without = await transaction.rows(findLoadBalancersOfPorts, portIds);
    if (without.length > 0) await transaction.execute(raiseLoadBalancerRevision, without.map((row) => row.id));
    await transaction.execute(removePorts, portIds);
  }
  if (loadBalancerIds.length > 0) await transaction.execute(removeLoadBalancers, loadBalancerIds);
  const owners = [...portIds, ...loadBalancerIds, ...others];
  if (owners.length > 0) await transaction.execute(deleteAllocations, owners);
}

async function claim(transaction: Transaction, claims: readonly Claim[]): Promise<void> {
  if (claims.length === 0) return;
  const won = await transaction.rows(insertAllocations, JSON.stringify(claims));
  if (won.length === claims.length) return;
  const has = new Set(won.map((row) => `${row.subnet_id}/${row.address}`));
  const lost = claims.filter((item) => !has.has(`${item.subnetId}/${item.address}`)).map((item) => item.address);
  throw new LostRace('address', `${lost.slice(0, 10).join(', ')} taken`);
}
