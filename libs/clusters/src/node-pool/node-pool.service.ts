import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { invalidInput, MuonError, parseInput, type JsonObject } from '#core';
import { resolveFlavors } from '#compute';
import { ChangeSet, ROWS, versionConflict, type Reader } from '#database';
import { Action, CommandRunner, type Access, type CommandOptions, type CommandResult, type Place } from '#identity';
import { DriverRegistry } from '#infrastructure';
import { busyOr, findHoldingOperations, lockResources, operationId, OPERATIONS, type NewOperation } from '#operations';
import { QuotaLedger } from '#quota';
import { SecretService } from '#secrets';
import { agreementOf, refuseWithoutAgreement } from '../cluster/agreement.js';
import { imageOfVersion, lockScopes, requireActiveScopes, requireRoomForImage, zoneChooser } from '../cluster/cluster-resolve.js';
import { ClusterService, requirePresent } from '../cluster/cluster.service.js';
import { MAX_POOLS, MAX_WORKERS, type ClusterRow } from '../cluster/cluster.js';
import { findClusters } from '../cluster/cluster.sql.js';
import { previewQuota } from '../cluster/quota-preview.js';
import { readOneCluster } from '../guest/cluster-facts.js';
import { findNodesOfClusters } from '../node/cluster-node.sql.js';
import type { PlanningTools } from '../node/node-plan.js';
import { findClusterVersions } from '../version/cluster-version.sql.js';
import { NODE_POOL_CREATE, NODE_POOL_GROW } from './node-pool-grow.operations.js';
import { nodeCountSchema, nodePoolFields } from './node-pool-input.js';
import { chooseLeaving, lockIdsOfMachines, planGrowth } from './node-pool-plan.js';
import { NODE_POOL_DELETE, NODE_POOL_SHRINK } from './node-pool-shrink.operations.js';
import { nodePoolId, type NodePoolRow } from './node-pool.js';
import { findNodePoolsOfClusters, findVisibleNodePools } from './node-pool.sql.js';

const reference = z.string().min(1).max(100);

const createNodePoolInput = z.strictObject({ clusterId: reference, ...nodePoolFields });
export type CreateNodePoolInput = z.input<typeof createNodePoolInput>;

const scaleNodePoolInput = z.strictObject({ id: reference, count: nodeCountSchema });
export type ScaleNodePoolInput = z.input<typeof scaleNodePoolInput>;

export interface NodePoolChangeOptions extends CommandOptions {
  /** Refused with CONFLICT when the pool's version is another. */
  expectedVersion?: number | undefined;
}

type LocatedPool = NodePoolRow & Place;

/** The rules of node pools: plan and apply. Every change holds the whole cluster, so two of them never cross. */
@Injectable()
export class NodePoolService {
  constructor(
    private readonly commands: CommandRunner,
    private readonly ledger: QuotaLedger,
    private readonly drivers: DriverRegistry,
    private readonly secrets: SecretService,
    private readonly clusters: ClusterService,
  ) {}

  private get planning(): PlanningTools {
    return { drivers: this.drivers, secrets: this.secrets };
  }

  /** @throws NOT_FOUND, INVALID_STATE, ALREADY_EXISTS, QUOTA_EXCEEDED, INSUFFICIENT_CAPACITY, RESOURCE_BUSY */
  async create(access: Access, raw: CreateNodePoolInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createNodePoolInput, raw);
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      const cluster = await this.clusters.findParent(reader, access, 'node pool', input.clusterId, 'input.clusterId');
      Object.assign(place, { tenantId: cluster.tenantId, projectId: cluster.projectId });
      await requirePresent(reader, cluster);
      await requireActiveScopes(reader, locatedIn(cluster));
      const { changes, pool } = await this.newPool(reader, cluster, input);
      const growth = { cluster, pool, count: input.count, field: 'input', explain: options.dryRun === true };
      const planned = await planGrowth(reader, access, this.planning, growth);
      changes.include(planned.changes);
      this.start(changes, NODE_POOL_CREATE, cluster, pool.id, { clusterId: cluster.id, poolId: pool.id }, planned.lockIds);
      await previewQuota(reader, this.ledger, changes, planned.unplaced);
      return changes;
    };
    return this.commands.run({ access, name: 'createNodePool', input, place, ...options }, plan);
  }

  /**
   * Gives a pool another number of nodes. More: they are admitted at once and join. Fewer: the sickest and youngest are
   * drained and go, which needs control nodes that can agree. The same: what operations that were given up have left beyond it goes; where there is none, nothing happens,
   * and `operationId` is null.
   */
  async scale(access: Access, raw: ScaleNodePoolInput, options: NodePoolChangeOptions = {}): Promise<CommandResult> {
    const input = parseInput(scaleNodePoolInput, raw);
    return this.change(access, 'scaleNodePool', Action.MODIFY, input, options, async (reader, pool, cluster) => {
      if (pool.lifecycle !== 'PRESENT') throw await busyOr(reader, pool.id, notPresent(pool));
      const change = { from: pool.count, to: input.count };
      if (change.to > change.from) return this.grow(reader, access, pool, cluster, change, options.dryRun === true);
      if (change.to < change.from || (await hasSurplus(reader, pool, cluster))) return this.shrink(reader, pool, cluster, change);
      const changes = new ChangeSet();
      changes.result = { id: pool.id, operationId: null };
      return changes;
    });
  }

  /** Drains all nodes of a pool and takes it away; undrained when the cluster's control nodes cannot agree on anything. */
  async delete(access: Access, id: string, options: NodePoolChangeOptions = {}): Promise<CommandResult> {
    return this.change(access, 'deleteNodePool', Action.DELETE, { id }, options, async (reader, pool, cluster) => {
      if (pool.lifecycle === 'DELETING' || pool.lifecycle === 'CREATING') throw await busyOr(reader, pool.id, notPresent(pool));
      const machineIds = (await nodesOf(reader, pool)).map((node) => node.machine_id);
      const changes = new ChangeSet();
      changes.add(ROWS, { table: 'node_pool', update: { lifecycle: 'DELETING' }, id: pool.id, version: pool.version });
      changes.resources.push({ action: 'DELETE', kind: 'node pool', id: pool.id, name: pool.name, data: { nodes: machineIds.length } });
      const { ready, needed } = agreementOf(await readOneCluster(reader, cluster.id));
      const undrained = ready < needed;
      if (undrained) {
        const message = `The nodes are not drained: ${ready} of the cluster's control nodes are ready, and ${needed} must agree. What runs on them ends with them.`;
        changes.reasons.push({ subject: pool.name, message });
      }
      // Workers of the version before know no such input, and it is rare.
      const operationInput = { clusterId: cluster.id, poolId: pool.id, machineIds, ...(undrained ? { undrained } : {}) };
      this.start(changes, NODE_POOL_DELETE, cluster, pool.id, operationInput, await lockIdsOfMachines(reader, machineIds), 'EXISTING');
      return changes;
    });
  }

  private async grow(
    reader: Reader,
    access: Access,
    pool: LocatedPool,
    cluster: ClusterRow,
    { from, to }: { from: number; to: number },
    explain: boolean,
  ): Promise<ChangeSet> {
    await requireActiveScopes(reader, locatedIn(cluster));
    await refuseTooMany(reader, cluster, to - from);
    const planned = await planGrowth(reader, access, this.planning, { cluster, pool, count: to - from, field: 'input', explain });
    const changes = new ChangeSet();
    addCount(changes, pool, { from, to });
    changes.include(planned.changes);
    const machineIds = planned.nodes.map((node) => node.machineId);
    this.start(changes, NODE_POOL_GROW, cluster, pool.id, { clusterId: cluster.id, poolId: pool.id, machineIds, from }, planned.lockIds);
    await previewQuota(reader, this.ledger, changes, planned.unplaced);
    return changes;
  }

  private async shrink(reader: Reader, pool: LocatedPool, cluster: ClusterRow, { from, to }: { from: number; to: number }): Promise<ChangeSet> {
    const nodes = await nodesOf(reader, pool);
    // A node that an earlier healing could not replace is missing already.
    const leaving = chooseLeaving(nodes, Math.max(0, nodes.length - to));
    if (leaving.some((node) => node.phase === 'JOINED')) {
      const what = `Nodes of the cluster "${cluster.name}" cannot be drained, so the pool keeps them`;
      refuseWithoutAgreement(agreementOf(await readOneCluster(reader, cluster.id)), what);
    }
    const machineIds = leaving.map((node) => node.machine_id);
    const changes = new ChangeSet();
    if (from !== to) addCount(changes, pool, { from, to });
    for (const node of leaving) {
      changes.resources.push({ action: 'DELETE', kind: 'node', id: node.id, name: node.name, data: { health: node.health } });
    }
    const operationInput = { clusterId: cluster.id, poolId: pool.id, machineIds, from };
    this.start(changes, NODE_POOL_SHRINK, cluster, pool.id, operationInput, await lockIdsOfMachines(reader, machineIds), 'EXISTING');
    return changes;
  }

  private async newPool(
    reader: Reader,
    cluster: ClusterRow,
    input: z.output<typeof createNodePoolInput>,
  ): Promise<{ changes: ChangeSet; pool: Pick<NodePoolRow, 'id' | 'name' | 'flavor_id' | 'zone_ids'> }> {
    const pools = await reader.rows(findNodePoolsOfClusters, [cluster.id]);
    if (pools.length >= MAX_POOLS) throw invalidInput('input.clusterId', `A cluster has at most ${MAX_POOLS} node pools.`, { maximum: MAX_POOLS });
    await refuseTooMany(reader, cluster, input.count);
    const flavors = await resolveFlavors(reader, [{ reference: input.flavor, field: 'input.flavor' }]);
    const flavor = flavors.get(input.flavor);
    if (flavor === undefined) throw invalidInput('input.flavor', 'Name a flavor.');
    const [version] = await reader.rows(findClusterVersions, [cluster.version_id]);
    requireRoomForImage(flavor, await imageOfVersion(reader, version?.image_id ?? ''), 'input.flavor');
    const zoneIds = input.zones.length === 0 ? [] : (await zoneChooser(reader, cluster.tenant_id))(input.zones, 'input.zones');
    const pool = { id: nodePoolId.create(), name: input.name, flavor_id: flavor.id, zone_ids: zoneIds };
    const changes = new ChangeSet();
    if (pools.some((other) => other.name === input.name)) {
      const taken = new MuonError('ALREADY_EXISTS', 'A node pool of this name exists already in the cluster.', { field: 'input.name' });
      changes.problems.push(taken.toRecord());
    }
    const { tenant_id, project_id } = cluster;
    const { count, labels } = input;
    changes.add(ROWS, { table: 'node_pool', insert: { ...pool, tenant_id, project_id, cluster_id: cluster.id, count, labels, lifecycle: 'CREATING' } });
    changes.resources.push({ action: 'CREATE', kind: 'node pool', id: pool.id, name: pool.name, data: { count, flavor: flavor.name } });
    return { changes, pool };
  }

  private start(
    changes: ChangeSet,
    kind: string,
    cluster: ClusterRow,
    poolId: string,
    input: NewOperation['input'],
    lockIds: readonly string[],
    need: 'ACTIVE' | 'EXISTING' = 'ACTIVE',
  ): void {
    const place = locatedIn(cluster);
    const id = operationId.create();
    lockScopes(changes, place, need);
    lockResources(changes, id, [cluster.id, poolId, ...lockIds]);
    changes.add(OPERATIONS, { id, kind, resourceKind: nodePoolId.prefix, resourceId: poolId, ...place, input });
    changes.result = { id: poolId, operationId: id };
  }

  private async change(
    access: Access,
    name: string,
    action: Action,
    input: JsonObject & { id: string },
    options: NodePoolChangeOptions,
    plan: (reader: Reader, pool: LocatedPool, cluster: ClusterRow) => Promise<ChangeSet>,
  ): Promise<CommandResult> {
    const { expectedVersion, ...rest } = options;
    const place: Place = { tenantId: null, projectId: null };
    const planner = async (reader: Reader): Promise<ChangeSet> => {
      const pool = await this.find(reader, access, action, input.id);
      Object.assign(place, { tenantId: pool.tenantId, projectId: pool.projectId });
      if (expectedVersion !== undefined && expectedVersion !== pool.version) {
        throw versionConflict('node_pool', { id: pool.id, version: expectedVersion });
      }
      const [cluster] = await reader.rows(findClusters, [pool.cluster_id]);
      if (cluster === undefined) throw new MuonError('INVALID_STATE', 'The cluster of this node pool is gone.');
      await requirePresent(reader, cluster);
      return plan(reader, pool, cluster);
    };
    const audited = { ...input, ...(expectedVersion === undefined ? {} : { expectedVersion }) };
    return this.commands.run({ access, name, input: audited, place, ...rest }, planner);
  }

  /** @throws NOT_FOUND, FORBIDDEN */
  async find(reader: Reader, access: Access, action: Action, id: string, field = 'input.id'): Promise<LocatedPool> {
    const [row] = await reader.rows(findVisibleNodePools, ...access.filter('node pool'), [id]);
    const found = row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
    return access.require(action, 'node pool', found, id, field);
  }
}

function locatedIn(cluster: ClusterRow): { tenantId: string; projectId: string } {
  return { tenantId: cluster.tenant_id, projectId: cluster.project_id };
}

function addCount(changes: ChangeSet, pool: LocatedPool, { from, to }: { from: number; to: number }): void {
  const { id, name, version } = pool;
  changes.add(ROWS, { table: 'node_pool', update: { count: to }, id, version });
  changes.resources.push({ action: 'UPDATE', kind: 'node pool', id, name, data: { from, to } });
}

async function nodesOf(reader: Reader, pool: NodePoolRow) {
  return (await reader.rows(findNodesOfClusters, [pool.cluster_id])).filter((node) => node.pool_id === pool.id);
}

/** Whether operations that were given up have left more than is wanted; while one is under way nobody can tell. */
async function hasSurplus(reader: Reader, pool: NodePoolRow, cluster: ClusterRow): Promise<boolean> {
  const holding = await reader.rows(findHoldingOperations, [cluster.id]);
  return holding.length === 0 && (await nodesOf(reader, pool)).length > pool.count;
}

async function refuseTooMany(reader: Reader, cluster: ClusterRow, more: number): Promise<void> {
  const pools = await reader.rows(findNodePoolsOfClusters, [cluster.id]);
  const workers = pools.reduce((sum, pool) => sum + pool.count, 0) + more;
  if (workers <= MAX_WORKERS) return;
  throw invalidInput('input.count', `A cluster has at most ${MAX_WORKERS} workers.`, { workers, maximum: MAX_WORKERS });
}

function notPresent(pool: NodePoolRow): MuonError {
  return new MuonError('INVALID_STATE', `The node pool "${pool.name}" is ${pool.lifecycle.toLowerCase()}.`, { data: { state: pool.lifecycle } });
}
