import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Pages } from './pages.js';

let asked = 0;
const present = ['c', 'a', 'e', 'b', 'd'];
const list = async (): Promise<string[]> => {
  asked += 1;
  return [...present];
};

beforeEach(() => {
  asked = 0;
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => vi.useRealTimers());

test('asks for the list once, whatever number of pages it is read in', async () => {
  const pages = new Pages<string>((id) => id);
  expect(await pages.page(null, 2, list)).toEqual(['a', 'b']);
  expect(await pages.page('b', 2, list)).toEqual(['c', 'd']);
  expect(await pages.page('d', 2, list)).toEqual(['e']);
  expect(asked).toBe(1);
});

test('asks again for who begins anew, goes on from elsewhere, or comes back late', async () => {
  const pages = new Pages<string>((id) => id);
  await pages.page(null, 2, list);
  await pages.page(null, 2, list);
  expect(asked).toBe(2);
  expect(await pages.page('c', 2, list)).toEqual(['d', 'e']);
  expect(asked).toBe(3);
  vi.advanceTimersByTime(60_000);
  expect(await pages.page('b', 2, list)).toEqual(['c', 'd']);
  expect(asked).toBe(4);
});
