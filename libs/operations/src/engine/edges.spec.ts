import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { MuonError } from '#core';
import { constraintMeans, LostRace, statement } from '#database';
import { eventsRoom } from '#events';
import { roomDatabase, type RoomDatabase } from '#testing';
import {
  defineOperation,
  done,
  findOperations,
  fromOutcome,
  markTombstonesSettled,
  findTombstones,
  liftTombstones,
  OperationQueries,
  OperationRegistry,
  readUnsettledTombstones,
  wait,
  writeTombstones,
  type OperationDefinition,
  type StepContext,
} from '../index.js';
import { operationsRoom } from '../room.js';
import { Gate, Workbench } from './workbench.js';

const revisions = statement<{ revision: number; change: string }, [id: string]>(
  'edges.events',
  'SELECT revision, change FROM event WHERE resource_id = $1 ORDER BY sequence',
);

const insertPart = statement<never>('edges.insert_part', "INSERT INTO spec_part VALUES ('somebody')");

let log: string[] = [];
let behaviour: Record<string, (context: StepContext<unknown>) => unknown> = {};
const acts = (name: string) => async (context: StepContext<unknown>) => {
  log.push(name);
  return ((await behaviour[name]?.(context)) as ReturnType<typeof done> | undefined) ?? done();
};
/** A finisher that does what the spec says, in the transaction that ends the operation. */
const ends = (name: string) => async () => {
  log.push(name);
  await (behaviour[name] as (() => Promise<void>) | undefined)?.();
};
const base: OperationDefinition<Record<string, unknown>> = {
  kind: 'toy.edge.create',
  version: 1,
  input: z.looseObject({}),
  deadlineMs: 60_000,
  steps: [
    { name: 'one', run: acts('one'), undo: acts('undo one') },
    { name: 'two', run: acts('two'), undo: acts('undo two') },
  ],
  onSucceeded: ends('succeeded'),
  onFailed: ends('failed'),
};
const plain = defineOperation(base);
const pivoting = defineOperation({
  ...base,
  kind: 'toy.edge.delete',
  steps: [
    { name: 'one', run: acts('one'), undo: acts('undo one') },
    { name: 'two', pivot: true, run: acts('two') },
  ],
});
const strict = defineOperation({ ...base, kind: 'toy.edge.strict', input: z.strictObject({ size: z.number().default(3) }) });

const throwsOnce = (error: Error) => {
  let thrown = false;
  return async () => {
    if (thrown) return;
    thrown = true;
    throw error;
  };
};

describe('at the edges', () => {
  let room: RoomDatabase;
  let bench: Workbench;

  beforeAll(async () => {
    room = await roomDatabase([eventsRoom, operationsRoom]);
    bench = new Workbench(room.database, [plain, pivoting, strict]);
  });
  afterEach(async () => {
    await bench.close();
    log = [];
    behaviour = {};
  });
  afterAll(() => room.close());

  it('heeds a cancel that comes between the run and the commit, before the pivot begins', async () => {
    bench.engine({
      renewEveryMs: 60_000,
      leaseMs: 60_000,
      hooks: {
        async afterRun(point) {
          if (point.step === 'one' && point.direction === 'FORWARD') await bench.service.cancel(point.operationId);
        },
      },
    });
    const id = await bench.submit('toy.edge.delete');
    await bench.untilState(id, 'CANCELLED');
    expect(log).toEqual(['one', 'undo one', 'failed']);
  });

  it('heeds a cancel that comes before the last step commits', async () => {
    bench.engine({
      renewEveryMs: 60_000,
      leaseMs: 60_000,
      hooks: {
        async afterRun(point) {
          if (point.step === 'two' && point.direction === 'FORWARD') await bench.service.cancel(point.operationId);
        },
      },
    });
    const id = await bench.submit('toy.edge.create');
    await bench.untilState(id, 'CANCELLED');
    expect(log).toEqual(['one', 'two', 'undo two', 'undo one', 'failed']);
  });

  it('ends as cancelled though the step that was told to stop blames the backend', async () => {
    behaviour.one = async ({ signal }) => {
      await new Gate().pass(signal).catch(() => undefined);
      throw new MuonError('BACKEND_FAILED', 'connection closed');
    };
    bench.engine({ renewEveryMs: 20 });
    const id = await bench.submit('toy.edge.create');
    await bench.untilState(id, 'RUNNING');
    await bench.service.cancel(id);
    expect((await bench.untilState(id, 'CANCELLED')).error).toBeNull();
  });

  it('commits the end later when the finisher fails in passing', async () => {
    behaviour.succeeded = throwsOnce(new MuonError('UNAVAILABLE', 'busy'));
    bench.engine();
    const id = await bench.submit('toy.edge.create');
    await bench.untilState(id, 'SUCCEEDED');
    expect(log).toEqual(['one', 'two', 'succeeded', 'succeeded']);
  });

  it('undoes all when the finisher of a success fails for good', async () => {
    behaviour.succeeded = async () => Promise.reject(new MuonError('CONFLICT', 'the row is gone', { retryable: false }));
    bench.engine();
    const id = await bench.submit('toy.edge.create');
    const row = await bench.untilState(id, 'FAILED');
    expect(row.error).toMatchObject({ message: 'the row is gone' });
    expect(log.slice(-3)).toEqual(['undo two', 'undo one', 'failed']);
  });

  it('is STUCK when the finisher of a failure fails for good, and ends when retried', async () => {
    behaviour.two = async () => Promise.reject(new MuonError('BACKEND_FAILED', 'root'));
    behaviour.failed = throwsOnce(new Error('a defect'));
    bench.engine();
    const id = await bench.submit('toy.edge.create');
    const row = await bench.untilState(id, 'STUCK');
    expect(row).toMatchObject({ error: { message: 'root' }, blocker: { code: 'INTERNAL', message: 'An internal error occurred.' } });
    expect(await bench.stepStates(id)).toEqual(['one UNDONE', 'two UNDONE']);
    await bench.service.retry(id);
    expect((await bench.untilState(id, 'FAILED')).error).toMatchObject({ message: 'root' });
  });

  it('shows an outcome that PostgreSQL refuses, and tries it again', async () => {
    let text = 'a NUL \u0000 in it';
    behaviour.one = async () => done({ output: { text } });
    bench.engine();
    const id = await bench.submit('toy.edge.create');
    const waiting = await bench.untilState(id, 'WAITING');
    expect(waiting.blocker).toMatchObject({ code: 'INTERNAL' });
    text = 'fine';
    await bench.untilState(id, 'SUCCEEDED');
  });

  it('shows what a constraint refuses at the commit, and tries it again', async () => {
    const { dataSource } = room.database;
    await dataSource.query('CREATE TABLE spec_owner (id text PRIMARY KEY)');
    await dataSource.query('CREATE TABLE spec_part (owner_id text CONSTRAINT spec_part_owner REFERENCES spec_owner DEFERRABLE INITIALLY DEFERRED)');
    constraintMeans('spec_part_owner', () => new LostRace('owner', 'the owner is gone'));
    behaviour.one = async () => done({ commit: async (transaction) => void (await transaction.execute(insertPart)) });
    bench.engine();
    const id = await bench.submit('toy.edge.create');
    const waiting = await bench.untilState(id, 'WAITING');
    expect(waiting.blocker).toMatchObject({ code: 'CONFLICT', data: { fact: 'owner' } });
    await dataSource.query("INSERT INTO spec_owner VALUES ('somebody')");
    await bench.untilState(id, 'SUCCEEDED');
  });

  it('stores what a backend says, whatever it says', async () => {
    const words = `broken \u0000 \ud800 ${'x'.repeat(5000)}`;
    behaviour.two = async () => Promise.reject(new MuonError('BACKEND_FAILED', words, { data: { text: words } }));
    bench.engine();
    const id = await bench.submit('toy.edge.create');
    const row = await bench.untilState(id, 'FAILED');
    expect(row.error?.message).toMatch(/^broken {2}\ufffd x+$/);
    expect(row.error?.message).toHaveLength(2000);
  });

  it('stores what a backend says, also when the end of what is kept falls into a character', async () => {
    behaviour.two = async () => Promise.reject(new MuonError('BACKEND_FAILED', `x${'\u{1f525}'.repeat(2000)}`));
    bench.engine();
    const row = await bench.untilState(await bench.submit('toy.edge.create'), 'FAILED');
    expect(row.error).toMatchObject({ code: 'BACKEND_FAILED', message: `x${'\u{1f525}'.repeat(999)}\ufffd` });
  });

  it('ends a run that takes too long, and lets it call nothing afterwards', async () => {
    let late: unknown;
    const called = Promise.withResolvers<void>();
    behaviour.one = async (context) => {
      if (context.step.tries > 0) return;
      await new Promise((resolve) => setTimeout(resolve, 400));
      try {
        context.call('r');
      } catch (error) {
        late = error;
      }
      called.resolve();
    };
    bench.engine({ stepTimeoutMs: 100, leaseMs: 200 });
    const id = await bench.submit('toy.edge.create');
    const waiting = await bench.until(id, (row) => row.blocker !== null, 'a blocker');
    expect(waiting.blocker).toMatchObject({ code: 'TIMEOUT' });
    await bench.untilState(id, 'SUCCEEDED');
    await called.promise;
    expect(late).toBeInstanceOf(Error);
  });

  it('writes no event for leases and polls, one for what people can see', async () => {
    let polls = 0;
    behaviour.one = async () => ((polls += 1) < 6 ? wait({ afterMs: 5, blocker: 'booting' }) : undefined);
    bench.engine({ leaseMs: 200, renewEveryMs: 10 });
    const id = await bench.submit('toy.edge.create');
    const row = await bench.untilState(id, 'SUCCEEDED');
    const events = await room.database.rows(revisions, id);
    // Queued, running, waiting, step two, end.
    expect(events.map((event) => event.revision)).toEqual([1, 2, 3, 4, 5]);
    expect((row as unknown as { revision: number }).revision).toBe(5);
  });

  it('refuses an input that does not fit, and completes one that does', async () => {
    await expect(bench.submit('toy.edge.strict', { sice: 1 })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    let input: unknown;
    behaviour.one = async (context) => void (input = context.operation.input);
    bench.engine();
    const id = await bench.submit('toy.edge.strict', {});
    await bench.untilState(id, 'SUCCEEDED');
    expect(input).toEqual({ size: 3 });
  });

  it('expects the end from how long the steps took before', async () => {
    const kind = defineOperation({ ...base, kind: 'toy.edge.timed' });
    bench.registry.register(kind);
    behaviour.two = async () => new Promise((resolve) => setTimeout(resolve, 60));
    bench.engine();
    const past = await bench.submit('toy.edge.timed');
    await bench.untilState(past, 'SUCCEEDED');
    const gate = new Gate();
    behaviour.one = async () => gate.pass();
    const id = await bench.submit('toy.edge.timed');
    await gate.arrival;
    const rows = await room.database.rows(findOperations, [id]);
    const progress = (await new OperationQueries().progress(room.database, rows)).get(id);
    expect(progress).toMatchObject({ stepsDone: 0, stepsKnown: 2, percent: 0 });
    const end = progress?.expectedEndAt?.getTime() ?? 0;
    expect(end - Date.now()).toBeGreaterThan(30);
    expect(end - Date.now()).toBeLessThan(10_000);
    gate.open();
    await bench.untilState(id, 'SUCCEEDED');
  });

  it('keeps tombstones until they are lifted', async () => {
    const stone = { backendId: 'bck_1', objectKind: 'machine', objectId: 'vm_1', reason: 'undone' };
    await room.database.transaction((transaction) => writeTombstones(transaction, [stone, stone, { ...stone, objectId: 'vm_2' }]));
    expect(await room.database.rows(findTombstones, 'bck_1', 'machine', ['vm_1', 'vm_3'])).toMatchObject([{ object_id: 'vm_1' }]);
    await room.database.transaction((transaction) => markTombstonesSettled(transaction, 'bck_1', 'machine', ['vm_1']));
    expect((await room.database.rows(readUnsettledTombstones, 'bck_1', 10)).map((row) => row.object_id)).toEqual(['vm_2']);
    await room.database.transaction((transaction) => writeTombstones(transaction, [stone]));
    expect(await room.database.rows(readUnsettledTombstones, 'bck_1', 10)).toHaveLength(2);
    await room.database.transaction((transaction) => liftTombstones(transaction, [stone]));
    expect(await room.database.rows(findTombstones, 'bck_1', 'machine', ['vm_1'])).toEqual([]);
  });

  it('refuses kinds that are declared wrongly or twice', () => {
    expect(() => defineOperation({ ...base, kind: 'Toy' })).toThrow('must read like room.resource.verb');
    expect(() => defineOperation({ ...base, steps: [] })).toThrow('needs 1 to');
    expect(() => defineOperation({ ...base, steps: [...base.steps, ...base.steps] })).toThrow('two steps of one name');
    expect(() => new OperationRegistry().register(plain, plain)).toThrow('has two handlers');
    expect(() => new OperationRegistry().register(plain).current('toy.nothing.create')).toThrow('no operation kind');
    const missing = defineOperation({ ...base, steps: [{ name: 'x', run: async () => done(), compensate: 'toy.nothing.delete' }] });
    expect(() => new OperationRegistry().register(missing).verify()).toThrow('unknown kind "toy.nothing.delete"');
    // Another order of steps is another handler: a row keeps the order that it was made with.
    const turned = defineOperation({ ...base, steps: [...base.steps].reverse() });
    expect(turned.handler).not.toBe(plain.handler);
    const registry = new OperationRegistry().register(plain, defineOperation({ ...base, version: 2 }));
    expect(registry.current(plain.kind).version).toBe(2);
  });

  it("makes a driver's answer the step's", () => {
    expect(fromOutcome({ state: 'PENDING', retryAfterMs: 70 }, 'boots')).toMatchObject({
      type: 'WAIT',
      afterMs: 70,
      blocker: { message: 'boots' },
    });
    expect(fromOutcome({ state: 'DONE', value: 4 }, 'boots', (value) => done({ output: value }))).toMatchObject({ type: 'DONE', output: 4 });
  });
});
