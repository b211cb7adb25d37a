import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { MuonError } from '#core';
import { ChangeSet } from '#database';
import { EventFeed, eventsRoom } from '#events';
import { CommandRunner, identityRoom } from '#identity';
import { scopesRoom } from '#scopes';
import { accessWith, countStatements, roomDatabase, systemAccess, testApi, type RoomDatabase, type TestApi } from '#testing';
import { operationsResolvers } from '../api.js';
import { Workbench } from '../engine/workbench.js';
import { defineOperation, done, fanOut, keep, lockResources, OperationQueries, OperationRequests, UNDO_ALL, wait } from '../index.js';
import { operationsRoom } from '../room.js';

/** Names whose step fails for good, and names that wait for their disk. */
const failing = new Set<string>();
const waiting = new Set<string>();

const part = defineOperation({
  kind: 'toy.part.create',
  version: 1,
  input: z.looseObject({}),
  deadlineMs: 60_000,
  steps: [
    {
      name: 'make',
      async run({ operation }) {
        if (failing.has(operation.resourceId)) throw new MuonError('BACKEND_FAILED', `The backend lost ${operation.resourceId}.`, { detail: 'private words' });
        if (!waiting.has(operation.resourceId)) return done();
        const blocker = { code: 'UNAVAILABLE', message: 'The pool is away.', fault: 'OPERATOR', remedy: 'Bring the pool back.', data: { pool: 'fast' } } as const;
        return wait({ afterMs: 50, blocker });
      },
      undo: async ({ operation }) =>
        operation.resourceId === 'taken' ? done({ notRestored: [{ resourceId: 'other', message: 'It is on another router.' }] }) : done(),
    },
  ],
  readmit: async ({ operation }) => {
    const changes = new ChangeSet();
    lockResources(changes, operation.id, [operation.resourceId]);
    changes.result = { id: operation.resourceId };
    return changes;
  },
});
const whole = defineOperation<{ parts: string[] }>({
  kind: 'toy.whole.create',
  version: 1,
  input: z.object({ parts: z.array(z.string()) }),
  deadlineMs: 60_000,
  steps: [
    { name: 'prepare', run: async () => done() },
    {
      name: 'parts',
      run: async ({ operation }) => {
        const children = operation.input.parts.map((resourceId) => ({ kind: 'toy.part.create', resourceKind: 'part', resourceId, input: {} }));
        return fanOut({ children, policy: UNDO_ALL });
      },
      compensate: () => undefined,
    },
    { name: 'finish', run: async () => done() },
  ],
});
const kept = defineOperation<{ parts: string[] }>({
  kind: 'toy.kept.create',
  version: 1,
  input: z.object({ parts: z.array(z.string()) }),
  deadlineMs: 60_000,
  steps: [
    {
      name: 'parts',
      run: async ({ operation }) => {
        const children = operation.input.parts.map((resourceId) => ({ kind: 'toy.part.create', resourceKind: 'part', resourceId, input: {} }));
        return fanOut({ children, policy: keep(1) });
      },
    },
  ],
});
const timed = defineOperation({
  kind: 'toy.timed.create',
  version: 1,
  input: z.looseObject({}),
  deadlineMs: 60_000,
  steps: ['one', 'two', 'three'].map((name) => ({
    name,
    run: async ({ operation }: { operation: { resourceId: string } }) =>
      waiting.has(`${name} of ${operation.resourceId}`) ? wait({ afterMs: 20, blocker: { code: 'UNAVAILABLE', message: 'It takes its time.', fault: 'OPERATOR' } }) : done(),
  })),
});
const deletion = defineOperation({
  kind: 'toy.part.delete',
  version: 1,
  input: z.looseObject({}),
  deadlineMs: 60_000,
  steps: [
    { name: 'remove', pivot: true, run: async () => Promise.reject(new MuonError('BACKEND_FAILED', 'It does not go away.')) },
    { name: 'forget', run: async () => done() },
  ],
});

const FIELDS = `id kind state attempt origin resourceId resourceKind tenantId projectId isPastPivot queuedAt startedAt endedAt revision
  steps { name state tries startedAt endedAt error { code message fault } } progress { done known percent expectedEndAt }
  blocker { code message since } blockers { code message fault remedy data operationId operationKind resourceId }
  error { code message } earlierAttempts { attempt state error { message } steps { name state } }
  parent { id } root { id } resource { id } abandonment { reason steps principalId at }
  children(first: 2) { totalCount nodes { id state root { id } parent { id } } pageInfo { hasNextPage endCursor } }`;

interface OperationShown {
  id: string;
  kind: string;
  state: string;
  attempt: number;
  projectId: string | null;
  cancelRequestedAt: string | null;
  steps: { name: string; state: string; tries: number; error: { code: string; message: string } | null }[];
  progress: { done: number; known: number; percent: number; expectedEndAt: string | null };
  blockers: Record<string, unknown>[];
  error: { code: string; message: string } | null;
  earlierAttempts: Record<string, unknown>[];
  parent: { id: string } | null;
  root: { id: string };
  resource: null;
  abandonment: Record<string, unknown> | null;
  children: { totalCount: number; nodes: { id: string; root: { id: string } | null }[]; pageInfo: { hasNextPage: boolean; endCursor: string } };
}

describe('operations over GraphQL', () => {
  let room: RoomDatabase;
  let bench: Workbench;
  let api: TestApi;
  const mine = { tenantId: 'ten_a', projectId: 'prj_a' };

  beforeAll(async () => {
    room = await roomDatabase([eventsRoom, scopesRoom, identityRoom, operationsRoom]);
    bench = new Workbench(room.database, [part, whole, kept, timed, deletion]);
    const commands = new CommandRunner(room.database, bench.applier, room.log);
    const feed = new EventFeed(room.database, room.log);
    api = await testApi({
      log: room.log,
      services: [room.database, feed, bench.service, new OperationQueries(), new OperationRequests(commands, bench.service)],
      resolvers: operationsResolvers,
      callers: {
        operator: systemAccess(),
        ann: accessWith([{ role: 'OWNER', ...mine }], 'pri_ann'),
        stranger: accessWith([{ role: 'OWNER', tenantId: 'ten_b', projectId: null }], 'pri_stranger'),
      },
    });
    bench.engine();
  });
  afterAll(async () => {
    await api.close();
    await bench.close();
    await room.close();
  });

  const show = async (id: string, caller = 'ann'): Promise<OperationShown> =>
    (await api.data<{ operation: OperationShown }>(caller, `query ($id: ID!) { operation(id: $id) { ${FIELDS} } }`, { id })).operation;

  it('shows steps, children and progress of a whole, the same when compiled', async () => {
    waiting.add('slow');
    const id = await bench.submit('toy.whole.create', { parts: ['one', 'two', 'slow'] }, mine);
    await bench.until(id, (row) => row.pending_children === 1, 'one child left');
    const [slow] = (await bench.children(id)).filter((child) => child.resource_id === 'slow');
    await bench.until(String(slow?.id), (row) => row.blocker?.code === 'UNAVAILABLE', 'its child blocked');

    const query = `query ($id: ID!) { operation(id: $id) { ${FIELDS} } }`;
    const { operation } = await api.compiled<{ operation: OperationShown }>('ann', query, { id });
    expect(operation.steps.map(({ name, state }) => `${name} ${state}`)).toEqual(['prepare DONE', 'parts STARTED', 'finish PENDING']);
    expect(operation.progress).toEqual({ done: 3, known: 6, percent: 55, expectedEndAt: null });
    expect(operation.children.totalCount).toBe(3);
    expect(operation.children.nodes).toHaveLength(2);
    expect(operation.children.pageInfo.hasNextPage).toBe(true);
    expect(operation.children.nodes[0]?.root).toEqual({ id });
    expect(operation.parent).toBeNull();
    expect(operation.root).toEqual({ id });
    expect(operation.blockers).toEqual([
      {
        code: 'UNAVAILABLE',
        message: 'The pool is away.',
        fault: 'OPERATOR',
        remedy: 'Bring the pool back.',
        data: { pool: 'fast' },
        operationId: slow?.id,
        operationKind: 'toy.part.create',
        resourceId: 'slow',
      },
    ]);

    const rest = await api.data<{ operations: { nodes: { resourceId: string }[]; totalCount: number } }>(
      'ann',
      'query ($id: ID!, $after: Cursor) { operations(parentId: $id, order: OLDEST, after: $after) { nodes { resourceId } totalCount } }',
      { id, after: operation.children.pageInfo.endCursor },
    );
    expect(rest.operations).toEqual({ nodes: [{ resourceId: 'slow' }], totalCount: 3 });

    waiting.clear();
    await bench.untilState(id, 'SUCCEEDED');
    const ended = await show(id);
    expect(ended.blockers).toEqual([]);
    expect(ended.progress).toMatchObject({ done: 6, known: 6, percent: 100 });
    expect((await show(String(slow?.id))).parent).toEqual({ id });
  });

  it('expects the end by how long the same steps took before', async () => {
    const past = await bench.submit('toy.timed.create', {}, mine);
    await bench.untilState(past, 'SUCCEEDED');
    const took = `UPDATE operation_step SET started_at = ended_at - CASE name WHEN 'one' THEN interval '9 hours' WHEN 'two' THEN interval '2 hours' ELSE interval '1 hour' END`;
    await room.database.dataSource.query(`${took} WHERE operation_id = $1`, [past]);
    waiting.add('two of lasting');
    const id = await bench.submit('toy.timed.create', {}, { ...mine, resourceId: 'lasting' });
    await bench.until(id, (row) => row.blocker !== null, 'the second step');
    const { progress } = await show(id);
    expect(progress).toMatchObject({ done: 1, known: 3, percent: 33 });
    const hours = (Date.parse(String(progress.expectedEndAt)) - Date.now()) / 3_600_000;
    expect(hours).toBeGreaterThan(2.9);
    expect(hours).toBeLessThanOrEqual(3);
    waiting.clear();
    await bench.untilState(id, 'SUCCEEDED');
    expect((await show(id)).progress).toEqual({ done: 3, known: 3, percent: 100, expectedEndAt: null });
  });

  it('is done in full when it went on without a part', async () => {
    failing.add('spare');
    const id = await bench.submit('toy.kept.create', { parts: ['left', 'spare'] }, mine);
    await bench.untilState(id, 'SUCCEEDED');
    failing.clear();
    expect((await show(id)).progress).toMatchObject({ done: 2, known: 2, percent: 100 });
  });

  it('lists by filters, with the total and the place in the stream of events only when asked for', async () => {
    const ids = [];
    for (const resourceId of ['first', 'second', 'third']) {
      ids.push(await bench.submit('toy.part.create', {}, { tenantId: 'ten_a', projectId: 'prj_list', resourceId }));
    }
    for (const id of ids) await bench.untilState(id, 'SUCCEEDED');
    interface Listed {
      operations: { nodes: { id: string }[]; totalCount: number | null; eventCursor: string | null; pageInfo: { endCursor: string } };
    }
    const list = (rest: string, fields = 'nodes { id } pageInfo { endCursor }'): Promise<Listed> =>
      api.data<Listed>('operator', `{ operations(projectId: "prj_list", ${rest}) { ${fields} } }`);
    const all = await list('states: [SUCCEEDED]', 'nodes { id } totalCount eventCursor pageInfo { endCursor }');
    expect(all.operations.nodes.map((node) => node.id)).toEqual(ids.toReversed());
    expect(all.operations.totalCount).toBe(3);
    expect(all.operations.eventCursor).toEqual(expect.any(String));
    const first = await list('first: 2, order: OLDEST');
    expect(first.operations.nodes.map((node) => node.id)).toEqual(ids.slice(0, 2));
    const second = await list(`first: 2, order: OLDEST, after: "${first.operations.pageInfo.endCursor}"`);
    expect(second.operations.nodes.map((node) => node.id)).toEqual(ids.slice(2));
    expect((await list('states: [FAILED, STUCK]')).operations.nodes).toEqual([]);
    expect((await list('kind: "toy.whole.create"')).operations.nodes).toEqual([]);
    expect((await list('resourceId: "second"')).operations.nodes).toEqual([{ id: ids[1] }]);
    expect((await list('tenantId: "ten_b"')).operations.nodes).toEqual([]);
  });

  it('reads a page with its children, steps and progress in as many statements as for one row', async () => {
    const query = `query ($first: Int) { operations(first: $first, includeChildren: true) { nodes { ${FIELDS} } } }`;
    const statementsFor = (first: number): Promise<number> => countStatements(room.database, () => api.data('operator', query, { first }));
    const one = await statementsFor(1);
    expect(one).toBeGreaterThan(3);
    expect(await statementsFor(7)).toBeLessThanOrEqual(one + 3);
  });

  it('does not exist for strangers, in no list and under no id', async () => {
    const id = await bench.submit('toy.part.create', {}, { ...mine, resourceId: 'hidden' });
    await bench.untilState(id, 'SUCCEEDED');
    for (const text of [`{ operation(id: "${id}") { id } }`, `{ node(id: "${id}") { id } }`, `mutation { cancelOperation(input: { id: "${id}" }) { operation { id } } }`]) {
      const answer = await api.ask('stranger', text);
      expect(answer.errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    }
    const { operations } = await api.data<{ operations: { nodes: unknown[]; totalCount: number } }>('stranger', '{ operations(includeChildren: true) { nodes { id } totalCount } }');
    expect(operations).toEqual({ nodes: [], totalCount: 0 });
    const { node } = await api.data<{ node: unknown }>('ann', `{ node(id: "${id}") { __typename id ... on Operation { state } } }`);
    expect(node).toEqual({ __typename: 'Operation', id, state: 'SUCCEEDED' });
  });

  it('cancels, and refuses to cancel what has ended', async () => {
    waiting.add('long');
    const id = await bench.submit('toy.part.create', {}, { ...mine, resourceId: 'long' });
    await bench.untilState(id, 'WAITING');
    const ask = `mutation { cancelOperation(input: { id: "${id}", dryRun: true }) { operation { id } plan { resources { action kind id } } } }`;
    expect(await api.data('ann', ask)).toEqual({ cancelOperation: { operation: null, plan: { resources: [{ action: 'UPDATE', kind: 'operation', id }] } } });
    expect((await show(id)).state).toBe('WAITING');
    const mutation = `mutation { cancelOperation(input: { id: "${id}" }) { operation { id cancelRequestedAt } plan { id } } }`;
    const { cancelOperation } = await api.data<{ cancelOperation: { operation: OperationShown; plan: null } }>('ann', mutation);
    expect(cancelOperation).toEqual({ operation: { id, cancelRequestedAt: expect.any(String) as string }, plan: null });
    await bench.untilState(id, 'CANCELLED');
    waiting.clear();
    const again = await api.ask('ann', mutation);
    expect(again.errors?.[0]).toMatchObject({ message: 'It has ended already (CANCELLED).', extensions: { code: 'INVALID_STATE' } });
  });

  it('tells why an attempt failed, without what is private, and tries again as a new one', async () => {
    failing.add('fragile');
    const id = await bench.submit('toy.part.create', {}, { ...mine, resourceId: 'fragile' });
    await bench.untilState(id, 'FAILED');
    const failed = await show(id);
    expect(failed.error).toEqual({ code: 'BACKEND_FAILED', message: 'The backend lost fragile.' });
    expect(JSON.stringify(failed)).not.toContain('private');
    failing.clear();

    const retry = `mutation ($dryRun: Boolean) { retryOperation(input: { id: "${id}", dryRun: $dryRun }) { operation { id attempt } plan { problems { code } } } }`;
    const planned = await api.data('ann', retry, { dryRun: true });
    expect(planned).toEqual({ retryOperation: { operation: null, plan: { problems: [] } } });
    expect(await api.data('ann', retry)).toEqual({ retryOperation: { operation: { id, attempt: 2 }, plan: null } });
    await bench.untilState(id, 'SUCCEEDED');
    const retried = await show(id);
    expect(retried.attempt).toBe(2);
    expect(retried.steps.map(({ name, state }) => `${name} ${state}`)).toEqual(['make DONE']);
    expect(retried.earlierAttempts).toEqual([
      { attempt: 1, state: 'FAILED', error: { message: 'The backend lost fragile.' }, steps: [{ name: 'make', state: 'UNDONE' }] },
    ]);
  });

  it('lets only operators go on with or give up what is stuck', async () => {
    const id = await bench.submit('toy.part.delete', {}, { ...mine, resourceId: 'sticky' });
    await bench.untilState(id, 'STUCK');
    const retry = `mutation { retryOperation(input: { id: "${id}" }) { operation { id } } }`;
    const abandon = `mutation ($reason: String!) { abandonOperation(input: { id: "${id}", reason: $reason }) { operation { id } } }`;
    expect((await api.ask('ann', retry)).errors?.[0]?.extensions.code).toBe('FORBIDDEN');
    expect((await api.ask('ann', abandon, { reason: 'I may not' })).errors?.[0]?.extensions.code).toBe('FORBIDDEN');
    const empty = await api.ask('operator', abandon, { reason: ' ' });
    expect(empty.errors?.[0]?.extensions).toMatchObject({ code: 'INVALID_INPUT', field: 'input.reason' });
    await api.data('operator', abandon, { reason: 'The backend was scrapped.' });
    await bench.untilState(id, 'FAILED');
    expect((await show(id)).abandonment).toMatchObject({ reason: 'The backend was scrapped.', steps: ['remove'] });
  });

  it('shows what was not put back, of one that was cancelled', async () => {
    waiting.add('taken');
    const id = await bench.submit('toy.part.create', {}, { ...mine, resourceId: 'taken' });
    await bench.untilState(id, 'WAITING');
    await api.data('ann', `mutation { cancelOperation(input: { id: "${id}" }) { operation { id } } }`);
    await bench.untilState(id, 'CANCELLED');
    waiting.clear();
    const shown = await api.data('ann', `{ operation(id: "${id}") { state error { code } notRestored { step resourceId message } } }`);
    const notRestored = [{ step: 'make', resourceId: 'other', message: 'It is on another router.' }];
    expect(shown).toEqual({ operation: { state: 'CANCELLED', error: null, notRestored } });
  });

  it('answers a repeated request with the same key as before', async () => {
    waiting.add('twice');
    const id = await bench.submit('toy.part.create', {}, { ...mine, resourceId: 'twice' });
    await bench.untilState(id, 'WAITING');
    const mutation = `mutation { cancelOperation(input: { id: "${id}" }) { operation { id } } }`;
    const key = { 'idempotency-key': 'cancel-twice' };
    const first = await api.ask('ann', mutation, {}, key);
    await bench.untilState(id, 'CANCELLED');
    waiting.clear();
    expect(await api.ask('ann', mutation, {}, key)).toEqual(first);
    expect(first.errors).toBeUndefined();
  });
});
