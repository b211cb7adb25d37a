import { MuonError } from '#core';
import { planAffinityGroup, type FlavorRow, type ImageRow } from '#compute';
import { ChangeSet, constraintMeans, ROWS, type Reader } from '#database';
import type { Access } from '#identity';
import { planLoadBalancer, planNetwork } from '#network';
import { CHARGES, ResourceKey, type Charge } from '#quota';
import type { Blueprint } from '../blueprint/blueprint.js';
import { newNodes, planNodes, type NewNode, type NodeHome, type PlanningTools } from '../node/node-plan.js';
import { planEdge } from './cluster-edge.js';
import { planApart } from './control-spread.js';
import { clusterId as clusterIds, derivedName } from './cluster.js';
import { OWN_ACCESS } from './own-access.js';
import { unplacedCharges } from './quota-preview.js';

constraintMeans(
  'cluster_name',
  () => new MuonError('ALREADY_EXISTS', 'A cluster of this name exists already in the project.', { field: 'input.name' }),
);

/** Nodes that are alike, with everything looked up. */
export interface ShapedNodes {
  flavor: FlavorRow;
  count: number;
  zoneIds: readonly string[];
  field: string;
}

export interface ShapedPool extends ShapedNodes {
  id: string;
  name: string;
}

/** A cluster as it shall be, with everything looked up. */
export interface ClusterShape {
  clusterId: string;
  name: string;
  tenantId: string;
  projectId: string;
  blueprint: Blueprint;
  release: string;
  image: ImageRow;
  /** Null: one is made for it. */
  networkId: string | null;
  /** Id of the external network that the API gets an address of; null for none. */
  externalNetworkId: string | null;
  control: ShapedNodes;
  pools: readonly ShapedPool[];
}

export interface PlannedTree {
  changes: ChangeSet;
  networkId: string;
  loadBalancerId: string | null;
  controlGroupId: string;
  workerGroupId: string;
  /** Everything that an operation on the tree holds. */
  lockIds: string[];
  /** What nodes without a place would be charged; for the preview only. */
  unplaced: Charge[];
}

/**
 * Plans everything that a cluster stands on, as one change set: network, affinity groups, all machines with ports and disks
 * placed at once, load balancer, nodes, charges and claims. The rows of the cluster and its pools are the caller's, and must
 * come first. What has no place is a problem of the plan, so that a dry run shows it beside the others.
 * @param access null when the system admits it again
 */
export async function planTree(
  reader: Reader,
  access: Access | null,
  tools: PlanningTools,
  shape: ClusterShape,
  options: { explain?: boolean } = {},
): Promise<PlannedTree> {
  const { clusterId, name, tenantId, projectId, blueprint } = shape;
  const changes = new ChangeSet();
  const networkId = shape.networkId ?? (await addNetwork(reader, access, shape, changes));
  const owned = { tenantId, projectId, ownerId: clusterId, policy: 'ANTI_AFFINITY', scope: 'HOST' } as const;
  const strength = shape.control.count >= 3 ? ('REQUIRE' as const) : ('PREFER' as const);
  const control = planAffinityGroup({ ...owned, name: derivedName(clusterId, name, 'control'), strength });
  const worker = planAffinityGroup({ ...owned, name: derivedName(clusterId, name, 'workers'), strength: 'PREFER' });
  changes.include(control.changes).include(worker.changes);
  const groups = { CONTROL: control.group, WORKER: worker.group };
  const home: NodeHome = { ...shape, clusterName: name, networkId, groups };
  const nodes = nodesOf(shape);
  const own = [clusterId, control.group.id, worker.group.id, ...(shape.networkId === null ? [networkId] : []), ...shape.pools.map((pool) => pool.id)];
  addClusterCharge(changes, shape);
  const tree = { changes, networkId, controlGroupId: control.group.id, workerGroupId: worker.group.id };
  let unplaced = unplacedCharges(shape, nodes);
  try {
    const set = await planApart(home, shape.control.count, changes, async (inHome) =>
      planNodes(reader, access, tools.secrets, inHome, nodes, changes, options),
    );
    // They are in the changes: what has no place from here on is something else.
    unplaced = [];
    const controls = set.machines.slice(0, shape.control.count);
    const backendId = controls[0]?.backendId ?? '';
    for (const each of new Set(set.machines.map((machine) => machine.backendId))) {
      for (const need of blueprint.needs) await tools.drivers.requireCapability(reader, each, need, 'input.controlPlane.zones');
    }
    await tools.drivers.requireCapability(reader, backendId, 'loadBalancer', 'input.controlPlane.zones');
    const balancer = await planLoadBalancer(
      reader,
      access,
      {
        name: derivedName(clusterId, name, 'api'),
        networkId,
        tenantId,
        projectId,
        backendId,
        ownerId: clusterId,
        listeners: [{ port: blueprint.apiPort, memberPort: blueprint.apiPort }],
        memberPortIds: controls.map((machine) => machine.portId),
        lifecycle: 'PRESENT',
        field: 'input.network',
      },
      changes,
    );
    changes.include(balancer.changes);
    const { loadBalancerId } = balancer;
    const outside = { clusterId, name, tenantId, projectId, networkId, ownsNetwork: shape.networkId === null, loadBalancerId };
    const { externalNetworkId: externalNetwork } = shape;
    const edge = externalNetwork === null ? { routers: [], floatingIps: [] } : await planEdge(reader, access, { ...outside, externalNetwork }, changes);
    return { ...tree, loadBalancerId, lockIds: [...own, loadBalancerId, ...edge.routers, ...edge.floatingIps, ...set.lockIds], unplaced };
  } catch (error) {
    if (!(error instanceof MuonError) || error.code !== 'INSUFFICIENT_CAPACITY') throw error;
    changes.problems.push(error.toRecord());
    return { ...tree, loadBalancerId: null, lockIds: own, unplaced };
  }
}

async function addNetwork(reader: Reader, access: Access | null, shape: ClusterShape, changes: ChangeSet): Promise<string> {
  const { clusterId, name, projectId } = shape;
  const wanted = { projectId, name: derivedName(clusterId, name), description: `Of cluster ${name}`, subnet: {} };
  const planned = await planNetwork(reader, access ?? OWN_ACCESS, wanted);
  changes.include(planned.changes);
  return planned.networkId;
}

/** Control nodes first. */
function nodesOf(shape: ClusterShape): NewNode[] {
  const { name, control, pools } = shape;
  return [
    ...newNodes(name, { ...control, role: 'CONTROL', pool: null }, control.count),
    ...pools.flatMap((pool) => newNodes(name, { ...pool, role: 'WORKER', pool: { id: pool.id, name: pool.name } }, pool.count)),
  ];
}

function addClusterCharge(changes: ChangeSet, { clusterId, tenantId, projectId }: ClusterShape): void {
  changes.add(CHARGES, {
    action: 'CHARGE',
    resourceId: clusterId,
    resourceKind: clusterIds.prefix,
    tenantId,
    projectId,
    zoneId: null,
    amounts: { [ResourceKey.CLUSTER_COUNT]: 1 },
  });
}

/** The rows of a new cluster and its pools. */
export function clusterRows(
  shape: ClusterShape,
  tree: Pick<PlannedTree, 'networkId' | 'loadBalancerId' | 'controlGroupId' | 'workerGroupId'>,
  more: {
    versionId: string;
    controlZoneIds: readonly string[];
    expiresAt: Date | null;
    pools: readonly { id: string; zoneIds: readonly string[]; labels: Record<string, string> }[];
  },
): ChangeSet {
  const { clusterId, tenantId, projectId, name, control, blueprint } = shape;
  const place = { tenant_id: tenantId, project_id: projectId };
  const changes = new ChangeSet().add(ROWS, {
    table: 'cluster',
    insert: {
      id: clusterId,
      ...place,
      name,
      kind: blueprint.kind,
      version_id: more.versionId,
      network_id: tree.networkId,
      owns_network: shape.networkId === null,
      external_network_id: shape.externalNetworkId,
      load_balancer_id: tree.loadBalancerId,
      control_count: control.count,
      control_flavor_id: control.flavor.id,
      control_zone_ids: more.controlZoneIds,
      control_group_id: tree.controlGroupId,
      worker_group_id: tree.workerGroupId,
      expires_at: more.expiresAt,
      lifecycle: 'CREATING',
    },
  });
  changes.add(ROWS, { table: 'cluster_observation', insert: { cluster_id: clusterId } });
  changes.resources.push({ action: 'CREATE', kind: 'cluster', id: clusterId, name, data: { kind: blueprint.kind, release: shape.release } });
  for (const [index, pool] of shape.pools.entries()) {
    const { zoneIds = [], labels = {} } = more.pools[index] ?? {};
    changes.add(ROWS, {
      table: 'node_pool',
      insert: {
        id: pool.id,
        ...place,
        name: pool.name,
        cluster_id: clusterId,
        flavor_id: pool.flavor.id,
        count: pool.count,
        zone_ids: zoneIds,
        labels,
        lifecycle: 'CREATING',
      },
    });
    changes.resources.push({ action: 'CREATE', kind: 'node pool', id: pool.id, name: pool.name, data: { count: pool.count, flavor: pool.flavor.name } });
  }
  return changes;
}
