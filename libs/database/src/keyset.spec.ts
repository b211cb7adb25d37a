import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keysetList, statement } from '#database';
import { roomDatabase, type RoomDatabase } from '#testing';

const notes = keysetList<{ id: string }, []>('spec.keyset', 'SELECT id, made_at, size FROM keyset_note', 0, {
  NEWEST: { column: 'made_at', direction: 'DESC', type: 'timestamptz' },
  SIZE: { column: 'size', direction: 'ASC', type: 'bigint' },
  ID: { column: 'id', direction: 'ASC', type: 'text' },
});
const others = keysetList<{ id: string }, []>('spec.keyset_others', 'SELECT id FROM keyset_note', 0, {
  ID: { column: 'id', direction: 'ASC', type: 'text' },
});
const echo = statement<{ text: string }, [text: string]>('spec.keyset_echo', 'SELECT $1::text AS text');

describe('a list by keyset', () => {
  let room: RoomDatabase;

  beforeAll(async () => {
    room = await roomDatabase([], async ({ dataSource }) => {
      await dataSource.query('CREATE TABLE keyset_note (id text PRIMARY KEY, made_at timestamptz, size bigint)');
      await dataSource.query(
        `INSERT INTO keyset_note SELECT 'n' || i, '2026-01-01 00:00:00.000001+00'::timestamptz + i * interval '7 minutes', i - 2 FROM generate_series(0, 6) AS i`,
      );
    });
  });
  afterAll(() => room.close());

  it.each(['NEWEST', 'SIZE', 'ID'])('goes through all rows in order %s by its own cursors, there and back', async (order) => {
    const ids: string[] = [];
    let after: string | undefined;
    for (let more = true; more; ) {
      const page = await notes.page(room.database, [], order, { first: 3, ...(after === undefined ? {} : { after }) });
      ids.push(...page.rows.map((row) => row.id));
      after = page.cursors.at(-1);
      more = page.hasNextPage;
    }
    expect(new Set(ids).size).toBe(7);
    const back = await notes.page(room.database, [], order, { last: 6, before: after ?? '' });
    expect(back.rows.map((row) => row.id)).toEqual(ids.slice(0, 6));
  });

  it.each([
    ['NEWEST', 'yesterday'],
    ['NEWEST', '2026-01-01'],
    ['NEWEST', '2026-13-01 00:00:00+00'],
    ['NEWEST', '2026-02-30 00:00:00+00'],
    ['NEWEST', '2026-01-01 24:00:01+00'],
    ['NEWEST', '2026-01-01 00:00:00+99'],
    ['NEWEST', '0000-01-01 00:00:00+00'],
    ['SIZE', '1e3'],
    ['SIZE', '99999999999999999999'],
    ['SIZE', "1'; DROP TABLE keyset_note"],
    ['ID', 'n\u0000'],
  ])('refuses a forged cursor of order %s with the key %j as the caller’s fault', async (order, key) => {
    const after = notes.cursor(order, key, 'n1');
    await expect(notes.page(room.database, [], order, { after })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'after' });
  });

  it.each(['["spec.keyset","ID","n1","n\\u0000"]', '["spec.keyset","ID","n1"]', '["ID","n1","n1"]', '{}', 'null', '', '['])(
    'refuses the cursor made of %j',
    async (text) => {
      const before = Buffer.from(text).toString('base64url');
      await expect(notes.page(room.database, [], 'ID', { last: 1, before })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'before' });
    },
  );

  it('refuses the cursors of another list and of another order', async () => {
    const { cursors } = await others.page(room.database, [], 'ID', { first: 1 });
    const [after = ''] = cursors;
    await expect(notes.page(room.database, [], 'ID', { after })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'after' });
    await expect(notes.page(room.database, [], 'SIZE', { after: notes.cursor('ID', 'n1', 'n1') })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  });

  it('takes a moment of any time zone as PostgreSQL writes it', async () => {
    const after = notes.cursor('NEWEST', '2026-01-01 05:51:00.5+05:30', 'n9');
    expect((await notes.page(room.database, [], 'NEWEST', { after })).rows.map((row) => row.id)).toEqual(['n3', 'n2', 'n1', 'n0']);
  });

  it('and any text that PostgreSQL cannot keep', async () => {
    await expect(room.database.first(echo, 'a\u0000b')).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  });
});
