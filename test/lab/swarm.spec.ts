import { afterAll, beforeAll, expect, test } from 'vitest';
import { DEBIAN_IMAGE } from '../../apps/lab/src/layout.js';
import { until } from '../support/lab.js';
import { LabSystem, type LabMachine, type LabTenant } from '../support/lab-system.js';

/** A Swarm cluster as users ask for it, on real hosts and a real network, seen through the stock docker client. */

const PATIENCE_MS = 600_000;
const BUNDLE_FOLDER = '/root/bundle';
/** Everything that a web server of one line needs, out of the node's own image: no registry is reached from the lab. */
const IMAGE_FILES = 'for file in /bin/sh /bin/nc $(ldd /bin/sh /bin/nc | grep -o "/[^ :]*" | sort -u); do readlink -f $file; echo $file; done | sort -u';
const WEB = `tar -ch $(${IMAGE_FILES}) 2>/dev/null | docker import -c 'CMD ["/bin/sh", "-c", "while echo served by $HOSTNAME | nc -lN 80; do :; done"]' - lab/web:1`;

interface Swarm {
  id: string;
  state: string;
  networkId: string;
  apiEndpoint: string;
  nodePools: { id: string; count: number }[];
  nodes: { id: string; name: string; role: string; state: string; virtualMachine: { id: string; hostId: string | null } | null }[];
}

let muon: LabSystem;
let tenant: LabTenant;
let cluster: Swarm;
let client: LabMachine;

const FIELDS = `id state networkId apiEndpoint nodePools { id count }
  nodes { id name role state virtualMachine { id hostId } }`;

async function look(id: string): Promise<Swarm> {
  return (await muon.system.owner.request<{ cluster: Swarm }>(`query ($id: ID!) { cluster(id: $id) { ${FIELDS} } }`, { id })).cluster;
}

async function change(mutation: string, type: string, input: Record<string, unknown>): Promise<void> {
  const text = `mutation ($input: ${type}!) { ${mutation}(input: $input) { operation { id } } }`;
  const answer = await tenant.api.request<Record<string, { operation: { id: string } }>>(text, { input });
  await muon.ended(tenant.api, answer[mutation]?.operation.id ?? '', PATIENCE_MS);
}

/** The client's docker, with the bundle. */
async function docker(...words: string[]): Promise<{ exitCode: number; stdout: string }> {
  const environment = `DOCKER_HOST=${cluster.apiEndpoint} DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=${BUNDLE_FOLDER}`;
  return muon.inGuest(client.id, 'sh', '-c', `${environment} timeout 30 docker "$@"`, 'docker', ...words);
}

async function nodesSeen(): Promise<Map<string, string>> {
  const { stdout } = await docker('node', 'ls', '--format', '{{.Hostname}} {{.Status}} {{.ManagerStatus}}');
  return new Map(stdout.trim().split('\n').map((line) => [line.split(' ')[0] ?? '', line.split(' ').slice(1).join(' ').trim()]));
}

beforeAll(async () => {
  muon = await LabSystem.start();
  const images = await muon.incus.images.aliases();
  if (!images.some(({ name }) => name === DEBIAN_IMAGE)) throw new Error('Nodes are made of the image "debian": npm run lab -- image');
  tenant = await muon.onboard('acme');
  const text = `mutation ($input: CreateClusterInput!) { createCluster(input: $input) { cluster { id } operation { id } } }`;
  const nodePools = [{ name: 'workers', flavor: 'node', count: 2, labels: { team: 'shop' } }];
  const input = { projectId: tenant.projectId, name: 'blue', kind: 'SWARM', version: 'swarm', controlPlane: { count: 3, flavor: 'node' }, nodePools };
  const { createCluster } = await tenant.api.request<{ createCluster: { cluster: { id: string }; operation: { id: string } } }>(text, { input });
  await muon.ended(tenant.api, createCluster.operation.id, PATIENCE_MS);
  cluster = await look(createCluster.cluster.id);
  client = await muon.machine(tenant, cluster.networkId, 'client', { flavor: 'node', image: DEBIAN_IMAGE });
}, PATIENCE_MS);

afterAll(async () => {
  await muon?.close();
}, PATIENCE_MS);

test('a bundle opens the managers to the stock client, wherever the load balancer leads, and nobody comes in without', async () => {
  const text = `mutation ($id: ID!) { createDockerBundle(input: { id: $id, validMinutes: 30 }) { bundle { host files { name content } } } }`;
  const { createDockerBundle } = await tenant.api.request<{ createDockerBundle: { bundle: { host: string; files: { name: string; content: string }[] } } }>(text, { id: cluster.id });
  const { host, files } = createDockerBundle.bundle;
  expect(host).toBe(cluster.apiEndpoint);
  const instance = await until('The client', 60_000, async () => muon.instanceOf(client.id));
  for (const { name, content } of files) {
    const command = ['sh', '-c', `mkdir -p ${BUNDLE_FOLDER}; umask 077; cat > ${BUNDLE_FOLDER}/${name}`];
    await muon.incus.instances.execute(instance.name, { command, input: content, timeoutMs: 30_000 });
  }
  const seen = await until('All nodes ready', 60_000, async () => {
    const nodes = await nodesSeen();
    return nodes.size === 5 && [...nodes.values()].every((status) => status.startsWith('Ready')) ? nodes : undefined;
  });
  expect([...seen.keys()].sort()).toEqual(cluster.nodes.map((node) => node.name).sort());
  expect([...seen.values()].sort()).toEqual(['Ready', 'Ready', 'Ready Leader', 'Ready Reachable', 'Ready Reachable']);
  const managers = new Set<string>();
  await until('Every manager asked', 60_000, async () => {
    managers.add((await docker('info', '--format', '{{.Name}}')).stdout.trim());
    return managers.size === 3 ? true : undefined;
  });
  const stranger = await muon.inGuest(client.id, 'curl', '--insecure', '--silent', '--max-time', '10', `${host.replace('tcp:', 'https:')}/info`);
  expect(stranger).toMatchObject({ stdout: '' });
  expect(stranger.exitCode).not.toBe(0);
});

test('managers are on hosts of their own, and nodes carry their labels', async () => {
  const controls = cluster.nodes.filter((node) => node.role === 'CONTROL');
  expect(new Set(controls.map((node) => node.virtualMachine?.hostId)).size).toBe(3);
  const worker = cluster.nodes.find((node) => node.role === 'WORKER')?.name ?? '';
  const { stdout } = await docker('node', 'inspect', worker, '--format', '{{json .Spec.Labels}}');
  expect(JSON.parse(stdout)).toMatchObject({ team: 'shop', 'muon.pool': 'workers' });
});

test('a service is spread over the workers, and reached through the overlay', async () => {
  for (const node of cluster.nodes) {
    if (node.role === 'WORKER') expect(await muon.inGuest(node.virtualMachine?.id ?? '', 'sh', '-c', WEB)).toMatchObject({ exitCode: 0 });
  }
  const created = [
    await docker('network', 'create', '--driver', 'overlay', '--opt', 'com.docker.network.driver.mtu=1392', 'shop'),
    await docker('service', 'create', '--detach', '--quiet', '--no-resolve-image', '--name', 'web', '--network', 'shop', '--endpoint-mode', 'dnsrr', '--mode', 'global', '--constraint', 'node.labels.team==shop', 'lab/web:1'),
  ];
  for (const { exitCode } of created) expect(exitCode).toBe(0);
  await until('Two tasks', 120_000, async () => {
    const { stdout } = await docker('service', 'ls', '--format', '{{.Replicas}}');
    return stdout.trim() === '2/2' ? true : undefined;
  });
  // From the task of one node to both, and to either by the service's name.
  const tasks = (await docker('service', 'ps', '--quiet', '--filter', 'desired-state=running', 'web')).stdout.trim().split('\n');
  const attached = await docker('inspect', '--format', '{{range .NetworksAttachments}}{{index .Addresses 0}}{{end}}', ...tasks);
  const addresses = attached.stdout.trim().split('\n').map((address) => address.split('/')[0] ?? '');
  expect(addresses).toHaveLength(2);
  const worker = cluster.nodes.find((node) => node.role === 'WORKER')?.virtualMachine?.id ?? '';
  const answers = new Set<string>();
  for (const target of [...addresses, 'web']) {
    await until(`An answer of ${target}`, 60_000, async () => {
      const ask = `docker exec $(docker ps -q -f name=web | head -n 1) /bin/nc -w 3 ${target} 80 < /dev/null`;
      const { stdout } = await muon.inGuest(worker, 'sh', '-c', ask);
      if (!stdout.startsWith('served by')) return undefined;
      answers.add(stdout.trim());
      return true;
    });
  }
  expect(answers.size).toBe(2);
}, PATIENCE_MS);

test('a pool grows and shrinks, drained first, and the managers know only who is there', async () => {
  const pool = cluster.nodePools[0]?.id ?? '';
  await change('scaleNodePool', 'ScaleNodePoolInput', { id: pool, count: 3 });
  expect((await nodesSeen()).size).toBe(6);
  await change('scaleNodePool', 'ScaleNodePoolInput', { id: pool, count: 1 });
  cluster = await look(cluster.id);
  expect([...(await nodesSeen()).keys()].sort()).toEqual(cluster.nodes.map((node) => node.name).sort());
}, PATIENCE_MS);

test('a manager is replaced, and the others go on agreeing', async () => {
  const old = cluster.nodes.find((node) => node.role === 'CONTROL');
  await change('replaceClusterNode', 'ReplaceClusterNodeInput', { id: old?.id });
  cluster = await look(cluster.id);
  expect(cluster.state).toBe('READY');
  const seen = await nodesSeen();
  expect([...seen.keys()].sort()).toEqual(cluster.nodes.map((node) => node.name).sort());
  expect(seen.has(old?.name ?? '')).toBe(false);
  expect([...seen.values()].filter((status) => /Leader|Reachable/.test(status))).toHaveLength(3);
}, PATIENCE_MS);

test('Kubernetes is refused here before anything is made', async () => {
  await muon.system.owner.request('mutation ($input: CreateClusterVersionInput!) { createClusterVersion(input: $input) { clusterVersion { id } } }', {
    input: { name: 'kubernetes', kind: 'KUBERNETES', release: '1.34.2', image: DEBIAN_IMAGE },
  });
  const input = { projectId: tenant.projectId, name: 'pods', version: 'kubernetes', controlPlane: { count: 1, flavor: 'node' } };
  const refused = await tenant.api.refusal('mutation ($input: CreateClusterInput!) { createCluster(input: $input) { cluster { id } } }', { input });
  expect(refused.extensions).toMatchObject({ code: 'UNSUPPORTED', field: 'input.controlPlane.zones' });
});

test('a cluster that is deleted leaves nothing in Incus and OVN', async () => {
  const before = await muon.remains();
  await change('deleteCluster', 'DeleteClusterInput', { id: cluster.id });
  const left = await muon.remains();
  expect(before.length - left.length).toBeGreaterThanOrEqual(2 * 4);
  // The client's machine and port, and the network, which it is in.
  expect(left.filter((name) => name.startsWith('vm-'))).toHaveLength(1);
}, PATIENCE_MS);
