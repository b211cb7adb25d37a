import { ChangeSet } from '#database';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import type { WantedRouter } from './edge-claims.js';
import { heldAddress, heldAddresses, type RouterRow } from './router.js';

export interface RouterChange {
  attach: readonly { networkId: string; link: number }[];
  detach: readonly { networkId: string }[];
  /** With an address that is free, or its own already. */
  wanted: WantedRouter;
}

type Uplink = 'external_network_id' | 'external_address' | 'provider_router_id' | 'transit_address' | 'source_nat';

export function wantedOf(row: Pick<RouterRow, 'description' | Uplink>): WantedRouter {
  return {
    description: row.description,
    externalNetworkId: row.external_network_id,
    externalAddress: row.external_address,
    providerRouterId: row.provider_router_id,
    transitAddress: row.transit_address,
    sourceNat: row.source_nat,
  };
}

/**
 * What makes the row another, if it has still the version that was read. An address that it had and shall not have is held
 * until the backend has let go of it, one that it shall have is claimed.
 */
export function planRouterChange(row: RouterRow, change: RouterChange): ChangeSet {
  const { id: routerId, tenant_id: tenantId, project_id: projectId } = row;
  const { externalNetworkId, externalAddress: address, providerRouterId, transitAddress } = change.wanted;
  const changes = new ChangeSet();
  const moves = movesAddress(row, change.wanted);
  if (moves) changes.add(ADDRESS_CLAIMS, { action: 'HAND_OVER_EXTERNAL', from: routerId, to: heldAddress(routerId, 'change') });
  if (moves && externalNetworkId !== null && address !== null) {
    changes.add(ADDRESS_CLAIMS, { action: 'CLAIM_EXTERNAL', externalNetworkId, address, ownerId: routerId, tenantId, projectId });
  }
  if (moves && providerRouterId !== null && transitAddress !== null) {
    changes.add(ADDRESS_CLAIMS, { action: 'CLAIM_TRANSIT', providerRouterId, address: transitAddress, ownerId: routerId, tenantId, projectId });
  }
  return changes.include(changing(row, change, row.version));
}

/** The backend has let go of what a change, or its undo, has given up. */
export function planHeldRelease(routerId: string): ChangeSet {
  return new ChangeSet().add(ADDRESS_CLAIMS, { action: 'RELEASE_EXTERNAL', ownerIds: heldAddresses(routerId) });
}

/** Whether another address is its own from then on. */
export function movesAddress(row: RouterRow, wanted: WantedRouter): boolean {
  const isSame = wanted.externalNetworkId === row.external_network_id && wanted.externalAddress === row.external_address;
  return !isSame || wanted.providerRouterId !== row.provider_router_id || wanted.transitAddress !== row.transit_address;
}

/** What is written of it, without addresses. @param version that it must still have; null for whichever */
export function changing(row: RouterRow, change: RouterChange, version: number | null): ChangeSet {
  const { id: routerId, backend_id: backendId } = row;
  const changes = new ChangeSet().add(ADDRESS_CLAIMS, ...change.attach.map(({ networkId }) => ({ action: 'SPAN' as const, networkId, backendId })));
  return changes.add(ADDRESS_CLAIMS, {
    action: 'CHANGE_ROUTER',
    routerId,
    version,
    attach: change.attach.map(({ networkId, link }) => ({ networkId, link })),
    detach: change.detach.map(({ networkId }) => networkId),
    wanted: change.wanted,
  });
}
