import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { isNotFound, type Volume } from '#incus';
import { POOL } from '../../apps/lab/src/layout.js';
import { LabInventory } from '../support/lab-inventory.js';
import { newName } from '../support/lab.js';
import { LabSystem, type LabMachine, type LabTenant } from '../support/lab-system.js';

/** Hosts with two pools each, of which a storage policy allows one only: asked for as IT and users do, and looked for in Incus. */

const KIND = 'fast';
/** A look at how disks keep to their policies comes every ten seconds. */
const PATIENCE = { timeout: 60_000, interval: 1000 };
/** New in each run. A Muon that somebody registers meanwhile would take it for one of the lab's: this spec runs alone. */
const SECOND = newName('second');

let muon: LabSystem;
let tenant: LabTenant;
let inventory: LabInventory;
let networkId: string;
let before: string[];
const datastoreIds: string[] = [];

beforeAll(async () => {
  muon = await LabSystem.start();
  inventory = new LabInventory(muon.incus, muon.lab.hosts, muon.installation);
  tenant = await muon.onboard('datastores');
  before = await inventory.remains();
  networkId = await muon.network(tenant, 'net');
  for (const { name } of muon.lab.hosts) await muon.incus.storagePools.create({ name: SECOND, driver: 'dir' }, { target: name });
  await muon.incus.storagePools.create({ name: SECOND, driver: 'dir' });
  const { backends, hosts } = await muon.owner.request<{ backends: { nodes: { id: string }[] }; hosts: { nodes: { id: string }[] } }>(
    '{ backends(first: 1) { nodes { id } } hosts(first: 100) { nodes { id } } }',
  );
  for (const { id: hostId } of hosts.nodes) {
    const { addDatastore } = await muon.owner.request<{ addDatastore: { datastore: { id: string } } }>(
      'mutation ($input: AddDatastoreInput!) { addDatastore(input: $input) { datastore { id } } }',
      { input: { backendId: backends.nodes[0]?.id, hostId, name: SECOND, kind: KIND } },
    );
    datastoreIds.push(addDatastore.datastore.id);
  }
  for (const [name, kind] of [['fast', KIND], ['plain', 'standard'], ['mirrored', 'mirrored']]) await makePolicy({ name, datastoreKinds: [kind] });
  const flavor = { name: 'tiny-fast', cpu: 1, memoryMib: 64, diskGib: 1, storagePolicy: 'fast' };
  await muon.owner.request('mutation ($input: CreateFlavorInput!) { createFlavor(input: $input) { flavor { id } } }', { input: flavor });
}, 180_000);

afterAll(async () => {
  // What a test that failed has left in the pool keeps it from going.
  await inventory?.purge();
  await inventory?.close();
  await muon?.incus.storagePools.delete(SECOND).catch((error: unknown) => {
    if (!isNotFound(error)) throw error;
  });
  await muon?.close();
}, 180_000);

async function makePolicy(input: Record<string, unknown>): Promise<void> {
  await muon.owner.request('mutation ($input: CreateStoragePolicyInput!) { createStoragePolicy(input: $input) { storagePolicy { id } } }', { input });
}

async function setDatastores(change: Record<string, unknown>): Promise<void> {
  for (const id of datastoreIds) await muon.owner.request('mutation ($input: UpdateDatastoreInput!) { updateDatastore(input: $input) { datastore { id } } }', { input: { id, ...change } });
}

interface Compliance {
  state: string;
  rules: { rule: string; expected: string; actual: string; isKept: boolean }[];
}

async function complianceOf(diskId: string): Promise<Compliance | null> {
  const query = 'query ($id: ID!) { node(id: $id) { ... on Disk { compliance { state rules { rule expected actual isKept } } } } }';
  return (await tenant.api.request<{ node: { compliance: Compliance | null } }>(query, { id: diskId })).node.compliance;
}

async function change(field: string, input: Record<string, unknown>, part = 'disk'): Promise<string> {
  const type = `${field.charAt(0).toUpperCase()}${field.slice(1)}Input`;
  const answer = await tenant.api.request<Record<string, { operation: { id: string } } & Record<string, { id: string } | null>>>(
    `mutation ($input: ${type}!) { ${field}(input: $input) { operation { id } ${part} { id } } }`,
    { input },
  );
  await muon.ended(tenant.api, answer[field]?.operation.id ?? '');
  return answer[field]?.[part]?.id ?? '';
}

/** What Incus has of a disk and its snapshots, with the pool that it is in. */
async function volumesOf(diskId: string): Promise<{ pool: string; volume: Volume }[]> {
  const { storagePools } = muon.incus;
  const found = await Promise.all([POOL, SECOND].map(async (pool) => (await storagePools.volumes(pool)).map((volume) => ({ pool, volume }))));
  return found.flat().filter(({ volume }) => volume.name.split('/')[0] === diskId.replace('_', '-'));
}

const rootPoolOf = async (machine: LabMachine): Promise<string | undefined> => (await muon.instanceOf(machine.id))?.devices['root']?.['pool'];

async function inGuest(machine: LabMachine, script: string): Promise<string> {
  const { exitCode, stdout } = await muon.inGuest(machine.id, 'sh', '-c', script);
  return exitCode === 0 ? stdout.trim() : `exit ${exitCode}`;
}

test('a machine’s root disk is in the pool that its policy allows, and so is a disk that it gets: attached, resized, snapshotted, detached, deleted', async () => {
  const machine = await muon.machine(tenant, networkId, 'fast', { storagePolicy: 'fast' });
  expect(await rootPoolOf(machine)).toBe(SECOND);
  const disk = await change('createDisk', { projectId: tenant.projectId, name: 'data', sizeGib: 1, virtualMachineId: machine.id, storagePolicy: 'fast' });
  expect(await volumesOf(disk)).toMatchObject([{ pool: SECOND, volume: { location: machine.hostName, config: { size: '1GiB' } } }]);

  const folder = `/mnt/${disk.replace('_', '-')}`;
  await change('attachDisk', { diskId: disk, virtualMachineId: machine.id });
  expect((await muon.instanceOf(machine.id))?.devices[disk.replace('_', '-')]).toMatchObject({ pool: SECOND });
  expect(await inGuest(machine, `echo kept > ${folder}/note && sync && grep -c ' ${folder} ' /proc/mounts`)).toBe('1');
  await change('resizeDisk', { id: disk, sizeGib: 2 });
  expect(await volumesOf(disk)).toMatchObject([{ pool: SECOND, volume: { config: { size: '2GiB' } } }]);
  await change('createDiskSnapshot', { diskId: disk, name: 'noted' }, 'diskSnapshot');
  expect((await volumesOf(disk)).map(({ pool, volume }) => [pool, volume.name.includes('/')])).toEqual([[SECOND, false], [SECOND, true]]);
  await change('detachDisk', { diskId: disk });
  expect(await inGuest(machine, `grep -c ' ${folder} ' /proc/mounts`)).toBe('exit 1');
  await change('attachDisk', { diskId: disk, virtualMachineId: machine.id });
  expect(await inGuest(machine, `cat ${folder}/note`)).toBe('kept');
  await change('detachDisk', { diskId: disk });
  // An operator finds that the pools are not what they were said to be, and then that they are.
  await setDatastores({ kind: 'worn' });
  await vi.waitFor(async () => expect(await complianceOf(disk)).toMatchObject({ state: 'NONCOMPLIANT', rules: [{ rule: 'DATASTORE_KIND', expected: KIND, actual: 'worn', isKept: false }] }), PATIENCE);
  await setDatastores({ kind: KIND });
  await vi.waitFor(async () => expect(await complianceOf(disk)).toMatchObject({ state: 'COMPLIANT' }), PATIENCE);
  await change('deleteDisk', { id: disk });
  expect(await volumesOf(disk)).toEqual([]);
  await muon.delete(tenant, machine.id);
  expect((await muon.incus.storagePools.get(SECOND)).value.used_by ?? []).toEqual([]);
});

test('a machine of a flavor with a policy is in its pool, and a disk of another policy in the other one of the same host', async () => {
  const machine = await muon.machine(tenant, networkId, 'flavored', { flavor: 'tiny-fast' });
  expect(await rootPoolOf(machine)).toBe(SECOND);
  for (const [storagePolicy, pool] of [['plain', POOL], ['fast', SECOND]] as const) {
    const disk = await change('createDisk', { projectId: tenant.projectId, name: `of-${storagePolicy}`, sizeGib: 1, virtualMachineId: machine.id, storagePolicy });
    expect(await volumesOf(disk)).toMatchObject([{ pool, volume: { location: machine.hostName } }]);
    await change('attachDisk', { diskId: disk, virtualMachineId: machine.id });
    expect(await inGuest(machine, `grep -c ' /mnt/${disk.replace('_', '-')} ' /proc/mounts`)).toBe('1');
    await change('detachDisk', { diskId: disk });
    await change('deleteDisk', { id: disk });
  }
  await muon.delete(tenant, machine.id);
});

test('a policy that no datastore keeps, or only ones that take nothing new, is refused with the reason, and nothing is made', async () => {
  const disk = async (storagePolicy: string) =>
    tenant.api.refusal('mutation ($input: CreateDiskInput!) { createDisk(input: $input) { disk { id } } }', {
      input: { projectId: tenant.projectId, name: 'nowhere', sizeGib: 1, storagePolicy },
    });
  const machine = async (storagePolicy: string) =>
    tenant.api.refusal('mutation ($input: CreateVirtualMachineInput!) { createVirtualMachine(input: $input) { virtualMachine { id } } }', {
      input: { projectId: tenant.projectId, networkId, name: 'nowhere', flavor: 'tiny', image: 'tiny', storagePolicy },
    });
  await setDatastores({ state: 'SUSPENDED' });
  try {
    const { length: hosts } = muon.lab.hosts;
    const none = `No datastore keeps the storage policy "mirrored". Of ${hosts} active ones: ${hosts} break DATASTORE_KIND (mirrored).`;
    for (const [policy, reasons] of [
      ['mirrored', [none, none]],
      ['fast', ['No datastore in these zones keeping the storage policy "fast" takes new disks.', `${hosts} without room on a datastore that keeps the storage policy "fast"`]],
    ] as const) {
      const refusals = [await disk(policy), await machine(policy)];
      expect(refusals.map(({ extensions }) => extensions.code)).toEqual(['INSUFFICIENT_CAPACITY', 'INSUFFICIENT_CAPACITY']);
      for (const [index, reason] of reasons.entries()) expect(refusals[index]?.message).toContain(reason);
    }
  } finally {
    await setDatastores({ state: 'ACTIVE' });
  }
  expect((await inventory.remains()).filter((each) => /^(MACHINE|DISK|PORT) /.test(each))).toEqual([]);
});

test('nothing is left when the tenant has gone', async () => {
  await muon.offboard(tenant.tenantId);
  expect((await inventory.remains()).sort()).toEqual(before.sort());
});
