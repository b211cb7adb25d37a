import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ChangeSet, statement, type Database } from '#database';
import { eventsRoom } from '#events';
import { newTenant, roomDatabase, type RoomDatabase } from '#testing';
import { findScopes, registerScopeSections, SCOPES, scopesRoom, type ScopeLock, type ScopeState, type ScopeStateChange } from '#scopes';

let room: RoomDatabase;
let other: Database;
let tenant: string;
let project: string;

beforeAll(async () => {
  room = await roomDatabase([eventsRoom, scopesRoom]);
  registerScopeSections(room.applier);
  other = await room.another();
});
afterAll(() => room.close());
beforeEach(async () => {
  const made = await newTenant(room.database);
  tenant = made.id;
  project = made.projectIds[0]!;
});

async function apply(database: Database, items: (ScopeLock | ScopeStateChange)[], meanwhile = async (): Promise<void> => undefined): Promise<void> {
  await database.transaction(async (transaction) => {
    await room.applier.apply(transaction, new ChangeSet().add(SCOPES, ...items), { principalId: null, requestId: null });
    await meanwhile();
  });
}

async function change(scopeId: string, state: ScopeState): Promise<ScopeStateChange> {
  const [row] = await room.database.rows(findScopes, [scopeId]);
  return { scopeId, state, version: row!.version };
}

test('an active scope can be used; one that is suspended or going, or below such a one, cannot', async () => {
  await apply(room.database, [{ scopeId: project, need: 'ACTIVE' }]);
  await apply(room.database, [await change(tenant, 'SUSPENDED')]);
  await expect(apply(room.database, [{ scopeId: project, need: 'ACTIVE' }])).rejects.toMatchObject({
    code: 'INVALID_STATE',
    fault: 'OPERATOR',
    data: { scopeId: tenant, state: 'SUSPENDED' },
  });
  await apply(room.database, [{ scopeId: project, need: 'EXISTING' }]);
  await apply(room.database, [await change(tenant, 'ACTIVE')]);
  await apply(room.database, [await change(project, 'DELETING')]);
  await expect(apply(room.database, [{ scopeId: project, need: 'ACTIVE' }])).rejects.toMatchObject({ data: { scopeId: project, state: 'DELETING' } });
  await apply(room.database, [{ scopeId: tenant, need: 'ACTIVE' }]);
});

test('a state changes from the version that the plan has seen, or not at all', async () => {
  const stale = await change(tenant, 'SUSPENDED');
  await apply(room.database, [await change(tenant, 'DELETING')]);
  await expect(apply(room.database, [stale])).rejects.toMatchObject({ code: 'CONFLICT' });
  await expect(apply(room.database, [{ scopeId: 'prj_00000000000000000000000000', need: 'EXISTING' }])).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

const waiting = statement<{ count: number }>(
  'spec.scope_waiting',
  `SELECT count(*) AS count FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
);
const untilOneWaits = async (): Promise<void> => {
  await expect.poll(async () => (await other.first(waiting))?.count, { interval: 10 }).toBe(1);
};

/** A transaction that has applied its items and commits when told to. */
function started(database: Database, items: (ScopeLock | ScopeStateChange)[]): { applied: Promise<void>; commit: () => Promise<void> } {
  const [applied, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const work = apply(database, items, async () => {
    applied.resolve();
    await release.promise;
  });
  work.catch(applied.reject);
  return {
    applied: applied.promise,
    async commit() {
      release.resolve();
      await work;
    },
  };
}

test('a create that began first is waited for by the scope’s end; one that comes later waits and is refused', async () => {
  const early = started(room.database, [{ scopeId: project, need: 'ACTIVE' }]);
  await early.applied;
  const end = started(other, [await change(tenant, 'DELETING')]);
  await untilOneWaits();
  await early.commit();
  await end.applied;
  const late = started(room.database, [{ scopeId: project, need: 'ACTIVE' }]);
  late.applied.catch(() => undefined);
  await untilOneWaits();
  await end.commit();
  await expect(late.applied).rejects.toMatchObject({ code: 'INVALID_STATE', data: { scopeId: tenant, state: 'DELETING' } });
});
