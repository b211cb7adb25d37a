import { expect, it } from 'vitest';
import { allInOrder } from './promises.js';

it('gives the results in order', async () => {
  const results: [number, string] = await allInOrder([Promise.resolve(1), Promise.resolve('two')]);
  expect(results).toEqual([1, 'two']);
});

it('throws what the first in order threw, after all have ended', async () => {
  const last = Promise.withResolvers<void>();
  let hasEnded = false;
  const slow = last.promise.then(() => {
    hasEnded = true;
    throw new Error('slow');
  });
  const all = allInOrder([slow, Promise.reject(new Error('quick'))]);
  last.resolve();
  await expect(all).rejects.toThrow('slow');
  expect(hasEnded).toBe(true);
});
