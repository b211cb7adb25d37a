import { assert, MuonError } from '#core';
import type { Reader } from '#database';
import type { LoadBalancerSpecification, NetworkSpecification, Ownership, PortSpecification } from '#drivers';
import { findHosts, installationId } from '#infrastructure';
import type { LoadBalancerRow } from '../load-balancer/load-balancer.js';
import { findListeners, findMembers } from '../load-balancer/load-balancer.sql.js';
import { networkDomain, type NetworkBackendRow, type NetworkRow } from '../network/network.js';
import { findNetworkBackends, findNetworks } from '../network/network.sql.js';
import type { PortRow } from '../port/port.js';
import { findGroupsOfPorts } from '../security-group/security-group.sql.js';
import { findRealSubnets } from '../subnet/subnet.sql.js';

/** What drivers are told, made of rows. A row is read before its parts, so that a revision never claims less than it brings. */

type Owned = Pick<NetworkRow, 'tenant_id' | 'project_id'>;

export function ownership(installation: string, row: Owned): Ownership {
  return { installationId: installation, tenantId: row.tenant_id, projectId: row.project_id };
}

export interface NetworkPart {
  backendId: string;
  specification: NetworkSpecification;
  /** What the backend was last known to have. */
  realisedRevision: number;
}

/** The networks on the backends that they span. */
export async function networkParts(reader: Reader, networkIds: readonly string[]): Promise<NetworkPart[]> {
  const ids = [...new Set(networkIds)];
  const rows = new Map((await reader.rows(findNetworks, ids)).map((row) => [row.id, row]));
  const subnets = Map.groupBy(await reader.rows(findRealSubnets, ids), (subnet) => subnet.network_id);
  const backends = await reader.rows(findNetworkBackends, ids);
  const installation = await installationId(reader);
  return backends.map((backend: NetworkBackendRow) => {
    const network = rows.get(backend.network_id);
    assert(network !== undefined, `network ${backend.network_id} spans a backend but is gone`);
    return {
      backendId: backend.backend_id,
      realisedRevision: backend.realised_revision,
      specification: {
        networkId: network.id,
        revision: network.desired_revision,
        ownership: ownership(installation, network),
        subnets: (subnets.get(network.id) ?? []).map((subnet) => ({
          subnetId: subnet.id,
          cidr: subnet.cidr,
          gatewayAddress: subnet.gateway,
          ...(subnet.health_check_address === null ? {} : { healthCheckAddress: subnet.health_check_address }),
        })),
        domain: networkDomain(network),
      },
    };
  });
}

export async function portSpecifications(reader: Reader, rows: readonly PortRow[]): Promise<PortSpecification[]> {
  const hosts = await reader.rows(findHosts, [...new Set(rows.map((row) => row.host_id))]);
  const names = new Map(hosts.map((host) => [host.id, host.name]));
  const groups = Map.groupBy(await reader.rows(findGroupsOfPorts, rows.map((row) => row.id)), (row) => row.port_id);
  const installation = await installationId(reader);
  return rows.map((row) => {
    const hostName = names.get(row.host_id);
    if (hostName === undefined) throw new MuonError('NOT_FOUND', `The host of the port "${row.name}" is gone.`, { fault: 'OPERATOR' });
    return {
      portId: row.id,
      revision: row.desired_revision,
      ownership: ownership(installation, row),
      networkId: row.network_id,
      subnetId: row.subnet_id,
      macAddress: row.mac_address,
      ipAddress: row.address,
      name: row.name,
      hostName,
      securityGroupIds: (groups.get(row.id) ?? []).map((membership) => membership.security_group_id),
    };
  });
}

export async function loadBalancerSpecifications(
  reader: Reader,
  rows: readonly LoadBalancerRow[],
): Promise<LoadBalancerSpecification[]> {
  const ids = rows.map((row) => row.id);
  const listeners = Map.groupBy(await reader.rows(findListeners, ids), (listener) => listener.load_balancer_id);
  const members = Map.groupBy(await reader.rows(findMembers, ids), (member) => member.load_balancer_id);
  const installation = await installationId(reader);
  return rows.map((row) => {
    assert(row.address !== null, `load balancer ${row.id} has no address`);
    const own = members.get(row.id) ?? [];
    return {
      loadBalancerId: row.id,
      revision: row.desired_revision,
      ownership: ownership(installation, row),
      networkId: row.network_id,
      address: row.address,
      name: row.name,
      listeners: (listeners.get(row.id) ?? []).map((listener) => ({
        port: listener.port,
        protocol: 'TCP' as const,
        members: own.map((member) => ({ address: member.address, port: listener.member_port })),
      })),
    };
  });
}
