import { MuonError, notFound } from '#core';
import type { ChangeSet, Reader } from '#database';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { requireReach, type ExternalAddressWish } from '../external-network/external-address.js';
import type { ProviderRouterRow } from './provider-router.js';
import { findFreeTransitAddress, findProviderRouters, findProviderRoutersByReference, probeFreeTransitAddress } from './provider-router.sql.js';

/**
 * A provider's router that a tenant may use, by id or by name: hosts of its zones reach it.
 * @throws NOT_FOUND, INVALID_STATE, UNSUPPORTED with the field
 */
export async function usableProviderRouter(reader: Reader, tenantId: string, reference: string, field: string): Promise<ProviderRouterRow> {
  const found = await reader.rows(findProviderRoutersByReference, [reference]);
  const row = found.find((each) => each.id === reference) ?? found[0];
  if (row === undefined) throw notFound('provider router', reference, field);
  if (row.lifecycle !== 'PRESENT') {
    throw new MuonError('INVALID_STATE', `The provider router "${row.name}" is ${row.lifecycle} and takes no routers.`, {
      field,
      data: { id: row.id, state: row.lifecycle },
    });
  }
  await requireReach(reader, tenantId, row, 'provider router', field);
  return row;
}

/**
 * Chooses a free address of the transit block at random and claims it in the change set.
 * @param alongside what the same change set takes already
 * @throws INSUFFICIENT_CAPACITY when all are given out; NOT_FOUND when the router has just gone
 */
export async function claimFreeTransitAddress(
  reader: Reader,
  changes: ChangeSet,
  providerRouterId: string,
  wish: ExternalAddressWish,
  alongside?: ChangeSet,
): Promise<string> {
  const claims = [...changes.items(ADDRESS_CLAIMS), ...(alongside?.items(ADDRESS_CLAIMS) ?? [])];
  const taken = claims.flatMap((item) => (item.action === 'CLAIM_TRANSIT' && item.providerRouterId === providerRouterId ? [item.address] : []));
  const free =
    (await reader.first(probeFreeTransitAddress, providerRouterId, taken)) ?? (await reader.first(findFreeTransitAddress, providerRouterId, taken));
  if (free === undefined) {
    // It may have gone since it was found.
    if ((await reader.rows(findProviderRouters, [providerRouterId])).length === 0) throw notFound('provider router', providerRouterId);
    throw new MuonError('INSUFFICIENT_CAPACITY', 'The transit block of the provider router has no free address left.', {
      data: { providerRouterId },
      fault: 'OPERATOR',
      retryable: false,
    });
  }
  changes.add(ADDRESS_CLAIMS, { action: 'CLAIM_TRANSIT', providerRouterId, address: free.address, ...wish });
  return free.address;
}
