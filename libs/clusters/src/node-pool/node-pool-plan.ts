import { assert, MuonError } from '#core';
import { findAffinityGroups, type PlannedAffinityGroup } from '#compute';
import { ChangeSet, constraintMeans, type Reader } from '#database';
import type { Access } from '#identity';
import { findPortsOfOwners } from '#network';
import type { Charge } from '#quota';
import { findDisksOfOwners } from '#storage';
import { blueprintOf } from '../blueprint/blueprints.js';
import { agreementOf, refuseWithoutAgreement } from '../cluster/agreement.js';
import { flavorsById, releaseOf, zoneChooser } from '../cluster/cluster-resolve.js';
import type { ClusterRow } from '../cluster/cluster.js';
import { unplacedCharges } from '../cluster/quota-preview.js';
import { readOneCluster } from '../guest/cluster-facts.js';
import { newNodes, planNodes, type NewNode, type NodeHome, type NodeKind, type PlanningTools } from '../node/node-plan.js';
import type { ClusterNodeRow } from '../node/cluster-node.js';
import type { NodePoolRow } from './node-pool.js';

constraintMeans(
  'node_pool_name',
  () => new MuonError('ALREADY_EXISTS', 'A node pool of this name exists already in the cluster.', { field: 'input.name' }),
);

/** What new nodes have of a cluster that exists. */
export async function homeOf(reader: Reader, cluster: ClusterRow): Promise<NodeHome> {
  const { control_group_id: controlGroup, worker_group_id: workerGroup, network_id: networkId } = cluster;
  assert(controlGroup !== null && workerGroup !== null && networkId !== null, `cluster ${cluster.id} lacks its groups or network`);
  const groups = new Map((await reader.rows(findAffinityGroups, [controlGroup, workerGroup])).map((group) => [group.id, group]));
  const group = (id: string): PlannedAffinityGroup => {
    const found = groups.get(id);
    if (found !== undefined) return found;
    throw new MuonError('INVALID_STATE', `The affinity group of the cluster "${cluster.name}" is gone.`, { fault: 'OPERATOR', data: { groupId: id } });
  };
  const { release, image } = await releaseOf(reader, cluster.version_id);
  return {
    clusterId: cluster.id,
    clusterName: cluster.name,
    tenantId: cluster.tenant_id,
    projectId: cluster.project_id,
    blueprint: blueprintOf(cluster.kind),
    release,
    image,
    networkId,
    groups: { CONTROL: group(controlGroup), WORKER: group(workerGroup) },
  };
}

export interface PlannedGrowth {
  changes: ChangeSet;
  nodes: NewNode[];
  lockIds: string[];
  unplaced: Charge[];
}

/**
 * Plans more nodes for a pool, stored or made by the same change set. What has no place is a problem of the plan.
 * @throws INVALID_STATE when the cluster's control nodes could not let them join
 */
export async function planGrowth(
  reader: Reader,
  access: Access | null,
  tools: PlanningTools,
  growth: {
    cluster: ClusterRow;
    pool: Pick<NodePoolRow, 'id' | 'name' | 'flavor_id' | 'zone_ids'>;
    count: number;
    field: string;
    explain?: boolean;
  },
): Promise<PlannedGrowth> {
  const { cluster, pool, count, field } = growth;
  refuseWithoutAgreement(agreementOf(await readOneCluster(reader, cluster.id)), `The cluster "${cluster.name}" cannot grow`);
  const flavor = (await flavorsById(reader, [pool.flavor_id])).get(pool.flavor_id);
  assert(flavor !== undefined, 'a flavor that was found is missing');
  const zoneIds = (await zoneChooser(reader, cluster.tenant_id))(pool.zone_ids, `${field}.zones`);
  const kind: NodeKind = { role: 'WORKER', pool: { id: pool.id, name: pool.name }, flavor, zoneIds, field };
  return planNewNodes(reader, access, tools, await homeOf(reader, cluster), newNodes(cluster.name, kind, count), growth.explain ?? false);
}

/** Plans nodes with their machines; what has no place is a problem of the plan. */
export async function planNewNodes(
  reader: Reader,
  access: Access | null,
  tools: PlanningTools,
  home: NodeHome,
  nodes: readonly NewNode[],
  explain = false,
): Promise<PlannedGrowth> {
  const changes = new ChangeSet();
  const all = [...nodes];
  if (all.length === 0) return { changes, nodes: all, lockIds: [], unplaced: [] };
  try {
    const set = await planNodes(reader, access, tools.secrets, home, all, changes, { explain });
    for (const backendId of new Set(set.machines.map((machine) => machine.backendId))) {
      for (const need of home.blueprint.needs) await tools.drivers.requireCapability(reader, backendId, need, all[0]?.field);
    }
    return { changes, nodes: all, lockIds: set.lockIds, unplaced: [] };
  } catch (error) {
    if (!(error instanceof MuonError) || error.code !== 'INSUFFICIENT_CAPACITY') throw error;
    changes.problems.push(error.toRecord());
    return { changes, nodes: all, lockIds: [], unplaced: unplacedCharges(home, all) };
  }
}

/** What an operation that takes nodes away holds: their machines with ports and disks. */
export async function lockIdsOfMachines(reader: Reader, machineIds: readonly string[]): Promise<string[]> {
  const ports = await reader.rows(findPortsOfOwners, [...machineIds]);
  const disks = await reader.rows(findDisksOfOwners, [...machineIds]);
  return [...machineIds, ...ports.map((row) => row.id), ...disks.map((row) => row.id)];
}

const SICKEST: readonly ClusterNodeRow['health'][] = ['LOST', 'UNREACHABLE', 'NOT_READY', 'UNKNOWN', 'READY'];

/**
 * Which nodes go when a pool shrinks: what operations that were given up have left, then the sick before the well, and of those
 * the youngest.
 */
export function chooseLeaving(nodes: readonly ClusterNodeRow[], count: number): ClusterNodeRow[] {
  const rank = (node: ClusterNodeRow): number => (node.phase === 'JOINED' ? SICKEST.indexOf(node.health) : -1);
  return [...nodes].sort((one, other) => rank(one) - rank(other) || (one.id < other.id ? 1 : -1)).slice(0, count);
}
