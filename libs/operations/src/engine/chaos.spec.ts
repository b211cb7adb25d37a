import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { MuonError } from '#core';
import { statement } from '#database';
import { eventsRoom } from '#events';
import { roomDatabase, type RoomDatabase } from '#testing';
import { defineOperation, done, fanOut, keep, SimulatedCrash, UNDO_ALL, wait, type EngineHooks } from '../index.js';
import { operationsRoom } from '../room.js';
import { eventually, Workbench } from './workbench.js';

/** A small generator of our own, so that a failing mix can be run again by its seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const charge = statement<never, [id: string, amount: number]>(
  'chaos.charge',
  'INSERT INTO charge (id, amount) VALUES ($1, $2::int) ON CONFLICT (id) DO UPDATE SET amount = charge.amount + $2::int',
);
const readCharges = statement<{ id: string; amount: number }>('chaos.charges', 'SELECT id, amount FROM charge WHERE amount <> 0 ORDER BY id');
const unfinished = statement<{ id: string; state: string; blocker: unknown }>(
  'chaos.unfinished',
  'SELECT id, state, blocker FROM operation WHERE ended_at IS NULL',
);
const succeeded = statement<{ resource_id: string }>(
  'chaos.succeeded',
  `SELECT c.resource_id FROM operation AS c
   WHERE c.kind = 'chaos.thing.create' AND c.state = 'SUCCEEDED' AND NOT EXISTS (
     SELECT FROM operation AS back WHERE back.compensates_id = c.id AND back.state = 'SUCCEEDED')
   ORDER BY c.resource_id`,
);
const misfits = statement<{ id: string }>(
  'chaos.misfits',
  `SELECT o.id FROM operation AS o WHERE o.pending_children <> 0 OR o.lease_owner IS NOT NULL OR o.wake_at IS NOT NULL
     OR (o.state = 'SUCCEEDED' AND o.steps_done <> cardinality(o.step_names)) OR (o.state <> 'SUCCEEDED' AND o.steps_done <> 0)`,
);

describe.each([1, 7, 42])('workers that die at any time, with seed %i', (seed) => {
  const random = randomFrom(seed);
  const chance = (probability: number): boolean => random() < probability;
  const made = new Set<string>();
  const backendTrouble = (): void => {
    if (chance(0.1)) throw new MuonError('UNAVAILABLE', 'the backend is away');
  };

  const thing = defineOperation({
    kind: 'chaos.thing.create',
    version: 1,
    input: z.looseObject({}),
    deadlineMs: 60_000,
    steps: [
      {
        name: 'reserve',
        run: async ({ operation }) => done({ commit: async (transaction) => void (await transaction.execute(charge, operation.resourceId, 1)) }),
        undo: async ({ operation }) =>
          done({
            // Undoes what it did only if it did it: its run may never have been committed.
            commit: async (transaction) =>
              void (await transaction.raw('UPDATE charge SET amount = 0 WHERE id = $1', [operation.resourceId])),
          }),
      },
      {
        name: 'make',
        async run({ operation, step }) {
          backendTrouble();
          if (step.tries < 2 && chance(0.5)) return wait({ afterMs: 5, blocker: 'it boots' });
          if (chance(0.08)) throw new MuonError('BACKEND_FAILED', 'it broke');
          made.add(operation.resourceId);
          if (chance(0.05)) throw new MuonError('BACKEND_FAILED', 'it broke after all');
          return done();
        },
        async undo({ operation }) {
          backendTrouble();
          made.delete(operation.resourceId);
          return done();
        },
      },
    ],
  });
  const removal = defineOperation({
    kind: 'chaos.thing.delete',
    version: 1,
    input: z.looseObject({}),
    deadlineMs: 60_000,
    steps: [
      {
        name: 'remove',
        pivot: true,
        async run({ operation }) {
          backendTrouble();
          made.delete(operation.resourceId);
          return done({
            commit: async (transaction) =>
              void (await transaction.raw('UPDATE charge SET amount = 0 WHERE id = $1', [operation.resourceId])),
          });
        },
      },
    ],
  });
  const group = defineOperation<{ names: string[] }>({
    kind: 'chaos.group.create',
    version: 1,
    input: z.object({ names: z.array(z.string()) }),
    deadlineMs: 60_000,
    steps: [
      {
        name: 'things',
        compensate: 'chaos.thing.delete',
        run: async ({ operation: { input } }) =>
          fanOut({
            children: input.names.map((name) => ({ kind: 'chaos.thing.create', resourceKind: 'thing', resourceId: name, input: {} })),
            policy: input.names.length > 3 ? keep(3) : UNDO_ALL,
          }),
      },
      {
        name: 'after',
        async run() {
          if (chance(0.15)) throw new MuonError('BACKEND_FAILED', 'too late');
          return done();
        },
      },
    ],
  });

  let room: RoomDatabase;
  let bench: Workbench;
  beforeAll(async () => {
    room = await roomDatabase([eventsRoom, operationsRoom], async (database) => {
      await database.dataSource.query('CREATE TABLE charge (id text PRIMARY KEY, amount int NOT NULL)');
    });
    bench = new Workbench(room.database, [thing, removal, group]);
  });
  afterAll(async () => {
    await bench.close();
    await room.close();
  });

  it('ends every operation, done or undone, with nothing left and nothing lost', { timeout: 60_000 }, async () => {
    const crash = async (): Promise<void> => {
      if (chance(0.04)) throw new SimulatedCrash();
    };
    const hooks: EngineHooks = { beforeStep: crash, afterRun: crash, afterCommit: crash };
    for (let worker = 0; worker < 3; worker += 1) bench.engine({ leaseMs: 200, renewEveryMs: 40, slots: 4, hooks });
    const ids: string[] = [];
    for (let number = 0; number < 25; number += 1) {
      const names = Array.from({ length: 1 + Math.floor(random() * 5) }, (_none, index) => `g${number}-${index}`);
      ids.push(await bench.submit('chaos.group.create', { names }, { locks: names, tenantId: `ten_${number % 3}` }));
      if (chance(0.3)) {
        const victim = ids[Math.floor(random() * ids.length)] ?? '';
        await bench.service.cancel(victim).catch((error: unknown) => expect(error).toMatchObject({ code: 'INVALID_STATE' }));
      }
    }
    await eventually(async () => (await room.database.rows(unfinished)).length === 0, 'the end of all', 50_000);
    const kept = (await room.database.rows(succeeded)).map((row) => row.resource_id);
    expect([...made].sort((one, other) => (one < other ? -1 : 1))).toEqual(kept);
    expect((await room.database.rows(readCharges)).map((row) => `${row.id} ${row.amount}`)).toEqual(kept.map((name) => `${name} 1`));
    expect(await room.database.rows(misfits)).toEqual([]);
    expect(await bench.locks()).toEqual([]);
    const states = await Promise.all(ids.map(async (id) => (await bench.see(id)).state));
    expect(new Set(states).size).toBeGreaterThan(1);
  });
});
