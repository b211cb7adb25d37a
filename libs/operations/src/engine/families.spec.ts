import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { MuonError } from '#core';
import { eventsRoom } from '#events';
import { roomDatabase, systemAccess, type RoomDatabase } from '#testing';
import {
  defineOperation,
  done,
  fanOut,
  findOperations,
  keep,
  OperationQueries,
  readBlockers,
  UNDO_ALL,
  type ChildOutcome,
  type FanOutPolicy,
  type StepContext,
} from '../index.js';
import { operationsRoom } from '../room.js';
import { eventually, Gate, Workbench } from './workbench.js';

/** A backend of named things. */
const made = new Set<string>();
let log: string[] = [];
/** Instead of succeeding, by `make name`, `remove name` or `after`. */
let behaviour: Record<string, (context: StepContext<unknown>) => Promise<void> | void> = {};

const thing = defineOperation<{ size?: number }>({
  kind: 'toy.thing.create',
  version: 1,
  input: z.object({ size: z.number().default(1) }),
  deadlineMs: 60_000,
  steps: [
    {
      name: 'make',
      async run(context) {
        await behaviour[`make ${context.operation.resourceId}`]?.(context);
        made.add(context.operation.resourceId);
        return done({ output: { size: context.operation.input.size ?? 0 } });
      },
      async undo(context) {
        made.delete(context.operation.resourceId);
        return done();
      },
    },
  ],
});
const removal = defineOperation({
  kind: 'toy.thing.delete',
  version: 1,
  input: z.looseObject({}),
  deadlineMs: 60_000,
  steps: [
    {
      name: 'remove',
      pivot: true,
      async run(context) {
        log.push(`remove ${context.operation.resourceId}`);
        await behaviour[`remove ${context.operation.resourceId}`]?.(context);
        made.delete(context.operation.resourceId);
        return done();
      },
    },
  ],
});

type GroupInput = { names: string[]; atLeast?: number | undefined; inner?: boolean | undefined };

const policyOf = (input: GroupInput): FanOutPolicy => (input.atLeast === undefined ? UNDO_ALL : keep(input.atLeast));

const group = defineOperation<GroupInput>({
  kind: 'toy.group.create',
  version: 1,
  input: z.object({ names: z.array(z.string()), atLeast: z.number().optional(), inner: z.boolean().optional() }),
  deadlineMs: 60_000,
  steps: [
    { name: 'before', run: async () => done({ output: 'prepared' }), undo: async () => done() },
    {
      name: 'things',
      async run({ operation: { input } }) {
        const children = input.names.map((name) => ({
          kind: input.inner === true ? 'toy.group.create' : 'toy.thing.create',
          resourceKind: 'thing',
          resourceId: name,
          input: input.inner === true ? { names: [`${name}-a`, `${name}-b`] } : { size: 2 },
        }));
        return fanOut({ children, policy: policyOf(input) });
      },
      compensate: (child: ChildOutcome) => ({
        kind: child.kind === 'toy.group.create' ? 'toy.group.delete' : 'toy.thing.delete',
        resourceKind: child.resourceKind,
        resourceId: child.resourceId,
        input: child.kind === 'toy.group.create' ? { names: child.input.names ?? [] } : {},
      }),
    },
    {
      name: 'after',
      async run(context) {
        await behaviour.after?.(context);
        return done();
      },
    },
  ],
});
const groupRemoval = defineOperation<GroupInput>({
  ...group,
  kind: 'toy.group.delete',
  steps: [
    {
      name: 'things',
      pivot: true,
      run: async ({ operation: { input } }) =>
        fanOut({
          children: input.names.map((name) => ({ kind: 'toy.thing.delete', resourceKind: 'thing', resourceId: name, input: {} })),
          policy: UNDO_ALL,
        }),
    },
  ],
});

const refuse = (message: string) => () => Promise.reject(new MuonError('BACKEND_FAILED', message));

describe('operations with children', () => {
  let room: RoomDatabase;
  let bench: Workbench;

  beforeAll(async () => {
    room = await roomDatabase([eventsRoom, operationsRoom]);
    bench = new Workbench(room.database, [thing, removal, group, groupRemoval]);
    bench.registry.verify();
  });
  afterEach(async () => {
    await bench.close();
    made.clear();
    log = [];
    behaviour = {};
  });
  afterAll(() => room.close());

  it('goes on when all children have succeeded, and hands their outcomes on', async () => {
    bench.engine();
    const id = await bench.submit('toy.group.create', { names: ['a', 'b', 'c'] });
    await bench.untilState(id, 'SUCCEEDED');
    expect([...made].sort()).toEqual(['a', 'b', 'c']);
    const output = (await bench.steps(id)).find((step) => step.name === 'things')?.output as { children: object[] };
    expect(output.children).toHaveLength(3);
    expect(output.children[0]).toMatchObject({ state: 'SUCCEEDED', outputs: { make: { size: 2 } } });
    const queries = new OperationQueries();
    const rows = await room.database.rows(findOperations, [id]);
    expect((await queries.progress(room.database, rows)).get(id)).toMatchObject({ stepsDone: 6, stepsKnown: 6, percent: 100 });
    const page = await queries.list(room.database, systemAccess(), { states: ['SUCCEEDED'] }, { first: 10 });
    expect(page.rows.map((row) => row.id)).toEqual([id]);
  });

  it('needs no children to go on', async () => {
    bench.engine();
    const id = await bench.submit('toy.group.create', { names: [] });
    await bench.untilState(id, 'SUCCEEDED');
  });

  it('hands the outputs of the parent to its children', async () => {
    const seen: unknown[] = [];
    behaviour['make a'] = (context) => void seen.push(context.parentOutputs, context.operation.parentId);
    bench.engine();
    const id = await bench.submit('toy.group.create', { names: ['a'] });
    await bench.untilState(id, 'SUCCEEDED');
    expect(seen).toEqual([{ before: 'prepared' }, id]);
  });

  it('UNDO_ALL: one failure takes the others back, and its cause is the root cause', async () => {
    const gate = new Gate();
    behaviour['make b'] = async () => {
      await gate.pass();
      throw new MuonError('BACKEND_FAILED', 'b is broken');
    };
    bench.engine();
    const id = await bench.submit('toy.group.create', { names: ['a', 'b', 'c'] });
    const ended = async (): Promise<number> => (await bench.children(id)).filter((child) => child.state === 'SUCCEEDED').length;
    await eventually(async () => (await ended()) === 2, 'the end of a and c');
    gate.open();
    const row = await bench.untilState(id, 'FAILED');
    expect(row.error).toMatchObject({ code: 'BACKEND_FAILED', message: 'b is broken', data: { succeeded: 2, wanted: 3, of: 3 } });
    expect([...made]).toEqual([]);
    expect(log.sort()).toEqual(['remove a', 'remove c']);
    const children = await bench.children(id);
    expect(children.filter((child) => child.compensates_id !== null).map((child) => child.state)).toEqual(['SUCCEEDED', 'SUCCEEDED']);
    expect(await bench.stepStates(id)).toEqual(['before UNDONE', 'things UNDONE']);
  });

  it('UNDO_ALL: does not let siblings go on for nothing', async () => {
    behaviour['make b'] = refuse('b is broken');
    behaviour['make a'] = (context) => new Gate().pass(context.signal);
    bench.engine({ renewEveryMs: 20 });
    const id = await bench.submit('toy.group.create', { names: ['a', 'b'] });
    const row = await bench.untilState(id, 'FAILED');
    expect(row.error).toMatchObject({ message: 'b is broken' });
    const states = (await bench.children(id)).map((child) => `${child.resource_id} ${child.state}`);
    expect(states.sort()).toEqual(['a CANCELLED', 'b FAILED']);
  });

  it('KEEP: goes on with enough of them, and leaves the failed ones out', async () => {
    behaviour['make b'] = refuse('b is broken');
    bench.engine();
    const id = await bench.submit('toy.group.create', { names: ['a', 'b', 'c'], atLeast: 2 });
    await bench.untilState(id, 'SUCCEEDED');
    expect([...made].sort()).toEqual(['a', 'c']);
  });

  it('KEEP: fails with too few, and takes back what there was', async () => {
    behaviour['make a'] = refuse('a is broken');
    behaviour['make b'] = refuse('b is broken');
    bench.engine();
    const id = await bench.submit('toy.group.create', { names: ['a', 'b', 'c'], atLeast: 2 });
    const row = await bench.untilState(id, 'FAILED');
    expect(row.error).toMatchObject({ message: expect.stringMatching(/is broken/), data: { wanted: 2 } });
    expect([...made]).toEqual([]);
  });

  it('takes succeeded children back when a later step fails', async () => {
    behaviour.after = refuse('too late');
    bench.engine();
    const id = await bench.submit('toy.group.create', { names: ['a', 'b'] });
    const row = await bench.untilState(id, 'FAILED');
    expect(row.error).toMatchObject({ message: 'too late' });
    expect([...made]).toEqual([]);
    expect(log.sort()).toEqual(['remove a', 'remove b']);
  });

  it('nests: a grandchild that fails takes the whole tree back', async () => {
    let broken = true;
    behaviour['make y-b'] = () => (broken ? Promise.reject(new MuonError('BACKEND_FAILED', 'y-b is broken')) : undefined);
    bench.engine();
    const id = await bench.submit('toy.group.create', { names: ['x', 'y'], inner: true });
    const row = await bench.untilState(id, 'FAILED');
    expect(row.error).toMatchObject({ message: 'y-b is broken' });
    expect([...made]).toEqual([]);
    broken = false;
    const next = await bench.submit('toy.group.create', { names: ['x', 'y'], inner: true });
    await bench.untilState(next, 'SUCCEEDED');
    expect([...made].sort()).toEqual(['x-a', 'x-b', 'y-a', 'y-b']);
    const children = await bench.children(next);
    expect(new Set(children.map((child) => (child as unknown as { root_id: string }).root_id))).toEqual(new Set([next]));
  });

  it('cancels the whole tree', async () => {
    behaviour['make x-b'] = (context) => new Gate().pass(context.signal);
    bench.engine({ renewEveryMs: 20 });
    const id = await bench.submit('toy.group.create', { names: ['x', 'y'], inner: true });
    await eventually(() => made.size === 3, 'all but one made');
    await bench.service.cancel(id);
    const row = await bench.untilState(id, 'CANCELLED');
    expect(row.error).toBeNull();
    expect([...made]).toEqual([]);
    const [child] = await bench.children(id);
    await expect(bench.service.cancel(child?.id ?? '')).rejects.toMatchObject({ code: 'INVALID_STATE' });
  });

  it('shows on the top what blocks at the bottom; a stuck compensation is retried, then all ends', async () => {
    behaviour.after = refuse('too late');
    behaviour['remove a'] = refuse('a will not go');
    bench.engine();
    const id = await bench.submit('toy.group.create', { names: ['a', 'b'] });
    await eventually(async () => (await bench.children(id)).some((child) => child.state === 'STUCK'), 'a stuck child');
    const blockers = await room.database.rows(readBlockers, [id]);
    expect(blockers).toMatchObject([{ top_id: id, resource_id: 'a', state: 'STUCK', blocker: { message: 'a will not go' } }]);
    behaviour = {};
    await bench.service.retry(blockers[0]?.operation_id ?? '');
    await bench.untilState(id, 'FAILED');
    expect([...made]).toEqual([]);
  });

  it('forgets old histories with all below them, but never the newest of a resource', async () => {
    bench.engine();
    const old = await bench.submit('toy.group.create', { names: ['a', 'b'] }, { resourceId: 'group-1' });
    await bench.untilState(old, 'SUCCEEDED');
    const recent = await bench.submit('toy.group.create', { names: ['a'] }, { resourceId: 'group-1' });
    await bench.untilState(recent, 'SUCCEEDED');
    expect(await bench.service.prune(3_600_000)).toBe(0);
    expect(await bench.service.prune(0)).toBe(1);
    expect(await bench.steps(old)).toEqual([]);
    expect(await bench.children(old)).toEqual([]);
    await expect(bench.see(old)).rejects.toThrow('there is no operation');
    expect(await bench.children(recent)).toHaveLength(1);
  });

  it('refuses the step when a child would be of an unknown kind', async () => {
    const bad = defineOperation({
      ...thing,
      kind: 'toy.bad.create',
      steps: [
        {
          name: 'spawn',
          run: async () =>
            fanOut({ children: [{ kind: 'toy.unknown.create', resourceKind: 'thing', resourceId: 'u', input: {} }], policy: UNDO_ALL }),
        },
      ],
    });
    bench.registry.register(bad);
    bench.engine();
    const id = await bench.submit('toy.bad.create');
    expect((await bench.untilState(id, 'FAILED')).error).toMatchObject({ code: 'INTERNAL' });
  });
});
