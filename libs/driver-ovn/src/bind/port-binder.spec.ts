import { typeidUnboxed } from 'typeid-js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hostDeviceOf } from '#drivers';
import { OvsdbClient, Transaction } from '#ovsdb';
import { Proxy, run, startServer, type TestServer } from '#ovsdb/testing';
import { openOvnNetwork, type OvnNetworkDriver } from '../index.js';
import type { OpenVswitch } from '../schema/open-vswitch.js';
import { callOf, DONE, networkOf, optionsOf, portOf } from '../testing/fixtures.js';
import { ovnIsMissing, TestOvn } from '../testing/ovn.js';

const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';
const network = networkOf();
const port = (): ReturnType<typeof portOf> => portOf(network, { portId: typeidUnboxed('prt') });

/** What a host has beside what the driver reads. */
interface SwitchTables extends OpenVswitch {
  Open_vSwitch: { bridges: ReadonlySet<string> };
}

describe.skipIf(ovnIsMissing)('the port binder', () => {
  let ovn: TestOvn;
  let server: TestServer;
  let host: OvsdbClient<SwitchTables>;
  let driver: OvnNetworkDriver;
  let stop: AbortController;
  let tending: Promise<void>;

  beforeAll(async () => {
    ovn = await TestOvn.start();
    driver = await openOvnNetwork(optionsOf(ovn));
    expect(await driver.ensureNetwork(callOf(), network)).toEqual(DONE);
    await driver[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    server = await startServer({ create: async (path) => void run('ovsdb-tool', 'create', path, SCHEMA) });
    host = new OvsdbClient<SwitchTables>({ database: 'Open_vSwitch', endpoints: [server.unix] });
    const transaction = new Transaction<SwitchTables>();
    const bridge = transaction.insert('Bridge', { name: 'br-int' });
    transaction.insert('Open_vSwitch', { bridges: [bridge] });
    await host.transact(transaction);
    driver = await openOvnNetwork(optionsOf(ovn, { switches: { 'host-1': server.unix } }));
    stop = new AbortController();
    tending = driver.tend(stop.signal);
  });

  afterEach(async () => {
    stop.abort();
    await tending;
    await driver[Symbol.asyncDispose]();
    await host.close();
    await server.remove();
  });

  afterAll(async () => ovn[Symbol.asyncDispose]());

  /** As Incus does when a machine starts. */
  async function plug(name: string, columns: { external_ids?: Record<string, string>; error?: string } = {}): Promise<void> {
    const transaction = new Transaction<SwitchTables>();
    const device = transaction.insert('Interface', { name, ...columns });
    const entry = transaction.insert('Port', { name, interfaces: [device] });
    transaction.mutate('Bridge', [['name', '==', 'br-int']], [['ports', 'insert', entry]]);
    await host.transact(transaction);
  }

  async function shows(name: string, wanted: string | undefined): Promise<void> {
    const monitor = await host.monitor({ Interface: { columns: ['name', 'external_ids'] } });
    await monitor.until((now) => {
      const row = [...now.rows('Interface').values()].find((each) => each.name === name);
      return row?.external_ids.get('iface-id') === wanted ? true : undefined;
    });
    await monitor.close();
  }

  async function change(name: string, columns: { external_ids?: Record<string, string>; error?: string | null }): Promise<void> {
    const transaction = new Transaction<SwitchTables>();
    transaction.update('Interface', [['name', '==', name]], columns);
    await host.transact(transaction);
  }

  it('binds a device that comes after its port, and one that came before', async () => {
    const [early, late] = [port(), { ...port(), macAddress: '02:00:00:00:00:02', ipAddress: '10.0.0.11' }];
    expect(await driver.ensurePort(callOf(), early)).toEqual(DONE);
    await plug(hostDeviceOf(early.portId));
    await shows(hostDeviceOf(early.portId), early.portId);
    await plug(hostDeviceOf(late.portId));
    expect(await driver.ensurePort(callOf(), late)).toEqual(DONE);
    await shows(hostDeviceOf(late.portId), late.portId);
  });

  it('puts right what somebody has changed, and leaves what is not ours', async () => {
    const mine = port();
    const other = { ...port(), ownership: { ...network.ownership, installationId: 'installation_2' } };
    expect(await driver.ensurePort(callOf(), mine)).toEqual(DONE);
    await plug('mu-of-nobody');
    await plug('eth7');
    await plug(hostDeviceOf(other.portId));
    await plug(hostDeviceOf(mine.portId), { external_ids: { 'iface-id': 'another', note: 'kept' } });
    await shows(hostDeviceOf(mine.portId), mine.portId);
    const reading = new Transaction<SwitchTables>();
    const select = reading.select('Interface', [], ['name', 'external_ids']);
    const rows = new Map((await host.transact(reading)).of(select).map((row) => [row.name, Object.fromEntries(row.external_ids)]));
    expect(rows.get(hostDeviceOf(mine.portId))).toEqual({ 'iface-id': mine.portId, note: 'kept' });
    for (const name of ['mu-of-nobody', 'eth7', hostDeviceOf(other.portId)]) expect([name, rows.get(name)]).toEqual([name, {}]);
  });

  it('looks at everything again after the switch was away', async () => {
    const mine = port();
    expect(await driver.ensurePort(callOf(), mine)).toEqual(DONE);
    await plug(hostDeviceOf(mine.portId));
    await shows(hostDeviceOf(mine.portId), mine.portId);
    await server.kill();
    await server.start();
    const transaction = new Transaction<SwitchTables>();
    transaction.update('Interface', [['name', '==', hostDeviceOf(mine.portId)]], { external_ids: {} });
    await host.transact(transaction);
    await shows(hostDeviceOf(mine.portId), mine.portId);
  });

  it('takes away what the switch holds of a device that is no more, with its port in the bridge', async () => {
    const mine = port();
    expect(await driver.ensurePort(callOf(), mine)).toEqual(DONE);
    const name = hostDeviceOf(mine.portId);
    await plug('mu-of-nobody', { error: 'could not open network device (No such device)' });
    await plug(name, { error: 'could not open network device (No such device)' });
    const monitor = await host.monitor({ Interface: { columns: ['name'] }, Bridge: { columns: ['ports'] } });
    await monitor.until((now) => ([...now.rows('Interface').values()].some((row) => row.name === name) ? undefined : true));
    expect([...monitor.rows('Interface').values()].map((row) => row.name)).toEqual(['mu-of-nobody']);
    expect([...monitor.rows('Bridge').values()][0]?.ports.size).toBe(1);
    await monitor.close();
  });

  it('leaves a device alone that is well again when the removal of its entry arrives', async () => {
    stop.abort();
    await tending;
    await driver[Symbol.asyncDispose]();
    await using stack = new AsyncDisposableStack();
    const link = await Proxy.to(server.unix);
    stack.defer(async () => link.close());
    driver = await openOvnNetwork(optionsOf(ovn, { switches: { 'host-1': link.endpoint } }));
    const mine = port();
    expect(await driver.ensurePort(callOf(), mine)).toEqual(DONE);
    const name = hostDeviceOf(mine.portId);
    await plug(name, { error: 'could not open network device (No such device)' });
    let healing: Promise<unknown> | undefined;
    let isHealed = false;
    link.fromClient = (message) => {
      if (isHealed) return 'forward';
      if (message['method'] === 'transact' && JSON.stringify(message).includes('"select"')) {
        // The connection is lost as the sweep begins, and the device is back before that is.
        healing ??= change(name, { error: null }).then(() => (isHealed = true));
      }
      return healing === undefined ? 'forward' : 'cut';
    };
    stop = new AbortController();
    tending = driver.tend(stop.signal);
    await expect.poll(() => isHealed, { timeout: 10_000 }).toBe(true);
    // Until it has looked again, and has bound the device.
    await shows(name, mine.portId);
    const asked = link.methods.length;
    await change(name, { external_ids: {} });
    await expect.poll(() => link.methods.length, { timeout: 5_000 }).toBeGreaterThan(asked);
    await shows(name, mine.portId);
    const reading = new Transaction<SwitchTables>();
    const bridges = reading.select('Bridge', [], ['ports']);
    expect((await host.transact(reading)).of(bridges)[0]?.ports.size).toBe(1);
  });
});
