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
  sourceNat: boolean;
};

/** What a change set takes of external networks and routers, and gives back: part of the address claims. */
export type EdgeClaim =
  | {
      /** A free address of an external network, for a router or a floating IP. */
      action: 'CLAIM_EXTERNAL';
      externalNetworkId: string;
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
  | { action: 'RELEASE_EXTERNAL'; ownerIds: string[] }
  | {
      /** What one has is the other's from now on: of `heldAddress`, until the backend has let go of it, and back. */
      action: 'HAND_OVER_EXTERNAL';
      from: string;
      to: string;
    }
  | {
      /** Its making failed and is tried again with this address, which the same change set claims. */
      action: 'REMAKE_ROUTER';
      routerId: string;
      externalAddress: string | null;
    }
  | { action: 'REMAKE_EXTERNAL_NETWORK'; externalNetworkId: string }
  | {
      /** A floating IP leads to that from now on: to nothing, when all are null. Not when it has another version by now. */
      action: 'POINT_FLOATING_IP';
      floatingIpId: string;
      networkId: string | null;
      portId: string | null;
      loadBalancerId: string | null;
      version: number | null;
    }
  | { action: 'REMOVE_FLOATING_IPS'; floatingIpIds: string[] }
  | {
      /** A new floating IP leads to that network. */
      action: 'USE_ROUTER_OF';
      networkId: string;
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
  | { action: 'REMOVE_EXTERNAL_NETWORKS'; externalNetworkIds: string[] };

export const EDGE_CLAIMS = [
  'CLAIM_EXTERNAL',
  'CHANGE_ROUTER',
  'RELEASE_EXTERNAL',
  'HAND_OVER_EXTERNAL',
  'REMAKE_ROUTER',
  'REMAKE_EXTERNAL_NETWORK',
  'POINT_FLOATING_IP',
  'REMOVE_FLOATING_IPS',
  'USE_ROUTER_OF',
  'CLOSE_ROUTER',
  'REMOVE_ROUTERS',
  'CLOSE_EXTERNAL_NETWORK',
  'REMOVE_EXTERNAL_NETWORKS',
] as const satisfies EdgeClaim['action'][];

/** @throws LostRace when an address was taken in the meantime; INVALID_STATE for an external network that takes nobody */
export async function applyEdgeClaims(transaction: Transaction, items: readonly EdgeClaim[]): Promise<void> {
  if (items.length === 0) return;
  await lock(transaction, items);
  for (const item of items) {
    if (item.action === 'REMOVE_FLOATING_IPS') {
      await bury(transaction, ObjectKind.FLOATING_IP, await transaction.rows(removeFloatingIps, item.floatingIpIds), 'deleted');
      await transaction.execute(releaseExternalAddresses, item.floatingIpIds);
    } else if (item.action === 'REMOVE_ROUTERS') {
      await bury(transaction, ObjectKind.ROUTER, await transaction.rows(removeRouters, item.routerIds), 'deleted');
      await transaction.execute(releaseExternalAddresses, item.routerIds.flatMap((id) => [id, ...heldAddresses(id)]));
    } else if (item.action === 'RELEASE_EXTERNAL') {
      await transaction.execute(releaseExternalAddresses, item.ownerIds);
    } else if (item.action === 'HAND_OVER_EXTERNAL') {
      await transaction.execute(handOverExternalAddress, item.from, item.to);
    } else if (item.action === 'REMAKE_ROUTER') {
      await raise(transaction, ObjectKind.ROUTER, await transaction.rows(routerRemade, item.routerId, item.externalAddress));
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
  for (const item of items) if (item.action === 'CLAIM_EXTERNAL') await claim(transaction, item);
  for (const item of items) {
    if (item.action === 'CHANGE_ROUTER') await change(transaction, item);
    else if (item.action === 'POINT_FLOATING_IP') await point(transaction, item);
  }
}

async function lock(transaction: Transaction, items: readonly EdgeClaim[]): Promise<void> {
  const routers = items.flatMap((item) => (item.action === 'REMOVE_ROUTERS' ? item.routerIds : item.action === 'CHANGE_ROUTER' || item.action === 'CLOSE_ROUTER' ? [item.routerId] : []));
  if (routers.length > 0) await transaction.rows(lockRouters, routers);
  const led = items.flatMap((item) =>
    (item.action === 'POINT_FLOATING_IP' || item.action === 'USE_ROUTER_OF') && item.networkId !== null ? [item.networkId] : [],
  );
  for (const row of led.length === 0 ? [] : await transaction.rows(shareRoutersOfNetworks, led)) requireTakesFloatingIps(row);
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

async function claim(transaction: Transaction, item: Extract<EdgeClaim, { action: 'CLAIM_EXTERNAL' }>): Promise<void> {
  const won = await transaction.rows(claimExternalAddress, item.externalNetworkId, item.address, item.ownerId, item.tenantId, item.projectId);
  if (won.length === 0) throw new LostRace('address', `${item.address} taken`);
}

async function change(transaction: Transaction, item: Extract<EdgeClaim, { action: 'CHANGE_ROUTER' }>): Promise<void> {
  const { routerId, version, attach, detach, wanted } = item;
  if (detach.length > 0) await transaction.execute(detachNetworks, routerId, detach);
  await transaction.execute(changeUplinkOfNetworks, routerId, wanted.externalNetworkId);
  if (attach.length > 0) {
    await transaction.execute(attachNetworks, routerId, attach.map(({ networkId }) => networkId), attach.map(({ link }) => link), wanted.externalNetworkId);
  }
  const { description, externalNetworkId, externalAddress, sourceNat } = wanted;
  const changed = await transaction.rows(changeRouter, routerId, description, externalNetworkId, externalAddress, sourceNat, version);
  if (changed.length === 0 && version !== null) throw versionConflict('router', { id: routerId, version });
}

async function point(transaction: Transaction, item: Extract<EdgeClaim, { action: 'POINT_FLOATING_IP' }>): Promise<void> {
  const { floatingIpId, networkId, portId, loadBalancerId, version } = item;
  const changed = await transaction.rows(pointFloatingIp, floatingIpId, networkId, portId, loadBalancerId, version);
  if (changed.length === 0 && version !== null) throw versionConflict('floating ip', { id: floatingIpId, version });
}
