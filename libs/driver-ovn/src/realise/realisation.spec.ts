import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { NetworkSpecification } from '#drivers';
import { Transaction } from '#ovsdb';
import { Proxy } from '#ovsdb/testing';
import { openOvnNetwork, type OvnNetworkDriver, type OvnNetworkOptions } from '../index.js';
import type { Northbound } from '../schema/northbound.js';
import { callOf, finish, networkOf, optionsOf, portOf, refused } from '../testing/fixtures.js';
import { ovnIsMissing, TestOvn } from '../testing/ovn.js';
import { TestHost } from '../testing/test-host.js';

const NEVER_DEAD_MS = 600_000;
const SOON_DEAD_MS = 1_000;

describe.skipIf(ovnIsMissing)('what hosts have of a network', () => {
  let ovn: TestOvn;
  let first: TestHost;
  let second: TestHost;
  let network: NetworkSpecification;
  const opened: AsyncDisposable[] = [];

  beforeAll(async () => {
    ovn = await TestOvn.start();
    first = await TestHost.start(ovn.southbound.unix, 'host-1');
    second = await TestHost.start(ovn.southbound.unix, 'host-2');
  });
  afterAll(async () => {
    for (const each of [first, second, ovn]) await each[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    network = networkOf();
    await (await open()).ensureNetwork(callOf(), network);
  });
  afterEach(async () => {
    first.revive();
    second.revive();
    for (const each of opened.splice(0).reverse()) await each[Symbol.asyncDispose]();
  });

  async function open(more: Partial<OvnNetworkOptions> = {}): Promise<OvnNetworkDriver> {
    const driver = await openOvnNetwork(optionsOf(ovn, { hostDeadAfterMs: NEVER_DEAD_MS, ...more }));
    opened.push(driver);
    return driver;
  }
  const port = async (driver: OvnNetworkDriver, overrides: Parameters<typeof portOf>[1] = {}): Promise<string> => {
    const specification = portOf(network, overrides);
    await driver.ensurePort(callOf(), specification);
    return specification.portId;
  };
  const realised = async (driver: OvnNetworkDriver, call = callOf()): Promise<string[]> =>
    (await finish(async () => driver.realised(call, network.networkId))).pendingHostNames;
  const onceRealised = async (driver: OvnNetworkDriver, timeoutMs = 1_500) => driver.realised(callOf({ timeoutMs }), network.networkId);

  it('is DONE when all live hosts have it, and PENDING while one does not', async () => {
    const driver = await open();
    await port(driver);
    await port(driver, { hostName: 'host-2', macAddress: '02:00:00:00:00:02', ipAddress: '10.0.0.11' });
    expect(await realised(driver)).toEqual([]);
    second.kill();
    expect(await onceRealised(driver)).toMatchObject({ state: 'PENDING' });
    second.revive();
    expect(await realised(driver)).toEqual([]);
  });

  it('does not wait for hosts that carry nothing of it', async () => {
    const driver = await open();
    await port(driver);
    second.kill();
    expect(await onceRealised(driver, 10_000)).toEqual({ state: 'DONE', value: { pendingHostNames: [] } });
  });

  it('gives a dead host up, at once when it is known to be dead, until it is back', async () => {
    const driver = await open({ hostDeadAfterMs: SOON_DEAD_MS });
    await port(driver);
    await port(driver, { hostName: 'host-2', macAddress: '02:00:00:00:00:02', ipAddress: '10.0.0.11' });
    second.kill();
    expect(await realised(driver)).toEqual(['host-2']);
    // It did not move, so this call has nobody to wait for.
    expect(await onceRealised(driver, 10_000)).toEqual({ state: 'DONE', value: { pendingHostNames: ['host-2'] } });
    second.revive();
    expect(await realised(driver)).toEqual([]);
  });

  it('lists a host that OVN does not know', async () => {
    const driver = await open();
    await port(driver, { hostName: 'host-that-is-not' });
    expect(await realised(driver)).toEqual(['host-that-is-not']);
  });

  it('knows hosts by their own names, where those are not the chassis’s', async () => {
    await using host = await TestHost.start(ovn.southbound.unix, 'b6f1ad02', 'host-3');
    const driver = await open({ hostDeadAfterMs: SOON_DEAD_MS });
    await port(driver, { hostName: 'host-3' });
    expect(await realised(driver)).toEqual([]);
    host.kill();
    expect(await realised(driver)).toEqual(['host-3']);
  });

  it('asks also the host that has bound a port, though another shall', async () => {
    const driver = await open({ hostDeadAfterMs: SOON_DEAD_MS });
    const portId = await port(driver);
    await realised(driver);
    await second.bind(portId);
    second.kill();
    expect(await realised(driver)).toEqual(['host-2']);
  });

  it('is PENDING while northd is away, and then draws one number for all who wait', async () => {
    const driver = await open();
    await port(driver);
    await realised(driver);
    await ovn.stopNorthd();
    const before = await lastNumber(ovn);
    expect(await onceRealised(driver)).toMatchObject({ state: 'PENDING' });
    expect(await lastNumber(ovn)).toBe(before + 1);
    const waiting = Array.from({ length: 20 }, async () => realised(driver, callOf()));
    ovn.startNorthd();
    expect(await Promise.all(waiting)).toEqual(waiting.map(() => []));
    // The one that was under way, and one after it for all who had come meanwhile.
    expect(await lastNumber(ovn)).toBe(before + 2);
  });

  it('is DONE at last though OVN needs longer for each number than a call waits, and others go on writing', async () => {
    const driver = await open();
    await port(driver);
    await realised(driver);
    const call = callOf({ timeoutMs: 500 });
    await ovn.stopNorthd();
    expect(await driver.realised(call, network.networkId)).toMatchObject({ state: 'PENDING' });
    // Between two calls it comes as far as was written before the first, and no further.
    const number = await lastNumber(ovn);
    ovn.startNorthd();
    await ovn.sb.monitor({ SB_Global: { columns: ['nb_cfg'] } }).then(async (global) => {
      await global.until((monitor) => ([...monitor.rows('SB_Global').values()].some((row) => row.nb_cfg >= number) ? true : undefined));
      await global.close();
    });
    await ovn.stopNorthd();
    await port(driver, { macAddress: '02:00:00:00:00:02', ipAddress: '10.0.0.11' });
    expect(await driver.realised(call, network.networkId)).toEqual({ state: 'DONE', value: { pendingHostNames: [] } });
    // Who asks for several parts repeats also those that are done.
    expect(await driver.realised(call, network.networkId)).toEqual({ state: 'DONE', value: { pendingHostNames: [] } });
    // Another call is about the second port, too.
    expect(await onceRealised(driver)).toMatchObject({ state: 'PENDING' });
    ovn.startNorthd();
  });

  it('is asked for later, the longer it has taken', async () => {
    const driver = await open();
    await port(driver);
    await realised(driver);
    await ovn.stopNorthd();
    const call = callOf({ timeoutMs: 500 });
    const outcomes = [await driver.realised(call, network.networkId), await driver.realised(call, network.networkId), await driver.realised(call, network.networkId)];
    ovn.startNorthd();
    const waits = outcomes.map((outcome) => (outcome.state === 'PENDING' ? outcome.retryAfterMs : 0));
    expect(waits[0]).toBeGreaterThanOrEqual(250);
    expect(waits[2]).toBeGreaterThan(2 * (waits[0] ?? 0));
  });

  it('asks the southbound server for nothing but what it follows', async () => {
    await using stack = new AsyncDisposableStack();
    const link = await Proxy.to(ovn.southbound.unix);
    stack.defer(async () => link.close());
    const driver = await open({ southbound: [link.endpoint] });
    await port(driver);
    for (let count = 0; count < 10; count += 1) expect(await realised(driver)).toEqual([]);
    expect(link.methods.filter((method) => method === 'transact')).toEqual([]);
  });

  it('is NOT_FOUND for a network that is not there', async () => {
    const driver = await open();
    await refused(driver.realised(callOf(), 'net_unknown'), 'NOT_FOUND');
  });

  it('goes on after both connections were lost', async () => {
    await using stack = new AsyncDisposableStack();
    const links = await Promise.all([ovn.northbound.unix, ovn.southbound.unix].map(async (target) => Proxy.to(target)));
    for (const link of links) stack.defer(async () => link.close());
    const [northbound, southbound] = links.map(({ endpoint }) => [endpoint]) as [string[], string[]];
    const driver = await openOvnNetwork(optionsOf(ovn, { northbound, southbound, hostDeadAfterMs: NEVER_DEAD_MS }));
    stack.use(driver);
    await port(driver);
    for (const link of links) link.cut();
    expect(await realised(driver)).toEqual([]);
  });
});

async function lastNumber({ nb }: TestOvn): Promise<number> {
  const reading = new Transaction<Northbound>();
  const global = reading.select('NB_Global', [], ['nb_cfg']);
  return (await nb.transact(reading)).of(global)[0]?.nb_cfg ?? -1;
}
