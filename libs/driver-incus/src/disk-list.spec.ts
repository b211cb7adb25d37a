import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { DiskHealth } from '#drivers';
import { callOf, diskOf, pretendIncus } from './testing/pretend-incus.js';

const LISTS = /^GET \/instances\?recursion=1$/;

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());
const bench = pretendIncus();

async function disk(): Promise<string> {
  const specification = diskOf();
  await bench.driver.storage.createDisk(callOf(), specification);
  return specification.diskId;
}
const health = async (...ids: string[]): Promise<(DiskHealth | undefined)[]> => {
  const told = await bench.driver.storage.diskHealth(callOf(), ids);
  return ids.map((id) => told.get(id));
};

test('who asks for a few disks at a time has all of them listed once', async () => {
  const ids = [await disk(), await disk(), await disk()];
  for (const id of ids) expect(await health(id)).toEqual(['HEALTHY']);
  expect(bench.incus.count(LISTS)).toBe(1);
});

test('after a while all are listed again, and what has changed is told', async () => {
  const id = await disk();
  expect(await health(id)).toEqual(['HEALTHY']);
  bench.incus.members.set('h1', { status: 'Offline' });
  vi.advanceTimersByTime(60_000);
  expect(await health(id)).toEqual(['UNAVAILABLE']);
});

test('who asks for the same disk again has come anew, and is told what has changed', async () => {
  const id = await disk();
  expect(await health(id)).toEqual(['HEALTHY']);
  bench.incus.members.set('h1', { status: 'Offline' });
  expect(await health(id)).toEqual(['UNAVAILABLE']);
});

test('one that is newer than the list is told all the same', async () => {
  const first = await disk();
  expect(await health(first)).toEqual(['HEALTHY']);
  const second = await disk();
  expect(await health(second, 'disk_unknown')).toEqual(['HEALTHY', 'UNKNOWN']);
});

test('a list that failed is not kept', async () => {
  const id = await disk();
  let isFirst = true;
  bench.incus.when(LISTS, () => {
    const answer = isFirst ? bench.incus.refuse(500, 'exit status 1') : [...bench.incus.instances.values()];
    isFirst = false;
    return answer;
  });
  await expect(health(id)).rejects.toMatchObject({ code: 'BACKEND_FAILED' });
  expect(await health(id)).toEqual(['HEALTHY']);
});
