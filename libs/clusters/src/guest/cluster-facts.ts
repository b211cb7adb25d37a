import { assert, notFound } from '#core';
import { findVirtualMachines, type VirtualMachineRow } from '#compute';
import type { Reader } from '#database';
import { findHosts, hostState, type HostRow, type HostState } from '#infrastructure';
import { findFloatingIpsOfOwners, findLoadBalancers, findPortsOfOwners } from '#network';
import type { Blueprint, BlueprintCluster, BlueprintNode } from '../blueprint/blueprint.js';
import { blueprintOf } from '../blueprint/blueprints.js';
import type { ClusterRow } from '../cluster/cluster.js';
import { findClusters } from '../cluster/cluster.sql.js';
import { isServing, type ClusterNodeRow } from '../node/cluster-node.js';
import { findNodesOfClusters } from '../node/cluster-node.sql.js';
import type { NodePoolRow } from '../node-pool/node-pool.js';
import { findNodePoolsOfClusters } from '../node-pool/node-pool.sql.js';
import { findClusterVersions } from '../version/cluster-version.sql.js';

export interface NodeFacts {
  row: ClusterNodeRow;
  /** Undefined when it is gone. */
  machine: VirtualMachineRow | undefined;
  /** Undefined with the machine, or when it is gone itself. */
  host: HostRow | undefined;
  hostState: HostState | undefined;
  /** What the blueprint is told; undefined when the machine has no address any more. */
  blueprintNode: BlueprintNode | undefined;
}

export interface ClusterFacts {
  row: ClusterRow;
  blueprint: Blueprint;
  release: string;
  /** The load balancer's address; null when there is none (any more). */
  apiAddress: string | null;
  /** Floating addresses that lead to the load balancer. */
  externalAddresses: string[];
  pools: NodePoolRow[];
  /** The oldest first. */
  nodes: NodeFacts[];
}

/**
 * Everything that steps and reconcilers need of clusters, by a number of statements that does not grow with them; one after
 * another, because a transaction has one connection.
 */
export async function readClusterFacts(reader: Reader, clusterIds: readonly string[]): Promise<ClusterFacts[]> {
  const rows = await reader.rows(findClusters, [...clusterIds]);
  if (rows.length === 0) return [];
  const ids = rows.map((row) => row.id);
  const versions = await reader.rows(findClusterVersions, [...new Set(rows.map((row) => row.version_id))]);
  const balancers = await reader.rows(findLoadBalancers, rows.flatMap((row) => row.load_balancer_id ?? []));
  const floating = Map.groupBy(await reader.rows(findFloatingIpsOfOwners, ids), (row) => row.owner_id);
  const pools = await reader.rows(findNodePoolsOfClusters, ids);
  const nodes = await reader.rows(findNodesOfClusters, ids);
  const machineIds = nodes.map((node) => node.machine_id);
  const machines = await reader.rows(findVirtualMachines, machineIds);
  const ports = await reader.rows(findPortsOfOwners, machineIds);
  const hosts = await reader.rows(findHosts, [...new Set(machines.map((machine) => machine.host_id))]);
  const releases = new Map(versions.map((version) => [version.id, version.release]));
  const addresses = new Map(balancers.map((balancer) => [balancer.id, balancer.address]));
  const machineOf = new Map(machines.map((machine) => [machine.id, machine]));
  const hostOf = new Map(hosts.map((host) => [host.id, host]));
  const portOf = new Map(ports.map((port) => [port.owner_id, port]));
  const poolOf = new Map(pools.map((pool) => [pool.id, pool]));
  const nodeFacts = nodes.map((row): NodeFacts => {
    const machine = machineOf.get(row.machine_id);
    const host = machine === undefined ? undefined : hostOf.get(machine.host_id);
    const port = portOf.get(row.machine_id);
    const pool = row.pool_id === null ? undefined : poolOf.get(row.pool_id);
    const blueprintNode =
      machine === undefined || port === undefined ? undefined : nodeForBlueprint(row, machine, port.address, pool);
    return { row, machine, host, hostState: host === undefined ? undefined : hostState(host), blueprintNode };
  });
  const nodesOf = Map.groupBy(nodeFacts, (node) => node.row.cluster_id);
  const poolsOf = Map.groupBy(pools, (pool) => pool.cluster_id);
  return rows.map((row) => ({
    row,
    blueprint: blueprintOf(row.kind),
    release: releases.get(row.version_id) ?? '',
    apiAddress: row.load_balancer_id === null ? null : (addresses.get(row.load_balancer_id) ?? null),
    externalAddresses: (floating.get(row.id) ?? []).map((each) => each.address),
    pools: poolsOf.get(row.id) ?? [],
    nodes: nodesOf.get(row.id) ?? [],
  }));
}

/** @throws NOT_FOUND */
export async function readOneCluster(reader: Reader, clusterId: string): Promise<ClusterFacts> {
  const [facts] = await readClusterFacts(reader, [clusterId]);
  if (facts === undefined) throw notFound('cluster', clusterId);
  return facts;
}

export function clusterForBlueprint(facts: ClusterFacts): BlueprintCluster {
  assert(facts.apiAddress !== null, `cluster ${facts.row.id} has no load balancer`);
  return {
    id: facts.row.id,
    name: facts.row.name,
    release: facts.release,
    apiAddress: facts.apiAddress,
    externalAddresses: facts.externalAddresses,
    controlAddresses: joinedControls(facts).flatMap((node) => node.blueprintNode?.address ?? []),
  };
}

/** Control nodes that are there to be asked for something, the healthiest first. */
export function joinedControls(facts: Pick<ClusterFacts, 'nodes'>): NodeFacts[] {
  const joined = facts.nodes.filter((node) => node.row.role === 'CONTROL' && node.row.phase === 'JOINED' && node.machine !== undefined);
  const rank = (node: NodeFacts): number => (isServing(node.row) ? 0 : node.row.health === 'NOT_READY' ? 1 : 2);
  return joined.sort((one, other) => rank(one) - rank(other));
}

function nodeForBlueprint(
  row: ClusterNodeRow,
  machine: VirtualMachineRow,
  address: string,
  pool: NodePoolRow | undefined,
): BlueprintNode {
  return {
    machineId: machine.id,
    name: row.name,
    role: row.role,
    address,
    zoneId: machine.zone_id,
    pool: pool === undefined ? null : { name: pool.name, labels: pool.labels },
  };
}
