import { setTimeout as pause } from 'node:timers/promises';
import { SimulatedHostState } from '#driver-simulated';
import type { DemoApi } from './api.js';
import type { Datacenter } from './datacenter.js';
import { runOperation, type Started } from './operations.js';
import { say } from './terminal.js';

interface ClusterNode {
  name: string;
  role: 'CONTROL' | 'WORKER';
  state: string;
  virtualMachineId: string;
}

interface Cluster {
  id: string;
  state: string;
  apiEndpoint: string | null;
  nodePools: { id: string; name: string }[];
  nodes: ClusterNode[];
  blockers: { message: string; fault: string }[];
}

const CLUSTER = `query ($id: ID!) {
  cluster(id: $id) {
    id state apiEndpoint
    nodePools { id name } nodes { name role state virtualMachineId } blockers { message fault }
  }
}`;
const HEAL_DEADLINE_MS = 120_000;
/** Sooner than the sweep would come by itself: the host's return wakes it. */
const SWEEP_DEADLINE_MS = 30_000;
const LOOK_EVERY_MS = 500;

interface Plan {
  resources: { kind: string }[];
  reasons: { message: string }[];
}

/** A developer's way with a cluster: look, ask, watch, use, grow, lose a host, see it heal, delete. */
export async function useCluster(api: DemoApi, projectId: string, datacenter: Datacenter): Promise<void> {
  const input = {
    projectId,
    name: 'prod',
    version: '1.34.2',
    controlPlane: { count: 3, flavor: 'small' },
    nodePools: [{ name: 'workers', flavor: 'medium', count: 2 }],
  };
  say.chapter('A developer looks before leaping');
  await planCluster(api, input);
  say.chapter('The developer asks for a Kubernetes cluster with one mutation and watches it become ready');
  const id = await create(api, input);
  await fetchKubeconfig(api, id);
  say.chapter('It grows, loses a host, and heals');
  await scale(api, id);
  await loseHost(api, id, datacenter);
  say.chapter('It is deleted, and nothing of it is left');
  await remove(api, id, projectId, datacenter);
}

/** Shows what asking for the cluster would do. */
export async function planCluster(api: DemoApi, input: Record<string, unknown>): Promise<void> {
  const { createCluster } = await api.request<{ createCluster: { plan: Plan } }>(
    'mutation ($input: CreateClusterInput!) { createCluster(input: $input) { plan { resources { kind } reasons { message } } } }',
    { input: { ...input, dryRun: true } },
  );
  const counts = new Map<string, number>();
  for (const { kind } of createCluster.plan.resources) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  say.done(`the plan would make: ${[...counts].map(([kind, count]) => `${count} × ${kind}`).join(', ')}`);
  for (const reason of createCluster.plan.reasons) say.live(reason.message);
}

async function create(api: DemoApi, input: Record<string, unknown>): Promise<string> {
  const { createCluster } = await runOperation<{ createCluster: Started & { cluster: { id: string } } }>(
    api,
    'mutation ($input: CreateClusterInput!) { createCluster(input: $input) { cluster { id } operation { id } } }',
    { input },
    (answer) => answer.createCluster,
  );
  const cluster = await read(api, createCluster.cluster.id);
  say.done(`"prod" is ${cluster.state.toLowerCase()} at ${cluster.apiEndpoint}: ${describe(cluster)}`);
  return cluster.id;
}

async function fetchKubeconfig(api: DemoApi, id: string): Promise<void> {
  const { createKubeconfig } = await api.request<{ createKubeconfig: { kubeconfig: string; expiresAt: string } }>(
    'mutation ($id: ID!) { createKubeconfig(input: { id: $id }) { kubeconfig expiresAt } }',
    { id },
  );
  say.done(`a kubeconfig of ${Buffer.byteLength(createKubeconfig.kubeconfig)} bytes, minted for "ann", holds until ${createKubeconfig.expiresAt}`);
  say.live('it is real, signed by the cluster’s own authority; behind simulated machines no API server answers yet');
}

async function scale(api: DemoApi, id: string): Promise<void> {
  const [pool] = (await read(api, id)).nodePools;
  await runOperation<{ scaleNodePool: Started }>(
    api,
    'mutation ($id: ID!) { scaleNodePool(input: { id: $id, count: 3 }) { operation { id } } }',
    { id: pool?.id },
    (answer) => answer.scaleNodePool,
  );
  say.done(`the pool "${pool?.name}" has grown: ${describe(await read(api, id))}`);
}

async function loseHost(api: DemoApi, id: string, { world }: Datacenter): Promise<void> {
  const victim = (await read(api, id)).nodes.find((node) => node.role === 'WORKER');
  const machineId = victim?.virtualMachineId ?? '';
  const hostName = (await world.machine(machineId))?.hostName ?? '';
  await world.setHost(hostName, SimulatedHostState.DEAD);
  say.done(`host "${hostName}" is killed; "${victim?.name}" ran there`);
  await healed(api, id, machineId);
  await world.setHost(hostName, SimulatedHostState.ALIVE);
  say.done(`host "${hostName}" is switched on again`);
}

/** Looks on, with what the cluster says is the matter, until the lost machine is replaced and all is well. */
async function healed(api: DemoApi, id: string, lostMachineId: string): Promise<void> {
  const end = performance.now() + HEAL_DEADLINE_MS;
  let last = '';
  while (performance.now() < end) {
    const cluster = await read(api, id);
    const [blocker] = cluster.blockers;
    const line = `${cluster.state.toLowerCase()}: ${describe(cluster)}${blocker === undefined ? '' : `. ${blocker.message}`}`;
    if (line !== last) say.live(line);
    last = line;
    const isReplaced = cluster.nodes.every((node) => node.virtualMachineId !== lostMachineId);
    if (isReplaced && cluster.state === 'READY') {
      say.done(`the cluster has healed itself: ${describe(cluster)}`);
      return;
    }
    await pause(LOOK_EVERY_MS);
  }
  throw new Error(`the cluster was not healed within ${HEAL_DEADLINE_MS / 1000} s; last seen ${last}`);
}

async function remove(api: DemoApi, id: string, projectId: string, { world }: Datacenter): Promise<void> {
  await runOperation<{ deleteCluster: Started }>(
    api,
    'mutation ($id: ID!) { deleteCluster(input: { id: $id }) { operation { id } } }',
    { id },
    (answer) => answer.deleteCluster,
  );
  await nothingLeft(world, projectId);
  say.done('no machine, disk, port, load balancer or network of it is left in the backend, nor on the host that came back');
}

/** What lay on the dead host could be deleted only after its return. */
async function nothingLeft(world: Datacenter['world'], projectId: string): Promise<void> {
  const end = performance.now() + SWEEP_DEADLINE_MS;
  for (;;) {
    const left = (await world.objects()).filter((object) => object.projectId === projectId);
    if (left.length === 0) return;
    if (performance.now() > end) throw new Error(`the backend still holds ${left.map((object) => object.id).join(', ')}`);
    await pause(LOOK_EVERY_MS);
  }
}

async function read(api: DemoApi, id: string): Promise<Cluster> {
  return (await api.request<{ cluster: Cluster }>(CLUSTER, { id })).cluster;
}

function describe({ nodes }: Cluster): string {
  const ready = (role: ClusterNode['role']): string => {
    const all = nodes.filter((node) => node.role === role);
    return `${all.filter((node) => node.state === 'READY').length} of ${all.length}`;
  };
  return `${ready('CONTROL')} control nodes and ${ready('WORKER')} workers ready`;
}
