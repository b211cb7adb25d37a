import { invalidInput } from '#core';
import type { Reader } from '#database';
import { requireConnected } from '../external-network/connected-hosts.js';
import { usableExternalNetwork } from '../external-network/external-address.js';
import type { ExternalNetworkRow } from '../external-network/external-network.js';
import { findExternalNetworks } from '../external-network/external-network.sql.js';
import type { ProviderRouterRow } from '../provider-router/provider-router.js';
import { findProviderRouters } from '../provider-router/provider-router.sql.js';
import { usableProviderRouter } from '../provider-router/transit-address.js';
import type { RouterRow } from './router.js';
import { findBlocksOutside } from './router.sql.js';

/** What a router leads to: an external network, itself or by a provider's router. */
export interface RouterUplink {
  outside: ExternalNetworkRow;
  providerRouter: ProviderRouterRow | null;
}

/** What it leads to is named by id or name; null or left out where it is not that. */
export interface UplinkRequest {
  externalNetwork?: string | null | undefined;
  providerRouter?: string | null | undefined;
}

/** A block outside that the subnets of a router may not overlap, with what it is called. */
export interface OutsideBlock {
  called: string;
  cidr: string;
}

/** @throws as `usableExternalNetwork` and `usableProviderRouter` do; INVALID_INPUT when both are named */
export async function usableUplink(reader: Reader, tenantId: string, request: UplinkRequest, field: string): Promise<RouterUplink | null> {
  const { externalNetwork, providerRouter } = request;
  if (externalNetwork != null && providerRouter != null) {
    throw invalidInput(`${field}.providerRouter`, 'A router leads to an external network or to a provider router; name one of both.');
  }
  if (externalNetwork != null) {
    return { outside: await usableExternalNetwork(reader, tenantId, externalNetwork, `${field}.externalNetwork`), providerRouter: null };
  }
  if (providerRouter == null) return null;
  const uplink = await behind(reader, await usableProviderRouter(reader, tenantId, providerRouter, `${field}.providerRouter`));
  if (uplink !== null) requireConnected(uplink.outside, `${field}.providerRouter`);
  return uplink;
}

/** What a router leads to now. */
export async function uplinkOf(reader: Reader, row: Pick<RouterRow, 'external_network_id' | 'provider_router_id'>): Promise<RouterUplink | null> {
  if (row.external_network_id !== null) {
    const [outside] = await reader.rows(findExternalNetworks, [row.external_network_id]);
    return outside === undefined ? null : { outside, providerRouter: null };
  }
  const [providerRouter] = row.provider_router_id === null ? [] : await reader.rows(findProviderRouters, [row.provider_router_id]);
  return providerRouter === undefined ? null : behind(reader, providerRouter);
}

async function behind(reader: Reader, providerRouter: ProviderRouterRow): Promise<RouterUplink | null> {
  const [outside] = await reader.rows(findExternalNetworks, [providerRouter.external_network_id]);
  return outside === undefined ? null : { outside, providerRouter };
}

export function blocksOf(uplink: RouterUplink | null): OutsideBlock[] {
  if (uplink === null) return [];
  const { outside, providerRouter } = uplink;
  const network = outsideBlock('external network', outside.name, outside.cidr);
  return providerRouter === null ? [network] : [network, outsideBlock('provider router', providerRouter.name, providerRouter.transit_cidr)];
}

/** What a router leads to now, or may go back to while it is being changed. */
export async function blocksOutside(reader: Reader, routerId: string): Promise<OutsideBlock[]> {
  return (await reader.rows(findBlocksOutside, routerId)).map(({ kind, name, cidr }) => outsideBlock(kind, name, cidr));
}

function outsideBlock(kind: string, name: string, cidr: string): OutsideBlock {
  const of = kind === 'provider router' ? 'the transit block of the ' : 'the ';
  return { called: `${of}${kind} "${name}" (${cidr})`, cidr };
}
