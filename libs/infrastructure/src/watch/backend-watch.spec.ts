import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { statement } from '#database';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { BackendWatch, HOST_HEARTBEAT, infrastructureReconcilers, infrastructureRoom, PendingRemoval } from '#infrastructure';
import { defineReconciler, KeeperRunner, NamedLeases, operationsRoom, ReconcilerRunner, type Reconciler } from '#operations';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { infrastructureBench, roomDatabase, type InfrastructureBench, type RoomDatabase } from '#testing';

let room: RoomDatabase;
let bench: InfrastructureBench;

const looks = statement<{ beats: number; misses: number }, [backendId: string]>(
  'spec.watch_looks',
  'SELECT b.beats, b.misses FROM host_heartbeat AS b JOIN host AS h ON h.id = b.host_id WHERE h.backend_id = $1',
);

beforeAll(async () => {
  room = await roomDatabase([secretsRoom, eventsRoom, scopesRoom, identityRoom, operationsRoom, infrastructureRoom]);
  bench = await infrastructureBench(room);
});
afterAll(async () => {
  await bench.close();
  await room.close();
});

/** What keeps the watch, and runs these when it wakes them. */
async function running(watch: BackendWatch, reconcilers: Reconciler[]): Promise<{ keepers: KeeperRunner; close: () => Promise<void> }> {
  const { database, applier, log } = room;
  const leases = new NamedLeases({ database, log, leaseMs: 5000, renewEveryMs: 1000 });
  const runner = new ReconcilerRunner({ database, applier, leases, reconcilers, log, lookEveryMs: 20 });
  const keepers = new KeeperRunner({ database, leases, keepers: [watch.keeper], log, lookEveryMs: 20 });
  leases.start();
  await runner.start();
  keepers.start();
  const close = async (): Promise<void> => {
    await keepers.close();
    await runner.close();
    await leases.close();
  };
  return { keepers, close };
}

it('makes the heartbeat look as soon as a backend says that a host has changed', async () => {
  const { database, log } = room;
  const { backendId, world } = await bench.datacenter({ count: 1 });
  const watch = new BackendWatch(database, bench.drivers, log).wake('HOST', HOST_HEARTBEAT);
  const pending = new PendingRemoval(database, bench.usage, log);
  // By itself it would look again after ten minutes.
  const reconcilers = infrastructureReconcilers(bench.heartbeat(), pending, { heartbeatEveryMs: 600_000 });
  const { keepers, close } = await running(watch, reconcilers);
  try {
    await expect.poll(async () => database.first(looks, backendId), { timeout: 10_000 }).toEqual({ beats: 2, misses: 0 });
    await expect.poll(() => keepers.held, { timeout: 10_000 }).toHaveLength(1);
    // The watch tells only of what happens after it has begun, which is a little after its keeper is held.
    await expect
      .poll(
        async () => {
          await world.setHost('host-1', 'ALIVE');
          await world.setHost('host-1', 'DEAD');
          return (await database.first(looks, backendId))?.misses;
        },
        { timeout: 10_000, interval: 200 },
      )
      .toBeGreaterThan(0);
  } finally {
    await close();
  }
});

it('has a backend looked at soon, and not without end while it goes on speaking', async () => {
  const { database, log } = room;
  const { world } = await bench.datacenter({ count: 1 });
  const watch = new BackendWatch(database, bench.drivers, log).wake('HOST', 'spoken-to');
  let looks = 0;
  const spokenTo = defineReconciler({ name: 'spoken-to', everyMs: 600_000, run: async () => void (looks += 1) });
  const { keepers, close } = await running(watch, [spokenTo]);
  try {
    await expect.poll(() => keepers.held.length).toBeGreaterThan(0);
    for (const start = performance.now(); performance.now() < start + 6000; await pause(50)) {
      await world.setHost('host-1', 'DEAD');
      await world.setHost('host-1', 'ALIVE');
    }
    // The first is its own; then one soon, and two or three in the time that is left.
    expect(looks).toBeGreaterThanOrEqual(3);
    expect(looks).toBeLessThanOrEqual(5);
  } finally {
    await close();
  }
}, 60_000);

it('has a look taken again a while after a hint, once for all that were heard meanwhile', async () => {
  const { database, log } = room;
  const { world } = await bench.datacenter({ count: 1 });
  const watch = new BackendWatch(database, bench.drivers, log, { againAfterMs: 2000 }).wake('HOST', 'watchful');
  const looks: number[] = [];
  const watchful = defineReconciler({ name: 'watchful', everyMs: 600_000, run: async () => void looks.push(performance.now()) });
  const { keepers, close } = await running(watch, [watchful]);
  const change = async (): Promise<void> => {
    await world.setHost('host-1', 'DEAD');
    await world.setHost('host-1', 'ALIVE');
  };
  try {
    await expect.poll(() => keepers.held.length, { timeout: 10_000 }).toBeGreaterThan(0);
    // The watch tells only of what happens after it has begun, which is a little after its keeper is held.
    await expect
      .poll(
        async () => {
          await change();
          return looks.length;
        },
        { timeout: 10_000, interval: 200 },
      )
      .toBeGreaterThan(1);
    // What was heard until now has had its second look.
    await pause(5000);
    const before = looks.length;
    const changedAt = performance.now();
    await change();
    await pause(1000);
    await change();
    await pause(6000);
    const after = looks.slice(before).map((at) => at - changedAt);
    expect(after.length).toBeLessThanOrEqual(4);
    const last = after.at(-1) ?? 0;
    expect(last).toBeGreaterThan(3000);
    expect(last).toBeLessThan(6000);
  } finally {
    await close();
  }
}, 60_000);
