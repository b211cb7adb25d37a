import { expect, test } from 'vitest';
import { callOf, pretendIncus } from './testing/pretend-incus.js';

const RESOURCES = /^GET \/resources/;
const MIB = 2 ** 20;

const bench = pretendIncus();

test('memory that serves as cache is free for machines', async () => {
  // A file server: Incus takes off buffers and cache; of the system's own state nobody could.
  bench.incus.when(RESOURCES, () => ({ cpu: { total: 4 }, memory: { total: 1000 * MIB, used: 200 * MIB }, load: { Average1Min: 1 } }));
  bench.incus.when(/^GET \/cluster\/members\/h1\/state/, () => ({
    sysinfo: { total_ram: 1000 * MIB, free_ram: 30 * MIB, buffered_ram: 20 * MIB, load_averages: [1, 1, 1] },
    storage_pools: {},
  }));
  expect(await bench.driver.hosts.readLoad(callOf())).toEqual([{ hostName: 'h1', cpuPercent: 25, memoryUsedMib: 200 }]);
});

test('of a member that counts as online and has never answered, the size is not known', async () => {
  bench.incus.when(RESOURCES, () => bench.incus.refuse(500, 'context deadline exceeded'));
  expect(await bench.driver.hosts.listHosts(callOf())).toMatchObject([{ hostName: 'h1', alive: true, cpu: 0, memoryMib: 0 }]);
});
