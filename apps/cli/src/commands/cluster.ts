import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Client } from '../client.js';
import { duration, pair, wholeNumber, type Context } from '../context.js';
import { usageFailure } from '../failure.js';
import { clusterIdOf, projectIdOf } from '../lookup.js';
import { PLAN, showPlan, type Plan } from '../plan.js';
import { waitFor } from '../progress.js';
import { CLUSTER, showCluster, type ClusterView } from '../show-cluster.js';

/** Of commands that name a cluster. */
export interface OfCluster {
  project?: string;
}

/** Of commands that start an operation. */
export interface Starting {
  plan?: true;
  wait?: true;
  timeout: string;
}

export interface CreateOptions extends Starting {
  project: string;
  kind: string;
  release: string;
  flavor: string;
  controlNodes: string;
  pool?: string[];
  zone?: string[];
  network?: string;
  ttl?: string;
}

/** What a mutation answers that may start an operation. */
interface Started {
  operation: { id: string } | null;
  plan: Plan | null;
}

const STARTED = `operation { id } ${PLAN}`;
const MAX_NODES = 200;
const MINUTE_MS = 60_000;
const LONGEST_LIFE_MS = 365 * 24 * 60 * MINUTE_MS;

interface ClusterRow {
  id: string;
  name: string;
  kind: string;
  state: string;
  projectId: string;
  controlNodeCount: number;
  clusterVersion: { release: string } | null;
  nodePools: { count: number; readyCount: number }[];
}

interface ClusterPage {
  clusters: { nodes: ClusterRow[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } };
}

export async function createCluster(context: Context, name: string, options: CreateOptions): Promise<void> {
  const pools = options.pool?.map((text) => poolOf(text, options.zone));
  const count = wholeNumber(options.controlNodes, '--control-nodes', { from: 1, to: 5 });
  const ttlMinutes = options.ttl === undefined ? undefined : minutes(options.ttl, LONGEST_LIFE_MS);
  const client = await context.client();
  const input = {
    projectId: await projectIdOf(client, options.project),
    name,
    kind: options.kind.toUpperCase(),
    version: options.release,
    network: options.network,
    controlPlane: { count, flavor: options.flavor, zones: options.zone },
    nodePools: pools,
    ttlMinutes,
    dryRun: options.plan,
  };
  const text = `mutation ($input: CreateClusterInput!) { createCluster(input: $input) { cluster { id } ${STARTED} } }`;
  const { createCluster: made } = await client.mutate<{ createCluster: Started & { cluster: { id: string } | null } }>(text, { input });
  await follow(context, client, made, options, made.cluster?.id);
}

export async function listClusters({ output, client }: Context, options: OfCluster): Promise<void> {
  const api = await client();
  const projectId = options.project === undefined ? null : await projectIdOf(api, options.project);
  const query = `query ($projectId: ID, $after: Cursor) {
    clusters(projectId: $projectId, after: $after, first: 100, order: NAME) {
      nodes { id name kind state projectId controlNodeCount createdAt clusterVersion { release } nodePools { count readyCount } }
      pageInfo { hasNextPage endCursor }
    }
  }`;
  const rows: ClusterRow[] = [];
  for (let after: string | null = null; ; ) {
    const page: ClusterPage = await api.query(query, { projectId, after });
    rows.push(...page.clusters.nodes);
    after = page.clusters.pageInfo.endCursor;
    if (!page.clusters.pageInfo.hasNextPage || after === null) break;
  }
  const workers = (row: ClusterRow): string => {
    const sum = (key: 'count' | 'readyCount'): number => row.nodePools.reduce((total, pool) => total + pool[key], 0);
    return `${sum('readyCount')}/${sum('count')}`;
  };
  output.list(
    ['name', 'kind', 'version', 'state', 'control nodes', 'workers ready', 'project', 'id'],
    rows.map((row) => [row.name, row.kind, row.clusterVersion?.release, row.state, row.controlNodeCount, workers(row), row.projectId, row.id]),
    rows,
  );
}

export async function getCluster(context: Context, reference: string, options: OfCluster): Promise<void> {
  const client = await context.client();
  await show(context, client, await clusterIdOf(client, reference, options.project));
}

export async function scaleCluster(
  context: Context,
  reference: string,
  options: OfCluster & Starting & { pool: string; nodes: string },
): Promise<void> {
  const count = wholeNumber(options.nodes, '--nodes', { from: 0, to: MAX_NODES });
  const client = await context.client();
  const clusterId = await clusterIdOf(client, reference, options.project);
  const poolId = options.pool.startsWith('npl_') ? options.pool : await poolIdOf(client, clusterId, options.pool);
  const text = `mutation ($input: ScaleNodePoolInput!) { scaleNodePool(input: $input) { ${STARTED} } }`;
  const input = { id: poolId, count, dryRun: options.plan };
  const { scaleNodePool } = await client.mutate<{ scaleNodePool: Started }>(text, { input });
  await follow(context, client, scaleNodePool, options, clusterId);
}

export async function deleteCluster(context: Context, reference: string, options: OfCluster & Starting): Promise<void> {
  const client = await context.client();
  const id = await clusterIdOf(client, reference, options.project);
  const text = `mutation ($input: DeleteClusterInput!) { deleteCluster(input: $input) { ${STARTED} } }`;
  const { deleteCluster: going } = await client.mutate<{ deleteCluster: Started }>(text, { input: { id, dryRun: options.plan } });
  await follow(context, client, going, options, undefined);
}

export async function printKubeconfig(
  context: Context,
  reference: string,
  options: OfCluster & { valid: string; file?: string },
): Promise<void> {
  const validMinutes = minutes(options.valid);
  const client = await context.client();
  const id = await clusterIdOf(client, reference, options.project);
  const text = `mutation ($input: CreateKubeconfigInput!) { createKubeconfig(input: $input) { kubeconfig expiresAt serialNumber } }`;
  interface Minted {
    kubeconfig: string | null;
    expiresAt: string;
    serialNumber: string;
  }
  const { createKubeconfig: minted } = await client.mutate<{ createKubeconfig: Minted }>(text, { input: { id, validMinutes } });
  const { kubeconfig, expiresAt, serialNumber } = minted;
  if (kubeconfig === null) throw shownOnce();
  if (options.file !== undefined) {
    await writePrivate(options.file, kubeconfig);
    context.output.record([['file', options.file], ['expires', expiresAt], ['serial number', serialNumber]], { file: options.file, expiresAt, serialNumber });
    return;
  }
  if (context.output.format === 'json') context.output.json(minted);
  else context.output.text(kubeconfig.trimEnd());
  context.output.note(`These credentials hold until ${expiresAt} and cannot be called back.`);
}

/** The folder is for DOCKER_CERT_PATH; its env.sh says so to a shell. */
export async function writeDockerBundle(context: Context, reference: string, options: OfCluster & { valid: string; directory: string }): Promise<void> {
  const validMinutes = minutes(options.valid);
  const client = await context.client();
  const id = await clusterIdOf(client, reference, options.project);
  const text = `mutation ($input: CreateDockerBundleInput!) {
    createDockerBundle(input: $input) { bundle { host files { name content } } expiresAt serialNumber }
  }`;
  interface Minted {
    bundle: { host: string; files: { name: string; content: string }[] } | null;
    expiresAt: string;
    serialNumber: string;
  }
  const { createDockerBundle: minted } = await client.mutate<{ createDockerBundle: Minted }>(text, { input: { id, validMinutes } });
  const { bundle, expiresAt, serialNumber } = minted;
  if (bundle === null) throw shownOnce();
  const directory = resolve(options.directory);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const names = ['ca.pem', 'cert.pem', 'key.pem'];
  for (const { name, content } of bundle.files.filter((file) => names.includes(file.name))) await writePrivate(join(directory, name), content);
  const environment = join(directory, 'env.sh');
  const variables = { DOCKER_HOST: bundle.host, DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: directory };
  await writePrivate(environment, Object.entries(variables).map(([name, value]) => `export ${name}=${shellWord(value)}\n`).join(''));
  context.output.record(
    [['directory', directory], ['host', bundle.host], ['expires', expiresAt], ['serial number', serialNumber]],
    { directory, host: bundle.host, expiresAt, serialNumber },
  );
  context.output.note(`Use them in a shell: . ${shellWord(environment)}`);
  context.output.note(`They hold until ${expiresAt} and cannot be called back.`);
}

function shownOnce(): Error {
  return usageFailure('The answer was lost on its way, and credentials are shown only once. Ask again.');
}

/** It holds a private key, also where the file was there before. */
async function writePrivate(path: string, content: string): Promise<void> {
  await writeFile(path, content, { mode: 0o600 });
  await chmod(path, 0o600);
}

function shellWord(text: string): string {
  return /^[A-Za-z0-9_./:@[\]-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Shows the plan of a dry run, or what was started: its id, or with --wait how it went and what became of the cluster. */
async function follow(context: Context, client: Client, started: Started, options: Starting, clusterId: string | undefined): Promise<void> {
  const { operation, plan } = started;
  if (plan !== null) return showPlan(context.output, plan);
  if (operation === null) {
    context.output.note('There is nothing to do.');
    if (clusterId !== undefined) await show(context, client, clusterId);
    return;
  }
  if (options.wait === undefined) {
    context.output.record([['cluster', clusterId], ['operation', operation.id]], { clusterId: clusterId ?? null, operationId: operation.id });
    context.output.note(`It is under way. Follow it: muon operation watch ${operation.id}`);
    return;
  }
  const ended = await waitFor(client, context.output, operation.id, duration(options.timeout));
  if (clusterId !== undefined) return show(context, client, clusterId);
  const proof = ended.steps.find((step) => step.proof !== null)?.proof ?? null;
  const shown = proof === null ? null : JSON.stringify(proof);
  context.output.record([['operation', ended.id], ['state', ended.state], ['proof', shown]], { operationId: ended.id, state: ended.state, proof });
}

async function show(context: Context, client: Client, id: string): Promise<void> {
  const { cluster } = await client.query<{ cluster: ClusterView }>(CLUSTER, { id });
  showCluster(context.output, cluster);
}

async function poolIdOf(client: Client, clusterId: string, name: string): Promise<string> {
  const query = 'query ($id: ID!) { cluster(id: $id) { nodePools { id name } } }';
  const { cluster } = await client.query<{ cluster: { nodePools: { id: string; name: string }[] } }>(query, { id: clusterId });
  const pool = cluster.nodePools.find((each) => each.name === name);
  if (pool !== undefined) return pool.id;
  throw usageFailure(`The cluster has no node pool "${name}"; it has: ${cluster.nodePools.map((each) => each.name).join(', ') || 'none'}.`);
}

/** `workers=medium:3` */
function poolOf(text: string, zones: string[] | undefined) {
  const [name, size] = pair(text, 'node pool');
  const at = size.lastIndexOf(':');
  if (at < 1) throw usageFailure(`"${text}" is no node pool: write it as name=flavor:count.`);
  const count = wholeNumber(size.slice(at + 1), `the size of the node pool "${name}"`, { from: 0, to: MAX_NODES });
  return { name, flavor: size.slice(0, at), count, zones };
}

function minutes(text: string, longestMs?: number): number {
  return Math.max(1, Math.ceil(duration(text, longestMs) / MINUTE_MS));
}
