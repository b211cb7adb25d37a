import { MuonError } from '#core';
import { LostRace, versionConflict, type Reader, type Transaction } from '#database';
import {
  claimExternalAddress,
  countExternalAddresses,
  externalNetworkRemade,
  handOverExternalAddress,
  lockExternalNetworks,
  releaseExternalAddresses,
  removeExternalNetworks,
  shareExternalNetworks,
} from '../external-network/external-network.sql.js';
import { findFloatingIpsOfNetworks, pointFloatingIp, removeFloatingIps } from '../floating-ip/floating-ip.sql.js';
import {
  claimTransitAddress,
  countTransitAddresses,
  findTransitAddresses,
  handOverTransitAddress,
  lockProviderRouters,
  providerRouterRemade,
  releaseTransitAddresses,
  removeProviderRouters,
  shareProviderRouters,
} from '../provider-router/provider-router.sql.js';
import { bury, ObjectKind, raise } from '../tombstones.js';
import { heldAddresses, type RouterRow } from './router.js';
import {
  attachNetworks,
  changeRouter,
  changeUplinkOfNetworks,
  detachNetworks,
  findNetworksOfRouters,
  lockRouters,
  removeRouters,
  routerRemade,
  shareRoutersOfNetworks,
} from './router.sql.js';

const SHOWN_USERS = 10;

/** What a router is wanted to be, beside its name. */
export type WantedRouter = {
  description: string;
  externalNetworkId: string | null;
  externalAddress: string | null;
  /** Instead of an external network: the provider's router that it leads to, and its address there. */
  providerRouterId: string | null;
  transitAddress: string | null;
  sourceNat: boolean;
};

/** What a change set takes of external networks and routers, and gives back: part of the address claims. */
export type EdgeClaim =
  | {
      /** A free address of an external network, for a router, a floating IP or a provider's router, which is no tenant's. */
      action: 'CLAIM_EXTERNAL';
      externalNetworkId: string;
      address: string;
      ownerId: string;
      tenantId: string | null;
      projectId: string | null;
    }
  | {
      /** A free address of a transit block, for a router or a floating IP. */
      action: 'CLAIM_TRANSIT';
      providerRouterId: string;
      address: string;
      ownerId: string;
      tenantId: string;
      projectId: string;
    }
  | {
      /** Networks come and go, and the uplink is that from now on. Not when it has another version by now. */
      action: 'CHANGE_ROUTER';
      routerId: string;
      version: number | null;
      attach: { networkId: string; link: number }[];
      detach: string[];
      wanted: WantedRouter;
    }
  | {
      /** Addresses of their own, of external networks and of transit blocks. */
      action: 'RELEASE_EXTERNAL';
      ownerIds: string[];
    }
  | {
      /** A floating IP leads through that provider's router no more. */
      action: 'RELEASE_TRANSIT';
      ownerIds: string[];
    }
  | {
      /** What one has is the other's from now on: of `heldAddress`, until the backend has let go of it, and back. */
      action: 'HAND_OVER_EXTERNAL';
      from: string;
      to: string;
    }
  | {
      /** Its making failed and is tried again with the address, which the same change set claims. */
      action: 'REMAKE_ROUTER';
      routerId: string;
      externalAddress: string | null;
      transitAddress: string | null;
    }
  | { action: 'REMAKE_PROVIDER_ROUTER'; providerRouterId: string }
  | { action: 'REMAKE_EXTERNAL_NETWORK'; externalNetworkId: string }
  | {
      /** A floating IP leads to that from now on: to nothing, when all are null. Not when it has another version by now. */
      action: 'POINT_FLOATING_IP';
      floatingIpId: string;
      networkId: string | null;
      portId: string | null;
      loadBalancerId: string | null;
      /** What the network's router led to when this was planned, where the floating IP has an address then; null for none. */
      providerRouterId: string | null;
      version: number | null;
    }
  | { action: 'REMOVE_FLOATING_IPS'; floatingIpIds: string[] }
  | {
      /** A new floating IP leads to that network. */
      action: 'USE_ROUTER_OF';
      networkId: string;
      providerRouterId: string | null;
    }
  | {
      /** Nothing may lead through it, now or later. */
      action: 'CLOSE_ROUTER';
      routerId: string;
    }
  | {
      /** Refused while floating IPs need one of them. */
      action: 'REMOVE_ROUTERS';
      routerIds: string[];
    }
  | {
      /** Nobody may have an address of it, now or later. */
      action: 'CLOSE_EXTERNAL_NETWORK';
      externalNetworkId: string;
    }
  | { action: 'REMOVE_EXTERNAL_NETWORKS'; externalNetworkIds: string[] }
  | {
      /** Nobody may lead to it, now or later. */
      action: 'CLOSE_PROVIDER_ROUTER';
      providerRouterId: string;
    }
  | { action: 'REMOVE_PROVIDER_ROUTERS'; providerRouterIds: string[] };

export const EDGE_CLAIMS = [
  'CLAIM_EXTERNAL',
  'CLAIM_TRANSIT',
  'CHANGE_ROUTER',
  'RELEASE_EXTERNAL',
  'RELEASE_TRANSIT',
  'HAND_OVER_EXTERNAL',
  'REMAKE_ROUTER',
  'REMAKE_PROVIDER_ROUTER',
  'REMAKE_EXTERNAL_NETWORK',
  'POINT_FLOATING_IP',
  'REMOVE_FLOATING_IPS',
  'USE_ROUTER_OF',
  'CLOSE_ROUTER',
  'REMOVE_ROUTERS',
  'CLOSE_EXTERNAL_NETWORK',
  'REMOVE_EXTERNAL_NETWORKS',
  'CLOSE_PROVIDER_ROUTER',
  'REMOVE_PROVIDER_ROUTERS',
] as const satisfies EdgeClaim['action'][];

/**
 * @throws LostRace when an address was taken in the meantime; INVALID_STATE for an external network or provider's router that
 * takes nobody
 */
export async function applyEdgeClaims(transaction: Transaction, items: readonly EdgeClaim[]): Promise<void> {
  if (items.length === 0) return;
  const providersOf = await lock(transaction, items);
  for (const item of items) {
    if (item.action === 'REMOVE_FLOATING_IPS') {
      await bury(transaction, ObjectKind.FLOATING_IP, await transaction.rows(removeFloatingIps, item.floatingIpIds), 'deleted');
      await release(transaction, item.floatingIpIds);
    } else if (item.action === 'REMOVE_ROUTERS') {
      await bury(transaction, ObjectKind.ROUTER, await transaction.rows(removeRouters, item.routerIds), 'deleted');
      await release(transaction, item.routerIds.flatMap((id) => [id, ...heldAddresses(id)]));
    } else if (item.action === 'RELEASE_EXTERNAL') {
      await release(transaction, item.ownerIds);
    } else if (item.action === 'RELEASE_TRANSIT') {
      await transaction.execute(releaseTransitAddresses, item.ownerIds);
    } else if (item.action === 'HAND_OVER_EXTERNAL') {
      await transaction.execute(handOverExternalAddress, item.from, item.to);
      await transaction.execute(handOverTransitAddress, item.from, item.to);
    } else if (item.action === 'REMAKE_PROVIDER_ROUTER') {
      await raise(transaction, ObjectKind.PROVIDER_ROUTER, await transaction.rows(providerRouterRemade, item.providerRouterId));
    } else if (item.action === 'CLOSE_PROVIDER_ROUTER') {
      await refuseUsedProviderRouter(transaction, item.providerRouterId);
    } else if (item.action === 'REMOVE_PROVIDER_ROUTERS') {
      await bury(transaction, ObjectKind.PROVIDER_ROUTER, await transaction.rows(removeProviderRouters, item.providerRouterIds), 'deleted');
      await transaction.execute(releaseExternalAddresses, item.providerRouterIds);
    } else if (item.action === 'REMAKE_ROUTER') {
      await raise(transaction, ObjectKind.ROUTER, await transaction.rows(routerRemade, item.routerId, item.externalAddress, item.transitAddress));
    } else if (item.action === 'REMAKE_EXTERNAL_NETWORK') {
      await raise(transaction, ObjectKind.EXTERNAL_NETWORK, await transaction.rows(externalNetworkRemade, item.externalNetworkId));
    } else if (item.action === 'CLOSE_ROUTER') {
      await refuseNeededRouter(transaction, await networksOf(transaction, item.routerId));
    } else if (item.action === 'CLOSE_EXTERNAL_NETWORK') {
      await refuseUsedExternalNetwork(transaction, item.externalNetworkId);
    } else if (item.action === 'REMOVE_EXTERNAL_NETWORKS') {
      await bury(transaction, ObjectKind.EXTERNAL_NETWORK, await transaction.rows(removeExternalNetworks, item.externalNetworkIds), 'deleted');
    }
  }
  for (const item of items) if (item.action === 'CLAIM_EXTERNAL' || item.action === 'CLAIM_TRANSIT') await claim(transaction, item);
  for (const item of items) {
    if (item.action === 'CHANGE_ROUTER') await change(transaction, item, providersOf.get(item.routerId) ?? null);
    else if (item.action === 'POINT_FLOATING_IP') await point(transaction, item);
  }
}

/** @returns what the routers that are changed lead to, by their ids */
async function lock(transaction: Transaction, items: readonly EdgeClaim[]): Promise<Map<string, string | null>> {
  const routers = items.flatMap((item) => (item.action === 'REMOVE_ROUTERS' ? item.routerIds : item.action === 'CHANGE_ROUTER' || item.action === 'CLOSE_ROUTER' ? [item.routerId] : []));
  const locked = routers.length === 0 ? [] : await transaction.rows(lockRouters, routers);
  for (const item of items) if (item.action === 'POINT_FLOATING_IP' || item.action === 'USE_ROUTER_OF') await shareRouter(transaction, item);
  await lockProviders(transaction, items);
  await lockExternals(transaction, items);
  return new Map(locked.map((row) => [row.id, row.provider_router_id]));
}

/** For what leads through the router of a network. One that is only planned is not there yet. */
async function shareRouter(transaction: Transaction, { networkId, providerRouterId }: Extract<EdgeClaim, { action: 'POINT_FLOATING_IP' | 'USE_ROUTER_OF' }>): Promise<void> {
  const [row] = networkId === null ? [] : await transaction.rows(shareRoutersOfNetworks, [networkId]);
  if (row === undefined) return;
  requireTakesFloatingIps(row);
  if (row.provider_router_id !== providerRouterId) throw new LostRace('router', `router ${row.id} leads elsewhere`);
}

async function lockProviders(transaction: Transaction, items: readonly EdgeClaim[]): Promise<void> {
  const closed = items.flatMap((item) =>
    item.action === 'REMOVE_PROVIDER_ROUTERS' ? item.providerRouterIds : item.action === 'CLOSE_PROVIDER_ROUTER' ? [item.providerRouterId] : [],
  );
  if (closed.length > 0) await transaction.rows(lockProviderRouters, closed);
  const used = [...new Set(items.flatMap((item) => (item.action === 'CLAIM_TRANSIT' ? [item.providerRouterId] : [])))];
  const rows = new Map(used.length === 0 ? [] : (await transaction.rows(shareProviderRouters, used)).map((row) => [row.id, row]));
  for (const id of used) {
    const row = rows.get(id);
    if (row === undefined) throw new LostRace('provider router', `provider router ${id} is gone`);
    if (row.lifecycle === 'PRESENT') continue;
    const message = `The provider router "${row.name}" is ${row.lifecycle} and takes no routers.`;
    throw new MuonError('INVALID_STATE', message, { data: { id, state: row.lifecycle, fact: 'provider router' } });
  }
}

async function lockExternals(transaction: Transaction, items: readonly EdgeClaim[]): Promise<void> {
  const closed = items.flatMap((item) =>
    item.action === 'REMOVE_EXTERNAL_NETWORKS' ? item.externalNetworkIds : item.action === 'CLOSE_EXTERNAL_NETWORK' ? [item.externalNetworkId] : [],
  );
  if (closed.length > 0) await transaction.rows(lockExternalNetworks, closed);
  const used = [...new Set(items.flatMap((item) => (item.action === 'CLAIM_EXTERNAL' ? [item.externalNetworkId] : [])))];
  if (used.length === 0) return;
  const rows = new Map((await transaction.rows(shareExternalNetworks, used)).map((row) => [row.id, row]));
  for (const id of used) {
    const row = rows.get(id);
    if (row === undefined) throw new LostRace('external network', `external network ${id} is gone`);
    if (row.lifecycle === 'PRESENT') continue;
    const message = `The external network "${row.name}" is ${row.lifecycle} and gives out no addresses.`;
    throw new MuonError('INVALID_STATE', message, { data: { id, state: row.lifecycle, fact: 'external network' } });
  }
}

/** @throws INVALID_STATE */
export function requireTakesFloatingIps({ id, name, lifecycle }: Pick<RouterRow, 'id' | 'name' | 'lifecycle'>): void {
  if (lifecycle === 'PRESENT' || lifecycle === 'CREATING') return;
  const message = `The router "${name}" is ${lifecycle} and takes no floating IPs.`;
  throw new MuonError('INVALID_STATE', message, { data: { id, state: lifecycle, fact: 'router' } });
}

/** @throws INVALID_STATE saying how many addresses are given out */
export async function refuseUsedExternalNetwork(reader: Reader, id: string): Promise<void> {
  const used = (await reader.first(countExternalAddresses, [id]))?.used ?? 0;
  if (used === 0) return;
  const message = `${used} addresses of the external network are given out to routers and floating IPs; delete those first.`;
  throw new MuonError('INVALID_STATE', message, { data: { id, used } });
}

/** @throws INVALID_STATE saying how many addresses are given out */
export async function refuseUsedProviderRouter(reader: Reader, id: string): Promise<void> {
  const used = (await reader.first(countTransitAddresses, [id]))?.used ?? 0;
  if (used === 0) return;
  const message = `${used} transit addresses of the provider router are given out to routers and floating IPs; delete those, or lead them elsewhere, first.`;
  throw new MuonError('INVALID_STATE', message, { data: { id, used } });
}

async function networksOf(reader: Reader, routerId: string): Promise<string[]> {
  return (await reader.rows(findNetworksOfRouters, [routerId])).map((row) => row.network_id);
}

/** @throws INVALID_STATE naming floating IPs that lead to these networks */
export async function refuseNeededRouter(reader: Reader, networkIds: readonly string[]): Promise<void> {
  const rows = await reader.rows(findFloatingIpsOfNetworks, [...networkIds], SHOWN_USERS);
  if (rows.length === 0) return;
  const list = rows.map((row) => `"${row.name}" (${row.address})`).join(', ');
  throw new MuonError('INVALID_STATE', `Floating IPs still lead through the router: ${list}; dissociate them first.`, {
    data: { floatingIps: rows.map(({ id, name, address }) => ({ id, name, address })) },
  });
}

async function release(transaction: Transaction, ownerIds: string[]): Promise<void> {
  await transaction.execute(releaseExternalAddresses, ownerIds);
  await transaction.execute(releaseTransitAddresses, ownerIds);
}

async function claim(transaction: Transaction, item: Extract<EdgeClaim, { action: 'CLAIM_EXTERNAL' | 'CLAIM_TRANSIT' }>): Promise<void> {
  const { address, ownerId } = item;
  const won =
    item.action === 'CLAIM_TRANSIT'
      ? await transaction.rows(claimTransitAddress, item.providerRouterId, address, ownerId, item.tenantId, item.projectId)
      : await transaction.rows(claimExternalAddress, item.externalNetworkId, address, ownerId, item.tenantId, item.projectId);
  if (won.length === 0) throw new LostRace('address', `${item.address} taken`);
}

/** @param before the provider's router that it leads to by now */
async function change(transaction: Transaction, item: Extract<EdgeClaim, { action: 'CHANGE_ROUTER' }>, before: string | null): Promise<void> {
  const { routerId, version, attach, detach, wanted } = item;
  // Behind it floating IPs have addresses, elsewhere not. That the external network stays is held by a foreign key.
  if (wanted.providerRouterId !== before) await refuseNeededRouter(transaction, await networksOf(transaction, routerId));
  if (detach.length > 0) await transaction.execute(detachNetworks, routerId, detach);
  const { description, externalNetworkId, externalAddress, sourceNat, providerRouterId, transitAddress } = wanted;
  const uplink = [externalNetworkId, externalAddress, sourceNat, providerRouterId, transitAddress] as const;
  const changed = await transaction.rows(changeRouter, routerId, description, ...uplink, version);
  if (changed.length === 0 && version !== null) throw versionConflict('router', { id: routerId, version });
  await transaction.execute(changeUplinkOfNetworks, routerId, externalNetworkId, providerRouterId);
  if (attach.length > 0) {
    const networkIds = attach.map(({ networkId }) => networkId);
    await transaction.execute(attachNetworks, routerId, networkIds, attach.map(({ link }) => link), externalNetworkId, providerRouterId);
  }
}

async function point(transaction: Transaction, item: Extract<EdgeClaim, { action: 'POINT_FLOATING_IP' }>): Promise<void> {
  const { floatingIpId, networkId, portId, loadBalancerId, providerRouterId, version } = item;
  const changed = await transaction.rows(pointFloatingIp, floatingIpId, networkId, portId, loadBalancerId, version);
  if (changed.length > 0 && networkId !== null && providerRouterId !== null) {
    const [held] = await transaction.rows(findTransitAddresses, [floatingIpId]);
    // What it led to before may just have gone, and its address with that.
    if (held?.provider_router_id !== providerRouterId) throw new LostRace('address', `${floatingIpId} has no transit address`);
  }
  if (changed.length === 0 && version !== null) throw versionConflict('floating ip', { id: floatingIpId, version });
}
