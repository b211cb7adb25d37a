import { typeidUnboxed } from 'typeid-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { DiskSpecification, Driver, MachineSpecification } from '#drivers';
import { StatusCode } from '#incus';
import { callOf, PretendIncus } from './testing/pretend-incus.js';

/** What a burst asks of the whole cluster does not grow with it as its machines do. */
const BURST = 20;
const NAMES = /^GET \/instances$/;
const OPERATIONS = /^GET \/operations\?/;
const ownership = { installationId: 'installation_1', tenantId: 'tenant_1', projectId: 'project_1' };

let incus: PretendIncus;
let driver: Driver;

beforeEach(async () => {
  incus = await PretendIncus.start();
  driver = await incus.connect({ createsPerMember: BURST });
});
afterEach(async () => incus[Symbol.asyncDispose]());

const diskOf = (): DiskSpecification => ({
  diskId: typeidUnboxed('disk'),
  ownership,
  poolName: 'local',
  hostName: 'h1',
  sizeGib: 1,
  imageReference: 'tiny',
});

const machineOf = (diskId: string): MachineSpecification => ({
  machineId: typeidUnboxed('vm'),
  hostname: 'web',
  ownership,
  hostName: 'h1',
  imageReference: 'tiny',
  cpu: 1,
  memoryMib: 128,
  interfaces: [],
  diskIds: [diskId],
  userData: '',
});

async function machines(count: number): Promise<MachineSpecification[]> {
  const disks = Array.from({ length: count }, diskOf);
  await Promise.all(disks.map(async (disk) => driver.storage.createDisk(callOf(), disk)));
  return disks.map(({ diskId }) => machineOf(diskId));
}

/** The name of its root disk. */
const rootOf = ({ diskIds: [rootId] }: MachineSpecification): string => rootId?.replace('_', '-') ?? '';

/** As the list of operations has it, on a root disk. */
const underWay = (description: string, machine: MachineSpecification): object => {
  const resources = { instances: [`/1.0/instances/${rootOf(machine)}`] };
  return { id: 'op', class: 'task', description, status_code: StatusCode.RUNNING, resources };
};

test('machines that are made at once share the lists of the cluster', async () => {
  incus.slow(NAMES, 20);
  incus.slow(OPERATIONS, 20);
  const made = await machines(BURST);
  incus.asked.length = 0;
  const outcomes = await Promise.all(made.map(async (machine) => driver.compute.createMachine(callOf(), machine)));
  expect(outcomes.map(({ state }) => state)).toEqual(Array(BURST).fill('DONE'));
  await Promise.all(made.map(async ({ machineId }) => driver.compute.startMachine(callOf(), machineId)));
  expect(incus.count(NAMES)).toBeLessThan(BURST / 2);
  expect(incus.count(OPERATIONS)).toBeLessThan(BURST / 2);
});

test('a machine’s name is known to whoever has given it', async () => {
  const [machine] = (await machines(1)) as [MachineSpecification];
  await driver.compute.createMachine(callOf(), machine);
  incus.asked.length = 0;
  await driver.compute.startMachine(callOf(), machine.machineId);
  expect(await driver.compute.getMachine(callOf(), machine.machineId)).toMatchObject({ power: 'RUNNING', diskIds: machine.diskIds });
  expect(incus.count(NAMES)).toBe(0);
});

test('a root disk that is made is found by its name, and its pool is asked for only when it cannot be made', async () => {
  const [machine] = (await machines(1)) as [MachineSpecification];
  expect(incus.count(NAMES)).toBe(1);
  expect(incus.count(/^GET \/storage-pools/)).toBe(2);
  incus.asked.length = 0;
  await driver.storage.resizeDisk(callOf(), machine.diskIds[0] ?? '', 2);
  expect(incus.count(/^GET \/(storage-pools|instances$)/)).toBe(0);
});

test('an operation that begins while others are listed is not overlooked', async () => {
  const [first, second] = (await machines(2)) as [MachineSpecification, MachineSpecification];
  const begun = Promise.withResolvers<void>();
  const listed = Promise.withResolvers<void>();
  let lists = 0;
  incus.when(OPERATIONS, async () => {
    lists += 1;
    if (lists > 1) {
      return { running: [underWay('Starting instance', second)] };
    }
    begun.resolve();
    await listed.promise;
    return {};
  });
  const one = driver.compute.createMachine(callOf(), first);
  await begun.promise;
  const other = driver.compute.createMachine(callOf(), second);
  // Until the second, too, has come to ask for the list.
  await expect.poll(() => incus.count(new RegExp(`^GET /instances/${rootOf(second)}$`))).toBeGreaterThan(1);
  listed.resolve();
  expect((await one).state).toBe('DONE');
  expect((await other).state).toBe('PENDING');
});

test('whoever comes while another has renamed the volume and not yet the instance waits for them', async () => {
  const [machine] = (await machines(1)) as [MachineSpecification];
  const RENAMES = new RegExp(`^POST /instances/${rootOf(machine)}$`);
  let isAtIt = true;
  incus.when(OPERATIONS, () => (isAtIt ? { running: [underWay('Renaming instance', machine)] } : {}));
  incus.when(RENAMES, () => incus.refuse(404, 'Rename instance: Storage volume not found'));
  expect((await driver.compute.createMachine(callOf(), machine)).state).toBe('PENDING');
  // Nobody is at it, and it is as it was: it cannot be renamed.
  isAtIt = false;
  await expect(driver.compute.createMachine(callOf(), machine)).rejects.toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining('Storage volume not found') as unknown });
});
