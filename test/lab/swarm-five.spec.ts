import { afterAll, beforeAll, expect, test } from 'vitest';
import { StatusCode } from '#incus';
import { killHost, startHost } from '../../apps/lab/src/hosts.js';
import { LabDocker } from '../support/lab-docker.js';
import { InstanceKey, LabInventory } from '../support/lab-inventory.js';
import { until } from '../support/lab.js';
import { LabSystem, type LabTenant } from '../support/lab-system.js';

/** A Swarm with more managers than there are hosts, by Incus and Docker themselves. */

const PATIENCE_MS = 600_000;
/** What dies here is not healed: what is left must do. */
const PATIENT = { MUON_HOST_SILENT_AFTER_MS: '900000' };
/** The test speaks to the cluster by it, so that it is not the one that is killed. */
const KEPT_HOST = 'h1';

interface Swarm {
  id: string;
  networkId: string;
  apiEndpoint: string;
  conditions: { type: string; status: string; reason: string }[];
  nodes: { id: string; name: string; role: string; virtualMachine: { id: string } }[];
}

let muon: LabSystem;
let tenant: LabTenant;
let inventory: LabInventory;
let before: string[];

beforeAll(async () => {
  muon = await LabSystem.start({ environment: PATIENT });
  await muon.lab.requireNodeImage(muon.incus);
  inventory = new LabInventory(muon.incus, muon.lab.hosts, muon.installation);
  tenant = await muon.onboard('five');
  before = await inventory.remains();
}, PATIENCE_MS);

afterAll(async () => {
  await inventory?.close();
  await muon?.close();
}, PATIENCE_MS);

async function look(id: string): Promise<Swarm> {
  const text = `query ($id: ID!) { cluster(id: $id) { id networkId apiEndpoint conditions { type status reason } nodes { id name role virtualMachine { id } } } }`;
  return (await muon.owner.request<{ cluster: Swarm }>(text, { id })).cluster;
}

/** How many are in each, least first. */
const sharesOf = (places: readonly string[]): number[] => [...Map.groupBy(places, (place) => place).values()].map(({ length }) => length).sort((one, other) => one - other);

async function ended(mutation: string, type: string, input: Record<string, unknown>, more = ''): Promise<{ id: string } | undefined> {
  const text = `mutation ($input: ${type}!) { ${mutation}(input: $input) { operation { id } ${more} } }`;
  const answer = await tenant.api.request<Record<string, { operation: { id: string }; cluster?: { id: string } }>>(text, { input });
  await muon.ended(tenant.api, answer[mutation]?.operation.id ?? '', PATIENCE_MS);
  return answer[mutation]?.cluster;
}

/** The managers, and beside them the hosts that Incus has them on. */
async function managersOf(cluster: Swarm): Promise<{ managers: Swarm['nodes']; hosts: string[] }> {
  const managers = cluster.nodes.filter(({ role }) => role === 'CONTROL');
  const places = new Map((await inventory.instances()).map(({ config, location, status_code: code }) => [config[InstanceKey.MACHINE], { location, code }]));
  for (const { virtualMachine } of managers) expect(places.get(virtualMachine.id)?.code).toBe(StatusCode.RUNNING);
  return { managers, hosts: managers.map(({ virtualMachine }) => places.get(virtualMachine.id)?.location ?? '') };
}

/** Two on a host and two in a rack at most, and the cluster says that it can do without any host. */
async function areSpread(id: string): Promise<void> {
  const { hosts } = await managersOf(await look(id));
  const rackOf = new Map(muon.lab.hosts.map(({ name, rack }) => [name, rack]));
  expect(sharesOf(hosts)).toEqual([1, 2, 2]);
  expect(sharesOf(hosts.map((host) => rackOf.get(host) ?? ''))).toEqual([1, 2, 2]);
  await expect.poll(async () => (await look(id)).conditions, { timeout: 60_000 }).toContainEqual(
    expect.objectContaining({ type: 'FAULT_TOLERANT', status: 'TRUE', reason: 'SPARE_CONTROL_NODES' }),
  );
}

test('five managers are two on a host and two in a rack at most, also when one is replaced, and agree when such a host dies', { tags: ['lengthy'], timeout: 2 * PATIENCE_MS }, async () => {
  const nodePools = [{ name: 'workers', flavor: 'node', count: 1 }];
  const input = { projectId: tenant.projectId, name: 'five', kind: 'SWARM', version: 'swarm', controlPlane: { count: 5, flavor: 'node' }, nodePools };
  const made = await ended('createCluster', 'CreateClusterInput', input, 'cluster { id }');
  const cluster = await look(made?.id ?? '');
  let { managers, hosts } = await managersOf(cluster);
  expect(managers).toHaveLength(5);
  await areSpread(cluster.id);

  const docker = await LabDocker.beside(muon, tenant, cluster, KEPT_HOST);
  await docker.getBundle();
  const votes = async (): Promise<string[]> => {
    const seen = await docker.nodes();
    return managers.map(({ name }) => seen.get(name) ?? 'missing').sort();
  };
  const allAgree = ['Ready Leader', 'Ready Reachable', 'Ready Reachable', 'Ready Reachable', 'Ready Reachable'];
  await expect.poll(votes, { timeout: 120_000, interval: 1000 }).toEqual(allAgree);

  // There is no host for it where no other one is.
  const replaced = managers[hosts.findIndex((host) => hosts.filter((other) => other === host).length === 2)];
  await ended('replaceClusterNode', 'ReplaceClusterNodeInput', { id: replaced?.id });
  ({ managers, hosts } = await managersOf(await look(cluster.id)));
  expect(managers).toHaveLength(5);
  expect(managers.map(({ name }) => name)).not.toContain(replaced?.name);
  await areSpread(cluster.id);
  await expect.poll(votes, { timeout: 120_000, interval: 1000 }).toEqual(allAgree);
  expect((await docker.nodes()).has(replaced?.name ?? '')).toBe(false);

  const victim = hosts.find((host) => host !== KEPT_HOST && hosts.filter((other) => other === host).length === 2) ?? '';
  const power = { folder: muon.lab.folder, name: victim, note: () => undefined };
  await killHost(power);
  try {
    await until('Three managers agree without two', 180_000, async () => {
      const seen = await votes().catch(() => []);
      return seen.join() === 'Down Unreachable,Down Unreachable,Ready Leader,Ready Reachable,Ready Reachable' ? true : undefined;
    });
    // What only a majority can do.
    const alive = managers[hosts.findIndex((host) => host !== victim)]?.name ?? '';
    await until('A change', 60_000, async () => ((await docker.run('node', 'update', '--label-add', 'agreed=yes', alive)).exitCode === 0 ? true : undefined));
    // One call may still be led to a manager that is dead.
    const label = async (): Promise<string> => (await docker.run('node', 'inspect', alive, '--format', '{{.Spec.Labels.agreed}}')).stdout.trim();
    await expect.poll(label, { timeout: 60_000 }).toBe('yes');
  } finally {
    await startHost(power);
  }
  await muon.lab.settled(muon.incus);
  await expect.poll(async () => votes().catch(() => []), { timeout: 180_000, interval: 2000 }).toEqual(allAgree);

  await muon.delete(tenant, docker.machine.id);
  await ended('deleteCluster', 'DeleteClusterInput', { id: cluster.id });
  expect((await inventory.remains()).sort()).toEqual(before.sort());
});
