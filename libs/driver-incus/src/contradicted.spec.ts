import { typeidUnboxed } from 'typeid-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Driver } from '#drivers';
import { StatusCode } from '#incus';
import { callOf, PretendIncus, type Asked } from './testing/pretend-incus.js';

/** What Incus says when somebody else is at work on the same machine; seen in test/lab/incus-races.spec.ts now and then. */
const ownership = { installationId: 'installation_1', tenantId: 'tenant_1', projectId: 'project_1' };

let incus: PretendIncus;
let driver: Driver;
let machineId: string;
let name: string;

beforeEach(async () => {
  incus = await PretendIncus.start();
  driver = await incus.connect();
  const diskId = typeidUnboxed('disk');
  machineId = typeidUnboxed('vm');
  await driver.storage.createDisk(callOf(), { diskId, ownership, poolName: 'local', hostName: 'h1', sizeGib: 1, imageReference: 'tiny' });
  const machine = { machineId, hostname: 'web', ownership, hostName: 'h1', imageReference: 'tiny', cpu: 1, memoryMib: 128, interfaces: [], diskIds: [diskId], userData: '' };
  await driver.compute.createMachine(callOf(), machine);
  await driver.compute.startMachine(callOf(), machineId);
  name = [...incus.instances.keys()][0] ?? '';
});
afterEach(async () => incus[Symbol.asyncDispose]());

/** How often it is refused to freeze, before it is done. */
function refuseToFreeze(times: number): void {
  let left = times;
  incus.when(/^PUT \/instances\/[^/]+\/state$/, () => {
    left -= 1;
    if (left >= 0) return incus.refuse(400, 'freezing the container failed');
    const instance = incus.instances.get(name);
    if (instance !== undefined) incus.instances.set(name, { ...instance, status_code: StatusCode.FROZEN });
    return {};
  });
}

test('a suspension that another’s resumption has thwarted is tried again', async () => {
  refuseToFreeze(1);
  expect((await driver.compute.suspendMachine(callOf(), machineId)).state).toBe('DONE');
  expect(await driver.compute.getMachine(callOf(), machineId)).toMatchObject({ power: 'SUSPENDED' });
});

test('a suspension that fails each time fails with Incus’s reason', async () => {
  refuseToFreeze(100);
  await expect(driver.compute.suspendMachine(callOf(), machineId)).rejects.toMatchObject({ code: 'BACKEND_FAILED', message: 'Incus: freezing the container failed' });
});

test('a creation whose last request comes while its machine is deleted leaves no machine', async () => {
  const diskId = typeidUnboxed('disk');
  const lateId = typeidUnboxed('vm');
  await driver.storage.createDisk(callOf(), { diskId, ownership, poolName: 'local', hostName: 'h1', sizeGib: 1, imageReference: 'tiny' });
  const late: Asked[] = [];
  incus.when(new RegExp(`^PUT /instances/${lateId.replace('_', '-')}`), async (asked) => {
    if (late.push(asked) > 1) return incus.answer(asked);
    return new Promise(() => undefined);
  });
  const machine = { machineId: lateId, hostname: 'late', ownership, hostName: 'h1', imageReference: 'tiny', cpu: 1, memoryMib: 128, interfaces: [], diskIds: [diskId], userData: '' };
  await expect(driver.compute.createMachine(callOf({ timeoutMs: 200 }), machine)).rejects.toMatchObject({ code: 'TIMEOUT' });
  // After the deletion has looked, and before the name is taken away.
  incus.when(new RegExp(`^POST /instances/${lateId.replace('_', '-')}`), (asked) => {
    const [creation] = late;
    if (creation !== undefined) incus.answer(creation);
    return incus.answer(asked);
  });
  expect((await driver.compute.deleteMachine(callOf(), lateId)).state).toBe('DONE');
  expect(await driver.compute.getMachine(callOf(), lateId)).toBeUndefined();
  expect(await driver.storage.getDisk(callOf(), diskId)).toMatchObject({ attachedTo: null });
});

test('a disk that is deleted while it is attached is NOT_FOUND by its own name', async () => {
  const diskId = typeidUnboxed('disk');
  const volume = diskId.replace('_', '-');
  let looks = 0;
  incus.when(new RegExp(`^GET /storage-pools/local/volumes/custom/${volume}`), () => {
    looks += 1;
    return looks === 1 ? { name: volume, type: 'custom', location: 'h1', used_by: [], config: {} } : incus.refuse(404, 'Storage volume not found');
  });
  incus.when(/^PUT \/instances\/[^/]+$/, () => incus.refuse(404, `Failed add validation for device "${volume}": Failed loading custom volume: Storage volume not found`));
  await expect(driver.compute.attachDisk(callOf(), machineId, diskId)).rejects.toMatchObject({ code: 'NOT_FOUND', message: `The backend has no disk "${diskId}".` });
});
