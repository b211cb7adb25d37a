import { expect, test } from 'vitest';
import { IncusError } from '#incus';
import { Listing } from './listing.js';

type Reading = PromiseWithResolvers<string[]>;

function listing(): { shared: Listing<string[]>; begun: Reading[] } {
  const begun: Reading[] = [];
  const shared = new Listing<string[]>(async () => {
    const reading = Promise.withResolvers<string[]>();
    begun.push(reading);
    return reading.promise;
  });
  return { shared, begun };
}

test('who asks while one is on its way gets the next, all of them the same', async () => {
  const { shared, begun } = listing();
  const first = shared.ask();
  const later = [shared.ask(), shared.ask(), shared.ask()];
  expect(begun).toHaveLength(1);
  begun[0]?.resolve(['before']);
  expect(await first).toEqual(['before']);
  await expect.poll(() => begun.length).toBe(2);
  begun[1]?.resolve(['after']);
  expect(await Promise.all(later)).toEqual([['after'], ['after'], ['after']]);
  const alone = shared.ask();
  begun[2]?.resolve([]);
  expect(await alone).toEqual([]);
});

test('one that fails, fails for those who asked for it; the next is read all the same', async () => {
  const { shared, begun } = listing();
  const first = shared.ask();
  const later = shared.ask();
  begun[0]?.reject(new IncusError('UNAVAILABLE', 'nobody there'));
  await expect(first).rejects.toMatchObject({ kind: 'UNAVAILABLE' });
  await expect.poll(() => begun.length).toBe(2);
  begun[1]?.resolve(['after']);
  expect(await later).toEqual(['after']);
});

test('who gives up takes nothing from the others', async () => {
  const { shared, begun } = listing();
  const impatient = shared.ask({ timeoutMs: 1 });
  const caller = new AbortController();
  const leaving = shared.ask({ signal: caller.signal });
  const patient = shared.ask();
  await expect(impatient).rejects.toMatchObject({ kind: 'TIMEOUT', outcomeUnknown: false });
  caller.abort();
  await expect(leaving).rejects.toMatchObject({ kind: 'CANCELLED' });
  begun[0]?.resolve(['before']);
  await expect.poll(() => begun.length).toBe(2);
  begun[1]?.resolve(['after']);
  expect(await patient).toEqual(['after']);
});

test('one that hangs keeps nobody for long who came after it', async () => {
  const { shared, begun } = listing();
  const hanging = shared.ask();
  const later = shared.ask();
  await expect.poll(() => begun.length, { timeout: 10_000 }).toBe(2);
  begun[1]?.resolve(['after']);
  expect(await later).toEqual(['after']);
  begun[0]?.resolve(['before']);
  expect(await hanging).toEqual(['before']);
});
