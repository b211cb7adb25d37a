import { ChangeSet } from '#database';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import type { WantedRouter } from './edge-claims.js';
import type { RouterRow } from './router.js';

export interface RouterChange {
  attach: readonly { networkId: string; link: number }[];
  detach: readonly { networkId: string }[];
  /** With an address that is free, or its own already. */
  wanted: WantedRouter;
}

export function wantedOf(row: Pick<RouterRow, 'description' | 'external_network_id' | 'external_address' | 'source_nat'>): WantedRouter {
  return {
    description: row.description,
    externalNetworkId: row.external_network_id,
    externalAddress: row.external_address,
    sourceNat: row.source_nat,
  };
}

/**
 * What makes the row another: an address that it had and shall not have is released, one that it shall have is claimed. An
 * address that was given back and is somebody else's by now is a lost race.
 * @param version that it must still have; null for whichever
 */
export function planRouterChange(row: RouterRow, change: RouterChange, version: number | null): ChangeSet {
  const { id: routerId, tenant_id: tenantId, project_id: projectId, backend_id: backendId } = row;
  const { wanted } = change;
  const changes = new ChangeSet();
  const moves = wanted.externalNetworkId !== row.external_network_id || wanted.externalAddress !== row.external_address;
  if (moves) changes.add(ADDRESS_CLAIMS, { action: 'RELEASE_EXTERNAL', ownerIds: [routerId] });
  if (moves && wanted.externalNetworkId !== null && wanted.externalAddress !== null) {
    const { externalNetworkId, externalAddress: address } = wanted;
    changes.add(ADDRESS_CLAIMS, { action: 'CLAIM_EXTERNAL', externalNetworkId, address, ownerId: routerId, tenantId, projectId });
  }
  changes.add(ADDRESS_CLAIMS, ...change.attach.map(({ networkId }) => ({ action: 'SPAN' as const, networkId, backendId })));
  return changes.add(ADDRESS_CLAIMS, {
    action: 'CHANGE_ROUTER',
    routerId,
    version,
    attach: change.attach.map(({ networkId, link }) => ({ networkId, link })),
    detach: change.detach.map(({ networkId }) => networkId),
    wanted,
  });
}
