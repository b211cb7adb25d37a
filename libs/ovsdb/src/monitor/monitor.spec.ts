import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ClosedError, InvalidArgumentError, OvsdbClient, RefusedError, TimeoutError, Transaction, type Change, type Monitor } from '../index.js';
import { ovsdbIsMissing, startServer, type Play, type TestServer } from '../testing/ovsdb-server.js';
import { Proxy } from '../testing/proxy.js';

const changeOf = ({ kind, row }: Change<Play>): string => `${kind} ${'name' in row ? row.name : row.label}`;

describe.skipIf(ovsdbIsMissing)('monitors on a real server', () => {
  let server: TestServer;
  let proxy: Proxy;
  /** Behind the proxy; `other` is not. */
  let client: OvsdbClient<Play>;
  let other: OvsdbClient<Play>;
  let told: Change<Play>[];
  const onChanges = (changes: readonly Change<Play>[]): void => void told.push(...changes);

  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.remove());
  beforeEach(async () => {
    told = [];
    proxy = await Proxy.to(server.unix);
    client = new OvsdbClient<Play>({ database: 'Play', endpoints: [proxy.endpoint], reconnectMinMs: 10 });
    other = new OvsdbClient<Play>({ database: 'Play', endpoints: [server.unix] });
    await transact((transaction) => {
      transaction.delete('Thing', []);
      for (const size of [1, 2, 3]) transaction.insert('Thing', { name: `t${size}`, size, tags: ['a', 'b'], counts: { n: size, m: 0 } });
    });
  });
  afterEach(async () => {
    await Promise.all([client.close(), other.close()]);
    await proxy.close();
  });

  async function transact(build: (transaction: Transaction<Play>) => unknown, by = other): Promise<void> {
    const transaction = new Transaction<Play>();
    build(transaction);
    await by.transact(transaction);
  }
  const names = (monitor: Monitor<Play>): string[] => [...monitor.rows('Thing').values()].map(({ name }) => name).toSorted();
  const shows = (monitor: Monitor<Play>, ...expected: string[]): Promise<true> =>
    monitor.until(() => (names(monitor).join() === expected.join() ? true : undefined));

  it('have the rows that are there, with the columns that were asked for', async () => {
    const monitor = await client.monitor({ Thing: { columns: ['name', 'tags'], where: [['size', '>', 2]] }, Part: {} }, { onChanges });
    const [[uuid, row] = []] = [...monitor.rows('Thing')];
    expect(row).toEqual({ _uuid: uuid, name: 't3', tags: new Set(['a', 'b']) });
    expect(monitor.rows('Part').size).toBe(0);
    expect(told).toEqual([{ kind: 'insert', table: 'Thing', row }]);
    expect(monitor.isCurrent).toBe(true);
  });

  it('answer selects as the server does, also after changes, and refuse to change anything', async () => {
    const monitor = await client.monitor({ Thing: {} });
    const both = async (build: (reading: Transaction<Play>) => ReturnType<Transaction<Play>['select']>): Promise<string[][]> => {
      const reading = new Transaction<Play>();
      const select = build(reading);
      const answers = [await other.transact(reading), monitor.answer(reading)];
      return answers.map((answer) => answer.of(select).map((row) => (row as unknown as Play['Thing']).name).toSorted());
    };
    const selects: [build: Parameters<typeof both>[0], expected: string[]][] = [
      [(reading) => reading.select('Thing', []), ['t1', 't2', 't3', 't4']],
      [(reading) => reading.select('Thing', [['name', '==', 't2']]), ['t2']],
      [(reading) => reading.select('Thing', [['tags', 'includes', ['a', 'c']]]), ['t4']],
      [(reading) => reading.select('Thing', [['tags', 'includes', 'b'], ['counts', 'includes', { n: 2, m: 0 }]]), ['t2']],
      [(reading) => reading.select('Thing', [['counts', 'includes', { n: 9 }]]), []],
      [(reading) => reading.select('Thing', [['_uuid', '==', [...monitor.rows('Thing').keys()][0] ?? '']]), ['t1']],
    ];
    // What an index knew before.
    expect(await both((reading) => reading.select('Thing', [['tags', 'includes', 'c']]))).toEqual([[], []]);
    await transact((transaction) => transaction.insert('Thing', { name: 't4', size: 4, tags: ['a', 'c'] }));
    await shows(monitor, 't1', 't2', 't3', 't4');
    const [first] = [...monitor.rows('Thing').values()];
    for (const [build, expected] of selects) {
      const wanted = expected.join() === 't1' ? [first?.name ?? ''] : expected;
      expect(await both(build)).toEqual([wanted, wanted]);
    }
    const changing = new Transaction<Play>();
    changing.delete('Thing', []);
    expect(() => monitor.answer(changing)).toThrow(InvalidArgumentError);
    const strange = new Transaction<Play>();
    strange.select('Thing', [['size', '>', 1]]);
    expect(() => monitor.answer(strange)).toThrow(InvalidArgumentError);
  });

  it('answer as the server does while rows come, change and go', async () => {
    const monitor = await client.monitor({ Thing: {} });
    const [first] = [...monitor.rows('Thing').values()].map(({ name }) => name);
    for (let step = 0; step < 60; step += 1) {
      // Of eight names, each is made, changed in one column or another, or removed, in no order that repeats soon.
      const name = `r${(step * 5) % 8}`;
      const [tags, counts] = [['a', 'b', 'c'].slice(step % 4), { n: step % 3, k: step % 2 }];
      await transact((transaction) => {
        if (![...monitor.rows('Thing').values()].some((row) => row.name === name)) transaction.insert('Thing', { name, size: 1, tags, counts });
        else if (step % 7 === 0) transaction.delete('Thing', [['name', '==', name]]);
        else transaction.update('Thing', [['name', '==', name]], step % 2 === 0 ? { tags } : { counts });
      }, client);
      const reading = new Transaction<Play>();
      const selects = [
        reading.select('Thing', [['tags', 'includes', 'b']]),
        reading.select('Thing', [['counts', 'includes', { n: 1 }], ['tags', 'includes', 'c']]),
        reading.select('Thing', [['counts', 'includes', { k: 1, n: 2 }]]),
        reading.select('Thing', [['name', 'includes', first ?? '']]),
      ];
      const [theirs, ours] = [await other.transact(reading), monitor.answer(reading)].map((answer) =>
        selects.map((select) => answer.of(select).map((row) => JSON.stringify([row.name, [...row.tags].toSorted(), [...row.counts]])).toSorted()),
      );
      expect(ours).toEqual(theirs);
    }
  });

  it('tell inserts, modifications with old values, and deletions', async () => {
    const monitor = await client.monitor({ Thing: {}, Part: { columns: ['label'] } });
    monitor.on('changes', onChanges);
    await transact((transaction) => {
      const part = transaction.insert('Part', { label: 'p' });
      transaction.mutate('Thing', [['name', '==', 't1']], [['parts', 'insert', part], ['tags', 'delete', 'a'], ['counts', 'insert', { k: 7 }]]);
      transaction.update('Thing', [['name', '==', 't1']], { note: 'changed' });
      transaction.delete('Thing', [['name', '==', 't2']]);
    });
    await shows(monitor, 't1', 't3');
    const byKind = new Map(told.map((change) => [`${change.table} ${change.kind}`, change]));
    expect([...byKind.keys()].toSorted()).toEqual(['Part insert', 'Thing delete', 'Thing modify']);
    expect(byKind.get('Thing modify')).toMatchObject({
      row: { name: 't1', note: 'changed', tags: new Set(['b']), counts: new Map([['k', 7], ['m', 0], ['n', 1]]) },
      old: { note: null, tags: new Set(['a', 'b']), counts: new Map([['m', 0], ['n', 1]]), parts: new Set() },
    });
    expect(Object.keys((byKind.get('Thing modify') as { old: object }).old)).toHaveLength(4);
    expect(byKind.get('Thing delete')).toMatchObject({ row: { name: 't2', size: 2 } });
  });

  it('show what a transaction of their own client has done before its answer comes', async () => {
    const monitor = await client.monitor({ Thing: { columns: ['name'] } });
    for (let round = 0; round < 20; round += 1) {
      await transact((transaction) => transaction.insert('Thing', { name: `own ${round}` }), client);
      expect(names(monitor)).toContain(`own ${round}`);
    }
  });

  it('tell rows that begin or cease to meet the conditions as inserts and deletions', async () => {
    const monitor = await client.monitor({ Thing: { columns: ['name', 'size'], where: [['size', '>=', 2]] } });
    monitor.on('changes', onChanges);
    await transact((transaction) => {
      transaction.update('Thing', [['name', '==', 't1']], { size: 5 });
      transaction.update('Thing', [['name', '==', 't2']], { size: 0 });
      transaction.update('Thing', [['name', '==', 't3']], { size: 4 });
    });
    await shows(monitor, 't1', 't3');
    expect(told.map(changeOf).toSorted()).toEqual(['delete t2', 'insert t1', 'modify t3']);
  });

  describe('that change their conditions', () => {
    it('have the new rows when the change is answered', async () => {
      const monitor = await client.monitor({ Thing: { columns: ['name'], where: [['size', '==', 1]] } });
      monitor.on('changes', onChanges);
      await monitor.setConditions('Thing', [['size', '>=', 2]]);
      expect(names(monitor)).toEqual(['t2', 't3']);
      expect(told.map(changeOf).toSorted()).toEqual(['delete t1', 'insert t2', 'insert t3']);
      await monitor.setConditions('Thing', []);
      expect(names(monitor)).toEqual(['t1', 't2', 't3']);
      await Promise.all([monitor.setConditions('Thing', [false]), monitor.setConditions('Thing', [['name', '==', 't2']])]);
      expect(names(monitor)).toEqual(['t2']);
    });

    it('keep the old ones when the new ones are refused', async () => {
      const monitor = await client.monitor({ Thing: { columns: ['name'], where: [['size', '==', 1]] } });
      await expect(monitor.setConditions('Thing', [['name', '<', 'x']])).rejects.toThrow(RefusedError);
      await expect(monitor.setConditions('Thing', [['size', '==', 'x' as never]])).rejects.toThrow('Thing.where.0: "x" is not of type integer');
      await expect(monitor.setConditions('Part', [])).rejects.toThrow(InvalidArgumentError);
      expect(names(monitor)).toEqual(['t1']);
      await proxy.interrupt(client);
      await transact((transaction) => transaction.update('Thing', [['name', '==', 't2']], { size: 1 }));
      await shows(monitor, 't1', 't2');
    });

    it('and whose connection is lost before the answer have them on the next', async () => {
      const monitor = await client.monitor({ Thing: { columns: ['name'], where: [['size', '==', 1]] } });
      let cuts = 0;
      proxy.fromServer = ({ result }) => {
        const isAnswer = proxy.methods.at(-1) === 'monitor_cond_change' && JSON.stringify(result) === '{}';
        return isAnswer && (cuts += 1) === 1 ? 'cut' : 'forward';
      };
      monitor.on('changes', onChanges);
      await monitor.setConditions('Thing', [['size', '>=', 2]]);
      expect(cuts).toBe(2);
      expect(names(monitor)).toEqual(['t2', 't3']);
      await proxy.interrupt(client);
      expect(names(monitor)).toEqual(['t2', 't3']);
    });
  });

  describe('over lost connections', () => {
    /** Cuts, and changes the database before the client is back. */
    async function whileAway(change: () => Promise<void>): Promise<void> {
      const disconnected = new Promise((resolve) => client.once('disconnected', resolve));
      const connected = new Promise((resolve) => client.once('connected', resolve));
      proxy.fromClient = () => 'drop';
      proxy.cut();
      await disconnected;
      await change();
      proxy.fromClient = () => 'forward';
      proxy.cut();
      await connected;
    }

    it('tell only what really differs', async () => {
      const monitor = await client.monitor({ Thing: { columns: ['name', 'size', 'tags'] } });
      const before = new Map(monitor.rows('Thing'));
      const order: string[] = [];
      monitor.on('stale', () => order.push(`stale ${monitor.isCurrent}`)).on('changes', onChanges);
      monitor.on('changes', () => order.push('changes')).on('current', ({ resumed }) => order.push(`current ${resumed}`));
      await whileAway(() =>
        transact((transaction) => {
          transaction.delete('Thing', [['name', '==', 't1']]);
          transaction.update('Thing', [['name', '==', 't2']], { size: 20, live: true });
          transaction.insert('Thing', { name: 't4' });
        }),
      );
      expect(order).toEqual(['stale false', 'changes', 'current false']);
      expect(told.map(changeOf).toSorted()).toEqual(['delete t1', 'insert t4', 'modify t2']);
      expect(told.find(({ kind }) => kind === 'modify')).toMatchObject({ old: { size: 2 }, row: { size: 20 } });
      const same = [...before.values()].find(({ name }) => name === 't3');
      expect(monitor.rows('Thing').get(same?._uuid ?? '')).toBe(same);
    });

    it('tell nothing when nothing has changed', async () => {
      const monitor = await client.monitor({ Thing: {} });
      monitor.on('changes', onChanges);
      await whileAway(async () => undefined);
      expect([told, names(monitor), monitor.isCurrent]).toEqual([[], ['t1', 't2', 't3'], true]);
      await transact((transaction) => transaction.delete('Thing', [['name', '==', 't1']]));
      await shows(monitor, 't2', 't3');
    });

    it('let their listeners make calls, which wait for the next', async () => {
      const monitor = await client.monitor({ Thing: { columns: ['name'] } });
      // On this connection the monitor hears of its end before the client does.
      await proxy.interrupt(client);
      const inserted = new Promise<void>((resolve, reject) => {
        monitor.once('stale', () => {
          transact((transaction) => transaction.insert('Thing', { name: 'from a listener' }), client).then(resolve, reject);
        });
      });
      await proxy.interrupt(client);
      await inserted;
      expect(names(monitor)).toContain('from a listener');
    });

    it('are read anew when the server says something that does not fit', async () => {
      const monitor = await client.monitor({ Thing: { columns: ['name'] } });
      proxy.fromServer = (message) => {
        if (message['method'] !== 'update3') return 'forward';
        proxy.fromServer = () => 'forward';
        return 'drop';
      };
      await transact((transaction) => transaction.insert('Thing', { name: 'missed' }));
      monitor.on('changes', onChanges);
      await transact((transaction) => transaction.update('Thing', [['name', '==', 'missed']], { name: 'found' }));
      await shows(monitor, 'found', 't1', 't2', 't3');
      expect(told.map(changeOf)).toEqual(['insert found']);
    });
  });

  it('let a listener that throws disturb nobody else', async () => {
    const failures: unknown[] = [];
    client.on('error', (error) => failures.push(error));
    const monitor = await client.monitor({ Thing: { columns: ['name'] } });
    monitor.on('changes', () => {
      throw new Error('a defect');
    });
    monitor.once('changes', onChanges);
    await transact((transaction) => transaction.delete('Thing', [['name', '==', 't1']]));
    await transact((transaction) => transaction.delete('Thing', [['name', '==', 't2']]));
    await shows(monitor, 't3');
    expect(told.map(changeOf)).toEqual(['delete t1']);
    expect(failures).toEqual([new Error('a defect'), new Error('a defect')]);
    expect(monitor.isCurrent).toBe(true);
  });

  describe('that end', () => {
    it('hear nothing more, and the server forgets them', async () => {
      const monitor = await client.monitor({ Thing: { columns: ['name'] } });
      monitor.on('changes', onChanges);
      await monitor.close();
      await monitor.close();
      expect(proxy.methods.at(-1)).toBe('monitor_cancel');
      await transact((transaction) => transaction.delete('Thing', []), client);
      await proxy.interrupt(client);
      expect([told, names(monitor), monitor.isCurrent]).toEqual([[], ['t1', 't2', 't3'], false]);
      expect(proxy.methods.filter((method) => method === 'monitor_cond_since')).toHaveLength(1);
      await expect(monitor.setConditions('Thing', [])).rejects.toThrow(ClosedError);
    });

    it('while they are caught up stay as they were, and the server forgets them too', async () => {
      const monitor = await client.monitor({ Thing: { columns: ['name'] } });
      const { promise: closing, resolve: close } = Promise.withResolvers<void>();
      proxy.fromClient = ({ method }) => {
        if (method === 'monitor_cond_since') close(monitor.close());
        return 'forward';
      };
      const emptied = once(client, 'disconnected').then(() => transact((transaction) => transaction.delete('Thing', [])));
      await proxy.interrupt(client);
      await Promise.all([closing, emptied]);
      await client.databases();
      expect([names(monitor), monitor.isCurrent]).toEqual([['t1', 't2', 't3'], false]);
      expect(proxy.methods.filter((method) => method === 'monitor_cancel')).toHaveLength(1);
    });

    it('settle who waits for something to be shown', async () => {
      const monitor = await client.monitor({ Thing: { columns: ['name'] } });
      const never = () => undefined;
      await expect(monitor.until(never, { timeoutMs: 10 })).rejects.toThrow(TimeoutError);
      await expect(monitor.until(never, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
      const waiting = monitor.until(never);
      await Promise.all([expect(waiting).rejects.toThrow(ClosedError), client.close()]);
      expect(monitor.listenerCount('changes')).toBe(0);
    });
  });

  it('refuse what the schema or the server does not have', async () => {
    await expect(client.monitor({})).rejects.toThrow('request: at least one table is needed');
    await expect(client.monitor({ Nothing: {} } as never)).rejects.toThrow('the database Play has no table "Nothing"');
    await expect(client.monitor({ Thing: { columns: ['colour' as never] } })).rejects.toThrow('Thing.columns.0: the table Thing has no column "colour"');
    await expect(client.monitor({ Thing: { where: [['name', '<', 'x']] } })).rejects.toThrow(RefusedError);
    const monitor = await client.monitor({ Thing: {} });
    expect(() => monitor.rows('Part')).toThrow('table: "Part" is not monitored');
  });
});
