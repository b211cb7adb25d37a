import { MuonError } from '#core';
import { ChangeSet, type Reader } from '#database';
import type { BlockerReason } from '#operations';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { whyLost } from '../realise/places.js';
import { findSubnetsOfNetworks } from '../subnet/subnet.sql.js';
import { refuseNeededRouter } from './edge-claims.js';
import { heldAddress, type RouterRow } from './router.js';
import { changing, movesAddress, type RouterChange } from './router-change.js';
import { attachable, overlapWithOutside } from './router-plan.js';
import { findNetworksOfRouters } from './router.sql.js';
import { blocksOf, uplinkOf, type OutsideBlock } from './uplink.js';

/** With the reason, for people. */
export interface LostNetwork {
  networkId: string;
  reason: string;
}

export interface RouterReversal {
  changes: ChangeSet;
  /** Networks that it is not on again: they are on other routers, or going, by now, or have subnets that are outside as well. */
  lost: LostNetwork[];
  /** Floating IPs that have come to lead through what is to be taken back: then nothing can be done before they lead elsewhere. */
  needed: BlockerReason | null;
}

/** What makes the row again what it was before a change, as far as others let it, with the address that was held for that. */
export async function planRouterReversal(reader: Reader, row: RouterRow, change: RouterChange): Promise<RouterReversal> {
  const { id: routerId } = row;
  const outside = blocksOf(await uplinkOf(reader, { external_network_id: change.wanted.externalNetworkId, provider_router_id: change.wanted.providerRouterId }));
  const taken = await takenByOthers(reader, row, change.attach, outside);
  const attach = change.attach.filter(({ networkId }) => !taken.some((each) => each.networkId === networkId));
  const clashing = await outsideAsWell(reader, row, change, outside);
  const detach = [...change.detach, ...clashing.map(({ networkId }) => ({ networkId }))];
  const changes = new ChangeSet();
  if (movesAddress(row, change.wanted)) {
    changes.add(
      ADDRESS_CLAIMS,
      { action: 'HAND_OVER_EXTERNAL', from: routerId, to: heldAddress(routerId, 'undo') },
      { action: 'HAND_OVER_EXTERNAL', from: heldAddress(routerId, 'change'), to: routerId },
    );
  }
  changes.include(changing(row, { ...change, attach, detach }, null));
  return { changes, lost: [...taken, ...clashing], needed: await neededBy(reader, row, { ...change, detach }) };
}

async function takenByOthers(reader: Reader, row: RouterRow, attach: RouterChange['attach'], outside: readonly OutsideBlock[]): Promise<LostNetwork[]> {
  const { id: routerId, tenant_id: tenantId, project_id: projectId } = row;
  const lost = [];
  for (const { networkId } of attach) {
    const wish = { tenantId, projectId, networkIds: [networkId], outside, routerId, field: 'input.detach' };
    const reason = await whyLost(attachable(reader, null, wish));
    if (reason !== null) lost.push({ networkId, reason });
  }
  return lost;
}

/** Networks on it that overlap what it leads to again: subnets that were made before the database refused that. */
async function outsideAsWell(reader: Reader, row: RouterRow, { detach, wanted }: RouterChange, outside: readonly OutsideBlock[]): Promise<LostNetwork[]> {
  if (!isMoving(row, wanted)) return [];
  const leaving = new Set(detach.map(({ networkId }) => networkId));
  const staying = (await reader.rows(findNetworksOfRouters, [row.id])).map((link) => link.network_id).filter((id) => !leaving.has(id));
  const blocks = Map.groupBy(await reader.rows(findSubnetsOfNetworks, staying), (subnet) => subnet.network_id);
  return staying.flatMap((networkId) => {
    const reason = overlapWithOutside(blocks.get(networkId) ?? [], outside, 'input');
    return reason === null ? [] : [{ networkId, reason }];
  });
}

const isMoving = (row: RouterRow, wanted: RouterChange['wanted']): boolean =>
  wanted.externalNetworkId !== row.external_network_id || wanted.providerRouterId !== row.provider_router_id;

async function neededBy(reader: Reader, row: RouterRow, { detach, wanted }: RouterChange): Promise<BlockerReason | null> {
  const leaving = new Set(detach.map(({ networkId }) => networkId));
  const networks = (await reader.rows(findNetworksOfRouters, [row.id])).map((link) => link.network_id);
  const moves = isMoving(row, wanted);
  try {
    await refuseNeededRouter(reader, networks.filter((id) => moves || leaving.has(id)));
    return null;
  } catch (error) {
    if (!(error instanceof MuonError) || error.code !== 'INVALID_STATE') throw error;
    const { code, message, fault, data = {} } = error;
    return { code, message, fault, data };
  }
}
