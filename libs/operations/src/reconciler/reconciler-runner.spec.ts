import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createLogger } from '#core';
import { ChangeSet, statement } from '#database';
import { eventsRoom } from '#events';
import { roomDatabase, type RoomDatabase } from '#testing';
import { eventually, Gate, Workbench } from '../engine/workbench.js';
import { defineOperation, defineReconciler, done, NamedLeases, OPERATIONS, operationId, type Reconciler } from '../index.js';
import { migrateQueue, WorkQueue } from '../queue/work-queue.js';
import { operationsRoom } from '../room.js';
import { nudgeReconcilers, ReconcilerRunner } from './reconciler-runner.js';

const origins = statement<{ origin: string }>('reconciler.origins', 'SELECT DISTINCT origin FROM operation');
const kind = defineOperation({
  kind: 'toy.repair.run',
  version: 1,
  input: z.looseObject({}),
  deadlineMs: 60_000,
  steps: [{ name: 'repair', run: async () => done() }],
});

describe('reconcilers', () => {
  let room: RoomDatabase;
  let bench: Workbench;
  const log = createLogger('reconcilers', 'silent');
  const open: { close(): Promise<void> }[] = [];

  beforeAll(async () => {
    room = await roomDatabase([eventsRoom, operationsRoom], async (database) => {
      await migrateQueue(database, { kind: 'postgres' }, createLogger('reconcilers', 'silent'));
    });
    bench = new Workbench(room.database, [kind]);
  });
  afterEach(async () => {
    for (const each of open.splice(0).reverse()) await each.close();
    await room.database.dataSource.query('DELETE FROM lease');
  });
  afterAll(() => room.close());

  async function worker(reconcilers: Reconciler[], more: { queue?: WorkQueue; lookEveryMs?: number; leaseMs?: number } = {}) {
    const { leaseMs = 500, ...rest } = more;
    const leases = new NamedLeases({ database: room.database, log, leaseMs, renewEveryMs: leaseMs / 4 });
    leases.start();
    const runner = new ReconcilerRunner({ database: room.database, applier: bench.applier, leases, reconcilers, log, lookEveryMs: 20, ...rest });
    open.push(leases, runner);
    await runner.start();
    return { runner, leases };
  }

  it('runs one at a time over all workers, again and again', async () => {
    let inside = 0;
    let most = 0;
    const fences: number[] = [];
    const reconciler = defineReconciler({
      name: 'lonely',
      everyMs: 100,
      async run({ fence }) {
        inside += 1;
        most = Math.max(most, inside);
        fences.push(fence);
        await new Promise((resolve) => setTimeout(resolve, 20));
        inside -= 1;
      },
    });
    await worker([reconciler]);
    await worker([reconciler]);
    await eventually(() => fences.length >= 5, 'five runs');
    expect(most).toBe(1);
    expect(fences.slice(0, 5)).toEqual([1, 2, 3, 4, 5]);
  });

  it('runs at once when nudged, also while it runs', async () => {
    let runs = 0;
    const gate = new Gate();
    const reconciler = defineReconciler({
      name: 'nudged',
      everyMs: 3_600_000,
      run: async () => {
        runs += 1;
        if (runs === 2) await gate.pass();
      },
    });
    await worker([reconciler]);
    await eventually(() => runs === 1, 'the first run');
    const nudge = (): Promise<void> => room.database.transaction((transaction) => nudgeReconcilers(transaction, ['nudged']));
    await nudge();
    await gate.arrival;
    await nudge();
    gate.open();
    await eventually(() => runs === 3, 'one more for what it may have missed');
  });

  it('runs again sooner than after its period when it says so', async () => {
    let runs = 0;
    const reconciler = defineReconciler({
      name: 'curious',
      everyMs: 3_600_000,
      run: async () => {
        runs += 1;
        return runs < 3 ? { afterMs: 30 } : undefined;
      },
    });
    await worker([reconciler]);
    await eventually(() => runs === 3, 'three runs');
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(runs).toBe(3);
  });

  it("is woken by BullMQ's schedule when it would not look itself", async () => {
    let runs = 0;
    const queue = await WorkQueue.open({ database: room.database, backend: { kind: 'postgres' }, log });
    open.push(queue);
    const reconciler = defineReconciler({ name: 'scheduled', everyMs: 200, run: async () => void (runs += 1) });
    await worker([reconciler], { queue, lookEveryMs: 3_600_000 });
    await eventually(() => runs >= 3, 'three runs');
  });

  it('is taken over when its worker dies in mid-run', async () => {
    const runs: string[] = [];
    const dying = new Gate();
    const first = await worker([
      defineReconciler({ name: 'mortal', everyMs: 100, run: async () => void runs.push('first', String(await dying.pass())) }),
    ]);
    await dying.arrival;
    // As a dead process would: no renewals any more.
    await first.leases.close();
    await worker([defineReconciler({ name: 'mortal', everyMs: 100, run: async () => void runs.push('second') })]);
    await eventually(() => runs.includes('second'), 'the takeover');
    dying.open();
  });

  it('tries a failed run again sooner than its period', async () => {
    let runs = 0;
    const reconciler = defineReconciler({
      name: 'failing',
      everyMs: 3_600_000,
      run: async () => {
        runs += 1;
        if (runs === 1) throw new Error('database away');
      },
    });
    await worker([reconciler]);
    await eventually(() => runs === 2, 'a second run');
  });

  it('changes things through operations of its own origin', async () => {
    let answered: unknown;
    const id = operationId.create();
    const reconciler = defineReconciler({
      name: 'mending',
      everyMs: 3_600_000,
      async run({ submit }) {
        const changes = new ChangeSet();
        changes.add(OPERATIONS, { id, kind: 'toy.repair.run', resourceKind: 'vm', resourceId: 'vm-1', tenantId: null, projectId: null, input: {} });
        changes.result = { operationId: id };
        answered = await submit(changes);
      },
    });
    await worker([reconciler]);
    await eventually(() => answered !== undefined, 'the submission');
    expect(answered).toEqual({ operationId: id });
    expect(await room.database.rows(origins)).toEqual([{ origin: 'RECONCILER' }]);
  });

  it('cannot submit after its run was taken over', async () => {
    const gate = new Gate();
    let refused: unknown;
    const reconciler = defineReconciler({
      name: 'late',
      everyMs: 3_600_000,
      async run({ submit }) {
        await gate.pass();
        await submit(new ChangeSet()).catch((error: unknown) => {
          refused = error;
        });
      },
    });
    await worker([reconciler], { leaseMs: 60_000 });
    await gate.arrival;
    await room.database.dataSource.query(`UPDATE lease SET fence = fence + 1, owner = 'thief'`);
    gate.open();
    await eventually(() => refused !== undefined, 'the refusal');
    expect(refused).toMatchObject({ detail: expect.stringContaining('taken over') });
  });
});
