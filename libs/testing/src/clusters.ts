import type { ClusterHealthOptions, ClusterNodeRow, ClusterRow, ClusterService, ClusterTools, ClusterVersionService, CreateClusterInput, NodePoolRow, NodePoolService } from '#clusters';
import { statement } from '#database';
import type { SecretService } from '#secrets';
import { computeBench, type ComputeBench, type ComputeBenchOptions } from './compute.js';
import { systemAccess } from './room-database.js';

/** Clusters on a simulated datacenter: what the compute bench has, and the versions `kubernetes` of release 1.34.2 and `swarm` of 20.10.24. */
export interface ClustersBench extends ComputeBench {
  readonly secrets: SecretService;
  readonly clusters: ClusterService;
  readonly pools: NodePoolService;
  readonly versions: ClusterVersionService;
  readonly tools: ClusterTools;
  /** One that no spec has used, with nothing in it. */
  emptyProject(): string;
  /** What most specs ask for: three control nodes and a pool `workers` of two, small ones. */
  request(projectId: string, name: string, more?: Partial<CreateClusterInput>): CreateClusterInput;
  /** A cluster that was made. */
  made(projectId: string, name: string, more?: Partial<CreateClusterInput>): Promise<ClusterRow>;
  cluster(id: unknown): Promise<ClusterRow>;
  nodes(clusterId: unknown): Promise<ClusterNodeRow[]>;
  poolsOf(clusterId: unknown): Promise<NodePoolRow[]>;
  /** Runs one of the room's reconcilers once; the ids of the operations that it started. */
  reconcile(name: 'cluster-health' | 'cluster-expiry', options?: ClusterHealthOptions): Promise<string[]>;
  /** What the project still holds of any kind: rows, claims, charges, locks, secrets. */
  leftOf(projectId: string): Promise<string[]>;
}

const leftovers = statement<{ what: string }, [projectId: string]>(
  'testing.cluster_leftovers',
  `SELECT 'cluster' AS what FROM cluster WHERE project_id = $1 UNION ALL SELECT 'pool' FROM node_pool WHERE project_id = $1
   UNION ALL SELECT 'node' FROM cluster_node WHERE project_id = $1
   UNION ALL SELECT 'load balancer' FROM load_balancer WHERE project_id = $1
   UNION ALL SELECT 'network' FROM network WHERE project_id = $1 UNION ALL SELECT 'subnet' FROM subnet WHERE project_id = $1
   UNION ALL SELECT 'group' FROM affinity_group WHERE project_id = $1
   UNION ALL SELECT 'charge of ' || resource_kind FROM quota_charge WHERE project_id = $1`,
);

export async function clustersBench(options: ComputeBenchOptions = {}): Promise<ClustersBench> {
  const clusters = await import('#clusters');
  const network = await import('#network');
  let tools: ClusterTools | undefined;
  const bench = await computeBench({
    hosts: 6,
    projects: 60,
    owners: clusters.clusterNodeOwners,
    ...options,
    moreRooms: [clusters.clustersRoom, ...(options.moreRooms ?? [])],
    moreKinds: (drivers, secrets) => {
      const networks = new network.NetworkRealiser(drivers, { settleMs: 100 });
      tools = { drivers, networks, secrets, guests: new clusters.GuestRunner(drivers, { retryMs: 50 }) };
      return [...clusters.clusterOperations(tools), ...(options.moreKinds?.(drivers, secrets) ?? [])];
    },
  });
  if (tools === undefined) throw new Error('the bench has not asked for the kinds of operation');
  const { room, center } = bench;
  const access = systemAccess();
  const { secrets } = center;
  const service = new clusters.ClusterService(center.commands, center.ledger, center.drivers, secrets);
  const versions = new clusters.ClusterVersionService(center.commands);
  await bench.images.create(access, { name: 'kubernetes-node', reference: 'kubernetes-1.34.2', operatingSystem: 'Debian 12', minimumDiskGib: 4 });
  await versions.create(access, { name: 'kubernetes', kind: 'KUBERNETES', release: '1.34.2', image: 'kubernetes-node' });
  await bench.images.create(access, { name: 'docker-node', reference: 'debian', operatingSystem: 'Debian 12', minimumDiskGib: 4 });
  await versions.create(access, { name: 'swarm', kind: 'SWARM', release: '20.10.24', image: 'docker-node' });

  let emptied = 0;
  const self: ClustersBench = {
    ...bench,
    secrets,
    clusters: service,
    pools: new clusters.NodePoolService(center.commands, center.ledger, center.drivers, secrets, service),
    versions,
    tools,
    emptyProject() {
      const projectId = bench.tenant.projectIds.at(-1 - emptied++);
      if (projectId === undefined) throw new Error('the bench has no more projects; ask for more');
      return projectId;
    },
    request(projectId, name, more = {}) {
      return {
        projectId,
        name,
        version: '1.34.2',
        controlPlane: { count: 3, flavor: 'small' },
        nodePools: [{ name: 'workers', flavor: 'small', count: 2 }],
        ...more,
      };
    },
    async made(projectId, name, more = {}) {
      const { result } = await service.create(access, self.request(projectId, name, more));
      const ended = await center.ended(result.operationId, 30_000);
      if (ended.state !== 'SUCCEEDED') throw new Error(`cluster ${name} was not made: ${JSON.stringify(ended)}`);
      return self.cluster(result.id);
    },
    async cluster(id) {
      const [row] = await room.database.rows(clusters.findClusters, [String(id)]);
      if (row === undefined) throw new Error(`no cluster ${String(id)}`);
      return row;
    },
    nodes: (clusterId) => room.database.rows(clusters.findNodesOfClusters, [String(clusterId)]),
    poolsOf: (clusterId) => room.database.rows(clusters.findNodePoolsOfClusters, [String(clusterId)]),
    async reconcile(name, health = {}) {
      const { database, log } = room;
      const started: string[] = [];
      const reconciler = name === 'cluster-expiry' ? clusters.clusterExpiry() : clusters.clusterHealth(database, center, health);
      await reconciler.run({
        signal: AbortSignal.timeout(20_000),
        fence: 1,
        reader: database,
        log,
        submit: async (changes) => {
          const result = await center.operations.submit(changes);
          started.push(result.operationId as string);
          return result;
        },
      });
      return started;
    },
    async leftOf(projectId) {
      return [...(await bench.left(projectId)), ...(await room.database.rows(leftovers, projectId)).map((row) => row.what)];
    },
  };
  return self;
}
