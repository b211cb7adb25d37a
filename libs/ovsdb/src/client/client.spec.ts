import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, test } from 'vitest';
import {
  ClosedError,
  InvalidArgumentError,
  LimitError,
  OutcomeUnknownError,
  OvsdbClient,
  RefusedError,
  TimeoutError,
  Transaction,
  UnavailableError,
  type ClientOptions,
} from '../index.js';
import { freePort, ovsdbIsMissing, PLAY_SCHEMA, run, startServer, writeSchema, type Play, type TestServer } from '../testing/ovsdb-server.js';
import { Proxy } from '../testing/proxy.js';

test.each<[string, Partial<ClientOptions>]>([
  ['database', { database: '' }],
  ['endpoints', { endpoints: [] }],
  ['endpoints.0', { endpoints: ['127.0.0.1:6640'] }],
  ['timeoutMs', { timeoutMs: 0 }],
  ['maxInFlight', { maxInFlight: 1.5 }],
  ['maxMessageBytes', { maxMessageBytes: 2 ** 30 }],
])('a wrong %s is refused at once', (path, options) => {
  const make = () => new OvsdbClient({ database: 'Play', endpoints: ['unix:/nowhere'], ...options });
  expect(make).toThrow(InvalidArgumentError);
  expect(make).toThrow(`${path}: `);
});

test('who waits in vain for a connection learns what stands in the way', async () => {
  const port = await freePort();
  await using client = new OvsdbClient({ database: 'Play', endpoints: [`tcp:127.0.0.1:${port}`], reconnectMinMs: 5 });
  const [failed] = (await once(client, 'failed')) as unknown[];
  expect(failed).toMatchObject({ endpoint: `tcp:127.0.0.1:${port}`, error: { code: 'UNAVAILABLE' } });
  await expect(client.ready({ timeoutMs: 20 })).rejects.toThrow(UnavailableError);
  await expect(client.transact(new Transaction(), { timeoutMs: 20 })).rejects.toThrow(`ECONNREFUSED 127.0.0.1:${port}`);
  expect(client.endpoint).toBeUndefined();
  await expect(client.transact(new Transaction(), { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
});

describe.skipIf(ovsdbIsMissing)('a client of a real server', () => {
  let server: TestServer;
  let proxy: Proxy;
  const clients: OvsdbClient<Play>[] = [];

  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.remove());
  beforeEach(async () => {
    proxy = await Proxy.to(server.tcp);
    const all = new Transaction<Play>();
    all.delete('Thing', []);
    await open({ endpoints: [server.unix] }).transact(all);
  });
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
    await proxy.close();
  });

  function open(options: Partial<ClientOptions> = {}): OvsdbClient<Play> {
    const client = new OvsdbClient<Play>({ database: 'Play', endpoints: [proxy.endpoint], reconnectMinMs: 5, ...options });
    clients.push(client);
    return client;
  }
  const inserting = (name: string): Transaction<Play> => {
    const transaction = new Transaction<Play>();
    transaction.insert('Thing', { name });
    return transaction;
  };
  async function names(client = open({ endpoints: [server.unix] })): Promise<string[]> {
    const transaction = new Transaction<Play>();
    const select = transaction.select('Thing', [], ['name']);
    return (await client.transact(transaction)).of(select).map(({ name }) => name).toSorted();
  }
  /** Cuts the connection when the answer to a transaction comes by, so often. */
  function loseAnswers(count: number): void {
    let left = count;
    proxy.fromServer = ({ result }) => (Array.isArray(result) && proxy.methods.at(-1) === 'transact' && (left -= 1) >= 0 ? 'cut' : 'forward');
  }

  it('reads the schema once, and tells the databases', async () => {
    const client = open();
    const schema = await client.schema();
    expect([schema.name, schema.version, [...schema.tables.keys()].toSorted()]).toEqual(['Play', '1.0.0', ['Part', 'Thing']]);
    expect(schema.tables.get('Thing')?.columns.get('counts')).toEqual({ key: 'string', value: 'integer', min: 0, max: Infinity });
    expect(await client.databases()).toEqual(['Play', '_Server']);
    await proxy.interrupt(client);
    expect(await client.databases()).toEqual(['Play', '_Server']);
    expect(await client.schema()).toBe(schema);
  });

  it('takes the next endpoint when one is away, and goes on', async () => {
    const second = await Proxy.to(server.unix);
    const client = open({ endpoints: [proxy.endpoint, second.endpoint, `tcp:127.0.0.1:${await freePort()}`] });
    await client.ready();
    const used = new Set<string>();
    for (let round = 0; round < 4; round += 1) {
      const gone = new Promise((resolve) => client.once('disconnected', resolve));
      for (const one of [proxy, second]) one.cut();
      await gone;
      await client.transact(inserting(`round ${round}`));
      used.add(client.endpoint ?? '');
    }
    expect(used).toEqual(new Set([proxy.endpoint, second.endpoint]));
    await client.close();
    await second.close();
    expect(await names()).toHaveLength(4);
  });

  it('outlives the server', async () => {
    const client = open();
    const monitor = await client.monitor({ Thing: { columns: ['name'] } });
    await client.transact(inserting('before'));
    await Promise.all([once(client, 'disconnected'), server.kill()]);
    const waiting = client.transact(inserting('while away'));
    await server.start();
    await waiting;
    expect([...monitor.rows('Thing').values()].map(({ name }) => name).toSorted()).toEqual(['before', 'while away']);
  });

  describe('whose connection is lost', () => {
    it('does not know what became of a transaction that was sent, and does not send it again', async () => {
      const client = open();
      await client.ready();
      loseAnswers(1);
      const lost = await client.transact(inserting('once')).catch((error: unknown) => error);
      expect(lost).toBeInstanceOf(OutcomeUnknownError);
      expect((lost as OutcomeUnknownError).cause).toBeInstanceOf(UnavailableError);
      expect(await names(client)).toEqual(['once']);
      expect(proxy.methods.filter((method) => method === 'transact')).toHaveLength(2);
    });

    it('says the same when it was lost on the way to the server', async () => {
      const client = open();
      await client.ready();
      proxy.fromClient = ({ method }) => (method === 'transact' ? 'cut' : 'forward');
      await expect(client.transact(inserting('never'))).rejects.toThrow(OutcomeUnknownError);
      expect(await names()).toEqual([]);
    });

    it('asks again for what only reads', async () => {
      const client = open();
      await client.transact(inserting('a'));
      loseAnswers(3);
      expect(await names(client)).toEqual(['a']);
      expect(proxy.connections).toBe(4);
    });
  });

  it.each([0, -1, 1.5, Number.POSITIVE_INFINITY])('refuses a time of %d ms', async (timeoutMs) => {
    await expect(open().transact(inserting('a'), { timeoutMs })).rejects.toThrow(`timeoutMs: ${timeoutMs} is not a whole number`);
  });

  it('gives up a monitor and a lock that take too long, on the server too', async () => {
    const client = open();
    await client.ready();
    proxy.fromServer = () => 'drop';
    await expect(client.monitor({ Thing: {} }, { timeoutMs: 20 })).rejects.toThrow(TimeoutError);
    await expect(client.lock('slow', { timeoutMs: 20 })).rejects.toThrow(TimeoutError);
    proxy.fromServer = () => 'forward';
    await client.databases();
    expect(proxy.methods.slice(-5)).toEqual(['monitor_cond_since', 'monitor_cancel', 'lock', 'unlock', 'list_dbs']);
    await (await client.lock('slow')).whenHeld();
  });

  it('does not know what became of a transaction whose time was over', async () => {
    const client = open();
    await client.ready();
    proxy.fromServer = () => 'drop';
    const late = await client.transact(inserting('late'), { timeoutMs: 30 }).catch((error: unknown) => error);
    expect(late).toBeInstanceOf(OutcomeUnknownError);
    expect((late as Error).message).toContain('transact was not answered within');
    expect(await names()).toEqual(['late']);
  });

  it('leaves a server that has gone silent', async () => {
    const client = open({ keepAliveMs: 100, keepAliveTimeoutMs: 500, connectTimeoutMs: 1_000 });
    await client.ready();
    const gone = new Promise((resolve) => client.once('disconnected', resolve));
    server.process.kill('SIGSTOP');
    const lost = client.transact(inserting('asleep'));
    await expect(lost).rejects.toThrow('the server did not answer an echo within 500 ms');
    expect(await gone).toMatchObject({ endpoint: proxy.endpoint, reason: { code: 'UNAVAILABLE' } });
    server.process.kill('SIGCONT');
    await client.ready();
  });

  it('answers the echoes of the server, which would hang up otherwise', async () => {
    const client = open({ keepAliveMs: 60_000 });
    await client.ready();
    let echoes = 0;
    const { promise: answered, resolve } = Promise.withResolvers<void>();
    proxy.fromClient = ({ id, result }) => {
      if (id === 'echo' && JSON.stringify(result) === '[]' && (echoes += 1) === 1) resolve();
      return 'forward';
    };
    // The server's probes come after five seconds of silence; nothing else can make it ask.
    await answered;
    expect(await client.databases()).toContain('Play');
    expect(proxy.connections).toBe(1);
  });

  describe('has limits', () => {
    it('of calls that wait', async () => {
      const client = open({ maxInFlight: 10 });
      const calls = Array.from({ length: 15 }, (_, index) => client.transact(inserting(`n${index}`)));
      const outcomes = await Promise.allSettled(calls);
      const refused = outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => reason as unknown);
      expect(refused).toHaveLength(5);
      expect(refused[0]).toMatchObject({ code: 'LIMIT_EXCEEDED', limit: 'maxInFlight', allowed: 10 });
      expect(await names(client)).toHaveLength(10);
    });

    it('of bytes that wait to be sent; nothing of what is refused is done', async () => {
      const client = open({ maxOutgoingBytes: 50_000 });
      await client.ready();
      const big = (name: string): Transaction<Play> => inserting(name + 'x'.repeat(30_000));
      const outcomes = await Promise.allSettled([client.transact(big('a')), client.transact(big('b'))]);
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
      const { reason } = outcomes[1] as PromiseRejectedResult;
      expect(reason).toBeInstanceOf(LimitError);
      expect(reason).toMatchObject({ limit: 'maxOutgoingBytes', allowed: 50_000 });
      expect((await names(client)).map((name) => name[0])).toEqual(['a']);
    });

    it('of what the server may say at once', async () => {
      const client = open({ maxMessageBytes: 20_000 });
      for (const name of ['a', 'b', 'c']) await client.transact(inserting(name.repeat(9_000)));
      await expect(names(client)).rejects.toThrow('maxMessageBytes is 20000');
      await client.ready();
    });
  });

  describe('whose database changes under it', () => {
    it('reads a new schema, and monitors by it', async () => {
      const client = open();
      const unaware = open();
      const noticed = unaware.ready().then(() => once(unaware, 'disconnected'));
      const monitor = await client.monitor({ Thing: {} });
      await client.transact(inserting('a'));
      await unaware.ready();
      const { columns } = PLAY_SCHEMA.tables.Thing;
      const schema = structuredClone({ ...PLAY_SCHEMA, tables: { ...PLAY_SCHEMA.tables, Thing: { ...PLAY_SCHEMA.tables.Thing, columns: { ...columns, colour: { type: 'string' } } } } });
      run('ovsdb-client', 'convert', server.unix, await writeSchema(server.folder, { ...schema, version: '1.1.0' }));
      await monitor.until(() => [...monitor.rows('Thing').values()].find((row) => 'colour' in row));
      await client.ready();
      expect((await client.schema()).version).toBe('1.1.0');
      await noticed;
      expect((await unaware.schema()).version).toBe('1.1.0');
      run('ovsdb-client', 'convert', server.unix, await writeSchema(server.folder));
      await monitor.until(() => [...monitor.rows('Thing').values()].find((row) => !('colour' in row)));
      await client.ready();
      expect((await client.schema()).version).toBe('1.0.0');
    });

    it('tells when a monitor has no place in it any more', async () => {
      const client = open();
      const monitor = await client.monitor({ Thing: { columns: ['note'] } });
      const { note: _gone, ...columns } = PLAY_SCHEMA.tables.Thing.columns;
      const refused = once(monitor, 'error');
      run('ovsdb-client', 'convert', server.unix, await writeSchema(server.folder, { ...PLAY_SCHEMA, tables: { ...PLAY_SCHEMA.tables, Thing: { ...PLAY_SCHEMA.tables.Thing, columns } } }));
      expect(await refused).toEqual([new InvalidArgumentError('Thing.columns.0', 'the table Thing has no column "note"')]);
      expect(monitor.isCurrent).toBe(false);
      await client.transact(inserting('others go on'));
      run('ovsdb-client', 'convert', server.unix, await writeSchema(server.folder));
      await monitor.until(() => (monitor.isCurrent && monitor.rows('Thing').size === 1 ? true : undefined));
    });

    it('waits while it is gone', async () => {
      const client = open();
      await client.ready();
      server.control('ovsdb-server/remove-db', 'Play');
      // Sent before the client hears of it, and answered although the client leaves.
      await expect(client.transact(inserting('never'))).rejects.toThrow(RefusedError);
      await once(client, 'failed');
      await expect(client.transact(inserting('never'), { timeoutMs: 20 })).rejects.toThrow('the server has no database Play');
      const waiting = client.transact(inserting('later'));
      server.control('ovsdb-server/add-db', `${server.folder}/play.db`);
      await waiting;
    });
  });

  describe('that is closed', () => {
    it('settles everything that waits', async () => {
      const client = open();
      const lock = await client.lock('closed');
      proxy.fromServer = () => 'drop';
      const sent = new Promise<void>((resolve) => {
        proxy.fromClient = ({ method }) => {
          if (method === 'transact') resolve();
          return 'forward';
        };
      });
      const settled = Promise.allSettled([
        client.transact(inserting('sent')),
        client.databases(),
        client.monitor({ Thing: {} }),
        client.monitor({ Thing: {} }).then((monitor) => monitor.until(() => undefined)),
      ]);
      await sent;
      await client.close();
      const reasons = (await settled).map((outcome) => (outcome.status === 'rejected' ? (outcome.reason as { code: string }).code : 'fulfilled'));
      expect(reasons).toEqual(['OUTCOME_UNKNOWN', 'CLOSED', 'CLOSED', 'CLOSED']);
      expect(lock.isHeld).toBe(false);
    });

    it('settles who waits for a connection, and takes no more calls', async () => {
      await proxy.close();
      const client = open();
      const waiting = [client.ready(), client.transact(inserting('never')), client.schema()];
      const settled = Promise.allSettled(waiting);
      await Promise.all([client.close(), client.close()]);
      expect((await settled).map((outcome) => outcome.status === 'rejected' && outcome.reason instanceof ClosedError)).toEqual([true, true, true]);
      await expect(client.transact(inserting('later'))).rejects.toThrow(ClosedError);
      expect(await names()).toEqual([]);
      proxy = await Proxy.to(server.tcp);
    });
  });

  describe('holds locks', () => {
    it('one client at a time, and again after a lost connection', async () => {
      const client = open();
      const other = open({ endpoints: [server.unix] });
      const [mine, theirs] = [await client.lock('l'), await other.lock('l')];
      expect([mine.isHeld, theirs.isHeld]).toEqual([true, false]);
      await expect(client.lock('l')).rejects.toThrow('this client has asked for the lock "l" already');
      const lost = new Promise<void>((resolve) => mine.once('lost', resolve));
      proxy.cut();
      await Promise.all([lost, theirs.whenHeld()]);
      await client.ready();
      expect(mine.isHeld).toBe(false);
      await theirs.release();
      await mine.whenHeld();
      expect([mine.isHeld, theirs.isHeld]).toEqual([true, false]);
    });

    it('not when they were released while a new connection asked for them', async () => {
      const client = open();
      const lock = await client.lock('released');
      const { promise: released, resolve: release } = Promise.withResolvers<void>();
      proxy.fromClient = ({ method }) => {
        if (method === 'lock') release(lock.release());
        return 'forward';
      };
      await proxy.interrupt(client);
      await released;
      await (await open({ endpoints: [server.unix] }).lock('released')).whenHeld();
    });

    it('until they are stolen', async () => {
      const mine = await open().lock('stolen');
      await mine.whenHeld();
      const lost = new Promise<void>((resolve) => mine.once('lost', resolve));
      const theirs = await open({ endpoints: [server.unix] }).lock('stolen', { steal: true });
      await lost;
      expect([mine.isHeld, theirs.isHeld]).toEqual([false, true]);
      await expect(mine.whenHeld({ timeoutMs: 20 })).rejects.toThrow('the lock stolen was not possible within 20 ms');
      await theirs.release();
      await mine.whenHeld();
    });
  });
});
