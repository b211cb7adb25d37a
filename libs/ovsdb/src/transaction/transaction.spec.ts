import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { InvalidArgumentError, OvsdbClient, RefusedError, Transaction, type Outcome, type Where } from '../index.js';
import { ovsdbIsMissing, startServer, type Play, type TestServer } from '../testing/ovsdb-server.js';

describe.skipIf(ovsdbIsMissing)('transactions on a real server', () => {
  let server: TestServer;
  let client: OvsdbClient<Play>;

  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.remove());
  beforeEach(async () => {
    client = new OvsdbClient<Play>({ database: 'Play', endpoints: [server.unix] });
    await transact((transaction) => transaction.delete('Thing', []));
  });
  afterEach(() => client.close());

  const transact = (build: (transaction: Transaction<Play>) => unknown): Promise<Outcome> => {
    const transaction = new Transaction<Play>();
    build(transaction);
    return client.transact(transaction);
  };
  const refusal = async (build: (transaction: Transaction<Play>) => unknown): Promise<RefusedError> => {
    const error = await transact(build).then(() => undefined, (reason: unknown) => reason);
    expect(error).toBeInstanceOf(RefusedError);
    return error as RefusedError;
  };
  const things = async (where: Where<Play['Thing']> = []) => {
    const transaction = new Transaction<Play>();
    const select = transaction.select('Thing', where);
    return (await client.transact(transaction)).of(select);
  };

  it('insert every kind of value, and select them as they were', async () => {
    const values = {
      name: 'whole €𝄞"\\',
      size: 9_007_199_254_740_993n,
      weight: -1.25,
      live: true,
      note: 'x',
      tags: new Set(['a', 'b']),
      counts: new Map([['one', 1], ['two', 2]]),
    };
    const outcome = await transact((transaction) => {
      const part = transaction.insert('Part', { label: 'p' });
      transaction.insert('Thing', { ...values, parts: [part] });
    });
    expect(outcome).toBeDefined();
    const [row] = await things();
    expect(row).toMatchObject(values);
    expect([...(row?.parts ?? [])]).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/)]);
  });

  it('give the UUIDs of what they insert, also a chosen one, and defaults for what is left out', async () => {
    const chosen = 'b1c4a5f0-9f57-4c5b-8d6e-1f2a3b4c5d6e';
    const transaction = new Transaction<Play>();
    const first = transaction.insert('Thing', { name: 'first' }, chosen);
    const second = transaction.insert('Thing', { name: 'second', friend: first });
    const outcome = await client.transact(transaction);
    expect(outcome.of(first)).toBe(chosen);
    const rows = new Map((await things()).map((row) => [row.name, row]));
    expect(rows.get('first')).toEqual({
      _uuid: chosen, name: 'first', size: 0, weight: 0, live: false, note: null, tags: new Set(), counts: new Map(), parts: new Set(), friend: null,
    });
    expect(rows.get('second')).toMatchObject({ _uuid: outcome.of(second), friend: chosen });
  });

  it('select some columns of the rows that meet all conditions', async () => {
    await transact((transaction) => {
      for (let size = 0; size < 5; size += 1) transaction.insert('Thing', { name: `t${size}`, size, tags: size > 2 ? ['big', 'odd'] : [], counts: { n: size } });
    });
    const transaction = new Transaction<Play>();
    const names = (where: Parameters<typeof transaction.select<'Thing', 'name'>>[1]) => transaction.select('Thing', where, ['name']);
    const selects = [
      names([['size', '>=', 1], ['size', '<', 3]]),
      names([['tags', 'includes', 'big']]),
      names([['tags', 'excludes', ['big']], ['size', '!=', 0]]),
      names([['counts', '==', { n: 4 }]]),
      names([['counts', 'includes', { n: 3 }], ['tags', '==', ['odd', 'big']]]),
      names([false]),
    ];
    const outcome = await client.transact(transaction);
    expect(selects.map((select) => outcome.of(select).map(({ name }) => name).toSorted())).toEqual([
      ['t1', 't2'], ['t3', 't4'], ['t1', 't2'], ['t4'], ['t3'], [],
    ]);
    expect(Object.keys(outcome.of(selects[1] as ReturnType<typeof names>)[0] ?? {}).toSorted()).toEqual(['_uuid', 'name']);
  });

  it('update, mutate and delete, and say how many rows they met', async () => {
    await transact((transaction) => {
      transaction.insert('Thing', { name: 'a', size: 10, note: 'x', tags: ['one', 'two'], counts: { a: 1, b: 2, c: 3, d: 4 } });
      transaction.insert('Thing', { name: 'b', size: 1 });
    });
    const transaction = new Transaction<Play>();
    const updated = transaction.update('Thing', [['name', '==', 'a']], { note: null, live: true });
    const mutated = transaction.mutate('Thing', [['name', '==', 'a']], [
      ['size', '+=', 5],
      ['size', '*=', 2],
      ['size', '%=', 7],
      ['tags', 'insert', ['three', 'two']],
      ['tags', 'delete', 'one'],
      ['counts', 'insert', { a: 9, e: 5 }],
      ['counts', 'delete', new Set(['b'])],
      ['counts', 'delete', { c: 3, d: 0 }],
    ]);
    const deleted = transaction.delete('Thing', [['size', '<', 2]]);
    const outcome = await client.transact(transaction);
    expect([outcome.of(updated), outcome.of(mutated), outcome.of(deleted)]).toEqual([1, 1, 1]);
    expect(await things()).toEqual([
      expect.objectContaining({
        name: 'a',
        size: 2,
        note: null,
        live: true,
        tags: new Set(['two', 'three']),
        // A key that was there keeps its value, and a pair goes only with its value.
        counts: new Map([['a', 1], ['d', 4], ['e', 5]]),
      }),
    ]);
  });

  it('have a result for each operation, and only for their own', async () => {
    const transaction = new Transaction<Play>();
    const comment = transaction.comment('who and why');
    const commit = transaction.commit(true);
    const outcome = await client.transact(transaction);
    expect([outcome.of(comment), outcome.of(commit)]).toEqual([undefined, undefined]);
    expect(() => outcome.of(new Transaction().comment('another'))).toThrow(InvalidArgumentError);
  });

  describe('that are refused', () => {
    it('name the operation, and nothing of them is done', async () => {
      const build = (transaction: Transaction<Play>): void => {
        transaction.insert('Thing', { name: 'a' });
        transaction.insert('Thing', { name: 'b', friend: null });
        transaction.mutate('Thing', [], [['size', '/=', 0]]);
        transaction.delete('Thing', []);
      };
      expect(await refusal(build)).toMatchObject({
        method: 'transact',
        error: 'domain error',
        details: 'Division by zero.',
        operation: { index: 2, name: 'mutate', table: 'Thing' },
      });
      expect(await things()).toEqual([]);
    });

    it('as a whole name none: the result past those of the operations', async () => {
      await transact((transaction) => transaction.insert('Thing', { name: 'a' }));
      const error = await refusal((transaction) => transaction.insert('Thing', { name: 'a' }));
      expect(error).toMatchObject({ error: 'constraint violation', operation: undefined });
      expect(error.details).toContain('identical values (a) for index on column "name"');
      const orphan = 'b1c4a5f0-9f57-4c5b-8d6e-1f2a3b4c5d6f';
      expect(await refusal((transaction) => transaction.insert('Thing', { name: 'b', parts: [orphan] }))).toMatchObject({
        error: 'referential integrity violation',
        operation: undefined,
      });
      expect(await things()).toHaveLength(1);
    });

    it('by their own abort', async () => {
      const error = await refusal((transaction) => {
        transaction.insert('Thing', { name: 'a' });
        transaction.abort();
      });
      expect(error).toMatchObject({ error: 'aborted', operation: { index: 1, name: 'abort', table: undefined } });
      expect(await things()).toEqual([]);
    });

    it('on a client of a database that is not there', async () => {
      await using stranger = new OvsdbClient({ database: 'Nowhere', endpoints: [server.unix], timeoutMs: 20 });
      await once(stranger, 'failed');
      await expect(stranger.transact(new Transaction())).rejects.toThrow('the server has no database Nowhere');
    });
  });

  describe('with a wait', () => {
    const swap = (from: number, to: number) => (transaction: Transaction<Play>) => {
      transaction.wait('Thing', [['name', '==', 'a']], '==', [{ size: from }]);
      transaction.update('Thing', [['name', '==', 'a']], { size: to });
    };

    it('compare and set', async () => {
      await transact((transaction) => transaction.insert('Thing', { name: 'a', size: 1 }));
      await transact(swap(1, 2));
      expect(await refusal(swap(1, 3))).toMatchObject({ error: 'timed out', operation: { index: 0, name: 'wait', table: 'Thing' } });
      expect(await things()).toEqual([expect.objectContaining({ size: 2 })]);
    });

    it('let exactly one of many at once through', async () => {
      await transact((transaction) => transaction.insert('Thing', { name: 'a', size: 1 }));
      const outcomes = await Promise.allSettled(Array.from({ length: 20 }, (_, index) => transact(swap(1, 100 + index))));
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    });

    it('are held until it holds', async () => {
      const waiting = transact((transaction) => {
        transaction.wait('Thing', [['name', '==', 'late']], '!=', [], { timeoutMs: 10_000, columns: ['name'] });
        transaction.update('Thing', [['name', '==', 'late']], { live: true });
      });
      await transact((transaction) => transaction.insert('Thing', { name: 'late' }));
      await waiting;
      expect(await things()).toEqual([expect.objectContaining({ name: 'late', live: true })]);
    });

    it('are canceled on the server when nobody waits any more', async () => {
      const abort = new AbortController();
      const transaction = new Transaction<Play>();
      transaction.wait('Thing', [], '!=', [], { timeoutMs: 10_000, columns: ['name'] });
      transaction.insert('Part', { label: 'never' });
      const waiting = client.transact(transaction, { signal: abort.signal });
      await client.databases();
      abort.abort(new Error('changed my mind'));
      await expect(waiting).rejects.toThrow('unknown whether the transaction was committed: changed my mind');
      await transact((another) => another.insert('Thing', { name: 'a' }));
      const look = new Transaction<Play>();
      const parts = look.select('Part', [], ['label']);
      expect((await client.transact(look)).of(parts)).toEqual([]);
    });
  });

  it('that assert a lock need it', async () => {
    const guarded = (transaction: Transaction<Play>): void => {
      transaction.assert('writer');
      transaction.insert('Thing', { name: 'a' });
    };
    expect(await refusal(guarded)).toMatchObject({ error: 'not owner', operation: { index: 0, name: 'assert' } });
    const lock = await client.lock('writer');
    await lock.whenHeld();
    await transact(guarded);
    await lock.release();
    expect(await refusal(guarded)).toMatchObject({ error: 'not owner' });
  });

  const wrong: [path: string, problem: string, build: (transaction: Transaction) => unknown][] = [
    ['operations.0.table', 'the database Play has no table "Nothing"', (transaction) => transaction.insert('Nothing', {})],
    ['operations.1.row.colour', 'the table Thing has no column "colour"', (transaction) => {
      transaction.comment('first');
      transaction.insert('Thing', { colour: 'red' });
    }],
    ['operations.0.row.size', '"1" is not of type integer', (transaction) => transaction.update('Thing', [], { size: '1' })],
    ['operations.0.where.1', '1 is not of type string', (transaction) => transaction.select('Thing', [true, ['name', '==', 1]])],
    ['operations.0.mutations.0', '"x" is not of type integer', (transaction) => transaction.mutate('Thing', [], [['size', '+=', 'x']])],
    ['operations.0.columns.1', 'the table Thing has no column "colour"', (transaction) => transaction.select('Thing', [], ['name', 'colour'])],
    ['operations.0.rows.0.size', 'null is not', (transaction) => transaction.wait('Thing', [], '==', [{ size: [null] as never }])],
    ['operations.0.comment', 'a string may not contain U+0000', (transaction) => transaction.comment('\0')],
  ];
  it.each(wrong)('are not sent with a mistake: %s %s', async (path, problem, build) => {
    const transaction = new Transaction();
    build(transaction);
    const error = await (client as unknown as OvsdbClient).transact(transaction).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect(error).toMatchObject({ path, message: expect.stringContaining(problem) });
  });

  it('with known tables do not even compile with a mistake', () => {
    const transaction = new Transaction<Play>();
    // @ts-expect-error no such table
    transaction.insert('Nothing', {});
    // @ts-expect-error no such column
    transaction.insert('Thing', { colour: 'red' });
    // @ts-expect-error another type
    transaction.update('Thing', [], { size: '1' });
    // @ts-expect-error another type
    transaction.delete('Thing', [['size', '==', 'x']]);
    // @ts-expect-error no such function
    transaction.delete('Thing', [['size', '=', 1]]);
    // @ts-expect-error another type of element
    transaction.mutate('Thing', [], [['tags', 'insert', [1]]]);
    const select = transaction.select('Thing', [], ['name']);
    // @ts-expect-error not selected
    const sizes = (outcome: Outcome) => outcome.of(select).map(({ size }) => size as unknown);
    expect(sizes).toBeTypeOf('function');
  });

  it('do not take a row of another transaction', async () => {
    const stranger = new Transaction<Play>().insert('Thing', { name: 'x' });
    const mistaken = transact((transaction) => transaction.insert('Thing', { name: 'a', friend: stranger }));
    await expect(mistaken).rejects.toThrow('operations.0.row.friend: refers to a row that this transaction does not insert');
  });
});
