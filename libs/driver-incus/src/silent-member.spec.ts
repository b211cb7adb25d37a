import { expect, test } from 'vitest';
import { Budget } from './budget.js';
import { callOf, pretendIncus } from './testing/pretend-incus.js';

/** Incus lists instances after 30 s, with a member that counts as online and says nothing. */
const LISTS = /^GET \/instances\?recursion=1$/;

const bench = pretendIncus();

test('a list that takes most of a call’s time is waited for', async () => {
  bench.incus.slow(LISTS, 1500);
  expect(await bench.driver.compute.listMachines(callOf({ timeoutMs: 3000 }), null, 10)).toEqual([]);
});

test('the reconcilers’ calls wait for longer than Incus does for one member; others are asked again as before', () => {
  const { signal } = new AbortController();
  expect(new Budget(45_000, signal).listOfMembers.timeoutMs).toBe(35_000);
  expect(new Budget(10_000, signal).list.timeoutMs).toBeLessThan(3_400);
});
