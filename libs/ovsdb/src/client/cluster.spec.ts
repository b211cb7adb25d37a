import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OutcomeUnknownError, OvsdbClient, RefusedError, Transaction, UnavailableError, type Change, type ClientOptions } from '../index.js';
import { freePort, ovsdbIsMissing, run, startServer, writeSchema, type Play, type TestServer } from '../testing/ovsdb-server.js';
import { Proxy } from '../testing/proxy.js';

const CLUSTER_ATTEMPTS = 3;
const JOINING_MS = 10_000;

/** Three servers that keep one database by Raft, over loopback. */
async function startCluster(): Promise<TestServer[]> {
  for (let attempt = 1; ; attempt += 1) {
    const servers = await startServers();
    const deadline = Date.now() + JOINING_MS;
    const haveJoined = (): boolean => servers.every((server) => server.control('cluster/status', 'Play').includes('Status: cluster member'));
    while (!haveJoined() && Date.now() < deadline) await sleep(50);
    if (haveJoined()) return servers;
    // A port that was free a moment ago may be somebody else's by now: such a server never joins.
    await Promise.all(servers.map((server) => server.remove()));
    if (attempt === CLUSTER_ATTEMPTS) throw new Error('the servers form no cluster');
  }
}

async function startServers(): Promise<TestServer[]> {
  const addresses = await Promise.all([1, 2, 3].map(async () => `tcp:127.0.0.1:${await freePort()}`));
  const [first] = addresses as [string, string, string];
  const servers: TestServer[] = [];
  for (const address of addresses) {
    const create = async (path: string): Promise<void> => {
      if (address === first) run('ovsdb-tool', 'create-cluster', path, await writeSchema(path.slice(0, path.lastIndexOf('/'))), address);
      else run('ovsdb-tool', 'join-cluster', path, 'Play', address, first);
    };
    servers.push(await startServer({ create }));
  }
  return servers;
}

describe.skipIf(ovsdbIsMissing)('a clustered database', () => {
  let servers: TestServer[];
  const clients: OvsdbClient<Play>[] = [];

  beforeAll(async () => {
    servers = await startCluster();
  });
  afterAll(() => Promise.all(servers.map((server) => server.remove())));
  beforeEach(async () => {
    const transaction = new Transaction<Play>();
    transaction.delete('Thing', []);
    await open().transact(transaction);
  });
  afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

  function open(options: Partial<ClientOptions> = {}): OvsdbClient<Play> {
    const client = new OvsdbClient<Play>({ database: 'Play', endpoints: servers.map(({ tcp }) => tcp), reconnectMinMs: 20, reconnectMaxMs: 200, ...options });
    clients.push(client);
    return client;
  }
  const serverOf = (client: OvsdbClient<Play>): TestServer => servers.find(({ tcp }) => tcp === client.endpoint) as TestServer;
  const leads = (server: TestServer): boolean => server.control('cluster/status', 'Play').includes('Role: leader');
  const inserting = (name: string): Transaction<Play> => {
    const transaction = new Transaction<Play>();
    transaction.insert('Thing', { name });
    return transaction;
  };
  /** Inserts in spite of lost answers: the name is unique, so a repetition is refused and shows that it was done. */
  async function insert(client: OvsdbClient<Play>, name: string): Promise<void> {
    for (;;) {
      try {
        await client.transact(inserting(name));
        return;
      } catch (error) {
        if (error instanceof RefusedError && error.error === 'constraint violation') return;
        if (!(error instanceof OutcomeUnknownError)) throw error;
      }
    }
  }

  it('is used at its leader, wherever one begins', async () => {
    for (let round = 0; round < 6; round += 1) {
      const client = open();
      await client.ready();
      expect(leads(serverOf(client))).toBe(true);
    }
  });

  it('is not used at a follower, unless that is wanted', async () => {
    const follower = servers.find((server) => !leads(server)) as TestServer;
    const stranger = open({ endpoints: [follower.tcp] });
    await once(stranger, 'failed');
    const waiting = stranger.ready({ timeoutMs: 20 });
    await expect(waiting).rejects.toThrow(UnavailableError);
    await expect(waiting).rejects.toThrow('the server does not lead Play');
    const reader = open({ endpoints: [follower.tcp], leaderOnly: false });
    const monitor = await reader.monitor({ Thing: { columns: ['name'] } });
    await reader.transact(inserting('through a follower'));
    expect([...monitor.rows('Thing').values()].map(({ name }) => name)).toEqual(['through a follower']);
  });

  it('is followed when another server becomes the leader, and no answer is lost by that', async () => {
    const client = open();
    const monitor = await client.monitor({ Thing: { columns: ['name'] } });
    const before = serverOf(client);
    let written = 0;
    let isOver = false;
    const writers = Array.from({ length: 20 }, async (_, writer) => {
      for (let round = 0; !isOver; round += 1) {
        await client.transact(inserting(`${writer} ${round}`));
        written += 1;
      }
    });
    const gone = once(client, 'disconnected');
    const back = gone.then(() => client.ready());
    before.control('cluster/failure-test', 'transfer-leadership');
    expect(await gone).toMatchObject([{ reason: { message: 'the server does not lead Play' } }]);
    await back;
    isOver = true;
    await Promise.all(writers);
    expect(serverOf(client)).not.toBe(before);
    await monitor.until(() => (monitor.rows('Thing').size === written ? true : undefined));
  });

  it('tells what was missed only, where it still knows', async () => {
    const proxies = await Promise.all(servers.map(({ tcp }) => Proxy.to(tcp)));
    const client = open({ endpoints: proxies.map(({ endpoint }) => endpoint) });
    const told: Change<Play>[] = [];
    const dumps: unknown[] = [];
    const monitor = await client.monitor({ Thing: { columns: ['name'] } });
    const other = open();
    await other.transact(inserting('before'));
    await monitor.until(() => (monitor.rows('Thing').size === 1 ? true : undefined));
    monitor.on('changes', (changes) => told.push(...changes));
    const current = new Promise((resolve) => monitor.once('current', resolve));
    for (const proxy of proxies) {
      proxy.fromServer = ({ result }) => {
        if (Array.isArray(result) && result.length === 3) dumps.push(result[2]);
        return 'forward';
      };
    }
    for (const proxy of proxies) proxy.fromClient = () => 'drop';
    const gone = new Promise((resolve) => client.once('disconnected', resolve));
    for (const proxy of proxies) proxy.cut();
    await gone;
    await other.transact(inserting('missed'));
    for (const proxy of proxies) proxy.fromClient = () => 'forward';
    for (const proxy of proxies) proxy.cut();
    expect(await current).toEqual({ resumed: true });
    expect(told.map(({ kind, row }) => [kind, 'name' in row && row.name])).toEqual([['insert', 'missed']]);
    expect(Object.keys((dumps[0] as { Thing: object }).Thing)).toHaveLength(1);
    await client.close();
    await Promise.all(proxies.map((proxy) => proxy.close()));
  });

  it('resumes by the conditions that hold, and not where these are in doubt', async () => {
    const leader = servers.find(leads) as TestServer;
    const proxy = await Proxy.to(leader.tcp);
    const client = open({ endpoints: [proxy.endpoint] });
    for (const name of ['a', 'b', 'c']) await client.transact(inserting(name));
    const monitor = await client.monitor({ Thing: { columns: ['name'], where: [['name', '==', 'a']] } });
    const names = () => [...monitor.rows('Thing').values()].map(({ name }) => name);
    const resumed: boolean[] = [];
    monitor.on('current', (how) => resumed.push(how.resumed));
    await client.transact(inserting('d'));
    await monitor.setConditions('Thing', [['name', '==', 'b']]);
    await proxy.interrupt(client);
    expect([names(), resumed]).toEqual([['b'], [true]]);
    // The server has changed the conditions, has said so, and its word is lost.
    proxy.fromServer = ({ result }) => {
      if (proxy.methods.at(-1) !== 'monitor_cond_change' || JSON.stringify(result) !== '{}') return 'forward';
      proxy.fromServer = () => 'forward';
      return 'cut';
    };
    await monitor.setConditions('Thing', [['name', '==', 'c']]);
    expect([names(), resumed]).toEqual([['c'], [true, false]]);
    await proxy.interrupt(client);
    expect([names(), resumed]).toEqual([['c'], [true, false, true]]);
    await client.close();
    await proxy.close();
  });

  it('loses nothing when its leader is killed', async () => {
    const client = open();
    const monitor = await client.monitor({ Thing: { columns: ['name'] } });
    const leader = serverOf(client);
    const names = Array.from({ length: 60 }, (_, index) => `n${index}`);
    const inserts = Promise.all(names.map((name) => insert(client, name)));
    await leader.kill();
    await inserts;
    expect(serverOf(client)).not.toBe(leader);
    await monitor.until(() => (monitor.rows('Thing').size === 60 ? true : undefined));
    expect([...monitor.rows('Thing').values()].map(({ name }) => name).toSorted()).toEqual(names.toSorted());
    await leader.start();
  });

  it('is not used where it has lost the majority', async () => {
    const client = open();
    await client.ready();
    const [kept, ...others] = [serverOf(client), ...servers.filter(({ tcp }) => tcp !== client.endpoint)];
    const gone = new Promise((resolve) => client.once('disconnected', resolve));
    await Promise.all(others.map((server) => server.kill()));
    expect(await gone).toMatchObject({ endpoint: kept?.tcp });
    await expect(client.transact(inserting('nowhere'), { timeoutMs: 20 })).rejects.toThrow(UnavailableError);
    for (const server of others) await server.start();
    await insert(client, 'again');
  });
});
