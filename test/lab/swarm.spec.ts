import { afterAll, beforeAll, expect, test } from 'vitest';
import { StatusCode } from '#incus';
import { killHost, startHost } from '../../apps/lab/src/hosts.js';
import { DEBIAN_IMAGE } from '../../apps/lab/src/layout.js';
import { LabDocker } from '../support/lab-docker.js';
import { InstanceKey, LabInventory } from '../support/lab-inventory.js';
import { until } from '../support/lab.js';
import { LabSystem, type LabTenant } from '../support/lab-system.js';

/** A Swarm cluster as users ask for it, on real hosts and a real network, seen through the stock docker client. */

const PATIENCE_MS = 600_000;
/** The test speaks to the cluster by it, so that it is not the one that is killed. */
const KEPT_HOST = 'h1';
/** Until a host that died is missed, and until what it had is replaced. */
const HEALING_MS = 400_000;
const SOON = { MUON_HOST_SILENT_AFTER_MS: '10000' };
/** Everything that a web server of one line needs, out of the node's own image: no registry is reached from the lab. */
const IMAGE_FILES = 'for file in /bin/sh /bin/nc $(ldd /bin/sh /bin/nc | grep -o "/[^ :]*" | sort -u); do readlink -f $file; echo $file; done | sort -u';
const WEB = `tar -ch $(${IMAGE_FILES}) 2>/dev/null | docker import -c 'CMD ["/bin/sh", "-c", "while echo served by $HOSTNAME | nc -lN 80; do :; done"]' - lab/web:1`;

interface SwarmNode {
  id: string;
  name: string;
  role: string;
  state: string;
  virtualMachine: { id: string; hostId: string | null } | null;
}

interface Swarm {
  id: string;
  state: string;
  conditions: { type: string; status: string; reason: string; message: string }[];
  networkId: string;
  apiEndpoint: string;
  nodePools: { id: string; count: number }[];
  nodes: SwarmNode[];
}

/** What is claimed and charged: of hosts, of datastores, of the project. */
interface Books {
  hosts: { name: string; machines: number; cpu: number; memoryMib: number }[];
  datastores: { disks: number; gib: number };
  quota: Record<string, number>;
}

let muon: LabSystem;
let tenant: LabTenant;
let inventory: LabInventory;
let cluster: Swarm;
/** On a machine of its own, with the bundle. */
let docker: LabDocker;
/** Before anything was made. */
let untouched: { remains: string[]; books: Books };

const FIELDS = `id state conditions { type status reason message } networkId apiEndpoint nodePools { id count }
  nodes { id name role state virtualMachine { id hostId } }`;

async function look(id: string): Promise<Swarm> {
  return (await muon.system.owner.request<{ cluster: Swarm }>(`query ($id: ID!) { cluster(id: $id) { ${FIELDS} } }`, { id })).cluster;
}

const controlsOf = ({ nodes }: Swarm): SwarmNode[] => nodes.filter((node) => node.role === 'CONTROL');
const hostsOf = (nodes: readonly SwarmNode[]): Set<unknown> => new Set(nodes.map((node) => node.virtualMachine?.hostId));
const conditionOf = ({ conditions }: Swarm, type: string) => conditions.find((condition) => condition.type === type);

async function hosts(): Promise<{ id: string; name: string; state: string }[]> {
  const { hosts: found } = await muon.owner.request<{ hosts: { nodes: { id: string; name: string; state: string }[] } }>('{ hosts(first: 100) { nodes { id name state } } }');
  return found.nodes;
}

async function books(): Promise<Books> {
  const found = await muon.owner.request<{
    hosts: { nodes: { name: string; capacity: { machines: number; cpuClaimed: number; memoryClaimedMib: number } }[] };
    datastores: { nodes: { capacity: { disks: number; claimedGib: number } }[] };
    quota: { lines: { resourceKey: string; zoneId: string | null; used: number }[] };
  }>(
    `query ($scopeId: ID!) { hosts(first: 100) { nodes { name capacity { machines cpuClaimed memoryClaimedMib } } }
      datastores(first: 100) { nodes { capacity { disks claimedGib } } } quota(scopeId: $scopeId) { lines { resourceKey zoneId used } } }`,
    { scopeId: tenant.projectId },
  );
  const pools = found.datastores.nodes.map(({ capacity }) => capacity);
  return {
    hosts: found.hosts.nodes
      .map(({ name, capacity }) => ({ name, machines: capacity.machines, cpu: capacity.cpuClaimed, memoryMib: capacity.memoryClaimedMib }))
      .sort((one, other) => one.name.localeCompare(other.name)),
    datastores: { disks: pools.reduce((sum, { disks }) => sum + disks, 0), gib: pools.reduce((sum, { claimedGib }) => sum + claimedGib, 0) },
    quota: Object.fromEntries(found.quota.lines.filter(({ zoneId, used }) => zoneId === null && used > 0).map(({ resourceKey, used }) => [resourceKey, used])),
  };
}

async function change(mutation: string, type: string, input: Record<string, unknown>): Promise<void> {
  const text = `mutation ($input: ${type}!) { ${mutation}(input: $input) { operation { id } } }`;
  const answer = await tenant.api.request<Record<string, { operation: { id: string } }>>(text, { input });
  await muon.ended(tenant.api, answer[mutation]?.operation.id ?? '', PATIENCE_MS);
}

/** All that Muon knows of are there for Swarm, and take part. */
async function allReady(): Promise<Map<string, string>> {
  const names = cluster.nodes.map((node) => node.name).sort();
  const seen = await until('All nodes ready', 120_000, async () => {
    const nodes = await docker.nodes();
    return [...nodes.keys()].sort().join() === names.join() && [...nodes.values()].every((status) => status.startsWith('Ready')) ? nodes : undefined;
  });
  expect([...seen.values()].filter((status) => /Leader|Reachable/.test(status)).sort()).toEqual(['Ready Leader', 'Ready Reachable', 'Ready Reachable']);
  return seen;
}

beforeAll(async () => {
  muon = await LabSystem.start({ environment: SOON });
  await muon.lab.requireNodeImage(muon.incus);
  inventory = new LabInventory(muon.incus, muon.lab.hosts, muon.installation);
  tenant = await muon.onboard('acme');
  untouched = { remains: await inventory.remains(), books: await books() };
  const text = `mutation ($input: CreateClusterInput!) { createCluster(input: $input) { cluster { id } operation { id } } }`;
  const nodePools = [{ name: 'workers', flavor: 'node', count: 2, labels: { team: 'shop' } }];
  const input = { projectId: tenant.projectId, name: 'blue', kind: 'SWARM', version: 'swarm', controlPlane: { count: 3, flavor: 'node' }, nodePools };
  const { createCluster } = await tenant.api.request<{ createCluster: { cluster: { id: string }; operation: { id: string } } }>(text, { input });
  await muon.ended(tenant.api, createCluster.operation.id, PATIENCE_MS);
  cluster = await look(createCluster.cluster.id);
  docker = await LabDocker.beside(muon, tenant, cluster, KEPT_HOST);
}, PATIENCE_MS);

afterAll(async () => {
  await inventory?.close();
  await muon?.close();
}, PATIENCE_MS);

test('a bundle opens the managers to the stock client, wherever the load balancer leads, and nobody comes in without', async () => {
  const host = await docker.getBundle();
  expect(host).toBe(cluster.apiEndpoint);
  await allReady();
  const managers = new Set<string>();
  await until('Every manager asked', 60_000, async () => {
    managers.add((await docker.run('info', '--format', '{{.Name}}')).stdout.trim());
    return managers.size === 3 ? true : undefined;
  });
  const stranger = await muon.inGuest(docker.machine.id, 'curl', '--insecure', '--silent', '--max-time', '10', `${host.replace('tcp:', 'https:')}/info`);
  expect(stranger).toMatchObject({ stdout: '' });
  expect(stranger.exitCode).not.toBe(0);
});

test('managers are on hosts of their own, nodes have what cloud-init was to write, and carry their labels', async () => {
  expect(hostsOf(controlsOf(cluster)).size).toBe(3);
  for (const node of cluster.nodes) {
    const { stdout } = await muon.inGuest(node.virtualMachine?.id ?? '', 'cat', '/etc/muon/node.env');
    expect(stdout).toContain(`MUON_NODE_ROLE=${node.role}\n`);
  }
  const worker = cluster.nodes.find((node) => node.role === 'WORKER')?.name ?? '';
  const { stdout } = await docker.run('node', 'inspect', worker, '--format', '{{json .Spec.Labels}}');
  expect(JSON.parse(stdout)).toMatchObject({ team: 'shop', 'muon.pool': 'workers' });
});

test('a service is spread over the workers, and reached through the overlay', async () => {
  for (const node of cluster.nodes) {
    if (node.role === 'WORKER') expect(await muon.inGuest(node.virtualMachine?.id ?? '', 'sh', '-c', WEB)).toMatchObject({ exitCode: 0 });
  }
  const created = [
    await docker.run('network', 'create', '--driver', 'overlay', '--opt', 'com.docker.network.driver.mtu=1392', 'shop'),
    await docker.run('service', 'create', '--detach', '--quiet', '--no-resolve-image', '--name', 'web', '--network', 'shop', '--endpoint-mode', 'dnsrr', '--mode', 'global', '--constraint', 'node.labels.team==shop', 'lab/web:1'),
  ];
  for (const { exitCode } of created) expect(exitCode).toBe(0);
  await until('Two tasks', 120_000, async () => {
    const { stdout } = await docker.run('service', 'ls', '--format', '{{.Replicas}}');
    return stdout.trim() === '2/2' ? true : undefined;
  });
  // From the task of one node to both, and to either by the service's name.
  const tasks = (await docker.run('service', 'ps', '--quiet', '--filter', 'desired-state=running', 'web')).stdout.trim().split('\n');
  const attached = await docker.run('inspect', '--format', '{{range .NetworksAttachments}}{{index .Addresses 0}}{{end}}', ...tasks);
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
  const before = await joinTokens();
  await change('scaleNodePool', 'ScaleNodePoolInput', { id: pool, count: 3 });
  expect((await docker.nodes()).size).toBe(6);
  // Whoever has read the ones that were used comes in by them no more.
  const after = await joinTokens();
  for (const role of ['manager', 'worker'] as const) expect(after[role]).not.toBe(before[role]);
  await change('scaleNodePool', 'ScaleNodePoolInput', { id: pool, count: 2 });
  cluster = await look(cluster.id);
  expect(cluster.nodes).toHaveLength(5);
  await allReady();
}, PATIENCE_MS);

async function joinTokens(): Promise<Record<'manager' | 'worker', string>> {
  const token = async (role: string): Promise<string> => {
    const { exitCode, stdout } = await docker.run('swarm', 'join-token', '--quiet', role);
    expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/^SWMTKN-1-/)]);
    return stdout.trim();
  };
  return { manager: await token('manager'), worker: await token('worker') };
}

// So are those of a host that died.
test('a manager is replaced, and the others go on agreeing', { tags: ['lengthy'], timeout: PATIENCE_MS }, async () => {
  const [old] = controlsOf(cluster);
  await replace(old);
  expect(cluster.nodes.map((node) => node.id)).not.toContain(old?.id);
  expect(hostsOf(controlsOf(cluster)).size).toBe(3);
});

async function replace(node: SwarmNode | undefined): Promise<void> {
  await change('replaceClusterNode', 'ReplaceClusterNodeInput', { id: node?.id });
  cluster = await look(cluster.id);
  expect(cluster.state).toBe('READY');
  await allReady();
}

test('the leader’s host dies: the cluster goes on, is made whole on the others and says what that costs; the host returns, and nothing runs twice', { timeout: 900_000 }, async () => {
  const before = await books();
  const host = await leaderElsewhere();
  const lost = cluster.nodes.filter((node) => node.virtualMachine?.hostId === host.id);
  const kept = cluster.nodes.filter((node) => !lost.includes(node));
  const power = { folder: muon.lab.folder, name: host.name, note: () => undefined };
  await killHost(power);
  try {
    const told = new Set<string>();
    cluster = await until('The cluster made whole', HEALING_MS, async () => {
      const now = await look(cluster.id);
      for (const { type, status, reason } of now.conditions) told.add(`${type} ${status} ${reason}`);
      told.add(now.state);
      for (const node of now.nodes) if (lost.some(({ id }) => id === node.id)) told.add(`the old one ${node.state}`);
      const isWhole = now.state === 'READY' && now.nodes.length === 5 && !now.nodes.some(({ id }) => lost.some((old) => old.id === id));
      return isWhole ? now : undefined;
    });
    expect((await hosts()).find(({ id }) => id === host.id)?.state).toBe('FENCED');
    for (const one of ['DEGRADED', 'READY FALSE NODES_LOST', 'API_AVAILABLE TRUE QUORUM_READY', 'FAULT_TOLERANT FALSE NO_SPARE_CONTROL_NODE', 'HEALABLE TRUE HEALING']) {
      expect([...told]).toContain(one);
    }
    expect([...told].some((one) => /^the old one (LOST|REMOVING)$/.test(one))).toBe(true);
    expect([...told]).not.toContain('UNAVAILABLE');
    await allReady();
    expect(cluster.nodes).toEqual(expect.arrayContaining(kept.map(({ id, name }) => expect.objectContaining({ id, name }))));
    // Two on one host is better than two in all, and the cluster says so.
    const [spread] = [conditionOf(cluster, 'FAULT_TOLERANT')];
    expect(spread).toMatchObject({ status: 'FALSE', reason: 'CONTROL_NODES_SHARE_HOST' });
    expect(spread?.message).toMatch(/^"blue-control-\w+" and "blue-control-\w+" are on one host, .* Replace one of them when another host has room\.$/);
    await oneAtATime(lost.length);
    const after = await books();
    expect(after).toMatchObject({ quota: before.quota, datastores: before.datastores });
    expect(after.hosts.find(({ name }) => name === host.name)?.machines).toBe(0);
  } finally {
    await startHost(power);
  }
  await muon.lab.settled(muon.incus);
  await until(`${host.name} back`, 120_000, async () => ((await hosts()).find(({ id }) => id === host.id)?.state === 'ACTIVE' ? true : undefined));
  const machines = [docker.machine.id, ...cluster.nodes.map((node) => node.virtualMachine?.id ?? '')].sort();
  await until('Nothing of the old machines', 120_000, async () => {
    const instances = (await inventory.instances()).filter(({ config }) => config[InstanceKey.MACHINE] !== undefined);
    const running = instances.filter(({ status_code: code }) => code === StatusCode.RUNNING);
    const ids = (list: typeof instances): string => list.map(({ config }) => config[InstanceKey.MACHINE] ?? '').sort().join();
    return ids(instances) === machines.join() && ids(running) === machines.join() ? true : undefined;
  });
  await allReady();
  // The next one that is replaced is alone again.
  await replace(controlsOf(cluster).at(-1));
  expect(hostsOf(controlsOf(cluster)).size).toBe(3);
  expect(conditionOf(cluster, 'FAULT_TOLERANT')).toMatchObject({ status: 'TRUE', reason: 'SPARE_CONTROL_NODES' });
  expect(await books()).toMatchObject({ quota: before.quota, datastores: before.datastores });
});

/** The host of the leader; where that is the one that is kept, another manager is made leader first. */
async function leaderElsewhere(): Promise<{ id: string; name: string }> {
  const known = await hosts();
  for (let tries = 0; tries < 5; tries += 1) {
    const [name] = [...(await allReady())].find(([, status]) => status.includes('Leader')) ?? [];
    const machine = cluster.nodes.find((node) => node.name === name)?.virtualMachine;
    const host = known.find(({ id }) => id === machine?.hostId);
    if (host !== undefined && host.name !== KEPT_HOST) return host;
    await muon.inGuest(machine?.id ?? '', 'systemctl', 'restart', 'docker');
  }
  throw new Error(`the leader stays on ${KEPT_HOST}`);
}

/** Operations that healed the cluster did so one after another. */
async function oneAtATime(count: number): Promise<void> {
  const { operations } = await muon.owner.request<{ operations: { nodes: { state: string; startedAt: string; endedAt: string; origin: string }[] } }>(
    'query ($id: ID!) { operations(resourceId: $id, kind: "clusters.cluster.heal", order: OLDEST, first: 20) { nodes { state origin startedAt endedAt } } }',
    { id: cluster.id },
  );
  const healings = operations.nodes.filter(({ origin }) => origin === 'RECONCILER');
  expect(healings.map(({ state }) => state)).toEqual(Array.from({ length: count }, () => 'SUCCEEDED'));
  for (const [index, { startedAt }] of healings.entries()) {
    const before = healings[index - 1];
    if (before !== undefined) expect(Date.parse(startedAt)).toBeGreaterThanOrEqual(Date.parse(before.endedAt));
  }
}

test('Kubernetes is refused here before anything is made', async () => {
  await muon.system.owner.request('mutation ($input: CreateClusterVersionInput!) { createClusterVersion(input: $input) { clusterVersion { id } } }', {
    input: { name: 'kubernetes', kind: 'KUBERNETES', release: '1.34.2', image: DEBIAN_IMAGE },
  });
  const input = { projectId: tenant.projectId, name: 'pods', version: 'kubernetes', controlPlane: { count: 1, flavor: 'node' } };
  const refused = await tenant.api.refusal('mutation ($input: CreateClusterInput!) { createCluster(input: $input) { cluster { id } } }', { input });
  expect(refused.extensions).toMatchObject({ code: 'UNSUPPORTED', field: 'input.controlPlane.zones' });
});

test('a cluster that is deleted leaves nothing in Incus, OVN, quota and placement', async () => {
  // Six machines, as many ports, and more.
  expect((await inventory.remains()).length - untouched.remains.length).toBeGreaterThan(2 * 6);
  await muon.delete(tenant, docker.machine.id);
  await change('deleteCluster', 'DeleteClusterInput', { id: cluster.id });
  expect((await inventory.remains()).sort()).toEqual(untouched.remains.sort());
  expect(await books()).toEqual(untouched.books);
  const claimed = untouched.books.hosts.reduce((sum, { machines }) => sum + machines, 0);
  expect([claimed, untouched.books.datastores.disks]).toEqual([0, 0]);
}, PATIENCE_MS);
