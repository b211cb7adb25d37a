import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { NamedLeases, ReconcilerRunner } from '#operations';
import { computeBench, systemAccess, type ComputeBench } from '#testing';
import { findFlavors, withdrawnOffers } from './index.js';

const access = systemAccess();
let bench: ComputeBench;
let leases: NamedLeases;
let reconcilers: ReconcilerRunner;

beforeAll(async () => {
  bench = await computeBench();
  const { database, applier, log } = bench.room;
  leases = new NamedLeases({ database, log });
  leases.start();
  reconcilers = new ReconcilerRunner({ database, applier, leases, reconcilers: [withdrawnOffers(database, 100)], log, lookEveryMs: 20 });
  await reconcilers.start();
});
afterAll(async () => {
  await reconcilers.close();
  await leases.close();
  await bench.close();
});

it('goes when its last machine has gone with something else, and not before', async () => {
  const { result } = await bench.flavors.create(access, { name: 'withdrawn', cpu: 1, memoryMib: 512, diskGib: 10 });
  const flavorId = result.id as string;
  const id = await bench.running(await bench.freshProject(), 'user', { flavor: 'withdrawn', power: 'STOPPED' });
  await bench.flavors.delete(access, flavorId);
  const found = async (): Promise<number> => (await bench.room.database.rows(findFlavors, [flavorId])).length;
  expect(await found()).toBe(1);
  await bench.room.database.dataSource.query('DELETE FROM virtual_machine WHERE id = $1', [id]);
  for (const end = Date.now() + 10_000; (await found()) > 0; await pause(20)) {
    if (Date.now() > end) throw new Error('the withdrawn flavor stays');
  }
});
