import { existsSync, readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { schemaDrift, statement } from '#database';
import { roomDatabase, type RoomDatabase } from '#testing';
import { allRooms } from './rooms.js';

interface TableRow {
  name: string;
  triggers: string[];
}

/** Every table that counts its changes, with its triggers as `function(arguments)`. */
const resourceTables = statement<TableRow>(
  'spec.resource_tables',
  `SELECT c.relname AS name,
     coalesce((SELECT array_agg(p.proname || '(' || encode(t.tgargs, 'escape') || ')' ORDER BY p.proname)
       FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid WHERE t.tgrelid = c.oid AND NOT t.tgisinternal), '{}') AS triggers
   FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
   WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attname = 'revision' AND c.relname <> 'event'
   ORDER BY 1`,
);
const idColumns = statement<{ place: string; collation: string }>(
  'spec.id_columns',
  `SELECT c.relname || '.' || a.attname AS place, coalesce(l.collname, '') AS collation
   FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
   WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.atttypid = 'text'::regtype
     AND (a.attname = 'id' OR a.attname IN ('tenant_id', 'project_id'))`,
);

/** A scope changes with its tenant's or project's own row; a token is no node, and its principal is what is watched. */
const TOLD_BY_OTHERS = new Set(['scope', 'api_token']);

describe('all rooms together', () => {
  let room: RoomDatabase;

  beforeAll(async () => {
    room = await roomDatabase(allRooms.filter(({ name }) => name !== 'database'));
  });
  afterAll(() => room.close());

  it('are all that have tables', () => {
    const withTables = readdirSync('libs').filter((name) => existsSync(`libs/${name}/src/migrations`));
    expect(allRooms.map(({ name }) => name).sort()).toEqual(withTables.sort());
  });

  it('have the tables that their entities describe', async () => {
    expect(await schemaDrift(room.database)).toEqual([]);
  });

  it('count and tell every change of what has a revision', async () => {
    const tables = (await room.database.rows(resourceTables)).filter(({ name }) => !TOLD_BY_OTHERS.has(name));
    expect(tables.length).toBeGreaterThan(20);
    const without = (text: RegExp): string[] => tables.filter(({ triggers }) => !triggers.some((each) => text.test(each))).map(({ name }) => name);
    expect(without(/^muon_touch_row\(/)).toEqual([]);
    expect(without(/^muon_watch\(/)).toEqual([]);
  });

  it('compare ids byte by byte, as keysets do', async () => {
    const wrong = (await room.database.rows(idColumns)).filter(({ collation }) => collation !== 'C').map(({ place }) => place);
    expect(wrong).toEqual([]);
  });
});
