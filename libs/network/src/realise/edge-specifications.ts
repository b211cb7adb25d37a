import { assert } from '#core';
import type { Reader } from '#database';
import type { ExternalNetworkSpecification, FloatingIpSpecification, ProviderRouterSpecification, RouterSpecification } from '#drivers';
import { installationId } from '#infrastructure';
import type { ExternalNetworkRow } from '../external-network/external-network.js';
import { floatingTarget, type FloatingIpRow } from '../floating-ip/floating-ip.js';
import { findFloatingIpRouters, type FloatingIpPlaceRow } from '../floating-ip/floating-ip.sql.js';
import type { ProviderRouterRow } from '../provider-router/provider-router.js';
import { chooseProviderGatewayHosts } from '../provider-router/provider-router.sql.js';
import type { RouterRow } from '../router/router.js';
import { chooseGatewayHosts, findNetworksOfRouters } from '../router/router.sql.js';
import { ownership } from './specifications.js';

/** A gateway is led by one host, and taken over by the next: more than these are for nothing. */
export const GATEWAY_HOSTS = 5;

export async function externalNetworkSpecifications(reader: Reader, rows: readonly ExternalNetworkRow[]): Promise<ExternalNetworkSpecification[]> {
  const installation = await installationId(reader);
  return rows.map((row) => ({
    externalNetworkId: row.id,
    revision: row.desired_revision,
    installationId: installation,
    physicalNetwork: row.physical_network,
    ...(row.vlan === null ? {} : { vlan: row.vlan }),
    cidr: row.cidr,
    gatewayAddress: row.gateway,
  }));
}

export async function providerRouterSpecifications(reader: Reader, rows: readonly ProviderRouterRow[]): Promise<ProviderRouterSpecification[]> {
  const installation = await installationId(reader);
  const ids = rows.map((row) => row.id);
  const gateways = new Map((await reader.rows(chooseProviderGatewayHosts, ids, GATEWAY_HOSTS)).map((row) => [row.id, row.host_names]));
  return rows.map((row) => ({
    providerRouterId: row.id,
    revision: row.desired_revision,
    installationId: installation,
    externalNetworkId: row.external_network_id,
    address: row.external_address,
    transitCidr: row.transit_cidr,
    transitAddress: row.transit_address,
    gatewayHostNames: gateways.get(row.id) ?? [],
  }));
}

export async function routerSpecifications(reader: Reader, rows: readonly RouterRow[]): Promise<RouterSpecification[]> {
  const ids = rows.map((row) => row.id);
  const networks = Map.groupBy(await reader.rows(findNetworksOfRouters, ids), (row) => row.router_id);
  const gateways = new Map((await reader.rows(chooseGatewayHosts, ids, GATEWAY_HOSTS)).map((row) => [row.router_id, row.host_names]));
  const installation = await installationId(reader);
  return rows.map((row) => ({
    routerId: row.id,
    revision: row.desired_revision,
    ownership: ownership(installation, row),
    networks: (networks.get(row.id) ?? []).map(({ network_id: networkId, link }) => ({ networkId, link })),
    uplink: uplinkOf(row, gateways.get(row.id) ?? []),
  }));
}

function uplinkOf(row: RouterRow, gatewayHostNames: string[]): RouterSpecification['uplink'] {
  const { external_network_id: externalNetworkId, external_address: externalAddress, source_nat: sourceNat } = row;
  if (externalNetworkId !== null && externalAddress !== null) return { externalNetworkId, address: externalAddress, sourceNat, gatewayHostNames };
  const { provider_router_id: providerRouterId, transit_address: address } = row;
  return providerRouterId === null || address === null ? null : { providerRouterId, address, sourceNat };
}

/** The hosts that a backend is told to lead a router's uplink by; none of one that a provider's router leads. */
export function gatewayHostsOf({ uplink }: Pick<RouterSpecification, 'uplink'>): string[] {
  return uplink === null || 'providerRouterId' in uplink ? [] : uplink.gatewayHostNames;
}

/** A floating IP on its backend. */
export interface FloatingPart {
  row: FloatingIpRow;
  backendId: string;
  /** Null where it leads nowhere, or its network has just left the router. */
  specification: FloatingIpSpecification | null;
}

export async function floatingParts(reader: Reader, rows: readonly FloatingIpRow[]): Promise<FloatingPart[]> {
  const places = new Map((await reader.rows(findFloatingIpRouters, rows.map((row) => row.id))).map((row) => [row.id, row]));
  const installation = await installationId(reader);
  return rows.map((row) => {
    const place = places.get(row.id);
    assert(place !== undefined, `floating IP ${row.id} has no external network`);
    return { row, backendId: place.backend_id, specification: specificationOf(row, place, installation) };
  });
}

function specificationOf(row: FloatingIpRow, place: FloatingIpPlaceRow, installation: string): FloatingIpSpecification | null {
  const target = floatingTarget(row);
  const { router_id: routerId, provider_router_id: providerRouterId, transit_address: transitAddress } = place;
  if (target === null || routerId === null) return null;
  assert(providerRouterId === null || transitAddress !== null, `floating IP ${row.id} has no transit address`);
  const { networkId, portId, loadBalancerId } = target;
  return {
    floatingIpId: row.id,
    revision: row.desired_revision,
    ownership: ownership(installation, row),
    routerId,
    networkId,
    address: row.address,
    ...(providerRouterId === null || transitAddress === null ? {} : { transit: { providerRouterId, address: transitAddress } }),
    target: portId === null ? { kind: 'LOAD_BALANCER', loadBalancerId: loadBalancerId ?? '' } : { kind: 'PORT', portId },
  };
}
