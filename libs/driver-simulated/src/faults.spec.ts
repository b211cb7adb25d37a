import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sleep } from '#core';
import type { Driver } from '#drivers';
import { testDatabase, type TestDatabase } from '#testing';
import { callOf, diskOf, machineOf, OWNERSHIP, portOf } from './fixtures.js';
import { simulatedDriverFactory, SimulatedWorld, type SimulatedOptions } from './index.js';

/** Far away: work with this delay takes effect only when the test lets it. */
const LATER_MS = 3_600_000;

let database: TestDatabase;
let world: SimulatedWorld;
let driver: Driver;
let backends = 0;

async function connect(backendId: string, options: SimulatedOptions = {}): Promise<Driver> {
  return simulatedDriverFactory().connect({ backendId, installationId: 'i', endpoint: database.url, secret: null, options: { ...options } });
}

async function openWorld(backendId: string): Promise<SimulatedWorld> {
  const opened = await SimulatedWorld.open(database.url, backendId);
  const pools = [{ name: 'local', capacityGib: 100 }];
  await opened.createHosts({ prefix: 'host', count: 2, cpu: 16, memoryMib: 65_536, pools });
  return opened;
}

beforeAll(async () => {
  database = await testDatabase();
});
afterAll(async () => database.drop());
beforeEach(async () => {
  backends += 1;
  world = await openWorld(`backend-${backends}`);
  driver = await connect(world.backendId);
});
afterEach(async () => {
  await driver.close();
  await world.close();
});

const machineIds = async (): Promise<string[]> =>
  (await driver.compute.listMachines(callOf(), null, 100)).map((machine) => machine.machineId);

describe('scripted faults', () => {
  test('REFUSED is terminal, UNAVAILABLE and BUSY are retryable, and none has an effect', async () => {
    await world.addFault({ kind: 'REFUSED', method: 'createMachine' });
    await world.addFault({ kind: 'UNAVAILABLE', method: 'createMachine' });
    await world.addFault({ kind: 'BUSY', method: 'createMachine' });
    const create = async () => driver.compute.createMachine(callOf(), machineOf('vm_1'));
    await expect(create()).rejects.toMatchObject({ code: 'BACKEND_FAILED', retryable: false });
    await expect(create()).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    await expect(create()).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true, data: { retryAfterMs: 200 } });
    expect(await machineIds()).toEqual([]);
    expect(await create()).toMatchObject({ state: 'DONE' });
  });

  test('acts from the nth matching call on, as often as said, and tells how often', async () => {
    await world.addFault({ kind: 'UNAVAILABLE', method: 'startMachine', resourceId: 'vm_2', nth: 2, times: 2 });
    for (const id of ['vm_1', 'vm_2']) await driver.compute.createMachine(callOf(), machineOf(id));
    const outcomes: string[] = [];
    for (let times = 0; times < 5; times += 1) {
      await driver.compute.startMachine(callOf(), 'vm_1');
      const outcome = await driver.compute.startMachine(callOf(), 'vm_2').catch((error: { code: string }) => ({ state: error.code }));
      outcomes.push(outcome.state);
    }
    expect(outcomes).toEqual(['DONE', 'UNAVAILABLE', 'UNAVAILABLE', 'DONE', 'DONE']);
    expect(await world.faults()).toMatchObject([{ kind: 'UNAVAILABLE', seen: 3, fired: 2 }]);
    await world.clearFaults();
    expect(await world.faults()).toEqual([]);
  });

  test('matches by a part of the idempotency key, and by any resource that a call names', async () => {
    await driver.compute.createMachine(callOf(), machineOf('vm_1'));
    await driver.storage.createDisk(callOf(), diskOf('disk_1'));
    await world.addFault({ kind: 'REFUSED', keyContains: '/attach/', times: Infinity });
    const attach = async (key: string) => driver.compute.attachDisk(callOf({ idempotencyKey: key }), 'vm_1', 'disk_1');
    await expect(attach('op_1/1/attach/disk_1')).rejects.toMatchObject({ code: 'BACKEND_FAILED' });
    expect(await attach('op_1/1/start/disk_1')).toEqual({ state: 'DONE', value: undefined });
    await world.clearFaults();
    await world.addFault({ kind: 'REFUSED', resourceId: 'disk_1' });
    await expect(attach('op_1/1/start/disk_1')).rejects.toMatchObject({ code: 'BACKEND_FAILED' });
  });

  test('is seen by every connection, and by no other backend', async () => {
    const second = await connect(world.backendId);
    const stranger = await connect('backend-of-others');
    await world.addFault({ kind: 'REFUSED', method: 'listMachines' });
    expect(await stranger.compute.listMachines(callOf(), null, 1)).toEqual([]);
    await expect(second.compute.listMachines(callOf(), null, 1)).rejects.toMatchObject({ code: 'BACKEND_FAILED' });
    await second.close();
    await stranger.close();
  });

  test('HANG ends with the call’s time or its signal, without an effect', async () => {
    await world.addFault({ kind: 'HANG', method: 'createMachine', times: 2 });
    await expect(driver.compute.createMachine(callOf({ timeoutMs: 100 }), machineOf('vm_1'))).rejects.toMatchObject({ code: 'TIMEOUT' });
    const controller = new AbortController();
    const call = driver.compute.createMachine(callOf({ signal: controller.signal }), machineOf('vm_1'));
    controller.abort();
    await expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(await machineIds()).toEqual([]);
  });

  test('LOST_ANSWER: it happened', async () => {
    await world.addFault({ kind: 'LOST_ANSWER', times: 3 });
    await expect(driver.compute.createMachine(callOf(), machineOf('vm_1'))).rejects.toMatchObject({ code: 'TIMEOUT' });
    await expect(driver.compute.startMachine(callOf(), 'vm_1')).rejects.toMatchObject({ code: 'TIMEOUT' });
    await expect(driver.hosts.fence(callOf(), 'host-1')).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(await world.machine('vm_1')).toMatchObject({ bootCount: 1, power: 'STOPPED' });
    expect(await world.hostUsage()).toMatchObject([{ state: 'DEAD' }, { state: 'ALIVE' }]);
  });

  test('STILL_RUNNING is PENDING until its time, then done once', async () => {
    await driver.compute.createMachine(callOf(), machineOf('vm_1'));
    await driver.compute.startMachine(callOf(), 'vm_1');
    await world.addFault({ kind: 'STILL_RUNNING', method: 'restartMachine', delayMs: LATER_MS });
    const call = callOf();
    const first = await driver.compute.restartMachine(call, 'vm_1');
    expect(first).toMatchObject({ state: 'PENDING', retryAfterMs: LATER_MS });
    expect(await driver.compute.restartMachine(call, 'vm_1')).toMatchObject({ state: 'PENDING' });
    await world.landPending();
    expect(await driver.compute.restartMachine(call, 'vm_1')).toMatchObject({ state: 'DONE' });
    expect((await world.machine('vm_1'))?.bootCount).toBe(2);
  });

  test('STALE_LISTING shows for a while what was, in pages, while looking shows what is', async () => {
    for (const id of ['vm_1', 'vm_2', 'vm_3']) await driver.compute.createMachine(callOf(), machineOf(id));
    await world.addFault({ kind: 'STALE_LISTING', method: 'listMachines', delayMs: LATER_MS });
    await driver.compute.deleteMachine(callOf(), 'vm_2');
    await driver.compute.createMachine(callOf(), machineOf('vm_4'));
    expect(await machineIds()).toEqual(['vm_1', 'vm_2', 'vm_3']);
    const page = await driver.compute.listMachines(callOf(), 'vm_1', 1);
    expect(page.map((machine) => machine.machineId)).toEqual(['vm_2']);
    expect(await driver.compute.getMachine(callOf(), 'vm_2')).toBeUndefined();
    await world.clearFaults();
    await world.addFault({ kind: 'STALE_LISTING', method: 'listMachines', delayMs: 1 });
    await expect.poll(machineIds).toEqual(['vm_1', 'vm_3', 'vm_4']);
  });

  test('HOST_LOST kills the host that the call is about', async () => {
    await driver.compute.createMachine(callOf(), machineOf('vm_1', { hostName: 'host-2' }));
    await driver.compute.startMachine(callOf(), 'vm_1');
    await world.addFault({ kind: 'HOST_LOST', method: 'stopMachine' });
    await expect(driver.compute.stopMachine(callOf(), 'vm_1', false)).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    expect((await driver.hosts.listHosts(callOf())).map((host) => host.alive)).toEqual([true, false]);
    await world.addFault({ kind: 'HOST_LOST', method: 'createMachine' });
    await expect(driver.compute.createMachine(callOf(), machineOf('vm_2'))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect((await driver.hosts.listHosts(callOf())).map((host) => host.alive)).toEqual([false, false]);
  });
});

describe('late effects', () => {
  const lateCreate = async (uncancellable: boolean): Promise<void> => {
    await world.addFault({ kind: 'LATE_EFFECT', method: 'createMachine', delayMs: LATER_MS, uncancellable });
    await expect(driver.compute.createMachine(callOf(), machineOf('vm_1'))).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(await machineIds()).toEqual([]);
    expect((await world.counts()).pendingWork).toBe(1);
  };

  test('a late create comes, although nobody asks again', async () => {
    await world.addFault({ kind: 'LATE_EFFECT', method: 'createMachine', delayMs: 30 });
    await expect(driver.compute.createMachine(callOf(), machineOf('vm_1'))).rejects.toMatchObject({ code: 'TIMEOUT' });
    await expect.poll(machineIds).toEqual(['vm_1']);
    expect((await world.counts()).pendingWork).toBe(0);
  });

  test('a repeat finds a late create under way and makes no second machine', async () => {
    await lateCreate(false);
    expect(await driver.compute.createMachine(callOf(), machineOf('vm_1'))).toMatchObject({ state: 'PENDING' });
    await world.landPending();
    expect(await driver.compute.createMachine(callOf(), machineOf('vm_1'))).toMatchObject({ state: 'DONE' });
    expect(await machineIds()).toEqual(['vm_1']);
  });

  test('deleting cancels a late create for good', async () => {
    await lateCreate(false);
    expect(await driver.compute.deleteMachine(callOf(), 'vm_1')).toMatchObject({ state: 'DONE' });
    expect((await world.counts()).pendingWork).toBe(0);
    await world.landPending();
    expect(await machineIds()).toEqual([]);
  });

  test('a request lost on its way comes after deletion said DONE, and is deleted by whoever looks again', async () => {
    await lateCreate(true);
    expect(await driver.compute.deleteMachine(callOf(), 'vm_1')).toMatchObject({ state: 'DONE' });
    expect(await driver.compute.getMachine(callOf(), 'vm_1')).toBeUndefined();
    await world.landPending();
    expect(await world.objects()).toEqual([{ kind: 'MACHINE', id: 'vm_1', ...OWNERSHIP }]);
    expect(await driver.compute.deleteMachine(callOf(), 'vm_1')).toMatchObject({ state: 'DONE' });
    expect(await world.objects()).toEqual([]);
  });

  test('a request lost on its way that comes after its repeat changes nothing', async () => {
    await lateCreate(true);
    expect(await driver.compute.createMachine(callOf(), machineOf('vm_1'))).toMatchObject({ state: 'DONE' });
    await driver.compute.startMachine(callOf(), 'vm_1');
    await world.landPending();
    expect(await world.machine('vm_1')).toMatchObject({ power: 'RUNNING', bootCount: 1 });
  });

  test('another change waits for a late one', async () => {
    await driver.compute.createMachine(callOf(), machineOf('vm_1'));
    await world.addFault({ kind: 'LATE_EFFECT', method: 'startMachine', delayMs: LATER_MS });
    await expect(driver.compute.startMachine(callOf(), 'vm_1')).rejects.toMatchObject({ code: 'TIMEOUT' });
    const stop = async () => driver.compute.stopMachine(callOf(), 'vm_1', true);
    await expect(stop()).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    await world.landPending();
    expect((await world.machine('vm_1'))?.power).toBe('RUNNING');
    expect(await stop()).toMatchObject({ state: 'DONE' });
    expect((await world.machine('vm_1'))?.power).toBe('STOPPED');
  });

  test('a late deletion deletes', async () => {
    await driver.compute.createMachine(callOf(), machineOf('vm_1'));
    await world.addFault({ kind: 'LATE_EFFECT', method: 'deleteMachine', delayMs: LATER_MS });
    await expect(driver.compute.deleteMachine(callOf(), 'vm_1')).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(await driver.compute.deleteMachine(callOf(), 'vm_1')).toMatchObject({ state: 'PENDING' });
    await world.landPending();
    expect(await driver.compute.deleteMachine(callOf(), 'vm_1')).toMatchObject({ state: 'DONE' });
    expect(await machineIds()).toEqual([]);
  });

  test('a deletion that comes late cancels what has been accepted by then', async () => {
    await world.addFault({ kind: 'LATE_EFFECT', method: 'createMachine', delayMs: LATER_MS });
    await world.addFault({ kind: 'LATE_EFFECT', method: 'createMachine', delayMs: 60 });
    await world.addFault({ kind: 'LATE_EFFECT', method: 'deleteMachine', delayMs: 30, uncancellable: true, times: 2 });
    for (const id of ['vm_1', 'vm_2']) {
      await expect(driver.compute.createMachine(callOf(), machineOf(id))).rejects.toMatchObject({ code: 'TIMEOUT' });
      await expect(driver.compute.deleteMachine(callOf(), id)).rejects.toMatchObject({ code: 'TIMEOUT' });
    }
    // By then all but the first are due, and are settled together.
    await sleep(100);
    expect((await world.counts()).pendingWork).toBe(0);
    expect(await machineIds()).toEqual([]);
  });

  test('every removal cancels what is on its way to the same thing', async () => {
    await driver.network.ensureNetwork(callOf(), { networkId: 'net_1', revision: 1, ownership: OWNERSHIP, subnets: [] });
    await driver.storage.createDisk(callOf(), diskOf('disk_1'));
    await world.addFault({ kind: 'LATE_EFFECT', delayMs: LATER_MS, times: 4 });
    const balancer = { loadBalancerId: 'lb_1', revision: 1, ownership: OWNERSHIP, networkId: 'net_1', address: '10.0.0.2', listeners: [] };
    await expect(driver.network.ensurePort(callOf(), portOf('port_1', 'net_1'))).rejects.toMatchObject({ code: 'TIMEOUT' });
    await expect(driver.network.ensureLoadBalancer(callOf(), balancer)).rejects.toMatchObject({ code: 'TIMEOUT' });
    await expect(driver.storage.createDisk(callOf(), diskOf('disk_2'))).rejects.toMatchObject({ code: 'TIMEOUT' });
    await expect(driver.storage.createSnapshot(callOf(), 'disk_1', 'snapshot_1')).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect((await world.counts()).pendingWork).toBe(4);
    await driver.network.removePort(callOf(), 'port_1');
    await driver.network.removeLoadBalancer(callOf(), 'lb_1');
    await driver.storage.deleteDisk(callOf(), 'disk_2');
    await driver.storage.deleteSnapshot(callOf(), 'disk_1', 'snapshot_1');
    expect((await world.counts()).pendingWork).toBe(0);
  });

  test('what the world no longer allows comes to nothing', async () => {
    await world.addFault({ kind: 'LATE_EFFECT', method: 'createMachine', delayMs: LATER_MS });
    await expect(driver.compute.createMachine(callOf(), machineOf('vm_1'))).rejects.toMatchObject({ code: 'TIMEOUT' });
    await world.setHost('host-1', 'DEAD');
    await world.landPending();
    await world.setHost('host-1', 'ALIVE');
    expect(await machineIds()).toEqual([]);
    expect((await world.counts()).pendingWork).toBe(0);
  });
});

describe('delays', () => {
  test('a change is PENDING and takes effect in its time; what is so already is DONE at once', async () => {
    const slow = await connect(world.backendId, { delayMs: { min: LATER_MS, max: LATER_MS }, delaysByMethod: { startMachine: { min: 0, max: 0 } } });
    expect(await slow.compute.createMachine(callOf(), machineOf('vm_1'))).toEqual({ state: 'PENDING', retryAfterMs: LATER_MS });
    expect(await slow.compute.getMachine(callOf(), 'vm_1')).toBeUndefined();
    await world.landPending();
    expect(await slow.compute.createMachine(callOf(), machineOf('vm_1'))).toMatchObject({ state: 'DONE' });
    expect(await slow.compute.startMachine(callOf(), 'vm_1')).toMatchObject({ state: 'DONE' });
    expect(await slow.compute.deleteMachine(callOf(), 'vm_2')).toMatchObject({ state: 'DONE' });
    await slow.close();
  });

  test('what cannot be is refused at once', async () => {
    const slow = await connect(world.backendId, { delayMs: { min: LATER_MS, max: LATER_MS } });
    await expect(slow.compute.startMachine(callOf(), 'vm_unknown')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(slow.compute.createMachine(callOf(), machineOf('vm_1', { hostName: 'none' }))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await world.counts()).toMatchObject({ pendingWork: 0, machines: 0 });
    await slow.close();
  });
});

describe('faults drawn from a seed', () => {
  const rates = { UNAVAILABLE: 0.15, LOST_ANSWER: 0.15, LATE_EFFECT: 0.1, REFUSED: 0.1 };

  /** What 60 operations of a few calls each meet, as a line of letters. */
  async function run(seeded: SimulatedWorld, drivers: Driver[]): Promise<string> {
    let met = '';
    for (let number = 0; number < 60; number += 1) {
      for (const [attempt, method] of (['createMachine', 'createMachine', 'getMachine'] as const).entries()) {
        const call = callOf({ idempotencyKey: `op_${number}/${method}` });
        const { compute } = drivers[(number + attempt) % drivers.length] as Driver;
        const made =
          method === 'getMachine'
            ? compute.getMachine(call, `vm_${number}`).then(() => 'seen')
            : compute.createMachine(call, machineOf(`vm_${number}`)).then((outcome) => outcome.state);
        met += (await made.catch((error: { code: string }) => error.code)).slice(0, 1);
      }
      await seeded.landPending();
    }
    return met;
  }

  test('the same seed gives the same faults on every backend and through every connection, another seed others', async () => {
    const results: string[] = [];
    for (const [name, seed, connections] of [['one', 'a', 1], ['two', 'a', 2], ['three', 'b', 1]] as const) {
      const other = await openWorld(`seeded-${name}`);
      const options = { random: { seed, rates, delayMs: LATER_MS } };
      const drivers = await Promise.all(Array.from({ length: connections }, async () => connect(other.backendId, options)));
      results.push(await run(other, drivers));
      await Promise.all(drivers.map(async (each) => each.close()));
      await other.close();
    }
    expect(results[1]).toBe(results[0]);
    expect(results[2]).not.toBe(results[0]);
    const met = results[0] as string;
    for (const letter of ['D', 'U', 'T', 'B', 'P']) expect(met).toContain(letter);
    const share = [...met].filter((letter) => 'UTB'.includes(letter)).length / 180;
    expect(share).toBeGreaterThan(0.3);
    expect(share).toBeLessThan(0.7);
  });
});
