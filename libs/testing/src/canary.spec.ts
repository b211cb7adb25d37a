import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { findCanary, type CanaryPlace } from './canary.js';
import { testDatabase, type TestDatabase } from './postgres/test-database.js';

const canary = `Canary "${randomBytes(9).toString('hex')}" ünd+/\\?`;
let home: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  home = await testDatabase();
  client = new pg.Client({ connectionString: home.url });
  await client.connect();
});
afterEach(async () => client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS bullmq CASCADE'));
afterAll(async () => {
  await client.end();
  await home.drop();
});

async function find(log = ''): Promise<CanaryPlace[]> {
  return findCanary(canary, { databaseUrls: [home.url], log });
}

async function plant(type: string, value: unknown): Promise<void> {
  await client.query(`CREATE TABLE nest (egg ${type}, number int DEFAULT 1)`);
  await client.query(`INSERT INTO nest (egg) VALUES ($1)`, [value]);
}

const bytes = Buffer.from(canary);
const inside = (offset: number): Buffer => Buffer.concat([Buffer.from('xyz'.slice(0, offset)), bytes, Buffer.from('tail')]);

const plants: [name: string, type: string, value: unknown, form: string][] = [
  ['in a text', 'text', `before ${canary} after`, 'raw'],
  ['in a varchar', 'varchar(200)', canary, 'raw'],
  ['in a list of texts', 'text[]', ['other', `${canary}`], 'json'],
  ['deep in a jsonb', 'jsonb', JSON.stringify({ a: [{ b: canary }] }), 'json'],
  ['as a jsonb key', 'jsonb', JSON.stringify({ [canary]: 1 }), 'json'],
  ['in a json', 'json', JSON.stringify({ a: canary }), 'json'],
  ['in a JSON text inside of a jsonb', 'jsonb', JSON.stringify({ a: JSON.stringify({ b: canary }) }), 'json in json'],
  ['as bytes', 'bytea', bytes, 'raw'],
  ['as a JSON text in bytes', 'bytea', Buffer.from(JSON.stringify({ canary })), 'json'],
  ['in a list of bytes', 'bytea[]', [bytes], 'hex'],
  ['in hexadecimal', 'text', bytes.toString('hex'), 'hex'],
  ['in large hexadecimal', 'text', bytes.toString('hex').toUpperCase(), 'hex'],
  ['in base64 at offset 0', 'text', inside(0).toString('base64'), 'base64'],
  ['in base64 at offset 1', 'text', inside(1).toString('base64'), 'base64'],
  ['in base64 at offset 2', 'text', inside(2).toString('base64'), 'base64'],
  ['in base64url', 'text', inside(2).toString('base64url'), 'base64'],
  ['in base64 of base64', 'text', Buffer.from(`- ${inside(1).toString('base64')}`).toString('base64'), 'base64 of base64'],
  ['in an address', 'text', `https://example.test/?token=${encodeURIComponent(canary)}`, 'url'],
  ['in a form', 'text', new URLSearchParams({ token: canary }).toString(), 'url form'],
];

test.each(plants)('finds it %s', async (_name, type, value, form) => {
  await plant(type, value);
  const places = await find();
  expect(places).toContainEqual({ where: 'public.nest.egg', form, count: 1, examples: ['(0,1)'] });
  expect(new Set(places.map((place) => place.where))).toEqual(new Set(['public.nest.egg']));
  expect(JSON.stringify(places)).not.toContain(canary.slice(8, 26));
});

test('finds it in every schema, partition and materialised view, and under odd names', async () => {
  await client.query(`
    CREATE SCHEMA bullmq;
    CREATE TABLE bullmq.job (id int, data jsonb);
    CREATE TABLE public.history (at int, "Odd ""column'" text) PARTITION BY RANGE (at);
    CREATE TABLE public.history_one PARTITION OF public.history FOR VALUES FROM (0) TO (10);
    CREATE TABLE public.empty (id int);
    CREATE TABLE public.none ();
  `);
  await client.query('INSERT INTO bullmq.job SELECT n, $1 FROM generate_series(1, 7) AS n', [JSON.stringify({ canary })]);
  await client.query('INSERT INTO history VALUES (1, $1)', [canary]);
  await client.query('CREATE MATERIALIZED VIEW job_view AS SELECT data FROM bullmq.job LIMIT 1');
  const places = await find();
  expect(places.find((place) => place.where === 'bullmq.job.data')).toEqual({
    where: 'bullmq.job.data',
    form: 'json',
    count: 7,
    examples: ['(0,1)', '(0,2)', '(0,3)', '(0,4)', '(0,5)'],
  });
  expect(places.map((place) => place.where)).toContain(`public.history_one.Odd "column'`);
  expect(places.map((place) => place.where)).toContain('public.job_view.data');
});

test('finds it in a long value that is stored out of line, and past nulls', async () => {
  await plant('text', `${randomBytes(200_000).toString('hex')}${canary}`);
  await client.query('INSERT INTO nest (egg) VALUES (NULL)');
  expect(await find()).toEqual([{ where: 'public.nest.egg', form: 'raw', count: 1, examples: ['(0,1)'] }]);
});

test('finds it in the log, by line', async () => {
  const log = ['{"level":"info"}', JSON.stringify({ msg: canary }), `x ${bytes.toString('base64')}`].join('\n');
  expect(await find(log)).toEqual([
    { where: 'log', form: 'json', count: 1, examples: ['2'] },
    { where: 'log', form: 'base64', count: 1, examples: ['3'] },
  ]);
});

test('finds nothing where nothing is', async () => {
  await plant('jsonb', JSON.stringify({ canary: randomBytes(40).toString('base64'), text: 'Canary' }));
  expect(await find('{"msg":"Canary"}')).toEqual([]);
});

test('refuses a canary that chance could find', async () => {
  await expect(findCanary('short', { databaseUrls: [], log: '' })).rejects.toThrow(/at least 16/);
});
