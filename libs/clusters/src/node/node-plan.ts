import { planVirtualMachines, sealUserData, virtualMachineId, type FlavorRow, type ImageRow, type MachineSetPlan, type PlannedAffinityGroup } from '#compute';
import { ROWS, type ChangeSet, type Reader } from '#database';
import type { Access } from '#identity';
import type { DriverRegistry } from '#infrastructure';
import type { SecretService } from '#secrets';
import type { Blueprint } from '../blueprint/blueprint.js';
import { derivedName } from '../cluster/cluster.js';
import { clusterNodeId, type NodeRole } from './cluster-node.js';

/** What plans of nodes work with. */
export interface PlanningTools {
  drivers: DriverRegistry;
  secrets: SecretService;
}

/** What a new node has of its cluster. */
export interface NodeHome {
  clusterId: string;
  clusterName: string;
  tenantId: string;
  projectId: string;
  blueprint: Blueprint;
  release: string;
  image: ImageRow;
  networkId: string;
  groups: Record<NodeRole, PlannedAffinityGroup>;
}

/** Nodes that are alike. */
export interface NodeKind {
  role: NodeRole;
  /** Null for control nodes. */
  pool: { id: string; name: string } | null;
  flavor: FlavorRow;
  zoneIds: readonly string[];
  /** Path of the input that asks for them, for errors. */
  field: string;
}

export interface NewNode extends NodeKind {
  id: string;
  machineId: string;
  name: string;
  /** The machine of the node that is deleted before this one is made. */
  replacesId?: string;
}

export function newNodes(clusterName: string, kind: NodeKind, count: number): NewNode[] {
  return Array.from({ length: count }, () => {
    const machineId = virtualMachineId.create();
    return { ...kind, id: clusterNodeId.create(), machineId, name: derivedName(machineId, clusterName, kind.pool?.name ?? 'control') };
  });
}

/**
 * Plans the machines of new nodes, all placed at once, and the nodes' rows. Includes them in `changes`.
 * @param access null for the system's own work
 * @throws INSUFFICIENT_CAPACITY with the explanation
 */
export async function planNodes(
  reader: Reader,
  access: Access | null,
  secrets: SecretService,
  home: NodeHome,
  nodes: readonly NewNode[],
  changes: ChangeSet,
  options: { explain?: boolean } = {},
): Promise<MachineSetPlan> {
  const { tenantId, projectId, clusterId, image, networkId, groups, blueprint, release } = home;
  const set = await planVirtualMachines(
    reader,
    access,
    {
      tenantId,
      projectId,
      strategy: 'SPREAD',
      explain: options.explain ?? false,
      machines: await Promise.all(nodes.map(async ({ machineId, name, role, pool, flavor, zoneIds, field, replacesId }) => ({
        id: machineId,
        name,
        field,
        flavor,
        image,
        networkId,
        zoneIds,
        affinityGroup: groups[role],
        spreads: true,
        ...(replacesId === undefined ? {} : { replacesId }),
        ownerId: clusterId,
        power: 'RUNNING' as const,
        userData: await sealUserData(secrets, { id: machineId, tenantId, projectId }, blueprint.userData({ name, role, release })),
        metadata: { cluster: home.clusterName, role: role.toLowerCase(), ...(pool === null ? {} : { pool: pool.name }) },
        // A node that is lost is replaced by its cluster, never started elsewhere.
        recovery: 'NONE' as const,
      }))),
    },
    changes,
  );
  changes.include(set.changes);
  for (const { id, machineId, name, role, pool } of nodes) {
    changes.add(ROWS, {
      table: 'cluster_node',
      insert: {
        id,
        tenant_id: tenantId,
        project_id: projectId,
        name,
        cluster_id: clusterId,
        pool_id: pool?.id ?? null,
        machine_id: machineId,
        role,
        phase: 'JOINING',
      },
    });
  }
  return set;
}
