import { afterAll, beforeAll, expect, test } from 'vitest';
import { blueprintOf, type BlueprintNode } from '#clusters';
import { LabSystem, type LabTenant } from '../support/lab-system.js';
import { until } from '../support/lab.js';

/** What a repeated join does to the votes of a Swarm's managers, by Docker itself. */

const PATIENCE_MS = 600_000;
/** No host is turned off here, whatever others do to it. */
const PATIENT = { MUON_HOST_SILENT_AFTER_MS: '600000' };

interface Manager {
  id: string;
  name: string;
  virtualMachine: { id: string; addresses: string[] };
}

let muon: LabSystem;
let tenant: LabTenant;
let clusterId: string;
let managers: [Manager, Manager, Manager];

beforeAll(async () => {
  muon = await LabSystem.start({ environment: PATIENT });
  tenant = await muon.onboard('votes');
  const input = { projectId: tenant.projectId, name: 'votes', kind: 'SWARM', version: 'swarm', controlPlane: { count: 3, flavor: 'node' } };
  const { createCluster } = await tenant.api.request<{ createCluster: { cluster: { id: string }; operation: { id: string } } }>(
    'mutation ($input: CreateClusterInput!) { createCluster(input: $input) { cluster { id } operation { id } } }',
    { input },
  );
  clusterId = createCluster.cluster.id;
  await muon.ended(tenant.api, createCluster.operation.id, PATIENCE_MS);
  const { cluster } = await tenant.api.request<{ cluster: { nodes: [Manager, Manager, Manager] } }>(
    'query ($id: ID!) { cluster(id: $id) { nodes { id name virtualMachine { id addresses } } } }',
    { id: clusterId },
  );
  managers = cluster.nodes;
}, PATIENCE_MS);

afterAll(async () => {
  await muon?.close();
}, PATIENCE_MS);

async function sh(manager: Manager, script: string): Promise<string> {
  return (await muon.inGuest(manager.virtualMachine.id, 'sh', '-c', script)).stdout.trim();
}

/** The step's script once more, as when a worker of Muon died while it ran. */
async function joinAgain(manager: Manager, others: readonly [Manager, Manager]): Promise<{ exitCode: number; stderr: string }> {
  const blueprint = blueprintOf('SWARM');
  const addressOf = ({ virtualMachine }: Manager): string => virtualMachine.addresses[0] ?? '';
  const { name, virtualMachine } = manager;
  const node: BlueprintNode = { machineId: virtualMachine.id, name, role: 'CONTROL', address: addressOf(manager), zoneId: 'zone', pool: null };
  const told = { id: clusterId, name: 'votes', release: '20.10.24', apiAddress: addressOf(manager), externalAddresses: [], controlAddresses: others.map(addressOf) };
  const token = await sh(others[0], 'timeout 20 docker swarm join-token --quiet manager');
  const secrets = { foundation: await blueprint.createSecrets(), joinToken: JSON.stringify({ manager: token, worker: '' }) };
  const { script, standardInput = '' } = await blueprint.join(told, node, secrets);
  const instance = await until('Its instance', 60_000, async () => muon.instanceOf(virtualMachine.id));
  return muon.incus.instances.execute(instance.name, { command: ['sh', '-c', script], input: standardInput, timeoutMs: PATIENCE_MS });
}

/** As a manager knows them: id, name, what each says, and its vote. */
async function known(by: Manager): Promise<string[][]> {
  const lines = await sh(by, `timeout 20 docker node ls --format '{{.ID}} {{.Hostname}} {{.Status}} {{.ManagerStatus}}'`);
  return lines.split('\n').map((line) => line.split(' ')).sort(([one = ''], [other = '']) => one.localeCompare(other));
}

test('a manager whose join is repeated while the others are silent keeps its vote, and is the one it was when they are back', { tags: ['lengthy'], timeout: 2 * PATIENCE_MS }, async () => {
  const [first, second, third] = managers;
  const others = [first, second] as const;
  const identities = async (): Promise<string[][]> => (await known(first)).map(([id = '', name = '']) => [id, name]);
  const before = await identities();
  expect(before).toHaveLength(3);
  for (const other of others) await sh(other, 'systemctl stop docker.socket docker.service');
  await sh(third, 'systemctl restart --no-block docker.service');
  await until('Nobody to agree with', 60_000, async () => ((await sh(third, `timeout 20 docker info --format '{{.Swarm.LocalNodeState}}'`)) === 'pending' ? true : undefined));
  expect(await joinAgain(third, others)).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('it has joined and does not come to take part: it is pending') });
  for (const other of others) await sh(other, 'systemctl start docker.service');
  expect(await joinAgain(third, others)).toMatchObject({ exitCode: 0 });
  const votes = await until('All three take part', 120_000, async () => {
    const found = await known(first);
    return found.length >= 3 && found.every(([, , status]) => status === 'Ready') ? found.map(([, , , vote = '']) => vote).toSorted((one, other) => one.localeCompare(other)) : undefined;
  });
  expect(votes).toEqual(['Leader', 'Reachable', 'Reachable']);
  expect(await identities()).toEqual(before);
});
