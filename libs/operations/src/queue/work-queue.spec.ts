import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createLogger } from '#core';
import { statement } from '#database';
import { eventsRoom } from '#events';
import { roomDatabase, type RoomDatabase } from '#testing';
import { eventually, Gate, Workbench } from '../engine/workbench.js';
import { defineOperation, done } from '../index.js';
import { operationsRoom } from '../room.js';
import { openQueue, type JobQueue } from './backends.js';
import { migrateQueue, WorkQueue } from './work-queue.js';

const POSTGRES = { kind: 'postgres' } as const;
const insertNote = statement<never, [id: string]>('queue.note', 'INSERT INTO note (id) VALUES ($1)');
const readNotes = statement<{ id: string }>('queue.notes', 'SELECT id FROM note ORDER BY id');
const countJobs = statement<{ count: number }, [queue: string]>(
  'queue.jobs',
  'SELECT count(*) AS count FROM bullmq.job WHERE queue = $1',
);

const quick = defineOperation({
  kind: 'toy.quick.create',
  version: 1,
  input: z.looseObject({}),
  deadlineMs: 60_000,
  steps: [{ name: 'go', run: async () => done() }],
});

describe('the queue on PostgreSQL', () => {
  let room: RoomDatabase;
  let queue: JobQueue;
  const log = createLogger('queue', 'silent');

  beforeAll(async () => {
    room = await roomDatabase([eventsRoom, operationsRoom], async (database) => {
      await migrateQueue(database, POSTGRES, createLogger('queue', 'silent'));
      await database.dataSource.query('CREATE TABLE note (id text PRIMARY KEY)');
    });
    queue = openQueue(POSTGRES, room.database, 'muon-operations');
    queue.on('error', () => undefined);
    await queue.waitUntilReady();
  });
  afterEach(async () => room.database.dataSource.query('DELETE FROM bullmq.job; DELETE FROM note'));
  afterAll(async () => {
    await queue.close();
    await room.close();
  });

  const notes = async (): Promise<string[]> => (await room.database.rows(readNotes)).map((row) => row.id);
  const jobs = async (name = 'muon-operations'): Promise<number> => (await room.database.first(countJobs, name))?.count ?? 0;

  it('may be migrated again, by several at once', async () => {
    await Promise.all([migrateQueue(room.database, POSTGRES, log), migrateQueue(await room.another(), POSTGRES, log)]);
    expect(await jobs()).toBe(0);
    expect(await jobs('muon-reconcilers')).toBe(0);
  });

  it('adds jobs with the commit', async () => {
    await room.database.transaction(async (transaction) => {
      await transaction.execute(insertNote, 'kept');
      await queue.add('one', {});
      await queue.addBulk([{ name: 'two', data: {} }, { name: 'three', data: {} }]);
      expect(await jobs()).toBe(0);
    });
    expect(await notes()).toEqual(['kept']);
    expect(await jobs()).toBe(3);
  });

  it('leaves neither row nor job after a rollback', async () => {
    const attempt = room.database.transaction(async (transaction) => {
      await transaction.execute(insertNote, 'lost');
      await queue.add('one', {});
      await queue.addBulk([{ name: 'two', data: {} }, { name: 'three', data: {} }]);
      throw new Error('no');
    });
    await expect(attempt).rejects.toThrow('no');
    expect(await notes()).toEqual([]);
    expect(await jobs()).toBe(0);
  });

  it('throws at an add that nobody awaited and that comes after the end', async () => {
    let stray: Promise<unknown> | undefined;
    await room.database.transaction(async (transaction) => {
      await transaction.execute(insertNote, 'committed');
      stray = new Promise((resolve) => setTimeout(resolve, 30)).then(() => queue.add('stray', {}));
      stray.catch(() => undefined);
    });
    await expect(stray).rejects.toMatchObject({ detail: expect.stringContaining('has ended') });
    expect(await jobs()).toBe(0);
    expect(await notes()).toEqual(['committed']);
  });

  it('lets others enqueue while a transaction that has rung is open', async () => {
    const bell = await WorkQueue.open({ database: room.database, backend: POSTGRES, log });
    const gate = new Gate();
    const open = room.database.transaction(async (transaction) => {
      await bell.ring(transaction);
      await gate.pass();
    });
    await gate.arrival;
    await queue.add('other', {});
    expect(await jobs()).toBe(1);
    gate.open();
    await open;
    expect(await jobs()).toBe(2);
    await bell.close();
  });

  it('rings once a transaction, and only with its commit', async () => {
    const bell = await WorkQueue.open({ database: room.database, backend: POSTGRES, log });
    await room.database.transaction(async (transaction) => {
      await bell.ring(transaction);
      await bell.ring(transaction);
    });
    expect(await jobs()).toBe(1);
    const refused = room.database.transaction(async (transaction) => {
      await bell.ring(transaction);
      throw new Error('no');
    });
    await expect(refused).rejects.toThrow('no');
    expect(await jobs()).toBe(1);
    await bell.close();
  });

  it('wakes a worker that would not look by itself, and keeps nothing', async () => {
    const bell = await WorkQueue.open({ database: room.database, backend: POSTGRES, log });
    const bench = new Workbench(room.database, [quick], bell);
    const engine = bench.engine({ sweepEveryMs: 600_000 });
    bell.answer(engine);
    for (let round = 0; round < 5; round += 1) {
      const id = await bench.submit('toy.quick.create');
      await bench.untilState(id, 'SUCCEEDED');
    }
    await eventually(async () => (await jobs()) === 0, 'an empty queue');
    await bell.close();
    await bench.close();
  });

  it('loses no work when all that the queue knows is lost', async () => {
    const bell = await WorkQueue.open({ database: room.database, backend: POSTGRES, log });
    const bench = new Workbench(room.database, [quick], bell);
    const ids = await Promise.all(Array.from({ length: 10 }, (_none, index) => bench.submit('toy.quick.create', {}, { locks: [`q-${index}`] })));
    expect(await jobs()).toBe(10);
    await room.database.dataSource.query('TRUNCATE bullmq.job, bullmq.scheduler, bullmq.event, bullmq.meta CASCADE');
    expect(await jobs()).toBe(0);
    const engine = bench.engine({ sweepEveryMs: 100 });
    bell.answer(engine);
    for (const id of ids) await bench.untilState(id, 'SUCCEEDED');
    await bell.close();
    await bench.close();
  });
});
