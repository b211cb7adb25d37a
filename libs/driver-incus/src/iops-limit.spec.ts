import { expect, test } from 'vitest';
import { hashOf } from '#drivers';
import { diskConfig, observedVolume } from './disk.js';
import { changedLimit, limitOfDevice, limitOfKey, withLimit } from './iops-limit.js';
import { Key } from './names.js';
import { callOf, diskOf, machineOf, pretendIncus } from './testing/pretend-incus.js';

const device = { type: 'disk', pool: 'local', source: 'dsk-1' };

test('a limit is read as it is written, and what others have set as no limit where it is none', () => {
  expect(limitOfDevice(withLimit(device, 500))).toBe(500);
  for (const text of [undefined, '', '0iops', '500', '10MiB', '1000000000iops']) expect(limitOfDevice(text === undefined ? device : { ...device, 'limits.max': text })).toBeNull();
  expect([limitOfKey(undefined), limitOfKey(''), limitOfKey('500')]).toEqual([null, null, 500]);
});

test('lifting the limit takes it from a virtual machine, and from a container that may run only makes it endless', () => {
  const limited = withLimit(device, 500);
  expect(changedLimit(limited, 700, 'container')).toEqual(withLimit(device, 700));
  expect(changedLimit(limited, null, 'virtual-machine')).toEqual(device);
  expect(changedLimit(limited, null, 'container')).toMatchObject({ 'limits.max': '1000000000iops' });
  expect(changedLimit(device, null, 'container')).toEqual(device);
});

test('a disk that was made before there were limits is what it was: without one its hash is the same', () => {
  const disk = diskOf();
  const { iopsLimit: _none, ...before } = disk;
  expect(diskConfig(disk, null)[Key.DISK_SPECIFICATION]).toBe(hashOf({ ...before, origin: null }));
  expect(diskConfig({ ...disk, iopsLimit: 500 }, null)[Key.DISK_SPECIFICATION]).not.toBe(hashOf({ ...before, origin: null }));
});

test('what the machine’s device is held to counts before what the volume says', () => {
  const volume = { name: 'dsk-1', location: 'h1', config: { [Key.IOPS_LIMIT]: '500' } } as unknown as Parameters<typeof observedVolume>[0]['volume'];
  const holder = (more: Record<string, string>) => ({ devices: { 'dsk-1': { ...device, ...more } } }) as unknown as Parameters<typeof observedVolume>[1];
  expect(observedVolume({ pool: 'local', volume }).iopsLimit).toBe(500);
  expect(observedVolume({ pool: 'local', volume }, holder({})).iopsLimit).toBeNull();
  expect(observedVolume({ pool: 'local', volume }, holder({ 'limits.max': '9iops' })).iopsLimit).toBe(9);
});

const bench = pretendIncus({ instanceType: 'virtual-machine' });

test('virtual machines are offered limits, on their root disks as on others', async () => {
  const { driver, incus } = bench;
  expect(driver.capabilities.iopsLimit).toBe(true);
  const disk = { ...diskOf(), iopsLimit: 500 };
  await driver.storage.createDisk(callOf(), disk);
  const machine = machineOf(disk.diskId);
  await driver.compute.createMachine(callOf(), machine);
  const root = () => [...incus.instances.values()][0]?.devices['root'];
  expect(root()).toMatchObject({ 'limits.max': '500iops' });
  await driver.storage.limitDisk(callOf(), disk.diskId, null);
  expect(root()).not.toHaveProperty('limits.max');
  expect(await driver.storage.getDisk(callOf(), disk.diskId)).toMatchObject({ iopsLimit: null, attachedTo: machine.machineId });
});

test('an operator’s word counts before that', async () => {
  const container = await bench.incus.connect({ capabilities: { iopsLimit: true } });
  const machine = await bench.incus.connect({ instanceType: 'virtual-machine', capabilities: { iopsLimit: false } });
  const plain = await bench.incus.connect();
  expect([container, machine, plain].map(({ capabilities }) => capabilities.iopsLimit)).toEqual([true, false, false]);
});
