import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { MuonError } from '#core';
import { eventsRoom } from '#events';
import { roomDatabase, type RoomDatabase } from '#testing';
import { AGAIN, defineOperation, done, fanOut, wait, type StepContext } from '../index.js';
import { operationsRoom } from '../room.js';
import { eventually, Gate, Workbench } from './workbench.js';

/** What is still in the house. */
const inside = new Set<string>();
let carry: (context: StepContext<unknown>) => Promise<void> = async () => undefined;
let left: (name: string) => void = () => undefined;
const rounds: unknown[] = [];

const move = defineOperation({
  kind: 'toy.thing.move',
  version: 1,
  input: z.looseObject({}),
  deadlineMs: 60_000,
  steps: [
    {
      name: 'carry',
      async run(context) {
        await carry(context);
        inside.delete(context.operation.resourceId);
        left(context.operation.resourceId);
        return done();
      },
    },
  ],
});
const change = defineOperation({
  kind: 'toy.thing.change',
  version: 1,
  input: z.looseObject({}),
  deadlineMs: 60_000,
  steps: [{ name: 'change', run: async (context) => (inside.delete(context.operation.resourceId), done()) }],
});
/** Carries out what is there, one a round, and waits while it is told to. */
const clear = defineOperation<{ limit: number }>({
  kind: 'toy.house.clear',
  version: 1,
  input: z.object({ limit: z.number().default(100) }),
  deadlineMs: 60_000,
  steps: [
    {
      name: 'carry-out',
      async run({ step, operation }) {
        rounds.push(step.memo ?? null);
        const [next] = [...inside].sort();
        if (next === undefined) return done();
        const begun = ((step.memo ?? 0) as number) + 1;
        if (begun > operation.input.limit) return wait({ afterMs: 60_000, signal: 'house', blocker: `${next} stays` });
        const child = { kind: 'toy.thing.move', resourceKind: 'thing', resourceId: next, input: {}, locks: [next] };
        return fanOut({ children: [child], policy: AGAIN, memo: begun });
      },
    },
  ],
});

describe('a step that starts children again and again', () => {
  let room: RoomDatabase;
  let bench: Workbench;

  beforeAll(async () => {
    room = await roomDatabase([eventsRoom, operationsRoom]);
    bench = new Workbench(room.database, [move, change, clear]);
  });
  afterEach(async () => {
    await bench.close();
    inside.clear();
    rounds.length = 0;
    carry = async () => undefined;
    left = () => undefined;
  });
  afterAll(() => room.close());

  it('looks again after each round, whatever has become of the children', async () => {
    for (const name of ['bed', 'chair', 'table']) inside.add(name);
    let falls = 2;
    carry = async ({ operation }) => {
      if (operation.resourceId === 'chair' && falls-- > 0) throw new MuonError('BACKEND_FAILED', 'it has slipped');
    };
    bench.engine();
    const id = await bench.submit('toy.house.clear');
    await bench.untilState(id, 'SUCCEEDED');
    expect((await bench.children(id)).map((child) => `${child.resource_id} ${child.state}`)).toEqual([
      'bed SUCCEEDED', 'chair FAILED', 'chair FAILED', 'chair SUCCEEDED', 'table SUCCEEDED',
    ]);
    expect(rounds).toEqual([null, 1, 2, 3, 4, 5]);
    expect(await bench.stepStates(id)).toEqual(['carry-out DONE']);
  });

  it('starts again what has ended well before, when that is there again', async () => {
    inside.add('cat');
    let walksIn = true;
    left = (name) => {
      if (walksIn) inside.add(name);
      walksIn = false;
    };
    bench.engine();
    const id = await bench.submit('toy.house.clear');
    await bench.untilState(id, 'SUCCEEDED');
    expect((await bench.children(id)).map((child) => child.state)).toEqual(['SUCCEEDED', 'SUCCEEDED']);
  });

  it('turns back when it is cancelled, with its children', async () => {
    inside.add('piano');
    const gate = new Gate();
    carry = (context) => gate.pass(context.signal);
    bench.engine({ renewEveryMs: 20 });
    const id = await bench.submit('toy.house.clear');
    await gate.arrival;
    await bench.service.cancel(id);
    await bench.untilState(id, 'CANCELLED');
    expect((await bench.children(id)).map((child) => child.state)).toEqual(['CANCELLED']);
    expect(await bench.locks()).toEqual([]);
  });

  it('has children that hold their resources by themselves: a deletion calls one of them off, and not the whole', async () => {
    inside.add('lamp');
    const gate = new Gate();
    carry = (context) => gate.pass(context.signal);
    bench.engine({ renewEveryMs: 20 });
    const id = await bench.submit('toy.house.clear', { limit: 1 }, { locks: ['house'] });
    await gate.arrival;
    const [child] = await bench.children(id);
    await expect(bench.submit('toy.thing.change', {}, { resourceId: 'lamp', locks: ['lamp'] })).rejects.toMatchObject({
      code: 'RESOURCE_BUSY',
      data: { operationId: child?.id, operationKind: 'toy.thing.move' },
    });
    const deletion = await bench.submit('toy.thing.change', {}, { resourceId: 'lamp', succeeds: ['lamp'] });
    await bench.untilState(deletion, 'SUCCEEDED');
    expect(await bench.see(child?.id ?? '')).toMatchObject({ state: 'CANCELLED' });
    await bench.untilState(id, 'SUCCEEDED');
  });

  it('gives what its children have held back at their end, while it goes on itself', async () => {
    inside.add('stove');
    carry = () => Promise.reject(new MuonError('BACKEND_FAILED', 'too heavy'));
    bench.engine();
    const id = await bench.submit('toy.house.clear', { limit: 1 }, { locks: ['house'] });
    await bench.until(id, (row) => row.blocker?.message === 'stove stays', 'waiting');
    expect((await bench.locks()).map((lock) => lock.resource_id)).toEqual(['house']);
    const changed = await bench.submit('toy.thing.change', {}, { resourceId: 'stove', locks: ['stove'] });
    await bench.untilState(changed, 'SUCCEEDED');
    await room.database.transaction((transaction) => bench.service.signal(transaction, ['house']));
    await bench.untilState(id, 'SUCCEEDED');
  });

  it('waits while somebody else has what a child would hold', async () => {
    inside.add('desk');
    const other = await bench.submit('toy.thing.change', {}, { resourceId: 'desk', locks: ['desk'] });
    const id = await bench.submit('toy.house.clear');
    // Nobody serves the other one yet.
    const lone = new Workbench(room.database, [move, clear]);
    lone.engine();
    await eventually(async () => (await bench.see(id)).blocker?.code === 'RESOURCE_BUSY', 'waiting for the desk');
    expect(await bench.children(id)).toEqual([]);
    await lone.close();
    bench.engine();
    await bench.untilState(other, 'SUCCEEDED');
    await bench.untilState(id, 'SUCCEEDED');
  });
});
