import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OvsdbClient, RefusedError, Transaction } from '../index.js';
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
    const all = new Transaction<Play>();
    all.delete('Thing', []);
    await client.transact(all);
  });
  afterEach(() => client.close());

  it('inserts and selects', async () => {
    const t = new Transaction<Play>();
    const a = t.insert('Thing', { name: 'a', tags: ['x'] });
    const outcome = await client.transact(t);
    expect(outcome.of(a)).toMatch(/^[0-9a-f-]{36}$/);
    const r = new Transaction<Play>();
    const s = r.select('Thing', [['name', '==', 'a']]);
    console.log((await client.transact(r)).of(s));
    const d = new Transaction<Play>();
    d.insert('Thing', { name: 'a' });
    await expect(client.transact(d)).rejects.toThrow(RefusedError);
  });
});
