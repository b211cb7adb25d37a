import { assert } from '#core';
import type { Reader } from '#database';
import type { ExternalNetworkSpecification, FloatingIpSpecification, RouterSpecification } from '#drivers';
import { installationId } from '#infrastructure';
import type { ExternalNetworkRow } from '../external-network/external-network.js';
import { floatingTarget, type FloatingIpRow } from '../floating-ip/floating-ip.js';
import { findFloatingIpRouters } from '../floating-ip/floating-ip.sql.js';
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
    uplink:
      row.external_network_id === null || row.external_address === null
        ? null
        : {
            externalNetworkId: row.external_network_id,
            address: row.external_address,
            sourceNat: row.source_nat,
            gatewayHostNames: gateways.get(row.id) ?? [],
          },
  }));
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
    return { row, backendId: place.backend_id, specification: specificationOf(row, place.router_id, installation) };
  });
}

function specificationOf(row: FloatingIpRow, routerId: string | null, installation: string): FloatingIpSpecification | null {
  const target = floatingTarget(row);
  if (target === null || routerId === null) return null;
  const { networkId, portId, loadBalancerId } = target;
  return {
    floatingIpId: row.id,
    revision: row.desired_revision,
    ownership: ownership(installation, row),
    routerId,
    networkId,
    address: row.address,
    target: portId === null ? { kind: 'LOAD_BALANCER', loadBalancerId: loadBalancerId ?? '' } : { kind: 'PORT', portId },
  };
}
