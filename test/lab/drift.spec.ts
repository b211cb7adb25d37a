import { afterAll, beforeAll, expect, test } from 'vitest';
import { sleep } from '#core';
import type { IncusClient } from '#incus';
import { EXTERNAL, EXTERNAL_NETWORK, machineAddress } from '../../apps/lab/src/layout.js';
import { run } from '../../apps/lab/src/machine/command.js';
import type { ApiClient } from '../support/client.js';
import { until } from '../support/lab.js';
import { LabInventory } from '../support/lab-inventory.js';
import { LabSystem, type LabMachine, type LabTenant } from '../support/lab-system.js';

/** What somebody does by hand to the rows of OVN, and to instances and volumes of Incus, and what Muon makes of it. */

const PING = { direction: 'INGRESS', protocol: 'ICMP' };
/** What has only just been made is left to whoever makes it for so long. */
const GRACE_MS = 30_000;
/** Less than what lies between two looks that nobody has asked for. */
const MENDED_MS = 20_000;
/** Of what is gone in Incus, however short before Muon itself has changed it. */
const MISSED_MS = 10_000;

let muon: LabSystem;
let incus: IncusClient;
let inventory: LabInventory;
let tenant: LabTenant;
let groupId: string;
let routerId: string;
let floatingIpId: string;
let floatingAddress: string;
let client: LabMachine;
let server: LabMachine;
let serverPort: string;

/** Asks for a change, waits for its end. @returns the thing's id */
async function change(api: ApiClient, field: string, input: Record<string, unknown>, thing: string): Promise<string> {
  const type = `${field[0]?.toUpperCase()}${field.slice(1)}Input`;
  const answer = await api.request<Record<string, Record<string, { id: string } | null>>>(
    `mutation ($input: ${type}!) { ${field}(input: $input) { ${thing} { id } operation { id } } }`,
    { input },
  );
  const operation = answer[field]?.['operation'];
  if (operation != null) await muon.ended(api, operation.id);
  return answer[field]?.[thing]?.id ?? '';
}

async function portOf({ id }: LabMachine): Promise<string> {
  const { virtualMachine } = await muon.owner.request<{ virtualMachine: { ports: { id: string }[] } }>(
    'query ($id: ID!) { virtualMachine(id: $id) { ports { id } } }',
    { id },
  );
  return virtualMachine.ports[0]?.id ?? '';
}

beforeAll(async () => {
  muon = await LabSystem.start();
  incus = await muon.lab.incus('h1');
  inventory = new LabInventory(incus, muon.lab.hosts, muon.installation);
  tenant = await muon.onboard('meddled');
  const { api, projectId } = tenant;
  groupId = await change(api, 'createSecurityGroup', { projectId, name: 'servers', rules: [PING] }, 'securityGroup');
  const networkId = await muon.network(tenant, 'net');
  routerId = await change(api, 'createRouter', { projectId, name: 'router', networkIds: [networkId], externalNetwork: EXTERNAL_NETWORK }, 'router');
  [client, server] = await Promise.all([
    muon.machine(tenant, networkId, 'client'),
    muon.machine(tenant, networkId, 'server', { securityGroupIds: [groupId] }),
  ]);
  serverPort = await portOf(server);
  floatingIpId = await change(api, 'createFloatingIp', { projectId, name: 'public', externalNetwork: EXTERNAL_NETWORK }, 'floatingIp');
  await change(api, 'associateFloatingIp', { id: floatingIpId, portId: serverPort }, 'floatingIp');
  const { node } = await api.request<{ node: { address: string } }>('query ($id: ID!) { node(id: $id) { ... on FloatingIp { address } } }', { id: floatingIpId });
  floatingAddress = node.address;
  await allIsWell();
  await sleep(GRACE_MS);
}, 300_000);

afterAll(async () => {
  try {
    await muon.close();
    expect(await inventory.remains()).toEqual([]);
  } finally {
    await inventory.purge();
    await inventory.close();
    incus.close();
  }
}, 240_000);

const isReached = async (): Promise<boolean> => muon.reaches(client.id, server.address);
const reachesOutside = async (): Promise<boolean> => muon.reaches(client.id, machineAddress(EXTERNAL));
const answersOutside = async (): Promise<boolean> =>
  run('ping', ['-c', '1', '-W', '1', floatingAddress]).then(
    () => true,
    () => false,
  );

async function comesTrue(what: string, look: () => Promise<boolean>, patienceMs = MENDED_MS): Promise<void> {
  await until(what, patienceMs, async () => ((await look()) ? true : undefined));
}

async function allIsWell(): Promise<void> {
  await comesTrue('The machines reaching each other', isReached, 60_000);
  await comesTrue('A machine reaching the outside', reachesOutside, 60_000);
  await comesTrue('The floating IP answering', answersOutside, 60_000);
}

/** The UUIDs of rows of a table that meet all of these, as `ovn-nbctl find` knows them. */
async function find(table: string, ...conditions: string[]): Promise<string[]> {
  const rows = await muon.lab.northbound('--bare', '--columns=_uuid', 'find', table, ...conditions);
  return rows.split('\n').filter((row) => row !== '');
}

const marked = (mark: string, value: string): string => `external_ids:muon\\:${mark}=${value}`;

async function only(table: string, ...conditions: string[]): Promise<string> {
  const found = await find(table, ...conditions);
  expect(found, `${table} ${conditions.join(' ')}`).toHaveLength(1);
  return found[0] ?? '';
}

const columnOf = async (table: string, row: string, column: string): Promise<string> => muon.lab.northbound('--bare', 'get', table, row, column);

test('a port that is deleted comes back, and its machine is reached again', async () => {
  const before = await only('Logical_Switch_Port', `name=${serverPort}`);
  await muon.lab.northbound('lsp-del', serverPort);
  await comesTrue('The port coming back', async () => (await find('Logical_Switch_Port', `name=${serverPort}`)).includes(before));
  await comesTrue('Its machine being reached', isReached);
  await comesTrue('The floating IP answering', answersOutside);
});

test('a port that is taken out of its group is put into it again', async () => {
  const group = await only('Port_Group', marked('id', groupId));
  const port = await only('Logical_Switch_Port', `name=${serverPort}`);
  const isMember = async (): Promise<boolean> => (await columnOf('Port_Group', group, 'ports')).includes(port);
  expect(await isMember()).toBe(true);
  await muon.lab.northbound('remove', 'Port_Group', group, 'ports', port);
  expect(await isMember()).toBe(false);
  await comesTrue('The port being in its group', isMember);
});

test('translations that are deleted come back: of the router, and of a floating IP', async () => {
  for (const [kind, id] of [
    ['SOURCE_NAT', routerId],
    ['FLOATING_IP', floatingIpId],
  ] as const) {
    const row = await only('NAT', marked('kind', kind), marked('id', id));
    await muon.lab.northbound('remove', 'Logical_Router', routerId, 'nat', row);
    expect(await find('NAT', marked('kind', kind), marked('id', id))).toEqual([]);
    await comesTrue(`The row of ${kind} coming back`, async () => (await find('NAT', marked('kind', kind), marked('id', id))).includes(row));
  }
  await comesTrue('A machine reaching the outside', reachesOutside);
  await comesTrue('The floating IP answering', answersOutside);
});

test('a rule that is edited says again what it shall', async () => {
  const rule = await only('ACL', marked('id', groupId), 'action=allow-related');
  await muon.lab.northbound('set', 'ACL', rule, 'action=drop');
  await comesTrue('The rule being as it was', async () => (await columnOf('ACL', rule, 'action')) === 'allow-related');
  await comesTrue('The machine being reached', isReached);
});

test('each was mended by an operation that has succeeded, few in all, and nothing is there twice', async () => {
  await allIsWell();
  const { operations } = await muon.owner.request<{ operations: { nodes: { kind: string; state: string }[] } }>('{ operations(first: 100) { nodes { kind state } } }');
  const repairs = operations.nodes.filter(({ kind }) => kind.endsWith('.repair'));
  expect(new Set(repairs.map(({ state }) => state))).toEqual(new Set(['SUCCEEDED']));
  expect(new Set(repairs.map(({ kind }) => kind))).toEqual(new Set(['network.network.repair', 'network.router.repair', 'network.security_group.repair']));
  expect(repairs.length).toBeLessThanOrEqual(12);
  const parts = (await inventory.objects()).map(({ kind, id }) => `${kind} ${id}`);
  expect(parts.toSorted()).toEqual([...new Set(parts)].toSorted());
  expect(parts).toEqual(expect.arrayContaining([`ROUTER ${routerId}`, `FLOATING_IP ${floatingIpId}`, `SECURITY_GROUP ${groupId}`, `PORT ${serverPort}`]));
});

test('an instance that is deleted right after Muon has made it, or stopped it, is missed at once', async () => {
  const { api, projectId } = tenant;
  const networkId = await muon.network(tenant, 'short-lived');
  const reasonOf = async (id: string): Promise<string[]> => {
    const { virtualMachine } = await api.request<{ virtualMachine: { conditions: { reason: string }[] } }>(
      'query ($id: ID!) { virtualMachine(id: $id) { conditions { reason } } }',
      { id },
    );
    return virtualMachine.conditions.map(({ reason }) => reason);
  };
  for (const [name, isStopped] of [
    ['made', false],
    ['stopped', true],
  ] as const) {
    const { id } = await muon.machine(tenant, networkId, name, isStopped ? {} : { power: 'STOPPED' });
    if (isStopped) await change(api, 'stopVirtualMachine', { id, force: true }, 'virtualMachine');
    const instance = (await muon.instanceOf(id))?.name ?? '';
    await (await incus.instances.delete(instance)).wait();
    await comesTrue(`The machine "${name}" being missed`, async () => (await reasonOf(id)).includes('MACHINE_MISSING'), MISSED_MS);
    await muon.delete(tenant, id);
  }
  const disk = await change(api, 'createDisk', { projectId, name: 'data', sizeGib: 1 }, 'disk');
  const healthOf = async (): Promise<string> =>
    (await api.request<{ node: { health: string } }>('query ($id: ID!) { node(id: $id) { ... on Disk { health } } }', { id: disk })).node.health;
  await comesTrue('The disk being healthy', async () => (await healthOf()) === 'HEALTHY', MISSED_MS);
  const { storagePools } = incus;
  const volumes = await Promise.all((await storagePools.list()).map(async ({ name: pool }) => (await storagePools.volumes(pool)).map((volume) => ({ pool, volume }))));
  const found = volumes.flat().find(({ volume }) => volume.name === disk.replace('_', '-'));
  if (found === undefined) throw new Error(`there is no volume of ${disk}`);
  const { pool, volume } = found;
  await incus.storagePools.deleteVolume(pool, volume.name, { target: volume.location });
  await comesTrue('The volume being missed', async () => (await healthOf()) === 'UNKNOWN', MISSED_MS);
  await change(api, 'deleteDisk', { id: disk }, 'disk');
}, 180_000);
