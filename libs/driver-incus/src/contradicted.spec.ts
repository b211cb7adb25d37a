import { typeidUnboxed } from 'typeid-js';
import { beforeEach, expect, test } from 'vitest';
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
