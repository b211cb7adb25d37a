import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventsRoom } from '#events';
import { simulatedDriverFactory } from '#driver-simulated';
import type { Driver, DriverCall } from '#drivers';
import { identityRoom } from '#identity';
import { infrastructureRoom } from '#infrastructure';
import { operationsRoom } from '#operations';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { infrastructureBench, roomDatabase, systemAccess, type InfrastructureBench, type RoomDatabase } from '#testing';

let room: RoomDatabase;
let bench: InfrastructureBench;
const access = systemAccess();

beforeAll(async () => {
  room = await roomDatabase([secretsRoom, eventsRoom, scopesRoom, identityRoom, operationsRoom, infrastructureRoom]);
  bench = await infrastructureBench(room);
});
afterAll(async () => {
  await bench.close();
  await room.close();
});

let calls = 0;
function call(part: Partial<DriverCall> = {}): DriverCall {
  calls += 1;
  return { idempotencyKey: `spec-${calls}`, timeoutMs: 5000, signal: new AbortController().signal, ...part };
}

async function failure(work: Promise<unknown>): Promise<{ code: string; message: string; data?: Record<string, unknown> }> {
  return work.then(
    () => ({ code: 'NONE', message: '' }),
    (error: unknown) => error as { code: string; message: string; data?: Record<string, unknown> },
  );
}

it('opens each backend once, however many ask at the same time', async () => {
  const { backendId } = await bench.datacenter({ count: 1 });
  const drivers = await Promise.all(Array.from({ length: 20 }, async () => bench.drivers.driver(backendId)));
  expect(new Set(drivers).size).toBe(1);
  await expect(bench.drivers.driver('bck_none')).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

it('refuses to be used inside a transaction', async () => {
  const { backendId } = await bench.datacenter({ count: 1 });
  const driver = await bench.drivers.driver(backendId);
  const inside = room.database.transaction(async () => driver.hosts.listHosts(call()));
  await expect(inside).rejects.toMatchObject({ code: 'INTERNAL' });
  await expect(room.database.transaction(async () => bench.drivers.driver(backendId))).rejects.toMatchObject({ code: 'INTERNAL' });
});

it('knows what a backend cannot do, from its row alone', async () => {
  const plain = { name: 'plain', kind: 'simulated', endpoint: bench.endpoint, secret: bench.password };
  const id = String((await bench.backends.create(access, { ...plain, options: { capabilities: { suspend: false } } })).result.id);
  await room.database.transaction(async (transaction) => {
    await bench.drivers.requireCapability(transaction, id, 'resize');
    const refused = await failure(bench.drivers.requireCapability(transaction, id, 'suspend', 'input.id'));
    expect(refused).toMatchObject({ code: 'UNSUPPORTED', field: 'input.id', data: { backend: id, capability: 'suspend' } });
  });
});

it('runs no more calls at once than the backend may get, and the others in turn', async () => {
  const { backendId, world } = await bench.datacenter({ count: 1 });
  const first = await bench.drivers.driver(backendId);
  await bench.backends.update(access, { id: backendId, maxConcurrentCalls: 2 });
  await expect.poll(async () => (await bench.drivers.driver(backendId)) !== first).toBe(true);
  const driver = await bench.drivers.driver(backendId);
  await world.addFault({ kind: 'HANG', method: 'readLoad', times: 2 });
  const hold = new AbortController();
  const hanging = [1, 2].map(async () => failure(driver.hosts.readLoad(call({ signal: hold.signal }))));
  const third = failure(driver.hosts.listHosts(call({ timeoutMs: 300 })));
  expect(await third).toMatchObject({ code: 'TIMEOUT' });
  const fourth = driver.hosts.listHosts(call());
  hold.abort();
  expect(await Promise.all(hanging)).toMatchObject([{ code: 'CANCELLED' }, { code: 'CANCELLED' }]);
  expect(await fourth).toHaveLength(1);
  const crowd = Array.from({ length: 30 }, async () => failure(driver.hosts.listHosts(call())));
  expect((await Promise.all(crowd)).every((outcome) => outcome.code === 'NONE')).toBe(true);
});

it('answers at once, with the first cause, while a backend does not; and tries it again', async () => {
  const { backendId, world } = await bench.datacenter({ count: 1 });
  const driver = await bench.drivers.driver(backendId);
  await world.addFault({ kind: 'UNAVAILABLE', times: Infinity });
  for (let number = 0; number < 5; number += 1) expect(await failure(driver.hosts.listHosts(call()))).toMatchObject({ code: 'UNAVAILABLE' });
  // The probe has failed as soon as calls are refused without being sent.
  await expect.poll(async () => (await failure(driver.hosts.readLoad(call()))).data?.cause).toBeDefined();
  const refused = await failure(driver.storage.getDisk(call(), 'disk_1'));
  expect(refused).toMatchObject({ code: 'UNAVAILABLE', data: { backend: backendId, cause: { code: 'UNAVAILABLE' } } });
  await world.clearFaults();
  await expect.poll(async () => (await failure(driver.hosts.listHosts(call()))).code, { timeout: 10_000, interval: 100 }).toBe('NONE');
});

it('does not blame the backend for one thing that is silent', async () => {
  const { backendId, world } = await bench.datacenter({ count: 1 });
  const driver = await bench.drivers.driver(backendId);
  await world.addFault({ kind: 'UNAVAILABLE', method: 'getMachine', times: 20 });
  for (let number = 0; number < 20; number += 1) {
    const outcome = await failure(driver.compute.getMachine(call(), 'vm_1'));
    expect(outcome.code).toBe('UNAVAILABLE');
    expect(outcome.data?.cause).toBeUndefined();
  }
  expect(await driver.hosts.listHosts(call())).toHaveLength(1);
});

it('closes a connection that opens when nobody waits for it any more', async () => {
  const factory = simulatedDriverFactory({ poolSize: 1 });
  const [opened, closed]: [Driver[], Driver[]] = [[], []];
  bench.drivers.register({
    kind: 'late',
    async connect(connection) {
      await pause(400);
      const driver = await factory.connect(connection);
      const close = driver.close.bind(driver);
      driver.close = async () => {
        closed.push(driver);
        return close();
      };
      opened.push(driver);
      return driver;
    },
  });
  const late = { name: 'late', kind: 'late', endpoint: bench.endpoint, secret: bench.password, callTimeoutMs: 100 };
  await expect(bench.backends.create(access, late)).rejects.toMatchObject({ code: 'TIMEOUT' });
  await expect.poll(() => opened, { timeout: 5000 }).toHaveLength(1);
  await expect.poll(() => closed, { timeout: 2000 }).toEqual(opened);
});
