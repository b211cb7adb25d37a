import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OvsdbClient, RefusedError, Transaction, type Change } from '../index.js';
import { ovsdbIsMissing, startServer, type Play, type TestServer } from '../testing/ovsdb-server.js';
import { Proxy } from '../testing/proxy.js';

/** A real server whose newer methods are hidden: what it does with the older ones is its own. */
describe.skipIf(ovsdbIsMissing)('older servers', () => {
  let server: TestServer;
  let proxy: Proxy;
  let client: OvsdbClient<Play>;

  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.remove());
  beforeEach(async () => {
    proxy = await Proxy.to(server.unix);
  });
  afterEach(async () => {
    await client.close();
    await proxy.close();
  });

  async function begin(...hidden: string[]): Promise<void> {
    proxy.fromClient = ({ method }) => (hidden.includes(String(method)) ? { result: null, error: 'unknown method' } : 'forward');
    client = new OvsdbClient<Play>({ database: 'Play', endpoints: [proxy.endpoint], reconnectMinMs: 5 });
    await transact((transaction) => {
      transaction.delete('Thing', []);
      transaction.insert('Thing', { name: 'a', size: 1, tags: ['x', 'y'], note: 'old' });
      transaction.insert('Thing', { name: 'b', size: 2 });
    });
  }
  async function transact(build: (transaction: Transaction<Play>) => unknown): Promise<void> {
    const transaction = new Transaction<Play>();
    build(transaction);
    await client.transact(transaction);
  }

  async function follow(where: { where?: [['size', '>=', number]] } = {}): Promise<void> {
    const told: Change<Play>[] = [];
    const monitor = await client.monitor({ Thing: { columns: ['name', 'tags', 'note'], ...where } });
    monitor.on('changes', (changes) => told.push(...changes));
    await transact((transaction) => {
      transaction.mutate('Thing', [['name', '==', 'a']], [['tags', 'delete', 'x']]);
      transaction.update('Thing', [['name', '==', 'a']], { note: null });
      transaction.delete('Thing', [['name', '==', 'b']]);
      transaction.insert('Thing', { name: 'c', size: 3 });
    });
    await proxy.interrupt(client);
    const summary = told.map((change) => (change.kind === 'modify' ? [change.kind, change.old] : [change.kind, 'name' in change.row && change.row.name]) as [string, unknown]);
    expect(new Map(summary)).toEqual(new Map<unknown, unknown>([['delete', 'b'], ['insert', 'c'], ['modify', { tags: new Set(['x', 'y']), note: 'old' }]]));
    expect(summary).toHaveLength(3);
    expect([...monitor.rows('Thing').values()].map(({ _uuid, ...row }) => row).toSorted((one, other) => one.name.localeCompare(other.name))).toEqual([
      { name: 'a', tags: new Set(['y']), note: null },
      { name: 'c', tags: new Set(), note: null },
    ]);
  }

  it('without monitor_cond_since are asked by monitor_cond', async () => {
    await begin('monitor_cond_since');
    await follow({ where: [['size', '>=', 0]] });
    expect(proxy.methods.filter((method) => method.startsWith('monitor_cond_since'))).toHaveLength(2);
  });

  it('are asked by the same method for several monitors at once', async () => {
    await begin('monitor_cond_since');
    const monitors = await Promise.all([1, 2, 3].map((size) => client.monitor({ Thing: { where: [['size', '>=', size]] } })));
    await proxy.interrupt(client);
    expect(monitors.map((monitor) => [monitor.isCurrent, monitor.rows('Thing').size])).toEqual([[true, 2], [true, 1], [true, 0]]);
    expect(proxy.methods).not.toContain('monitor');
  });

  it('of RFC 7047 alone are asked by monitor, without conditions', async () => {
    await begin('monitor_cond_since', 'monitor_cond', 'monitor_cond_change', 'set_db_change_aware');
    expect(proxy.methods).toContain('get_schema');
    await follow();
    await expect(client.monitor({ Thing: { where: [['size', '>', 1]] } })).rejects.toThrow(RefusedError);
    const monitor = await client.monitor({ Thing: {} });
    await expect(monitor.setConditions('Thing', [['size', '>', 1]])).rejects.toThrow('monitor_cond_change was refused: unknown method');
    expect(monitor.rows('Thing').size).toBe(2);
  });
});
