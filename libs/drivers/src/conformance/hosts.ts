import { afterEach, expect, it } from 'vitest';
import type { ObservedHost } from '../host.js';
import type { Bench } from './bench.js';

/** Real hosts take their time to be missed, and to return. */
const LENGTHY = { tags: ['lengthy'] };

export function hostConformance(bench: Bench): void {
  afterEach(async () => bench.clear());

  const host = async (): Promise<ObservedHost | undefined> =>
    (await bench.driver.hosts.listHosts(bench.call())).find((each) => each.hostName === bench.host);

  it('lists its hosts, alive, with sizes and pools', async () => {
    const hosts = await bench.driver.hosts.listHosts(bench.call());
    for (const hostName of bench.subject.hostNames) {
      const found = hosts.find((each) => each.hostName === hostName);
      expect(found).toMatchObject({ hostName, alive: true });
      expect(found?.cpu).toBeGreaterThan(0);
      expect(found?.memoryMib).toBeGreaterThan(0);
    }
  });

  it('says what a disk takes from its pool', async (context) => {
    bench.needs(context, 'storage');
    const pool = async () => (await host())?.pools.find((each) => each.name === bench.subject.poolName);
    const before = await pool();
    expect(before?.capacityGib).toBeGreaterThan(0);
    expect(before?.usedGib).toBeGreaterThanOrEqual(0);
    expect(before?.shared).toBeTypeOf('boolean');
  });

  it('reads the load of each live host', async () => {
    const load = await bench.driver.hosts.readLoad(bench.call());
    expect(load.map((each) => each.hostName)).toEqual(expect.arrayContaining([...bench.subject.hostNames]));
    for (const each of load) {
      expect(each.cpuPercent).toBeGreaterThanOrEqual(0);
      expect(each.cpuPercent).toBeLessThanOrEqual(100);
      expect(each.memoryUsedMib).toBeGreaterThanOrEqual(0);
    }
  });

  it('what is on a dead host is UNKNOWN and UNAVAILABLE, and returns stopped', LENGTHY, async (context) => {
    bench.needs(context, 'compute');
    const kill = bench.hook(context, 'killHost');
    const revive = bench.hook(context, 'returnHost');
    const { compute, hosts } = bench.driver;
    const { machineId } = await bench.runningMachine();
    await kill(bench.host);
    try {
      await bench.eventually('the host is shown dead', async () => (await host())?.alive === false);
      await bench.eventually('its machine is unknown', async () => (await bench.observed(machineId)).power === 'UNKNOWN');
      const error = await bench.refusedInTheEnd('UNAVAILABLE', async (call) => compute.startMachine(call, machineId));
      expect(error.retryable).toBe(true);
      await bench.refusedInTheEnd('UNAVAILABLE', async (call) => compute.deleteMachine(call, machineId));
      if (bench.driver.capabilities.fence) expect(await hosts.fence(bench.call(), bench.host)).toBe('PROVEN_OFF');
    } finally {
      await revive(bench.host);
    }
    await bench.eventually('the host is shown alive', async () => (await host())?.alive === true);
    await bench.eventually('its machine is stopped', async () => (await bench.observed(machineId)).power === 'STOPPED');
  });

  it('a host that is cut off is never proven off, and its machines run on', LENGTHY, async (context) => {
    bench.needs(context, 'compute', 'fence');
    const cutOff = bench.hook(context, 'cutOffHost');
    const revive = bench.hook(context, 'returnHost');
    const { machineId } = await bench.runningMachine();
    await cutOff(bench.host);
    try {
      await bench.eventually('the host is shown dead', async () => (await host())?.alive === false);
      expect(await bench.driver.hosts.fence(bench.call(), bench.host)).toBe('UNKNOWN');
      await bench.eventually('its machine is unknown', async () => (await bench.observed(machineId)).power === 'UNKNOWN');
    } finally {
      await revive(bench.host);
    }
    await bench.eventually('its machine still runs', async () => (await bench.observed(machineId)).power === 'RUNNING');
  });
}
