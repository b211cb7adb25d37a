import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineOperation, done, OperationRegistry } from '#operations';
import { newTenant, roomDatabase, type RoomDatabase } from '#testing';
import { Health } from './health.js';
import { allRooms } from './rooms.js';

const served = defineOperation({
  kind: 'toy.served.create',
  version: 1,
  input: z.looseObject({}),
  deadlineMs: 1000,
  steps: [{ name: 'only', run: async () => done() }],
});

describe('metrics and readiness', () => {
  let room: RoomDatabase;
  let health: Health;

  beforeEach(async () => {
    room = await roomDatabase(allRooms.filter(({ name }) => name !== 'database'));
    health = new Health({ database: room.database, log: room.log, registry: new OperationRegistry().register(served) });
  });
  afterEach(() => room.close());

  const query = (text: string, values: unknown[] = []): Promise<unknown> => room.database.dataSource.query(text, values);
  const operation = (id: string, handler: string, state: string, wakeAt: string | null): Promise<unknown> =>
    query(
      `INSERT INTO operation (id, kind, kind_version, handler, resource_kind, resource_id, root_id, input, step_names, state, deadline_ms, wake_at)
       VALUES ($1, 'toy.served.create', 1, $2, 'toy', $1, $1, '{}', '{only}', $3, 1000, now() + $4::interval)`,
      [id, handler, state, wakeAt],
    );
  async function samples(): Promise<Map<string, number>> {
    const body = (await health.answer('/metrics'))?.body ?? '';
    const lines = body.split('\n').filter((line) => line.startsWith('muon_'));
    return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
  }

  it('tell what waits, for how long, what is stuck, what nobody serves, what has drifted, and how requests went', async () => {
    await operation('op_1', served.handler, 'QUEUED', '-1 hour');
    await operation('op_2', served.handler, 'STUCK', null);
    await operation('op_3', 'toy.served.create@9:00000000', 'QUEUED', '1 hour');
    const { id } = await newTenant(room.database);
    await query(`INSERT INTO quota_counter (scope_id, tenant_id, resource_key, zone_id, used_amount) VALUES ($1, $1, 'vm.cpu', '', 3)`, [id]);
    health.requestSeconds.observe({ status: '200' }, 0.2);
    const told = await samples();
    expect(told.get('muon_operation_queue_age_seconds')).toBeGreaterThan(3590);
    expect(Object.fromEntries(told)).toMatchObject({
      'muon_database_up': 1,
      'muon_operations{kind="toy.served.create",state="QUEUED"}': 2,
      'muon_operations{kind="toy.served.create",state="STUCK"}': 1,
      'muon_operations_stuck': 1,
      'muon_operations_unserved{handler="toy.served.create@9:00000000"}': 1,
      'muon_quota_drifted_counters': 1,
      'muon_http_request_duration_seconds_bucket{le="0.25",status="200"}': 1,
      'muon_http_request_duration_seconds_bucket{le="0.1",status="200"}': 0,
    });
  });

  it('are silent about a database that is away, instead of telling 0', async () => {
    expect((await health.answer('/readyz'))?.status).toBe(200);
    await query('ALTER TABLE quota_counter RENAME TO elsewhere');
    const told = await samples();
    expect(told.get('muon_database_up')).toBe(0);
    expect([...told.keys()].filter((name) => /quota|operation/.test(name))).toEqual([]);
    await query('ALTER TABLE elsewhere RENAME TO quota_counter');
    expect(Object.fromEntries(await samples())).toMatchObject({ muon_database_up: 1, muon_quota_drifted_counters: 0, muon_operations_stuck: 0 });
  });

  it('say that a process is alive, and not ready, while it drains or the database is behind it', async () => {
    const ready = async (): Promise<unknown> => JSON.parse((await health.answer('/readyz'))?.body ?? '');
    expect(await ready()).toEqual({ status: 'ready' });
    await query(`DELETE FROM migration WHERE name = (SELECT name FROM migration ORDER BY id DESC LIMIT 1)`);
    expect(await ready()).toMatchObject({ status: 'not ready', reason: expect.stringContaining('migrate') as string });
    health.startDraining();
    expect(await ready()).toEqual({ status: 'not ready', reason: 'shutting down' });
    expect((await health.answer('/livez'))?.status).toBe(200);
    expect(await health.answer('/elsewhere')).toBeUndefined();
  });
});
