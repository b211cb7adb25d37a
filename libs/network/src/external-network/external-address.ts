import { MuonError, notFound } from '#core';
import type { ChangeSet, Reader } from '#database';
import { findBackends } from '#infrastructure';
import { chooseZones } from '#tenancy';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { findNetworkBackendsOfZones } from '../network/network.sql.js';
import { requireConnected } from './connected-hosts.js';
import type { ExternalNetworkRow } from './external-network.js';
import { findExternalNetworksByReference, findFreeExternalAddress } from './external-network.sql.js';

/**
 * An external network that a tenant may use, by id or by name: hosts of its zones reach it.
 * @throws NOT_FOUND, INVALID_STATE, UNSUPPORTED with the field
 */
export async function usableExternalNetwork(reader: Reader, tenantId: string, reference: string, field: string): Promise<ExternalNetworkRow> {
  const found = await reader.rows(findExternalNetworksByReference, [reference]);
  const row = found.find((each) => each.id === reference) ?? found[0];
  if (row === undefined) throw notFound('external network', reference, field);
  if (row.lifecycle !== 'PRESENT') {
    throw new MuonError('INVALID_STATE', `The external network "${row.name}" is ${row.lifecycle} and gives out no addresses.`, {
      field,
      data: { id: row.id, state: row.lifecycle },
    });
  }
  requireConnected(row, field);
  await requireReach(reader, tenantId, row, 'external network', field);
  return row;
}

/** @throws UNSUPPORTED when no zone of the tenant is where that is */
export async function requireReach(reader: Reader, tenantId: string, row: { name: string; backend_id: string }, noun: string, field: string): Promise<void> {
  const zones = await chooseZones(reader, tenantId, null, field);
  const backends = await reader.rows(findNetworkBackendsOfZones, zones.map((zone) => zone.id));
  if (backends.some(({ backend_id: id }) => id === row.backend_id)) return;
  throw new MuonError('UNSUPPORTED', `No zone of this tenant reaches the ${noun} "${row.name}".`, { field });
}

/** @throws UNSUPPORTED when the backend has no routers */
export async function requireRouters(reader: Reader, backendId: string, field: string): Promise<void> {
  const [backend] = await reader.rows(findBackends, [backendId]);
  if (backend?.capabilities.router === true) return;
  throw new MuonError('UNSUPPORTED', 'The backend offers no routers.', { field });
}

export interface ExternalAddressWish {
  ownerId: string;
  tenantId: string;
  projectId: string;
}

/**
 * Chooses a free address at random and claims it in the change set.
 * @param alongside what the same change set takes already
 * @throws INSUFFICIENT_CAPACITY when all are given out
 */
export async function claimFreeAddress(
  reader: Reader,
  changes: ChangeSet,
  network: Pick<ExternalNetworkRow, 'id' | 'name'>,
  wish: ExternalAddressWish | { ownerId: string; tenantId: null; projectId: null },
  alongside?: ChangeSet,
): Promise<string> {
  const claims = [...changes.items(ADDRESS_CLAIMS), ...(alongside?.items(ADDRESS_CLAIMS) ?? [])];
  const taken = claims.flatMap((item) => (item.action === 'CLAIM_EXTERNAL' && item.externalNetworkId === network.id ? [item.address] : []));
  const free = await reader.first(findFreeExternalAddress, network.id, taken);
  if (free === undefined) {
    throw new MuonError('INSUFFICIENT_CAPACITY', `The external network "${network.name}" has no free address left.`, {
      data: { externalNetworkId: network.id },
      fault: 'OPERATOR',
      retryable: false,
    });
  }
  changes.add(ADDRESS_CLAIMS, { action: 'CLAIM_EXTERNAL', externalNetworkId: network.id, address: free.address, ...wish });
  return free.address;
}
