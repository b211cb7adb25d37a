import { expect, test } from 'vitest';
import type { MachineSpecification } from '#drivers';
import { StatusCode } from '#incus';
import { nameOf } from './names.js';
import { callOf, diskOf, machineOf, pretendIncus } from './testing/pretend-incus.js';

/** What a burst asks of the whole cluster does not grow with it as its machines do. */
const BURST = 20;
const NAMES = /^GET \/instances$/;
const OPERATIONS = /^GET \/operations\?/;

const bench = pretendIncus({ createsPerMember: BURST });

async function machines(count: number): Promise<MachineSpecification[]> {
  const disks = Array.from({ length: count }, diskOf);
  await Promise.all(disks.map(async (disk) => bench.driver.storage.createDisk(callOf(), disk)));
  return disks.map(({ diskId }) => machineOf(diskId));
}

/** The name of its root disk. */
const rootOf = ({ diskIds: [rootId] }: MachineSpecification): string => nameOf(rootId ?? '');

/** As the list of operations has it, on a root disk. */
const underWay = (description: string, machine: MachineSpecification): object => {
  const resources = { instances: [`/1.0/instances/${rootOf(machine)}`] };
  return { id: 'op', class: 'task', description, status_code: StatusCode.RUNNING, resources };
};

test('machines that are made at once share the lists of the cluster', async () => {
  bench.incus.slow(NAMES, 20);
  bench.incus.slow(OPERATIONS, 20);
  const made = await machines(BURST);
  bench.incus.asked.length = 0;
  const outcomes = await Promise.all(made.map(async (machine) => bench.driver.compute.createMachine(callOf(), machine)));
  expect(outcomes.map(({ state }) => state)).toEqual(Array(BURST).fill('DONE'));
  await Promise.all(made.map(async ({ machineId }) => bench.driver.compute.startMachine(callOf(), machineId)));
  expect(bench.incus.count(NAMES)).toBeLessThan(BURST / 2);
  expect(bench.incus.count(OPERATIONS)).toBeLessThan(BURST / 2);
});

test('a machine’s name is known to whoever has given it', async () => {
  const [machine] = (await machines(1)) as [MachineSpecification];
  await bench.driver.compute.createMachine(callOf(), machine);
  bench.incus.asked.length = 0;
  await bench.driver.compute.startMachine(callOf(), machine.machineId);
  expect(await bench.driver.compute.getMachine(callOf(), machine.machineId)).toMatchObject({ power: 'RUNNING', diskIds: machine.diskIds });
  expect(bench.incus.count(NAMES)).toBe(0);
});

test('a root disk that is made is found by its name, and its pool is asked for only when it cannot be made', async () => {
  const [machine] = (await machines(1)) as [MachineSpecification];
  expect(bench.incus.count(NAMES)).toBe(1);
  expect(bench.incus.count(/^GET \/storage-pools/)).toBe(2);
  bench.incus.asked.length = 0;
  await bench.driver.storage.resizeDisk(callOf(), machine.diskIds[0] ?? '', 2);
  expect(bench.incus.count(/^GET \/(storage-pools|instances$)/)).toBe(0);
});

test('an operation that begins while others are listed is not overlooked', async () => {
  const [first, second] = (await machines(2)) as [MachineSpecification, MachineSpecification];
  const begun = Promise.withResolvers<void>();
  const listed = Promise.withResolvers<void>();
  let lists = 0;
  bench.incus.when(OPERATIONS, async () => {
    lists += 1;
    if (lists > 1) {
      return { running: [underWay('Starting instance', second)] };
    }
    begun.resolve();
    await listed.promise;
    return {};
  });
  const one = bench.driver.compute.createMachine(callOf(), first);
  await begun.promise;
  const other = bench.driver.compute.createMachine(callOf(), second);
  // Until the second, too, has come to ask for the list.
  await expect.poll(() => bench.incus.count(new RegExp(`^GET /instances/${rootOf(second)}$`))).toBeGreaterThan(1);
  listed.resolve();
  expect((await one).state).toBe('DONE');
  expect((await other).state).toBe('PENDING');
});

test('whoever comes while another has renamed the volume and not yet the instance waits for them', async () => {
  const [machine] = (await machines(1)) as [MachineSpecification];
  const RENAMES = new RegExp(`^POST /instances/${rootOf(machine)}$`);
  let isAtIt = true;
  bench.incus.when(OPERATIONS, () => (isAtIt ? { running: [underWay('Renaming instance', machine)] } : {}));
  bench.incus.when(RENAMES, () => bench.incus.refuse(404, 'Rename instance: Storage volume not found'));
  expect((await bench.driver.compute.createMachine(callOf(), machine)).state).toBe('PENDING');
  // Nobody is at it, and it is as it was: it cannot be renamed.
  isAtIt = false;
  await expect(bench.driver.compute.createMachine(callOf(), machine)).rejects.toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining('Storage volume not found') as unknown });
});
