import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Volume } from '#incus';
import { LabSystem, type LabMachine, type LabTenant } from '../support/lab-system.js';

/** Disks that are given from machine to machine, on real hosts with pools of their own. */

interface DiskNow {
  state: string;
  virtualMachine: { id: string } | null;
}

let muon: LabSystem;
let tenant: LabTenant;
let one: LabMachine;
let other: LabMachine;
let elsewhere: LabMachine;

beforeAll(async () => {
  muon = await LabSystem.start();
  tenant = await muon.onboard('disks');
  const networkId = await muon.network(tenant, 'net');
  const group = async (name: string, policy: string): Promise<string> => {
    const { createAffinityGroup } = await tenant.api.request<{ createAffinityGroup: { affinityGroup: { id: string } } }>(
      'mutation ($input: CreateAffinityGroupInput!) { createAffinityGroup(input: $input) { affinityGroup { id } } }',
      { input: { projectId: tenant.projectId, name, policy, strength: 'REQUIRE' } },
    );
    return createAffinityGroup.affinityGroup.id;
  };
  const together = await group('together', 'AFFINITY');
  one = await muon.machine(tenant, networkId, 'one', { affinityGroup: together });
  other = await muon.machine(tenant, networkId, 'other', { affinityGroup: together });
  for (let number = 0; elsewhere === undefined || elsewhere.hostName === one.hostName; number += 1) {
    elsewhere = await muon.machine(tenant, networkId, `elsewhere-${number}`);
  }
}, 180_000);

afterAll(async () => {
  await muon.close();
});

async function change(field: string, input: Record<string, unknown>): Promise<string> {
  const type = `${field.charAt(0).toUpperCase()}${field.slice(1)}Input`;
  const answer = await tenant.api.request<Record<string, { operation: { id: string }; disk: { id: string } | null }>>(
    `mutation ($input: ${type}!) { ${field}(input: $input) { operation { id } disk { id } } }`,
    { input },
  );
  await muon.ended(tenant.api, answer[field]?.operation.id ?? '');
  return answer[field]?.disk?.id ?? '';
}

async function look(id: string): Promise<DiskNow> {
  return (await tenant.api.request<{ node: DiskNow }>('query ($id: ID!) { node(id: $id) { ... on Disk { state virtualMachine { id } } } }', { id })).node;
}

/** A container finds its disks in folders of their names. */
const folderOf = (diskId: string): string => `/mnt/${diskId.replace('_', '-')}`;

/** What Incus has of a disk and of its snapshots. */
async function volumesOf(diskId: string): Promise<Volume[]> {
  const { storagePools } = muon.incus;
  const volumes = (await Promise.all((await storagePools.list()).map(async ({ name }) => storagePools.volumes(name)))).flat();
  return volumes.filter(({ name }) => name.split('/')[0] === diskId.replace('_', '-'));
}

const snapshotsOf = async (diskId: string): Promise<Volume[]> => (await volumesOf(diskId)).filter(({ name }) => name.includes('/'));
const sizeOf = async (diskId: string): Promise<string | undefined> => (await volumesOf(diskId)).find(({ name }) => !name.includes('/'))?.config['size'];

async function inGuest(machine: LabMachine, script: string): Promise<string> {
  const { exitCode, stdout } = await muon.inGuest(machine.id, 'sh', '-c', script);
  return exitCode === 0 ? stdout.trim() : `exit ${exitCode}`;
}

test('a disk goes from one running machine to another of its host, with what was written on it', async () => {
  const disk = await change('createDisk', { projectId: tenant.projectId, name: 'data', sizeGib: 1, virtualMachineId: one.id });
  const folder = folderOf(disk);
  const isMounted = `grep -c ' ${folder} ' /proc/mounts`;
  expect(await inGuest(one, isMounted)).toBe('exit 1');
  await change('attachDisk', { diskId: disk, virtualMachineId: one.id });
  expect(await look(disk)).toEqual({ state: 'ATTACHED', virtualMachine: { id: one.id } });
  expect(await inGuest(one, isMounted)).toBe('1');
  await inGuest(one, `echo 'written by one' > ${folder}/note && sync`);
  expect(await inGuest(other, isMounted)).toBe('exit 1');

  const { errors } = await tenant.api.post('mutation ($input: AttachDiskInput!) { attachDisk(input: $input) { operation { id } } }', {
    input: { diskId: disk, virtualMachineId: other.id },
  });
  expect(errors.map(({ extensions }) => extensions)).toMatchObject([{ code: 'INVALID_STATE', data: { virtualMachineId: one.id } }]);
  const { createDiskSnapshot } = await tenant.api.request<{ createDiskSnapshot: { operation: { id: string } } }>(
    'mutation ($id: ID!) { createDiskSnapshot(input: { diskId: $id, name: "noted" }) { operation { id } } }',
    { id: disk },
  );
  await muon.ended(tenant.api, createDiskSnapshot.operation.id);
  expect(await snapshotsOf(disk)).toHaveLength(1);
  expect(await sizeOf(disk)).toBe('1GiB');
  await change('resizeDisk', { id: disk, sizeGib: 2 });
  expect(await sizeOf(disk)).toBe('2GiB');
  await change('detachDisk', { diskId: disk });
  expect(await look(disk)).toEqual({ state: 'AVAILABLE', virtualMachine: null });
  expect(await inGuest(one, isMounted)).toBe('exit 1');

  await change('attachDisk', { diskId: disk, virtualMachineId: other.id });
  expect(await inGuest(other, `cat ${folder}/note`)).toBe('written by one');
  await muon.delete(tenant, other.id);
  expect(await look(disk)).toEqual({ state: 'AVAILABLE', virtualMachine: null });
  await change('attachDisk', { diskId: disk, virtualMachineId: one.id });
  expect(await inGuest(one, `cat ${folder}/note`)).toBe('written by one');
  await change('detachDisk', { diskId: disk });
  await change('deleteDisk', { id: disk });
  expect(await snapshotsOf(disk)).toEqual([]);
});

test('a disk of another host is refused, and the tenant hears of no host', async () => {
  const disk = await change('createDisk', { projectId: tenant.projectId, name: 'far', sizeGib: 1, virtualMachineId: elsewhere.id });
  const { errors } = await tenant.api.post('mutation ($input: AttachDiskInput!) { attachDisk(input: $input) { operation { id } } }', {
    input: { diskId: disk, virtualMachineId: one.id },
  });
  expect(errors.map(({ extensions }) => extensions.code)).toEqual(['INVALID_STATE']);
  expect(errors.map(({ message }) => message).join()).toMatch(/another (host|zone) than the machine/);
  expect(JSON.stringify(errors)).not.toContain(elsewhere.hostName);
  await change('attachDisk', { diskId: disk, virtualMachineId: elsewhere.id });
  await change('detachDisk', { diskId: disk });
});

test('a disk that somebody has taken from a running machine in Incus is given back to it', async () => {
  const disk = await change('createDisk', { projectId: tenant.projectId, name: 'taken', sizeGib: 1, virtualMachineId: one.id });
  await change('attachDisk', { diskId: disk, virtualMachineId: one.id });
  const name = disk.replace('_', '-');
  const instance = (await muon.instanceOf(one.id))?.name ?? '';
  const { value, etag } = await muon.incus.instances.get(instance);
  const { [name]: taken, ...devices } = value.devices;
  expect(taken).toMatchObject({ source: name });
  const { architecture, config, ephemeral, profiles } = value;
  await (await muon.incus.instances.replace(instance, { architecture, config, ephemeral, profiles, devices }, { etag })).wait();
  await expect.poll(() => inGuest(one, `grep -c ' ${folderOf(disk)} ' /proc/mounts`), { timeout: 20_000, interval: 1000 }).toBe('1');
  await change('detachDisk', { diskId: disk });
});
