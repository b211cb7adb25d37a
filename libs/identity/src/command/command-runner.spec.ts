import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MuonError } from '#core';
import { ChangeSet, constraintMeans, LostRace, registerRowSections, ROWS, statement, type Reader, type RowChange } from '#database';
import { eventsRoom } from '#events';
import { auditEntries, auditParameters, CommandRunner, identityRoom, type Access, type Command } from '#identity';
import { scopesRoom } from '#scopes';
import { accessWith, roomDatabase, systemAccess, type RoomDatabase } from '#testing';

const countShelves = statement<{ count: number }>('spec.count_shelves', 'SELECT count(*) AS count FROM shelf');
const crateOnShelf = statement<{ id: string }>('spec.crate_on_shelf', `SELECT id FROM crate WHERE shelf_id = 's1'`);
for (const index of ['crate_name', 'crate_loose_name']) {
  constraintMeans(index, () => new MuonError('ALREADY_EXISTS', 'A crate of this name stands there.', { field: 'input.name' }));
}
const oneShelf = statement<{ version: number }, [id: string]>('spec.one_shelf', 'SELECT version FROM shelf WHERE id = $1');

function addAll(changes: ChangeSet, ...rows: RowChange[]): ChangeSet {
  return changes.add(ROWS, ...rows);
}

describe('the command runner', () => {
  let room: RoomDatabase;
  let commands: CommandRunner;
  const access = systemAccess();
  const place = { tenantId: null, projectId: null };

  beforeAll(async () => {
    room = await roomDatabase([eventsRoom, scopesRoom, identityRoom], async (database) => {
      await database.dataSource.query('CREATE TABLE shelf (id text PRIMARY KEY, label text, version bigint NOT NULL DEFAULT 1)');
      await database.dataSource.query('CREATE TABLE crate (id text PRIMARY KEY, shelf_id text, name text, version bigint NOT NULL DEFAULT 1)');
      await database.dataSource.query('CREATE UNIQUE INDEX crate_name ON crate (shelf_id, name) WHERE shelf_id IS NOT NULL');
      await database.dataSource.query('CREATE UNIQUE INDEX crate_loose_name ON crate (name) WHERE shelf_id IS NULL');
    });
    registerRowSections(room.applier);
    commands = new CommandRunner(room.database, room.applier, room.log);
  });
  afterAll(() => room.close());

  const command = (more: Partial<Command> = {}): Command => ({ access, name: 'createShelf', input: { label: 'a' }, place, ...more });
  let made = 0;
  const create = async (): Promise<ChangeSet> => {
    made += 1;
    const id = `shelf-${made}`;
    access.requireSystem('CREATE_CHILD', 'disk');
    const changes = new ChangeSet().add(ROWS, { table: 'shelf', insert: { id, label: 'a' } });
    changes.result = { id };
    return changes;
  };
  const relabel = (id: string) => async (reader: Reader): Promise<ChangeSet> => {
    const row = await reader.first(oneShelf, id);
    const changes = new ChangeSet().add(ROWS, { table: 'shelf', update: { label: 'b' }, id, version: row?.version ?? 0 });
    changes.result = { id };
    return changes;
  };
  const shelves = async (): Promise<number> => (await room.database.first(countShelves))?.count ?? 0;
  const audited = async (by: Access): Promise<unknown[]> => {
    const page = await auditEntries.page(room.database, auditParameters(by.filter('audit entry'), {}), 'NEWEST', { first: 1 });
    return page.rows.map((row) => [row.command, row.outcome, row.error_code, row.resource_id]);
  };

  it('applies a change set and audits it in one transaction', async () => {
    const { result } = await commands.run(command(), create);
    expect(await room.database.first(oneShelf, String(result.id))).toEqual({ version: 1 });
    expect(await audited(access)).toEqual([['createShelf', 'ACCEPTED', null, result.id]]);
  });

  it.each(['', 'x'])('keeps the beginning of an input that is too long for the audit log, wherever a character falls on the end (%j)', async (first) => {
    const input = { label: `${first}${'\u{1f525}'.repeat(20_000)}` };
    await commands.run(command({ input }), create);
    const page = await auditEntries.page(room.database, auditParameters(access.filter('audit entry'), {}), 'NEWEST', { first: 1 });
    expect(page.rows[0]?.input).toEqual({ truncated: expect.stringMatching(/^\{"label":"x?\u{1f525}{8180,}\ufffd?$/u) as string });
  });

  it('answers a repeated idempotency key with the first result, also when both come at once', async () => {
    const before = await shelves();
    const both = await Promise.all([1, 2].map(() => commands.run(command({ idempotencyKey: 'k1' }), create)));
    const third = await commands.run(command({ idempotencyKey: 'k1' }), create);
    expect(new Set([...both, third].map((each) => each.result.id)).size).toBe(1);
    expect([...both, third].filter((each) => each.replayed)).toHaveLength(2);
    expect(await shelves()).toBe(before + 1);
  });

  it('refuses a key with another input, and forgets the key of a failed request', async () => {
    const other = commands.run(command({ idempotencyKey: 'k1', input: { label: 'z' } }), create);
    await expect(other).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    await commands.run(command({ idempotencyKey: 'k3', hidden: { password: 'one' } }), create);
    const hidden = commands.run(command({ idempotencyKey: 'k3', hidden: { password: 'two' } }), create);
    await expect(hidden).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    const failing = commands.run(command({ idempotencyKey: 'k2' }), async () => {
      throw new MuonError('QUOTA_EXCEEDED', 'full');
    });
    await expect(failing).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' });
    expect(await audited(access)).toEqual([['createShelf', 'REFUSED', 'QUOTA_EXCEEDED', null]]);
    expect((await commands.run(command({ idempotencyKey: 'k2' }), create)).replayed).toBe(false);
  });

  it('tells owners of refusals by whoever may see their scope, and not by those who have only named it', async () => {
    const aimed = { tenantId: 'ten_a', projectId: 'prj_a' };
    const owner = accessWith([{ role: 'OWNER', ...aimed }]);
    const refuse = async (): Promise<ChangeSet> => {
      throw new MuonError('CONFLICT', 'no');
    };
    const audited = async (): Promise<(string | null)[]> => {
      const page = await auditEntries.page(room.database, auditParameters(owner.filter('audit entry'), {}), 'NEWEST', {});
      return page.rows.map((row) => row.principal_id);
    };
    for (const [id, tenantId] of [['pri_00000000000000000000000008', 'ten_a'], ['pri_00000000000000000000000009', 'ten_b']] as const) {
      const by = accessWith([{ role: 'VIEWER', tenantId, projectId: null }], id);
      await expect(commands.run(command({ access: by, place: aimed }), refuse)).rejects.toMatchObject({ code: 'CONFLICT' });
    }
    expect(await audited()).toEqual(['pri_00000000000000000000000008']);
  });

  it('plans without writing, and applies the plan exactly once', async () => {
    const before = await shelves();
    const { plan } = await commands.run(command({ dryRun: true }), create);
    expect(await shelves()).toBe(before);
    expect(plan?.snapshot).toMatch(/^\d+:\d+:/);
    const id = String(plan?.id);
    const applied = await commands.applyPlan(access, id);
    expect(applied.result).toEqual(plan?.changes.result);
    expect(await shelves()).toBe(before + 1);
    await expect(commands.applyPlan(access, id)).rejects.toMatchObject({ code: 'PLAN_STALE', data: { fact: 'plan' } });
  });

  it('refuses a plan when a fact that it rests on has changed, a foreign one, and one whose right is gone', async () => {
    const { result } = await commands.run(command(), create);
    const id = String(result.id);
    const planned = await commands.run(command({ dryRun: true }), relabel(id));
    await commands.run(command(), relabel(id));
    await expect(commands.applyPlan(access, String(planned.plan?.id))).rejects.toMatchObject({ code: 'PLAN_STALE' });

    const fresh = await commands.run(command({ dryRun: true }), create);
    const stranger = accessWith([], 'pri_00000000000000000000000002');
    await expect(commands.applyPlan(stranger, String(fresh.plan?.id))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const demoted = accessWith([]);
    await expect(commands.applyPlan(demoted, String(fresh.plan?.id))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('shows all problems of a plan and throws the first when applied', async () => {
    const troubled = async (): Promise<ChangeSet> => {
      const changes = await create();
      changes.problems.push(new MuonError('QUOTA_EXCEEDED', 'one').toRecord(), new MuonError('INSUFFICIENT_CAPACITY', 'two').toRecord());
      return changes;
    };
    const { plan } = await commands.run(command({ dryRun: true }), troubled);
    expect(plan?.changes.problems.map((problem) => problem.code)).toEqual(['QUOTA_EXCEEDED', 'INSUFFICIENT_CAPACITY']);
    await expect(commands.run(command(), troubled)).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' });
    await expect(commands.applyPlan(access, String(plan?.id))).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' });
  });

  it('shows in a plan that a name is taken, as applying it would be refused', async () => {
    let crates = 0;
    const crate = (shelf_id: string | null, name: string, ...more: RowChange[]) => async (): Promise<ChangeSet> => {
      crates += 1;
      return addAll(new ChangeSet(), { table: 'crate', insert: { id: `crate-${crates}`, shelf_id, name } }, ...more);
    };
    const problems = async (plan: () => Promise<ChangeSet>): Promise<unknown[]> => {
      const { plan: stored } = await commands.run(command({ dryRun: true }), plan);
      return stored?.changes.problems.map(({ code, field }) => `${code} ${field}`) ?? [];
    };
    const taken = ['ALREADY_EXISTS input.name'];
    for (const shelf of ['s1', null]) {
      expect(await problems(crate(shelf, 'tools'))).toEqual([]);
      await commands.run(command(), crate(shelf, 'tools'));
      expect(await problems(crate(shelf, 'tools'))).toEqual(taken);
      await expect(commands.run(command(), crate(shelf, 'tools'))).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    }
    expect(await problems(crate('s2', 'tools'))).toEqual([]);
    // It goes in the same plan: its name is free.
    const holder = await room.database.first(crateOnShelf);
    expect(await problems(crate('s1', 'tools', { table: 'crate', remove: true, id: holder?.id ?? '', version: 1 }))).toEqual([]);
    // A planner that says it itself is not repeated.
    const itself = async (): Promise<ChangeSet> => {
      const changes = await crate('s1', 'tools')();
      changes.problems.push(new MuonError('ALREADY_EXISTS', 'Taken.', { field: 'input.name' }).toRecord());
      return changes;
    };
    expect(await problems(itself)).toEqual(taken);
    const rename = (name: string) => async (): Promise<ChangeSet> => addAll(new ChangeSet(), { table: 'crate', update: { shelf_id: 's1', name }, id: 'crate-none', version: 1 });
    expect(await problems(rename('tools'))).toEqual(taken);
    expect(await problems(rename('nails'))).toEqual([]);
  });

  it('plans again after a lost race, a bounded number of times', async () => {
    let attempts = 0;
    const unlucky = (losses: number) => async (): Promise<ChangeSet> => {
      attempts += 1;
      if (attempts <= losses) throw new LostRace('host', 'taken');
      return create();
    };
    await commands.run(command(), unlucky(6));
    expect(attempts).toBe(7);
    attempts = 0;
    await expect(commands.run(command(), unlucky(1000))).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(attempts).toBe(20);
  });

  it('keeps each right that a socket’s access was asked for once, however often', () => {
    const lasting = systemAccess();
    for (let number = 0; number < 1000; number += 1) lasting.require('READ', 'disk', { tenantId: 'ten_a', projectId: null }, `shelf-${number}`);
    lasting.requireSystem('MODIFY', 'disk');
    expect(lasting.requirements).toEqual([
      { action: 'READ', kind: 'disk', tenantId: 'ten_a', projectId: null },
      { action: 'MODIFY', kind: 'disk', tenantId: null, projectId: null },
    ]);
  });
});
