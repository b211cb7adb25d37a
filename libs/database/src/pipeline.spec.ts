import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { testDatabase, type TestDatabase } from '#testing';
import { Pipeline, type Answer } from './pipeline.js';

describe('statements over one connection', () => {
  let database: TestDatabase;
  let client: pg.Client;
  let pipeline: Pipeline;
  /** How often the server was done with all that it had been sent: round trips. */
  let trips = 0;

  beforeAll(async () => {
    database = await testDatabase();
  });
  afterAll(() => database.drop());
  beforeEach(async () => {
    client = new pg.Client({ connectionString: database.url });
    client.on('error', () => undefined);
    await client.connect();
    await client.query('DROP TABLE IF EXISTS note; CREATE TABLE note (id int PRIMARY KEY, at bigint)');
    pipeline = new Pipeline(client);
    trips = 0;
    (client as unknown as { connection: pg.Connection }).connection.on('readyForQuery', () => (trips += 1));
  });
  afterEach(() => client.end());

  const insert = (id: number): Promise<Answer> =>
    pipeline.send({ name: 'insert', text: 'INSERT INTO note (id, at) VALUES ($1::int, 7) RETURNING at', values: [id] });
  const ids = async (): Promise<unknown[]> =>
    (await pipeline.send({ name: 'ids', text: 'SELECT id FROM note ORDER BY id', values: [] })).rows.map((row) => row.id);

  it('go out together when nobody waits in between, and are answered each by its own', async () => {
    const answers = await Promise.all([insert(1), pipeline.send({ text: 'UPDATE note SET at = 8', values: [] }), ids(), insert(2)]);
    expect(trips).toBe(1);
    expect((answers[0] as Answer).rows).toEqual([{ at: 7 }]);
    expect(answers[1]).toMatchObject({ rowCount: 1, command: 'UPDATE' });
    expect(answers[2]).toEqual([1]);
    expect((answers[3] as Answer).rowCount).toBe(1);
  });

  it('of several who wait go out together, too', async () => {
    const work = async (first: number): Promise<void> => {
      await insert(first);
      await insert(first + 1);
      await insert(first + 2);
    };
    await Promise.all([work(10), work(20), work(30)]);
    expect(trips).toBe(3);
    expect(await ids()).toEqual([10, 11, 12, 20, 21, 22, 30, 31, 32]);
  });

  it('keep their order around texts of several commands', async () => {
    const answers = await Promise.all([insert(1), pipeline.sendAlone('DELETE FROM note; INSERT INTO note VALUES (5)'), ids(), insert(6)]);
    expect(answers[2]).toEqual([5]);
    expect(await ids()).toEqual([5, 6]);
  });

  it('fail with the first of them that fails, and what is sent later does not', async () => {
    await insert(1);
    const other = { name: 'other', text: 'SELECT $1::int AS number', values: [1] };
    const outcomes = await Promise.allSettled([insert(2), insert(1), pipeline.send(other), ids()]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'rejected', 'rejected']);
    for (const outcome of outcomes.slice(1)) expect(outcome).toMatchObject({ reason: { code: '23505' } });
    // Without a transaction around them they are one: PostgreSQL takes back what had succeeded.
    expect(await ids()).toEqual([1]);
    // Skipped, and so not prepared before.
    expect((await pipeline.send(other)).rows).toEqual([{ number: 1 }]);
    expect((await Promise.all([pipeline.send(other), pipeline.send(other)])).map((answer) => answer.rows.length)).toEqual([1, 1]);
  });

  it('can be prepared under one name twice in one write', async () => {
    const select = (number: number): Promise<Answer> => pipeline.send({ name: 'twice', text: 'SELECT $1::int AS number', values: [number] });
    const answers = await Promise.all([select(1), select(2), select(3)]);
    expect(answers.map((answer) => answer.rows[0]?.number)).toEqual([1, 2, 3]);
    expect(trips).toBe(1);
  });

  it('fail when the connection is lost, those that wait included', async () => {
    const lost = pipeline.send({ text: 'SELECT pg_terminate_backend(pg_backend_pid())', values: [] });
    const outcomes = await Promise.allSettled([lost, insert(1), insert(2)]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['rejected', 'rejected', 'rejected']);
    await expect(insert(3)).rejects.toThrow(/terminated|not queryable/);
  });

  it('that were not sent can be taken back', async () => {
    const first = insert(1);
    const second = insert(2);
    pipeline.discard(new Error('no longer'));
    await expect(first).rejects.toThrow('no longer');
    await expect(second).rejects.toThrow('no longer');
    expect(await ids()).toEqual([]);
  });
});
