import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { MuonError } from '#core';
import { schemaDrift, statement } from '#database';
import { eventsRoom } from '#events';
import { roomDatabase, type RoomDatabase } from '#testing';
import { defineOperation, done, StepFailed, wait, waitingFor, type OperationStep, type StepContext } from '../index.js';
import { operationsRoom } from '../room.js';
import { alarmLog, eventually, Gate, Workbench } from './workbench.js';

type Input = { plan?: Record<string, unknown> | undefined };
const anyInput = z.looseObject({});

const note = statement<never, [text: string]>('spec.note', 'INSERT INTO note (text) VALUES ($1)');
const notes = statement<{ text: string }>('spec.notes', 'SELECT text FROM note ORDER BY number');
const clear = statement<never>('spec.clear_notes', 'DELETE FROM note');

/** What the toy steps did, in order. */
let log: string[] = [];
/** What a step shall do instead of succeeding, by `run name` or `undo name`. */
let behaviour: Record<string, (context: StepContext<unknown>) => unknown> = {};

function toyStep(name: string, more: Partial<OperationStep<Input>> = {}): OperationStep<Input> {
  return {
    name,
    async run(context) {
      log.push(`run ${name}`);
      const answer = await behaviour[`run ${name}`]?.(context);
      return (answer as ReturnType<typeof done> | undefined) ?? done({ output: `${name}-${context.operation.resourceId}` });
    },
    async undo(context) {
      log.push(`undo ${name}`);
      const answer = await behaviour[`undo ${name}`]?.(context);
      return (answer as ReturnType<typeof done> | undefined) ?? done();
    },
    ...more,
  };
}

const finishers = {
  async onSucceeded(transaction, context) {
    await transaction.execute(note, `succeeded ${Object.keys(context.outputs).join(',')}`);
  },
  async onFailed(transaction, context) {
    await transaction.execute(note, `failed ${context.error?.message ?? ''}`);
  },
} satisfies Partial<Parameters<typeof defineOperation<Input>>[0]>;

const three = defineOperation<Input>({
  kind: 'toy.three.create',
  version: 1,
  input: anyInput,
  deadlineMs: 60_000,
  steps: [toyStep('one'), toyStep('two'), toyStep('three')],
  ...finishers,
});
const admitted = defineOperation<Input>({ ...three, kind: 'toy.admitted.update', steps: [toyStep('one', { undoesAdmission: true }), toyStep('two')] });
const brief = defineOperation<Input>({ ...three, kind: 'toy.brief.create', deadlineMs: 150 });
const pivoting = defineOperation<Input>({
  ...three,
  kind: 'toy.pivoting.delete',
  deadlineMs: 100,
  steps: [toyStep('one'), toyStep('two', { pivot: true }), toyStep('three')],
  onCancelled: async (transaction) => {
    await transaction.execute(note, 'cancelled');
  },
});
const traceless: OperationStep<Input> = { name: 'look', run: (context) => toyStep('look').run(context) };
const mixed = defineOperation<Input>({ ...three, kind: 'toy.mixed.create', steps: [toyStep('one'), traceless, toyStep('three')] });

const terminal = (message: string) => () => Promise.reject(new MuonError('BACKEND_FAILED', message));
/** Whether the backend of `away` steps is. */
let isAway = true;
const away = (message = 'away') => () => (isAway ? Promise.reject(new MuonError('UNAVAILABLE', message)) : undefined);

describe('an operation and its steps', () => {
  let room: RoomDatabase;
  let bench: Workbench;

  beforeAll(async () => {
    room = await roomDatabase([eventsRoom, operationsRoom], async (database) => {
      await database.dataSource.query('CREATE TABLE note (number int GENERATED ALWAYS AS IDENTITY, text text NOT NULL)');
    });
    bench = new Workbench(room.database, [three, admitted, brief, pivoting, mixed]);
  });
  afterEach(async () => {
    await bench.close();
    await room.database.rows(clear);
    log = [];
    behaviour = {};
    isAway = true;
  });
  afterAll(() => room.close());

  const noted = async (): Promise<string[]> => (await room.database.rows(notes)).map((row) => row.text);

  it('keeps entities and migration equal', async () => {
    const drift = await schemaDrift(room.database);
    expect(drift.filter((query) => !query.includes('"note"'))).toEqual([]);
  });

  it('runs the steps in order and hands their outputs on; the end commits with the last', async () => {
    const seen: unknown[] = [];
    behaviour['run three'] = (context) => void seen.push(context.outputs, context.operation.attempt);
    const id = await bench.submit('toy.three.create', {}, { resourceId: 'r1' });
    bench.engine();
    await bench.untilState(id, 'SUCCEEDED');
    expect(log).toEqual(['run one', 'run two', 'run three']);
    expect(seen).toEqual([{ one: 'one-r1', two: 'two-r1' }, 1]);
    expect(await bench.stepStates(id)).toEqual(['one DONE', 'two DONE', 'three DONE']);
    expect(await noted()).toEqual(['succeeded one,two,three']);
  });

  it('has committed STARTED before a step runs', async () => {
    const states: string[][] = [];
    behaviour['run one'] = async (context) => void states.push(await bench.stepStates(context.operation.id));
    behaviour['run two'] = async (context) => void states.push(await bench.stepStates(context.operation.id));
    const id = await bench.submit('toy.three.create');
    bench.engine();
    await bench.untilState(id, 'SUCCEEDED');
    expect(states).toEqual([['one STARTED'], ['one DONE', 'two STARTED']]);
  });

  it('undoes everything that was started, last first, and ends FAILED with the root cause', async () => {
    behaviour['run three'] = terminal('the disk is on fire');
    const id = await bench.submit('toy.three.create');
    bench.engine();
    const row = await bench.untilState(id, 'FAILED');
    expect(log).toEqual(['run one', 'run two', 'run three', 'undo three', 'undo two', 'undo one']);
    expect(row.error).toMatchObject({ code: 'BACKEND_FAILED', message: 'the disk is on fire', fault: 'OPERATOR' });
    expect(await bench.stepStates(id)).toEqual(['one UNDONE', 'two UNDONE', 'three UNDONE']);
    expect(await noted()).toEqual(['failed the disk is on fire']);
  });

  it('skips steps that have nothing to undo', async () => {
    behaviour['run three'] = terminal('no');
    const id = await bench.submit('toy.mixed.create');
    bench.engine();
    await bench.untilState(id, 'FAILED');
    expect(log).toEqual(['run one', 'run look', 'run three', 'undo three', 'undo one']);
    expect(await bench.stepStates(id)).toEqual(['one UNDONE', 'look UNDONE', 'three UNDONE']);
  });

  it('tries retryable errors again, shows the reason meanwhile, and clears it', async () => {
    behaviour['run two'] = away();
    const id = await bench.submit('toy.three.create');
    bench.engine();
    const waiting = await bench.untilState(id, 'WAITING');
    expect(waiting.blocker).toMatchObject({ code: 'UNAVAILABLE', message: 'away', fault: 'OPERATOR' });
    const { since } = waiting.blocker ?? {};
    const later = await bench.until(id, (each) => each.fence > waiting.fence + 2 && each.lease_owner === null, 'more tries');
    expect(later.blocker).toMatchObject({ since });
    isAway = false;
    const row = await bench.untilState(id, 'SUCCEEDED');
    expect(row.blocker).toBeNull();
    expect((await bench.steps(id)).find((step) => step.name === 'two')).toMatchObject({ state: 'DONE', error: null });
  });

  it('gives retryable errors up at the deadline', async () => {
    behaviour['run two'] = away();
    const id = await bench.submit('toy.brief.create');
    bench.engine();
    const row = await bench.untilState(id, 'FAILED');
    expect(row.error).toMatchObject({ code: 'UNAVAILABLE', message: 'away', data: { givenUpAfterMs: 150 } });
    expect(log.filter((line) => line.startsWith('undo'))).toEqual(['undo two', 'undo one']);
  });

  it('gives a wait up at the deadline, saying what was waited for', async () => {
    behaviour['run two'] = () => wait({ afterMs: 20, blocker: waitingFor('The backend boots it.') });
    const id = await bench.submit('toy.brief.create');
    bench.engine();
    const row = await bench.untilState(id, 'FAILED');
    expect(row.error).toMatchObject({ code: 'TIMEOUT', message: expect.stringContaining('The backend boots it.') });
  });

  it('waits without slot and lease, and gives the memo back', async () => {
    const memos: unknown[] = [];
    behaviour['run two'] = (context) => {
      memos.push(context.step.memo);
      const count = Number(context.step.memo ?? 0);
      return isAway ? wait({ afterMs: 30, blocker: 'not yet', memo: count + 1 }) : undefined;
    };
    const engine = bench.engine();
    const id = await bench.submit('toy.three.create');
    const waiting = await bench.untilState(id, 'WAITING');
    expect(waiting.lease_owner).toBeNull();
    await eventually(() => memos.length >= 3, 'three runs');
    isAway = false;
    await bench.untilState(id, 'SUCCEEDED');
    expect(memos.slice(0, 3)).toEqual([undefined, 1, 2]);
    await eventually(() => engine.busy === 0, 'a free worker');
  });

  it('is woken by a signal before its time', async () => {
    let ready = false;
    behaviour['run two'] = () => (ready ? undefined : wait({ afterMs: 600_000, blocker: 'event', signal: 'vm-1-up' }));
    bench.engine();
    const id = await bench.submit('toy.three.create');
    await bench.untilState(id, 'WAITING');
    ready = true;
    await room.database.transaction((transaction) => bench.service.signal(transaction, ['vm-1-up']));
    await bench.untilState(id, 'SUCCEEDED');
  });

  it('commits what a step writes with its outcome, or neither', async () => {
    let tries = 0;
    behaviour['run two'] = () =>
      done({
        commit: async (transaction) => {
          tries += 1;
          await transaction.execute(note, `try ${tries}`);
          if (tries === 1) throw new MuonError('UNAVAILABLE', 'once');
        },
      });
    const id = await bench.submit('toy.three.create');
    bench.engine();
    await bench.untilState(id, 'SUCCEEDED');
    expect(await noted()).toEqual(['try 2', 'succeeded one,three']);
    expect(log.filter((line) => line === 'run two')).toHaveLength(2);
  });

  it('cancels before the pivot: undoes, and ends CANCELLED', async () => {
    const gate = new Gate();
    behaviour['run one'] = (context) => gate.pass(context.signal);
    bench.engine({ renewEveryMs: 20 });
    const id = await bench.submit('toy.pivoting.delete');
    await gate.arrival;
    await bench.service.cancel(id);
    await bench.untilState(id, 'CANCELLED');
    expect(log).toEqual(['run one', 'undo one']);
    expect(await noted()).toEqual(['cancelled']);
    await expect(bench.service.cancel(id)).rejects.toMatchObject({ code: 'INVALID_STATE' });
  });

  it('cancels what was never begun without running anything', async () => {
    const id = await bench.submit('toy.three.create');
    await bench.service.cancel(id);
    bench.engine();
    await bench.untilState(id, 'CANCELLED');
    expect(log).toEqual([]);
    expect(await noted()).toEqual(['failed ']);
  });

  it('takes back what the admission has written by the first step’s undo, also when nothing was begun', async () => {
    const id = await bench.submit('toy.admitted.update');
    await bench.service.cancel(id);
    bench.engine();
    await bench.untilState(id, 'CANCELLED');
    expect(log).toEqual(['undo one']);
    expect(await bench.stepStates(id)).toEqual(['one UNDONE']);
    expect(await noted()).toEqual(['failed ']);
  });

  it('refuses to cancel after the pivot and only goes forward, past any deadline', async () => {
    behaviour['run two'] = away();
    bench.engine();
    const id = await bench.submit('toy.pivoting.delete');
    await bench.until(id, (row) => row.pivot_passed && row.state === 'WAITING', 'the pivot');
    await expect(bench.service.cancel(id)).rejects.toMatchObject({
      code: 'INVALID_STATE',
      message: expect.stringContaining('"two"'),
    });
    await bench.until(id, (row) => row.fence > 6, 'tries past the deadline of 100 ms');
    isAway = false;
    await bench.untilState(id, 'SUCCEEDED');
  });

  it('is STUCK after a terminal error past the pivot, goes on when retried', async () => {
    behaviour['run three'] = terminal('gone');
    const alarms = alarmLog();
    bench.engine({ log: alarms.log });
    const id = await bench.submit('toy.pivoting.delete', {}, { locks: ['r-stuck'] });
    const row = await bench.untilState(id, 'STUCK');
    await eventually(async () => alarms.lines.some((line) => line.includes('ALARM') && line.includes(id)), 'an alarm');
    expect(row.blocker).toMatchObject({ code: 'BACKEND_FAILED', remedy: expect.any(String) });
    expect(await bench.locks()).toHaveLength(1);
    behaviour = {};
    await bench.service.retry(id);
    await bench.untilState(id, 'SUCCEEDED');
    expect(log).toEqual(['run one', 'run two', 'run three', 'run three']);
    expect(await bench.locks()).toEqual([]);
  });

  it('goes on with the memo that the error has left', async () => {
    const memos: unknown[] = [];
    behaviour['run three'] = ({ step }) => {
      memos.push(step.memo);
      throw new StepFailed(new MuonError('BACKEND_FAILED', 'gone', { data: { disk: 'd1' } }), { round: memos.length });
    };
    bench.engine();
    const id = await bench.submit('toy.pivoting.delete');
    expect((await bench.untilState(id, 'STUCK')).blocker).toMatchObject({ code: 'BACKEND_FAILED', message: 'gone', data: { disk: 'd1' } });
    await bench.service.retry(id);
    await eventually(async () => memos.length === 2, 'another try');
    await bench.untilState(id, 'STUCK');
    behaviour = {};
    await bench.service.retry(id);
    await bench.untilState(id, 'SUCCEEDED');
    expect(memos).toEqual([undefined, { round: 1 }]);
  });

  it('is STUCK after a terminal error in an undo; abandoned, it lists what is left', async () => {
    behaviour['run three'] = terminal('root cause');
    behaviour['undo two'] = terminal('cannot delete');
    bench.engine();
    const id = await bench.submit('toy.three.create', {}, { locks: ['r-left'] });
    const row = await bench.untilState(id, 'STUCK');
    expect(row.error).toMatchObject({ message: 'root cause' });
    expect(row.blocker).toMatchObject({ message: 'cannot delete' });
    await expect(bench.service.abandon(id, ' ')).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    await bench.service.abandon(id, 'the rack is scrap');
    const ended = await bench.untilState(id, 'FAILED');
    expect(ended.error).toMatchObject({ message: 'root cause' });
    expect(ended.abandonment).toMatchObject({
      reason: 'the rack is scrap',
      leftovers: [
        { step: 'one', state: 'DONE' },
        { step: 'two', state: 'DONE', error: { message: 'cannot delete' } },
      ],
    });
    const left = [
      { step: 'one', resourceId: `thing-${id}`, message: 'It was given up with this step begun, which may have left traces' },
      { step: 'two', resourceId: `thing-${id}`, message: 'It was given up with this step begun, which may have left traces: cannot delete' },
    ];
    expect(ended.not_restored).toEqual(left);
    expect(ended.error?.data).toMatchObject({ notRestored: left });
    expect(await bench.locks()).toEqual([]);
    expect(await noted()).toEqual(['failed root cause']);
    await expect(bench.service.retry(id)).rejects.toMatchObject({ code: 'INVALID_STATE' });
  });

  it('names what its undos could not put back, whether it failed or was cancelled', async () => {
    const lost = (resourceId: string) => [{ resourceId, message: `${resourceId} is somebody else's` }];
    let looks = 0;
    behaviour['undo two'] = () => {
      looks += 1;
      // Said at first, looked at again, and then nothing new is said.
      if (looks === 1) return wait({ afterMs: 0, blocker: 'first look', notRestored: [...lost('r-1'), ...lost('r-2')] });
      return looks === 2 ? wait({ afterMs: 0, blocker: 'second look', notRestored: lost('r-2') }) : done();
    };
    behaviour['undo one'] = () => done({ notRestored: lost('r-3') });
    behaviour['run three'] = terminal('root cause');
    bench.engine();
    const named = [
      { step: 'two', ...lost('r-2')[0] },
      { step: 'one', ...lost('r-3')[0] },
    ];
    const failed = await bench.untilState(await bench.submit('toy.three.create'), 'FAILED');
    expect(failed.not_restored).toEqual(named);
    expect(failed.error).toMatchObject({ message: 'root cause', data: { notRestored: named } });

    looks = 0;
    const gate = new Gate();
    behaviour['run three'] = (context) => gate.pass(context.signal);
    const id = await bench.submit('toy.three.create');
    await gate.arrival;
    await bench.service.cancel(id);
    const cancelled = await bench.untilState(id, 'CANCELLED');
    expect([cancelled.not_restored, cancelled.error]).toEqual([named, null]);
  });

  it('says nothing of what a step has not put back on the way there', async () => {
    let tries = 0;
    behaviour['run one'] = () => ((tries += 1) === 1 ? wait({ afterMs: 0, blocker: 'once', notRestored: [{ resourceId: 'r', message: 'no undo' }] }) : undefined);
    bench.engine();
    const row = await bench.untilState(await bench.submit('toy.three.create'), 'SUCCEEDED');
    expect(row.not_restored).toEqual([]);
  });

  it('retries an undo without deadline, visibly', async () => {
    behaviour['run two'] = terminal('root');
    behaviour['undo two'] = away('backend away');
    bench.engine();
    const id = await bench.submit('toy.brief.create');
    const row = await bench.until(id, (each) => each.blocker !== null, 'a blocker');
    expect(row).toMatchObject({ state: 'UNDOING', blocker: { message: 'backend away' }, error: { message: 'root' } });
    await bench.until(id, (each) => each.fence > 8, 'many tries');
    isAway = false;
    await bench.untilState(id, 'FAILED');
    expect(log.filter((line) => line === 'undo two').length).toBeGreaterThan(5);
  });
});
