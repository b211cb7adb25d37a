import { typeidUnboxed } from 'typeid-js';
import { beforeEach, expect, test } from 'vitest';
import { StatusCode } from '#incus';
import { nameOf } from './names.js';
import { callOf, diskOf, machineOf, pretendIncus } from './testing/pretend-incus.js';

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
