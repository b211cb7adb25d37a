import { execFileSync, spawnSync } from 'node:child_process';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { DiskAttachmentService, MachineConsoleService } from '#compute';
import { computeResolvers } from '#compute/api';
import type { Database } from '#database';
import { EventFeed } from '#events';
import { auditEntries, auditParameters } from '#identity';
import { OperationQueries, OperationRequests } from '#operations';
import { operationsResolvers } from '#operations/api';
import { DiskService } from '#storage';
import { accessWith, clustersBench, countStatements, findCanary, systemAccess, testApi, type ClustersBench, type TestApi } from '#testing';
import { clustersResolvers } from './api.js';

const kubectlMissing = spawnSync('kubectl', ['version', '--client']).status !== 0;
const opensslMissing = spawnSync('openssl', ['version']).status !== 0;

const CLUSTER = `id name tenantId projectId kind state conditions { type status reason message since } failure { code } controlNodeCount
  networkId ownsNetwork loadBalancerId expiresAt version revision createdAt updatedAt apiEndpoint
  clusterVersion { name release image { name } } controlNodeFlavor { name }
  nodePools { id name state count readyCount labels version flavor { name } nodes { name } currentOperation { id } }
  nodes { id name role state healthReason healthMessage nodePoolId virtualMachine { id name state addresses } }
  currentOperation { id state } blockers { code message fault since remedy resourceId operationId affectedIds }`;

interface ClusterShown {
  id: string;
  name: string;
  state: string;
  version: number;
  apiEndpoint: string | null;
  conditions: { type: string; status: string }[];
  nodePools: { id: string; name: string; state: string; count: number; readyCount: number; version: number; nodes: { name: string }[] }[];
  nodes: { id: string; role: string; state: string; virtualMachine: { state: string; addresses: string[] } | null }[];
  currentOperation: { id: string } | null;
  blockers: { code: string; message: string; fault: string; remedy: string | null; resourceId: string; operationId: string | null; affectedIds: string[] }[];
}
interface Changed {
  cluster: ClusterShown | null;
  operation: { id: string; kind: string } | null;
  plan: { id: string; problems: { code: string }[]; resources: { kind: string }[] } | null;
}

describe('clusters over GraphQL', () => {
  let bench: ClustersBench;
  let api: TestApi;
  let database: Database;
  let projectId: string;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'muon-clusters-'));
    bench = await clustersBench();
    // Apart from the engine's, so that statements can be counted.
    database = await bench.room.another();
    projectId = bench.emptyProject();
    const { log } = bench.room;
    api = await testApi({
      log,
      services: [
        database,
        new EventFeed(database, log),
        bench.machines,
        bench.groups,
        bench.flavors,
        bench.images,
        new DiskAttachmentService(bench.center.commands, new DiskService(bench.center.commands, bench.center.ledger)),
        new MachineConsoleService(database, bench.center.commands, bench.center.drivers),
        bench.clusters,
        bench.pools,
        bench.versions,
        new OperationQueries(),
        new OperationRequests(bench.center.commands, bench.center.operations),
      ],
      resolvers: [...operationsResolvers, ...computeResolvers, ...clustersResolvers],
      callers: {
        operator: systemAccess(),
        ann: accessWith([{ role: 'OWNER', tenantId: bench.tenant.id, projectId }], 'pri_ann'),
        viewer: accessWith([{ role: 'VIEWER', tenantId: bench.tenant.id, projectId }], 'pri_viewer'),
        stranger: accessWith([{ role: 'OWNER', tenantId: 'ten_other', projectId: null }], 'pri_stranger'),
      },
    });
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true });
    await api.close();
    await bench.close();
  });

  async function mutate(name: string, input: Record<string, unknown>, caller = 'ann'): Promise<Changed> {
    const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
    const query = `mutation ($input: ${type}!) { ${name}(input: $input) {
      cluster { ${CLUSTER} } operation { id kind } plan { id problems { code message } resources { kind name data } reasons { message } } } }`;
    return (await api.data<Record<string, Changed>>(caller, query, { input }))[name] as Changed;
  }
  async function done(operation: { id: string } | null | undefined): Promise<void> {
    expect(await bench.center.ended(operation?.id, 30_000)).toMatchObject({ state: 'SUCCEEDED' });
  }
  const show = async (id: unknown, caller = 'ann'): Promise<ClusterShown> =>
    (await api.compiled<{ cluster: ClusterShown }>(caller, `query ($id: ID!) { cluster(id: $id) { ${CLUSTER} } }`, { id })).cluster;
  const small = (name: string) => ({ projectId, name, version: '1.34.2', controlPlane: { count: 1, flavor: 'small' }, nodePools: [{ name: 'workers', flavor: 'small', count: 1 }] });
  async function made(name: string): Promise<ClusterShown> {
    const { cluster, operation } = await mutate('createCluster', small(name));
    await done(operation);
    return show(cluster?.id);
  }

  it('plans a cluster, makes it, shows it with all that belongs to it, scales it, and deletes it', async () => {
    const input = { projectId, name: 'blue', version: 'kubernetes', controlPlane: { flavor: 'small' }, nodePools: [{ name: 'workers', flavor: 'small', count: 2, labels: { team: 'shop' } }], ttlMinutes: 600 };
    const planned = await mutate('createCluster', { ...input, dryRun: true });
    expect(planned).toMatchObject({ cluster: null, operation: null, plan: { problems: [] } });
    expect(planned.plan?.resources.filter((each) => each.kind === 'virtual machine')).toHaveLength(5);
    // The caller is no operator, and learns nothing of hosts.
    expect(JSON.stringify(planned.plan)).not.toMatch(new RegExp(bench.center.hostIds.join('|')));

    const accepted = await mutate('createCluster', input);
    expect(accepted).toMatchObject({ plan: null, operation: { kind: 'clusters.cluster.create' }, cluster: { state: 'CREATING', currentOperation: { id: accepted.operation?.id } } });
    await done(accepted.operation);
    const cluster = await show(accepted.cluster?.id);
    expect(cluster).toMatchObject({
      state: 'READY',
      kind: 'KUBERNETES',
      clusterVersion: { name: 'kubernetes', release: '1.34.2', image: { name: 'kubernetes-node' } },
      controlNodeCount: 3,
      controlNodeFlavor: { name: 'small' },
      ownsNetwork: true,
      currentOperation: null,
      blockers: [],
      nodePools: [{ name: 'workers', state: 'READY', count: 2, readyCount: 2, labels: { team: 'shop' } }],
    });
    expect(cluster.apiEndpoint).toMatch(/^https:\/\/10\.\d+\.\d+\.\d+:6443$/);
    expect(cluster.nodes.map((node) => [node.role, node.state, node.virtualMachine?.state, node.virtualMachine?.addresses.length])).toEqual([
      ...Array.from({ length: 3 }, () => ['CONTROL', 'READY', 'RUNNING', 1]),
      ...Array.from({ length: 2 }, () => ['WORKER', 'READY', 'RUNNING', 1]),
    ]);
    const byName = 'query ($projectId: ID!) { cluster(projectId: $projectId, name: "blue") { id } }';
    expect(await api.data('ann', byName, { projectId })).toEqual({ cluster: { id: cluster.id } });
    const [pool] = cluster.nodePools;
    const nodes = [cluster.id, String(pool?.id), String(cluster.nodes[0]?.id)].map((id, index) => `n${index}: node(id: "${id}") { __typename id }`);
    expect(Object.values(await api.data<Record<string, { __typename: string }>>('ann', `{ ${nodes.join(' ')} }`)).map((node) => node.__typename)).toEqual(['Cluster', 'NodePool', 'ClusterNode']);

    const scale = `mutation ($id: ID!, $version: Long!) { scaleNodePool(input: { id: $id, count: 1, expectedVersion: $version }) { operation { id } nodePool { count state } } }`;
    const scaled = await api.data<{ scaleNodePool: { operation: { id: string }; nodePool: unknown } }>('ann', scale, { id: pool?.id, version: pool?.version });
    expect(scaled.scaleNodePool.nodePool).toEqual({ count: 1, state: 'READY' });
    await done(scaled.scaleNodePool.operation);
    const outdated = await api.ask('ann', scale, { id: pool?.id, version: pool?.version });
    expect(outdated.errors?.[0]?.extensions.code).toBe('CONFLICT');
    const ttl = await api.data<{ setClusterTtl: { cluster: { expiresAt: string | null } } }>('ann', `mutation { setClusterTtl(input: { id: "${cluster.id}", ttlMinutes: null }) { cluster { expiresAt } } }`);
    expect(ttl.setClusterTtl.cluster.expiresAt).toBeNull();

    const preview = await api.data<{ deleteCluster: { plan: { resources: { kind: string }[] } } }>(
      'ann',
      `mutation { deleteCluster(input: { id: "${cluster.id}", dryRun: true }) { plan { resources { kind } } } }`,
    );
    const kinds = preview.deleteCluster.plan.resources.map((resource) => resource.kind);
    expect(kinds).toEqual(['cluster', 'load balancer', ...Array.from({ length: 4 }, () => 'virtual machine'), 'network', 'node pool']);
    const deletion = await mutate('deleteCluster', { id: cluster.id });
    expect(deletion.cluster?.state).toBe('DELETING');
    await done(deletion.operation);
    const proof = await api.data<{ operation: { steps: { name: string; proof: unknown }[] } }>('ann', `{ operation(id: "${deletion.operation?.id}") { steps { name proof } } }`);
    expect(proof.operation.steps.filter((step) => step.proof !== null)).toEqual([
      { name: 'prove', proof: { removed: { machines: 4, ports: 4, disks: 4, loadBalancers: 1 }, left: 0 } },
    ]);
    const gone = await api.ask('ann', `{ cluster(id: "${cluster.id}") { id } }`);
    expect(gone.errors?.[0]?.extensions).toMatchObject({ code: 'NOT_FOUND', field: 'id' });
    expect(await bench.leftOf(projectId)).toEqual([]);
  }, 60_000);

  it('answers bad input with the field and what would be right', async () => {
    const create = 'mutation ($input: CreateClusterInput!) { createCluster(input: $input) { plan { id } } }';
    const refused = async (input: Record<string, unknown>) => (await api.ask('ann', create, { input })).errors?.[0]?.extensions;
    expect(await refused({ ...small('mesos'), kind: 'MESOS' })).toMatchObject({ code: 'UNSUPPORTED', field: 'input.kind' });
    expect(await refused({ ...small('even'), controlPlane: { count: 2, flavor: 'small' } })).toMatchObject({ code: 'INVALID_INPUT', field: 'input.controlPlane.count' });
    expect(await refused({ ...small('labels'), nodePools: [{ name: 'a', flavor: 'small', count: 1, labels: { team: 1 } }] })).toMatchObject({ code: 'INVALID_INPUT', field: 'input.nodePools.0.labels.team' });
    const theirs = await api.ask('stranger', create, { input: small('theirs') });
    expect(theirs.errors?.[0]?.extensions).toMatchObject({ code: 'NOT_FOUND', field: 'input.projectId' });
    expect(await bench.leftOf(projectId)).toEqual([]);
  });

  it('mints kubeconfigs that openssl and kubectl accept, writes their serial into the audit log, and keeps none', async () => {
    const cluster = await made('keys');
    const mint = `mutation ($id: ID!) { createKubeconfig(input: { id: $id, validMinutes: 30 }) { kubeconfig expiresAt serialNumber cluster { name } } }`;
    interface Minted { createKubeconfig: { kubeconfig: string; expiresAt: string; serialNumber: string; cluster: unknown } }
    const { createKubeconfig: minted } = await api.data<Minted>('ann', mint, { id: cluster.id });
    const file = parse(minted.kubeconfig) as { clusters: { cluster: Record<string, string> }[]; users: { user: Record<string, string> }[] };
    const decoded = (text: string | undefined): string => Buffer.from(text ?? '', 'base64').toString();
    const [authority, certificate] = [decoded(file.clusters[0]?.cluster['certificate-authority-data']), decoded(file.users[0]?.user['client-certificate-data'])];
    expect(file.clusters[0]?.cluster.server).toBe(cluster.apiEndpoint);
    const leaf = new X509Certificate(certificate);
    expect(leaf.verify(createPublicKey(authority))).toBe(true);
    expect(leaf.subject.split('\n')).toEqual(['O=muon:owners', 'CN=tester']);
    expect(Date.parse(minted.expiresAt) - Date.now()).toBeLessThan(31 * 60_000);
    expect(leaf.serialNumber).toBe(minted.serialNumber.toUpperCase());
    const page = await auditEntries.page(bench.room.database, auditParameters([true, [], []], {}), 'NEWEST', { first: 1 });
    expect(page.rows[0]).toMatchObject({ command: 'createKubeconfig', outcome: 'ACCEPTED', resource_id: cluster.id, input: { serialNumber: minted.serialNumber } });
    const key = decoded(file.users[0]?.user['client-key-data']).split('\n')[1] ?? '';
    expect(await findCanary(key, { databaseUrls: [bench.room.url], log: '' })).toEqual([]);
    if (!opensslMissing) {
      writeFileSync(join(folder, 'ca.pem'), authority);
      writeFileSync(join(folder, 'leaf.pem'), certificate);
      const verified = execFileSync('openssl', ['verify', '-purpose', 'sslclient', '-CAfile', join(folder, 'ca.pem'), join(folder, 'leaf.pem')], { encoding: 'utf8' });
      expect(verified).toContain('OK');
    }
    if (!kubectlMissing) {
      writeFileSync(join(folder, 'config'), minted.kubeconfig);
      const context = execFileSync('kubectl', ['config', 'current-context', '--kubeconfig', join(folder, 'config')], { encoding: 'utf8' });
      expect(context.trim()).toBe('tester@keys');
    }
    const replay = async () => (await api.ask<Minted>('ann', mint, { id: cluster.id }, { 'idempotency-key': 'kube-1' })).data.createKubeconfig;
    const [first, second] = [await replay(), await replay()];
    expect(first.kubeconfig).toContain('client-key-data');
    expect(second).toMatchObject({ kubeconfig: null, serialNumber: first.serialNumber });
    const refused = await api.ask('stranger', mint, { id: cluster.id });
    expect(refused.errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    await done((await mutate('deleteCluster', { id: cluster.id })).operation);
  }, 60_000);

  it('mints bundles for docker that openssl accepts, for those who may change the cluster, and keeps none', async () => {
    const { cluster: begun, operation } = await mutate('createCluster', { ...small('docks'), kind: 'SWARM', version: '20.10.24' });
    await done(operation);
    const cluster = await show(begun?.id);
    expect(cluster).toMatchObject({ state: 'READY', kind: 'SWARM', apiEndpoint: expect.stringMatching(/^tcp:\/\/10\.\d+\.\d+\.\d+:2376$/) as string });
    const mint = `mutation ($id: ID!) {
      createDockerBundle(input: { id: $id, validMinutes: 30 }) { bundle { host files { name content } } expiresAt serialNumber cluster { name } } }`;
    interface Minted { createDockerBundle: { bundle: { host: string; files: { name: string; content: string }[] } | null; expiresAt: string; serialNumber: string; cluster: unknown } }
    const { createDockerBundle: minted } = await api.data<Minted>('ann', mint, { id: cluster.id });
    expect(minted).toMatchObject({ bundle: { host: cluster.apiEndpoint }, cluster: { name: 'docks' } });
    const files = new Map((minted.bundle?.files ?? []).map(({ name, content }) => [name, content]));
    expect([...files.keys()]).toEqual(['ca.pem', 'cert.pem', 'key.pem']);
    const leaf = new X509Certificate(files.get('cert.pem') ?? '');
    expect(leaf.verify(createPublicKey(files.get('ca.pem') ?? ''))).toBe(true);
    expect(leaf.subject.split('\n')).toEqual(['O=muon:owners', 'CN=tester']);
    expect(Date.parse(minted.expiresAt) - Date.now()).toBeLessThan(31 * 60_000);
    const page = await auditEntries.page(bench.room.database, auditParameters([true, [], []], {}), 'NEWEST', { first: 1 });
    expect(page.rows[0]).toMatchObject({ command: 'createDockerBundle', outcome: 'ACCEPTED', resource_id: cluster.id, input: { serialNumber: minted.serialNumber } });
    expect(await findCanary((files.get('key.pem') ?? '').split('\n')[1] ?? '', { databaseUrls: [bench.room.url], log: '' })).toEqual([]);
    if (!opensslMissing) {
      for (const [name, content] of files) writeFileSync(join(folder, name), content);
      const verified = execFileSync('openssl', ['verify', '-purpose', 'sslclient', '-CAfile', join(folder, 'ca.pem'), join(folder, 'cert.pem')], { encoding: 'utf8' });
      expect(verified).toContain('OK');
    }
    const replay = async () => (await api.ask<Minted>('ann', mint, { id: cluster.id }, { 'idempotency-key': 'docker-1' })).data.createDockerBundle;
    const [first, second] = [await replay(), await replay()];
    expect(first.bundle?.files).toHaveLength(3);
    expect(second).toMatchObject({ bundle: null, serialNumber: first.serialNumber });
    // Swarm knows no rights of its own: who may only look gets none.
    expect((await api.ask('viewer', mint, { id: cluster.id })).errors?.[0]?.extensions.code).toBe('FORBIDDEN');
    expect((await api.ask('stranger', mint, { id: cluster.id })).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    await done((await mutate('deleteCluster', { id: cluster.id })).operation);
  }, 60_000);

  it('refuses credentials of the other kind, and names the right ones', async () => {
    const pods = await made('pods');
    const { cluster: tasks, operation } = await mutate('createCluster', { ...small('tasks'), kind: 'SWARM', version: 'swarm' });
    await done(operation);
    const refusal = async (mutation: string, id: unknown) => (await api.ask('ann', `mutation ($id: ID!) { ${mutation}(input: { id: $id }) { serialNumber } }`, { id })).errors?.[0];
    expect(await refusal('createDockerBundle', pods.id)).toMatchObject({ message: 'The cluster "pods" is of kind KUBERNETES: use createKubeconfig.', extensions: { code: 'UNSUPPORTED', field: 'input.id' } });
    expect(await refusal('createKubeconfig', tasks?.id)).toMatchObject({ message: 'The cluster "tasks" is of kind SWARM: use createDockerBundle.', extensions: { code: 'UNSUPPORTED', field: 'input.id' } });
    for (const id of [pods.id, tasks?.id]) await done((await mutate('deleteCluster', { id })).operation);
  }, 60_000);

  it('lists clusters with all that belongs to them by as many statements for many as for one', async () => {
    const clusters = [await made('list-a')];
    const query = `query ($projectId: ID!) { clusters(projectId: $projectId, order: NAME) { totalCount edges { node { ${CLUSTER} } } } }`;
    const list = async () => api.data<{ clusters: { totalCount: number; edges: { node: ClusterShown }[] } }>('ann', query, { projectId });
    const one = await countStatements(database, list);
    clusters.push(await made('list-b'), await made('list-c'));
    const three = await countStatements(database, list);
    expect(three).toBe(one);
    expect((await list()).clusters).toMatchObject({ totalCount: 3, edges: clusters.map(({ id, name }) => ({ node: { id, name } })) });
    const hidden = await api.data<{ clusters: { edges: unknown[] } }>('stranger', '{ clusters { edges { node { id } } } clusterNodes { edges { node { id } } } }');
    expect(hidden.clusters.edges).toEqual([]);
    for (const { id } of clusters) await done((await mutate('deleteCluster', { id })).operation);
  }, 60_000);

  it('names the root cause of what is in the way, to operators with the host and to others without', async () => {
    const cluster = await made('broken');
    const worker = cluster.nodes.find((node) => node.role === 'WORKER');
    const [node] = (await bench.nodes(cluster.id)).filter((each) => each.id === worker?.id);
    const { host_id: hostId } = await bench.machine(node?.machine_id);
    await bench.room.database.dataSource.query(`UPDATE host SET health = 'DOWN', health_since = now() - interval '5 minutes', health_reason = 'silent' WHERE id = $1`, [hostId]);
    await bench.reconcile('cluster-health', { observeEveryMs: 0, thresholds: { unreachable: 0, notReady: 0 } });
    const shown = await show(cluster.id, 'operator');
    const ofHost = shown.blockers.find((blocker) => blocker.resourceId === hostId);
    expect(ofHost).toMatchObject({ code: 'UNAVAILABLE', fault: 'OPERATOR', remedy: expect.stringContaining('prove that it is off') as string });
    expect(ofHost?.affectedIds).toContain(worker?.id);
    const ann = await show(cluster.id);
    expect(JSON.stringify(ann.blockers)).not.toContain(hostId);
    expect(ann.blockers[0]).toMatchObject({ code: 'UNAVAILABLE', fault: 'OPERATOR' });
    await bench.room.database.dataSource.query(`UPDATE host SET health = 'UP' WHERE id = $1`, [hostId]);
    await done((await mutate('deleteCluster', { id: cluster.id })).operation);
  }, 60_000);

  it('lets operators offer and withdraw versions, and nobody else', async () => {
    const create = `mutation ($input: CreateClusterVersionInput!) { createClusterVersion(input: $input) { clusterVersion { id name kind release state } } }`;
    const input = { name: 'kubernetes-next', kind: 'KUBERNETES', release: '1.35.0', image: 'kubernetes-node' };
    const refused = await api.ask('ann', create, { input });
    expect(refused.errors?.[0]?.extensions.code).toBe('FORBIDDEN');
    const { createClusterVersion } = await api.data<{ createClusterVersion: { clusterVersion: { id: string } } }>('operator', create, { input });
    expect(createClusterVersion.clusterVersion).toMatchObject({ release: '1.35.0', state: 'ACTIVE' });
    const listed = await api.data<{ clusterVersions: { edges: { node: { name: string } }[] } }>('ann', '{ clusterVersions(kind: KUBERNETES) { edges { node { name image { name } } } } }');
    expect(listed.clusterVersions.edges.map(({ node }) => node.name)).toEqual(['kubernetes', 'kubernetes-next']);
    const wrong = await api.ask('operator', create, { input: { ...input, name: 'x', release: 'latest' } });
    expect(wrong.errors?.[0]?.extensions).toMatchObject({ code: 'INVALID_INPUT', field: 'input.release' });
    const remove = `mutation { deleteClusterVersion(input: { id: "${createClusterVersion.clusterVersion.id}" }) { clusterVersionId clusterVersion { id } } }`;
    expect(await api.data('operator', remove)).toMatchObject({ deleteClusterVersion: { clusterVersion: null } });
  });
});
