import { typeidUnboxed } from 'typeid-js';
import { beforeEach, expect, test } from 'vitest';
import type { DiskSpecification, MachineSpecification } from '#drivers';
import { StatusCode } from '#incus';
import { nameOf } from './names.js';
import { callOf, diskOf, machineOf, pretendIncus, type Asked } from './testing/pretend-incus.js';

/** What Incus says when somebody else is at work on the same machine; seen in test/lab/incus-races.spec.ts now and then. */

const bench = pretendIncus();
let machineId: string;
let name: string;

beforeEach(async () => {
  const disk = diskOf();
  const machine = machineOf(disk.diskId);
  machineId = machine.machineId;
  await bench.driver.storage.createDisk(callOf(), disk);
  await bench.driver.compute.createMachine(callOf(), machine);
  await bench.driver.compute.startMachine(callOf(), machineId);
  name = [...bench.incus.instances.keys()][0] ?? '';
});

/** How often it is refused to freeze, before it is done. */
function refuseToFreeze(times: number): void {
  let left = times;
  bench.incus.when(/^PUT \/instances\/[^/]+\/state$/, () => {
    left -= 1;
    if (left >= 0) return bench.incus.refuse(400, 'freezing the container failed');
    const instance = bench.incus.instances.get(name);
    if (instance !== undefined) bench.incus.instances.set(name, { ...instance, status_code: StatusCode.FROZEN });
    return {};
  });
}

test('a suspension that another’s resumption has thwarted is tried again', async () => {
  refuseToFreeze(1);
  expect((await bench.driver.compute.suspendMachine(callOf(), machineId)).state).toBe('DONE');
  expect(await bench.driver.compute.getMachine(callOf(), machineId)).toMatchObject({ power: 'SUSPENDED' });
});

test('a suspension that fails each time fails with Incus’s reason', async () => {
  refuseToFreeze(100);
  await expect(bench.driver.compute.suspendMachine(callOf(), machineId)).rejects.toMatchObject({ code: 'BACKEND_FAILED', message: 'Incus: freezing the container failed' });
});

test('a creation whose last request comes while its machine is deleted leaves no machine', async () => {
  const { incus, driver } = bench;
  const disk = diskOf();
  const machine = machineOf(disk.diskId);
  const itsName = nameOf(machine.machineId);
  await driver.storage.createDisk(callOf(), disk);
  const late: Asked[] = [];
  incus.when(new RegExp(`^PUT /instances/${itsName}`), async (asked) => {
    if (late.push(asked) > 1) return incus.answer(asked);
    return new Promise(() => undefined);
  });
  await expect(driver.compute.createMachine(callOf({ timeoutMs: 200 }), machine)).rejects.toMatchObject({ code: 'TIMEOUT' });
  // After the deletion has looked, and before the name is taken away.
  incus.when(new RegExp(`^POST /instances/${itsName}`), (asked) => {
    const [creation] = late;
    if (creation !== undefined) incus.answer(creation);
    return incus.answer(asked);
  });
  expect((await driver.compute.deleteMachine(callOf(), machine.machineId)).state).toBe('DONE');
  expect(await driver.compute.getMachine(callOf(), machine.machineId)).toBeUndefined();
  expect(await driver.storage.getDisk(callOf(), disk.diskId)).toMatchObject({ attachedTo: null });
});

/** A creation whose last request Incus holds back until it is told; what comes after that one is answered at once. */
async function heldCreation(): Promise<{ disk: DiskSpecification; machine: MachineSpecification; held: Promise<Asked>; creation: Promise<unknown>; goOn: (answer: unknown) => void }> {
  const { incus, driver } = bench;
  const disk = diskOf();
  const machine = machineOf(disk.diskId);
  await driver.storage.createDisk(callOf(), disk);
  const came = Promise.withResolvers<Asked>();
  const told = Promise.withResolvers<unknown>();
  let first = true;
  incus.when(new RegExp(`^PUT /instances/${nameOf(machine.machineId)}`), async (asked) => {
    if (!first) return incus.answer(asked);
    first = false;
    came.resolve(asked);
    return told.promise;
  });
  const creation = driver.compute.createMachine(callOf(), machine).catch((error: unknown) => error);
  return { disk, machine, held: came.promise, creation, goOn: told.resolve };
}

async function expectNoMachine(disk: DiskSpecification, machine: MachineSpecification): Promise<void> {
  const { compute, storage } = bench.driver;
  expect(await compute.getMachine(callOf(), machine.machineId)).toBeUndefined();
  expect(await storage.getDisk(callOf(), disk.diskId)).toMatchObject({ attachedTo: null });
  expect((await storage.deleteDisk(callOf(), disk.diskId)).state).toBe('DONE');
}

test.each(['that is not made yet', 'that another call has made'])('a creation that is refused as its machine was deleted meanwhile does not make it all the same: one %s', async (which) => {
  const { incus, driver } = bench;
  const { disk, machine, held, creation, goOn } = await heldCreation();
  const late = await held;
  if (which === 'that another call has made') expect((await driver.compute.createMachine(callOf(), machine)).state).toBe('DONE');
  // Between the deletion's mark and its renaming.
  incus.when(new RegExp(`^POST /instances/${nameOf(machine.machineId)}`), async (asked) => {
    goOn(incus.answer(late));
    await creation;
    return incus.answer(asked);
  });
  expect((await driver.compute.deleteMachine(callOf(), machine.machineId)).state).toBe('DONE');
  expect(await creation).toMatchObject({ code: 'UNAVAILABLE', retryable: true });
  await expectNoMachine(disk, machine);
});

test('what Incus had begun of a creation before its machine was deleted, and ended after, is taken back', async () => {
  const { incus, driver } = bench;
  const { disk, machine, held, creation, goOn } = await heldCreation();
  const late = await held;
  incus.when(new RegExp(`^POST /instances/${nameOf(machine.machineId)}`), (asked) => {
    // Whether the instance is as it was read Incus looks before its operation begins.
    incus.answer({ ...late, tag: undefined });
    return incus.answer(asked);
  });
  expect((await driver.compute.deleteMachine(callOf(), machine.machineId)).state).toBe('DONE');
  goOn({});
  await creation;
  await expectNoMachine(disk, machine);
});

test('a machine that was called off is made on the same disk when it is asked for again', async () => {
  const { incus, driver } = bench;
  const { disk, machine, held, creation, goOn } = await heldCreation();
  const late = await held;
  for (let round = 0; round < 2; round += 1) {
    expect((await driver.compute.deleteMachine(callOf(), machine.machineId)).state).toBe('DONE');
    expect((await driver.compute.createMachine(callOf(), machine)).state).toBe('DONE');
    expect(await driver.compute.getMachine(callOf(), machine.machineId)).toMatchObject({ diskIds: [disk.diskId] });
  }
  goOn(incus.answer(late));
  // It is the same machine.
  expect(await creation).toMatchObject({ state: 'DONE' });
});

test('a disk that is deleted while it is attached is NOT_FOUND by its own name', async () => {
  const diskId = typeidUnboxed('disk');
  const volume = nameOf(diskId);
  let looks = 0;
  bench.incus.when(new RegExp(`^GET /storage-pools/local/volumes/custom/${volume}`), () => {
    looks += 1;
    return looks === 1 ? { name: volume, type: 'custom', location: 'h1', used_by: [], config: {} } : bench.incus.refuse(404, 'Storage volume not found');
  });
  bench.incus.when(/^PUT \/instances\/[^/]+$/, () => bench.incus.refuse(404, `Failed add validation for device "${volume}": Failed loading custom volume: Storage volume not found`));
  await expect(bench.driver.compute.attachDisk(callOf(), machineId, diskId)).rejects.toMatchObject({ code: 'NOT_FOUND', message: `The backend has no disk "${diskId}".` });
});
