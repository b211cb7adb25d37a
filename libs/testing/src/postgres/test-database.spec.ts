import pg from 'pg';
import { expect, test } from 'vitest';
import { templateDatabase, testDatabase } from './test-database.js';

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

test('each test database is empty, its own, and gone after drop', async () => {
  const one = await testDatabase();
  const other = await testDatabase();
  await query(one.url, 'CREATE TABLE mine (id int)');
  await expect(query(other.url, 'SELECT * FROM mine')).rejects.toThrow('does not exist');
  await one.drop();
  await expect(query(one.url, 'SELECT 1')).rejects.toThrow(`database "${one.name}" does not exist`);
  await other.drop();
});

test('a template is prepared once, though many ask at the same time, and is cloned', async () => {
  let prepared = 0;
  const ask = async (): Promise<string> =>
    templateDatabase(`once_${process.pid}`, async (url) => {
      prepared += 1;
      await query(url, 'CREATE TABLE zone AS SELECT 7 AS number');
    });
  const names = await Promise.all([ask(), ask(), ask()]);
  expect(prepared).toBe(1);
  expect(new Set(names).size).toBe(1);
  const clones = await Promise.all([1, 2].map(async () => testDatabase({ template: names[0]! })));
  for (const clone of clones) expect(await query(clone.url, 'SELECT number FROM zone')).toEqual([{ number: 7 }]);
  await Promise.all(clones.map(async (clone) => clone.drop()));
});

test('a template whose preparation failed is prepared again by the next one', async () => {
  const name = `again_${process.pid}`;
  const failing = templateDatabase(name, async (url) => {
    await query(url, 'CREATE TABLE half (id int)');
    throw new Error('migration 3 is wrong');
  });
  await expect(failing).rejects.toThrow('migration 3 is wrong');
  const template = await templateDatabase(name, async (url) => {
    await query(url, 'CREATE TABLE half (id int)');
  });
  const clone = await testDatabase({ template });
  expect(await query(clone.url, 'SELECT count(*)::int AS rows FROM half')).toEqual([{ rows: 0 }]);
  await clone.drop();
});
