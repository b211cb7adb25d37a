import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { IncusClient } from '#incus';
import { runOn } from '../../apps/lab/src/host/namespace.js';
import { DriverBench } from '../support/driver-bench.js';
import { Lab } from '../support/lab.js';

/** What Incus makes of limits for containers, whose disks are all on one device of their host here. */

const GROUPS = '/sys/fs/cgroup/blkio';

let lab: Lab;
let incus: IncusClient;
let bench: DriverBench;

beforeAll(async () => {
  lab = await Lab.find();
  incus = await lab.incus('h1');
  await lab.settled(incus);
  bench = await DriverBench.connect(lab, ['h1', 'h2'], { capabilities: { iopsLimit: true } });
});
afterEach(async () => bench.clear());
afterAll(async () => {
  await bench.close();
  incus.close();
});

const onHost = async (program: string, ...programArguments: string[]): Promise<string> => (await runOn(await lab.machine('h2'), program, programArguments)).trim();

const nameOf = (id: string): string => id.replace('_', '-');

/** Of all devices of the host that the container is held on: the reads and the writes that it may do. */
async function held(diskId: string): Promise<(number | undefined)[]> {
  const name = (await incus.instances.names()).find((each) => each.includes(nameOf(diskId)));
  const read = async (direction: string): Promise<number | undefined> => {
    const line = await onHost('cat', `${GROUPS}/lxc.payload.${name}/blkio.throttle.${direction}_iops_device`);
    return line === '' ? undefined : Number(line.split(' ')[1]);
  };
  return [await read('read'), await read('write')];
}

test('containers are not held to limits unless their operator says so', async () => {
  const plain = await DriverBench.connect(lab, ['h1']);
  expect(plain.driver.capabilities.iopsLimit).toBe(false);
  await plain.close();
});

test('a container is held to its disk’s limit from its start, to another while it runs, and to none when that is lifted', async (context) => {
  if ((await onHost('sh', '-c', `ls -d ${GROUPS} || true`)) === '') context.skip('the hosts have control groups of the second version');
  const machine = await bench.machine();
  const [diskId = ''] = machine.diskIds;
  const limit = async (iopsLimit: number | null): Promise<void> => bench.finish(async ({ storage }, call) => storage.limitDisk(call, diskId, iopsLimit));
  await limit(500);
  await bench.finish(async ({ compute }, call) => compute.startMachine(call, machine.machineId));
  expect(await held(diskId)).toEqual([500, 500]);
  await limit(700);
  expect(await held(diskId)).toEqual([700, 700]);
  await limit(null);
  // Incus leaves what it has set when the key goes: so many are none.
  expect(await held(diskId)).toEqual([1_000_000_000, 1_000_000_000]);
  await bench.finish(async ({ compute }, call) => compute.stopMachine(call, machine.machineId, true));
  await bench.finish(async ({ compute }, call) => compute.startMachine(call, machine.machineId));
  await limit(300);
  expect(await held(diskId)).toEqual([300, 300]);
});

test('disks on one device of the host share the average of their limits, which is why containers are not offered any', async (context) => {
  if ((await onHost('sh', '-c', `ls -d ${GROUPS} || true`)) === '') context.skip('the hosts have control groups of the second version');
  const machine = await bench.machine();
  const [rootId = ''] = machine.diskIds;
  await bench.finish(async ({ compute }, call) => compute.startMachine(call, machine.machineId));
  for (const iopsLimit of [300, 900, null]) {
    const { diskId } = await bench.disk({ imageReference: null, iopsLimit });
    await bench.finish(async ({ compute }, call) => compute.attachDisk(call, machine.machineId, diskId));
  }
  expect(await held(rootId)).toEqual([600, 600]);
  await bench.finish(async ({ compute }, call) => compute.deleteMachine(call, machine.machineId));
});

test('a disk that is attached and limited at once is held to that limit', async () => {
  const machine = await bench.machine();
  const { diskId } = await bench.disk({ imageReference: null });
  const { machineId } = machine;
  for (const iopsLimit of [100, 200, null, 300, 400]) {
    const ends = await bench.atOnce([
      ['attach', async ({ compute }, call) => compute.attachDisk(call, machineId, diskId)],
      ['limit', async ({ storage }, call) => storage.limitDisk(call, diskId, iopsLimit)],
    ]);
    expect(ends).toEqual(['attach: DONE', 'limit: DONE']);
    const name = (await incus.instances.names()).find((each) => each.includes(nameOf(machineId))) ?? '';
    const { devices } = (await incus.instances.get(name)).value;
    // Where the limit of before came first, it is lifted by one that is never reached.
    expect(iopsLimit === null ? [undefined, '1000000000iops'] : [`${iopsLimit}iops`]).toContain(devices[nameOf(diskId)]?.['limits.max']);
    await bench.finish(async ({ compute }, call) => compute.detachDisk(call, machineId, diskId));
  }
  await bench.finish(async ({ compute }, call) => compute.deleteMachine(call, machineId));
});
