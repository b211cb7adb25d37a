import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ChangeSet, statement } from '#database';
import { eventsRoom } from '#events';
import { roomDatabase, type RoomDatabase } from '#testing';
import { defineOperation, done, OperationQueries, OPERATIONS, operationId, wait } from '../index.js';
import { operationsRoom } from '../room.js';
import { eventually, Gate, Workbench } from './workbench.js';

const started = statement<{ id: string; tenant_id: string; backend_id: string | null }>(
  'fairness.started',
  'SELECT id, tenant_id, backend_id FROM operation WHERE started_at IS NOT NULL ORDER BY started_at, id',
);
const held = statement<{ backend_id: string; count: number }>(
  'fairness.held',
  'SELECT backend_id, count(*) AS count FROM operation WHERE lease_owner IS NOT NULL GROUP BY backend_id ORDER BY backend_id',
);

/** Operations stand at this gate until the spec opens it. */
let gate = new Gate();

const gated = defineOperation({
  kind: 'toy.gated.create',
  version: 1,
  input: z.looseObject({}),
  deadlineMs: 60_000,
  steps: [
    {
      name: 'pass',
      run: async (context) => {
        await gate.pass(context.signal);
        return done();
      },
    },
  ],
});
const twoPart = defineOperation({
  kind: 'toy.slow.create',
  version: 1,
  input: z.looseObject({}),
  deadlineMs: 60_000,
  steps: [
    { name: 'begin', run: async ({ step }) => (step.tries === 0 ? wait({ afterMs: 30, blocker: 'boots' }) : done()) },
    { name: 'end', run: async () => done() },
  ],
});

describe('who is claimed', () => {
  let room: RoomDatabase;
  let bench: Workbench;

  beforeAll(async () => {
    room = await roomDatabase([eventsRoom, operationsRoom]);
    bench = new Workbench(room.database, [gated, twoPart]);
  });
  afterEach(async () => {
    gate.open();
    await bench.close();
    await room.database.dataSource.query('DELETE FROM operation; DELETE FROM operation_step');
    gate = new Gate();
  });
  afterAll(() => room.close());

  async function submitMany(count: number, tenantId: string, backendId: string | null = null, kind = 'toy.gated.create'): Promise<string[]> {
    const changes = new ChangeSet();
    const ids = Array.from({ length: count }, () => operationId.create());
    for (const id of ids) {
      changes.add(OPERATIONS, { id, kind, resourceKind: 'thing', resourceId: id, tenantId, projectId: null, backendId, input: {} });
    }
    await bench.apply(changes);
    return ids;
  }
  const begun = async (): Promise<{ id: string; tenant_id: string; backend_id: string | null }[]> => room.database.rows(started);

  it('a burst of one tenant does not hold up another one', async () => {
    await submitMany(500, 'ten_a');
    const engine = bench.engine({ slots: 4 });
    await eventually(() => engine.freeSlots === 0, 'a full worker');
    const [late] = await submitMany(1, 'ten_b');
    expect((await begun()).map((row) => row.tenant_id)).toEqual(['ten_a', 'ten_a', 'ten_a', 'ten_a']);
    gate.open();
    await bench.until(late ?? '', (row) => row.started_at !== null, 'its start');
    const order = (await begun()).map((row) => row.tenant_id);
    // Four were running; B's comes with the very next claims, long before A's 500 are through.
    expect(order.indexOf('ten_b')).toBeLessThan(12);
  });

  it('shares slots evenly among tenants', async () => {
    await submitMany(40, 'ten_a');
    await submitMany(40, 'ten_b');
    await submitMany(2, 'ten_c');
    const engine = bench.engine({ slots: 12 });
    await eventually(() => engine.freeSlots === 0, 'a full worker');
    const tenants = Map.groupBy(await begun(), (row) => row.tenant_id);
    expect(Object.fromEntries([...tenants].map(([tenant, rows]) => [tenant, rows.length]))).toEqual({ ten_a: 5, ten_b: 5, ten_c: 2 });
  });

  it('a hanging backend keeps its tokens, and nobody else waits for it', async () => {
    await submitMany(50, 'ten_a', 'bck_hanging');
    await submitMany(50, 'ten_b', 'bck_hanging');
    await submitMany(50, 'ten_c', 'bck_hanging');
    const [other] = await submitMany(1, 'ten_a', 'bck_good');
    const [none] = await submitMany(1, 'ten_a');
    const engines = [
      bench.engine({ slots: 16, backendLimit: 3, backendLimits: () => ({ bck_good: 1 }) }),
      bench.engine({ slots: 16, backendLimit: 3, backendLimits: () => ({ bck_good: 1 }) }),
    ];
    await bench.until(other ?? '', (row) => row.lease_owner !== null, 'the good backend');
    await bench.until(none ?? '', (row) => row.lease_owner !== null, 'no backend');
    await submitMany(5, 'ten_b', 'bck_good');
    for (const engine of engines) engine.wake();
    await eventually(async () => (await room.database.rows(held)).some((row) => row.backend_id === 'bck_hanging' && row.count === 3), 'three');
    expect(await room.database.rows(held)).toEqual([
      { backend_id: 'bck_good', count: 1 },
      { backend_id: 'bck_hanging', count: 3 },
      { backend_id: null, count: 1 },
    ]);
  });

  it('finishes what has begun before it begins anew', async () => {
    gate.open();
    const first = await submitMany(3, 'ten_a', null, 'toy.slow.create');
    const engine = bench.engine({ slots: 1, sweepEveryMs: 600_000 });
    await eventually(async () => (await begun()).length === 3 && engine.busy === 0, 'three that wait');
    await submitMany(200, 'ten_a');
    engine.wake();
    for (const id of first) await bench.untilState(id, 'SUCCEEDED');
    const queries = new OperationQueries();
    const metrics = await queries.metrics(room.database, bench.registry);
    expect(metrics.ready).toBeGreaterThan(0);
  });

  it('counts what is ready, stuck and unserved', async () => {
    await submitMany(7, 'ten_a');
    const queries = new OperationQueries();
    const own = await queries.metrics(room.database, bench.registry);
    expect(own).toMatchObject({ ready: 7, stuck: 0, unserved: [], byKindAndState: [{ kind: 'toy.gated.create', state: 'QUEUED', count: 7 }] });
    expect(own.queueAgeSeconds).toBeGreaterThan(0);
    const stranger = new Workbench(room.database, [defineOperation({ ...gated, version: 2 })]);
    const other = await queries.metrics(room.database, stranger.registry);
    expect(other.unserved).toEqual([{ handler: gated.handler, count: 7 }]);
  });
});
