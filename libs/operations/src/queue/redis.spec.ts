import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createLogger } from '#core';
import { eventsRoom } from '#events';
import { roomDatabase, type RoomDatabase } from '#testing';
import { eventually, Workbench } from '../engine/workbench.js';
import { defineOperation, defineReconciler, done, migrateQueue, NamedLeases, ReconcilerRunner, WorkQueue, type QueueBackend } from '../index.js';
import { operationsRoom } from '../room.js';

const hasRedis = spawnSync('redis-server', ['--version']).status === 0;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

const quick = defineOperation({
  kind: 'toy.quick.create',
  version: 1,
  input: z.looseObject({}),
  deadlineMs: 60_000,
  steps: [{ name: 'go', run: async () => done() }],
});

/** Runs where Debian's redis-server is installed: CI, and whoever wants that backend. */
describe.skipIf(!hasRedis)('the queue on Redis', () => {
  let room: RoomDatabase;
  let folder: string;
  let redis: ChildProcess;
  let backend: QueueBackend;
  const log = createLogger('queue', 'silent');

  beforeAll(async () => {
    room = await roomDatabase([eventsRoom, operationsRoom]);
    folder = await mkdtemp(join(tmpdir(), 'muon-redis-spec-'));
    const port = await freePort();
    const settings = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder];
    redis = spawn('redis-server', settings, { stdio: 'ignore' });
    backend = { kind: 'redis', url: `redis://127.0.0.1:${port}` };
    await migrateQueue(room.database, backend, log);
  });
  afterAll(async () => {
    redis.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
    await room.close();
  });

  it('rings after the commit, and not after a rollback', async () => {
    const bell = await WorkQueue.open({ database: room.database, backend, log });
    const bench = new Workbench(room.database, [quick], bell);
    const engine = bench.engine({ sweepEveryMs: 600_000 });
    // The engine of another process: it hears of the work by Redis only.
    const ear = await WorkQueue.open({ database: room.database, backend, log });
    ear.answer(engine);
    for (let round = 0; round < 3; round += 1) {
      const id = await bench.submit('toy.quick.create');
      await bench.untilState(id, 'SUCCEEDED');
    }
    let woken = 0;
    ear.answer({ wake: () => (woken += 1), whenFree: async () => undefined });
    const refused = room.database.transaction(async (transaction) => {
      await bell.ring(transaction);
      throw new Error('no');
    });
    await expect(refused).rejects.toThrow('no');
    await ear.close();
    expect(woken).toBe(0);
    await bell.close();
    await bench.close();
  });

  it('schedules reconcilers', async () => {
    const queue = await WorkQueue.open({ database: room.database, backend, log });
    const leases = new NamedLeases({ database: room.database, log, leaseMs: 1000, renewEveryMs: 250 });
    leases.start();
    let runs = 0;
    const reconciler = defineReconciler({ name: 'scheduled', everyMs: 200, run: async () => void (runs += 1) });
    const { database, applier } = room;
    const runner = new ReconcilerRunner({ database, applier, leases, reconcilers: [reconciler], log, queue, lookEveryMs: 3_600_000 });
    await runner.start();
    await eventually(() => runs >= 3, 'three runs');
    await runner.close();
    await queue.close();
    await leases.close();
  });

  it('loses no work when Redis is gone', async () => {
    const bell = await WorkQueue.open({ database: room.database, backend, log });
    const bench = new Workbench(room.database, [quick], bell);
    redis.kill('SIGKILL');
    await once(redis, 'exit');
    const id = await bench.submit('toy.quick.create');
    bench.engine({ sweepEveryMs: 50 });
    await bench.untilState(id, 'SUCCEEDED');
    await bench.close();
    await bell.close();
  });
});
