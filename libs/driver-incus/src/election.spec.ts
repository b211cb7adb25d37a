import { describe, expect, it } from 'vitest';
import { callOf, pretendIncus } from './testing/pretend-incus.js';

/** What members of Incus 6.0 answer while their database has no leader, as seen in their logs and by the lab. */
const LEADERLESS = [
  'Failed to begin transaction: context deadline exceeded',
  'Failed to begin transaction: failed to create cowsql connection: no available cowsql leader server found',
  'no available cowsql leader server found',
  "Server isn't ready yet",
];

describe('while the cluster’s database elects a leader', () => {
  const bench = pretendIncus();

  /** Until it has answered so many requests without a leader, there is none. */
  function elect(answers: number, message: string): void {
    let electing = answers;
    bench.incus.when(/./, () => {
      electing -= 1;
      return electing >= 0 ? bench.incus.refuse(500, message) : [];
    });
  }

  it.each(LEADERLESS)('a call waits for it after "%s"', async (said) => {
    elect(2, said);
    expect(await bench.driver.compute.listMachines(callOf({ timeoutMs: 20_000 }), null, 10)).toEqual([]);
    expect(await bench.driver.compute.getMachine(callOf({ timeoutMs: 20_000 }), 'vm_1')).toBeUndefined();
  });

  it.each(LEADERLESS)('a call that waits in vain after "%s" is UNAVAILABLE, and may be tried again', async (said) => {
    elect(Infinity, said);
    await expect(bench.driver.compute.listMachines(callOf({ timeoutMs: 1000 }), null, 10)).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    await expect(bench.driver.compute.startMachine(callOf({ timeoutMs: 1000 }), 'vm_1')).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
  });
});
