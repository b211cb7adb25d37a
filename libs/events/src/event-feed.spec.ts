import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { statement } from '#database';
import { EventFeed, eventsRoom, type FeedEvent } from '#events';
import { roomDatabase, type RoomDatabase } from '#testing';

const insertThing = statement<never, [id: string, tenant: string]>(
  'spec.insert_thing',
  'INSERT INTO thing (id, tenant_id) VALUES ($1, $2)',
);
const age = statement('spec.age_events', `UPDATE event SET at = now() - interval '30 days'`);

describe('the event feed', () => {
  let room: RoomDatabase;
  let feed: EventFeed;

  beforeAll(async () => {
    room = await roomDatabase([eventsRoom], async (database) => {
      await database.dataSource.query(
        'CREATE TABLE thing (id text PRIMARY KEY, tenant_id text, project_id text, revision bigint NOT NULL DEFAULT 1, updated_at timestamptz)',
      );
      await database.dataSource.query(
        'CREATE TRIGGER thing_touch BEFORE UPDATE ON thing FOR EACH ROW EXECUTE FUNCTION muon_touch_row()',
      );
      await database.dataSource.query(
        `CREATE TRIGGER thing_watch AFTER INSERT OR UPDATE OR DELETE ON thing FOR EACH ROW EXECUTE FUNCTION muon_watch('thg')`,
      );
    });
    feed = new EventFeed(room.database, room.log, { pollEveryMs: 10, watcherLimit: 20, batchSize: 5 });
    await feed.initialise();
  });
  afterAll(async () => {
    await feed.close();
    await room.close();
  });

  // Each test has a tenant of its own: a cursor taken while other databases of the server are busy may lie a little
  // earlier, and then shows again what was there.
  const insert = (id: string, tenant: string): Promise<unknown> =>
    room.database.transaction((transaction) => transaction.execute(insertThing, id, tenant));

  async function take(from: string | undefined, count: number, tenant: string): Promise<FeedEvent[]> {
    const stop = new AbortController();
    const taken: FeedEvent[] = [];
    for await (const event of feed.watch((each) => each.tenant_id === tenant, from, stop.signal)) {
      taken.push(event);
      // What was read together with the last one would still be told.
      if (taken.length === count) break;
    }
    stop.abort();
    return taken;
  }

  it('tells of creation, change and deletion with rising revisions', async () => {
    const from = await feed.head(room.database);
    await insert('one', 'changes');
    await room.database.dataSource.query(`UPDATE thing SET tenant_id = 'changes' WHERE id = 'one'`);
    await room.database.dataSource.query(`DELETE FROM thing WHERE id = 'one'`);
    const events = await take(from, 3, 'changes');
    expect(events.map((event) => [event.kind, event.resource_id, event.change, event.revision])).toEqual([
      ['thg', 'one', 'CREATED', 1],
      ['thg', 'one', 'UPDATED', 2],
      ['thg', 'one', 'DELETED', 3],
    ]);
  });

  it('shows a slow transaction that commits after a faster later one to a subscriber who resumes', async () => {
    const from = await feed.head(room.database);
    const slowWrote = Promise.withResolvers<void>();
    const slowMayEnd = Promise.withResolvers<void>();
    const slow = room.database.transaction(async (transaction) => {
      await transaction.execute(insertThing, 'slow', 'order');
      slowWrote.resolve();
      await slowMayEnd.promise;
    });
    await slowWrote.promise;
    await insert('fast', 'order');
    const watching = take(from, 2, 'order');
    // A third, later one would be delivered in between if the log did not wait for the slow transaction.
    await insert('later', 'order');
    slowMayEnd.resolve();
    await slow;
    const first = await watching;
    expect(first.map((event) => event.resource_id)).toEqual(['slow', 'fast']);
    const resumed = await take(first[0]?.cursor, 2, 'order');
    expect(resumed.map((event) => event.resource_id)).toEqual(['fast', 'later']);
  });

  it('gives a watcher only what matches, across batches, without a gap between past and present', async () => {
    const from = await feed.head(room.database);
    for (let number = 0; number < 12; number += 1) await insert(`past-${number}`, number % 2 === 0 ? 'b' : 'c');
    const watching = take(from, 8, 'b');
    for (let number = 12; number < 16; number += 1) await insert(`now-${number}`, number % 2 === 0 ? 'b' : 'c');
    const ids = (await watching).map((event) => event.resource_id);
    expect(ids).toEqual(['past-0', 'past-2', 'past-4', 'past-6', 'past-8', 'past-10', 'now-12', 'now-14']);
  });

  it('ends a watcher that does not read, and not its neighbour', async () => {
    const stop = new AbortController();
    const idle = feed.watch((event) => event.tenant_id === 'd', undefined, stop.signal);
    const started = idle.next();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await insert('d-0', 'd');
    await started;
    const neighbour = take(await feed.head(room.database), 30, 'd');
    for (let number = 1; number <= 30; number += 1) await insert(`d-${number}`, 'd');
    expect(await neighbour).toHaveLength(30);
    await expect(idle.next()).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  });

  it('refuses cursors of another epoch, of no log, ahead of it, and behind the retention', async () => {
    const old = await feed.head(room.database);
    await expect(take('nonsense', 1, 'old')).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    const foreign = Buffer.from('0123456789ab.1.1').toString('base64url');
    await expect(take(foreign, 1, 'old')).rejects.toMatchObject({ code: 'CURSOR_EXPIRED' });
    const [epoch, transaction] = Buffer.from(old, 'base64url').toString().split('.');
    const ahead = Buffer.from(`${epoch}.${Number(transaction) + 1_000_000}.1`).toString('base64url');
    await expect(take(ahead, 1, 'old')).rejects.toMatchObject({ code: 'CURSOR_EXPIRED' });
    await insert('aged', 'old');
    await room.database.transaction((transaction) => transaction.execute(age));
    while ((await feed.prune(10)) > 0);
    await expect(take(old, 1, 'old')).rejects.toMatchObject({ code: 'CURSOR_EXPIRED' });
  });

  it.each([
    ['finds by itself', `UPDATE event_log SET system_identifier = split_part(system_identifier, '/', 1) || '/00000007'`, () => feed.initialise()],
    ['is told of', 'SELECT', () => feed.beginEpoch()],
  ])('begins a new epoch after a restore that it %s, and tells no event of the old one', async (title, restore, begin) => {
    const { dataSource } = room.database;
    const old = await feed.head(room.database);
    await insert(`${title}, before`, 'restored');
    await dataSource.query(restore);
    // In the cluster that was restored into, ids of transactions have not come so far yet.
    await dataSource.query(`UPDATE event SET transaction_id = (pg_current_xact_id()::text)::bigint + 2 WHERE tenant_id = 'restored'`);
    await begin();
    await expect(take(old, 1, 'restored')).rejects.toMatchObject({ code: 'CURSOR_EXPIRED' });
    const from = await feed.head(room.database);
    for (const number of [1, 2, 3, 4]) await insert(`${title}, ${number}`, 'restored');
    const told = (await take(from, 4, 'restored')).map((event) => event.resource_id);
    expect(told).toEqual([1, 2, 3, 4].map((number) => `${title}, ${number}`));
    await feed.initialise();
    expect(await take(from, 4, 'restored')).toHaveLength(4);
  });

  it('tells those who watch of a new epoch, and serves whoever comes right afterwards', async () => {
    const stop = new AbortController();
    const open = feed.watch((event) => event.tenant_id === 'renewed', await feed.head(room.database), stop.signal);
    const first = open.next();
    await insert('renewed-1', 'renewed');
    await first;
    await feed.beginEpoch();
    await expect(open.next()).rejects.toMatchObject({ code: 'CURSOR_EXPIRED' });
    const again = take(await feed.head(room.database), 1, 'renewed');
    // Delivered by the tailer and not by the newcomer's own reading, which has ended by now.
    await new Promise((resolve) => setTimeout(resolve, 200));
    await insert('renewed-2', 'renewed');
    expect((await again).map((event) => event.resource_id)).toEqual(['renewed-2']);
  });

  it('serves whoever comes in a new epoch before the tailer has noticed it, and leaves nothing out', async () => {
    const stop = new AbortController();
    const open = feed.watch((event) => event.tenant_id === 'early', await feed.head(room.database), stop.signal);
    const first = open.next();
    await insert('early-1', 'early');
    await first;
    await feed.beginEpoch();
    const again = take(await feed.head(room.database), 2, 'early');
    await insert('early-2', 'early');
    await expect(open.next()).rejects.toMatchObject({ code: 'CURSOR_EXPIRED' });
    await insert('early-3', 'early');
    expect((await again).map((event) => event.resource_id)).toEqual(['early-2', 'early-3']);
  });
});
