import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { statement } from '#database';
import type { Driver, DriverCall } from '#drivers';
import { FaultKind } from '#driver-simulated';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import {
  findBackends,
  infrastructureRoom,
  installationId,
  KnownObjects,
  orphanOperations,
  OrphanSweep,
  type BackendObject,
  type OrphanReport,
} from '#infrastructure';
import {
  findTombstones,
  liftTombstones,
  OperationEngine,
  OperationRegistry,
  OperationService,
  operationsRoom,
  readUnsettledTombstones,
  RECREATED,
  registerOperationSections,
  silentBell,
  writeTombstones,
  type ReconcilerContext,
} from '#operations';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { infrastructureBench, roomDatabase, type InfrastructureBench, type RoomDatabase, type SimulatedDatacenter } from '#testing';

const readState = statement<{ state: string; error: { message: string } | null }, [id: string]>(
  'spec.orphan_operation',
  'SELECT state, error FROM operation WHERE id = $1',
);

const setHostHealth = statement<never, [backendId: string, health: string]>('spec.orphan_host_health', 'UPDATE host SET health = $2 WHERE backend_id = $1');

let room: RoomDatabase;
let bench: InfrastructureBench;
let operations: OperationService;
let engine: OperationEngine;
let center: SimulatedDatacenter;
let driver: Driver;
let sweep: OrphanSweep;
let installation: string;
let number = 0;
/** Ids that the rooms above would know. */
const rows = new Set<string>();

beforeAll(async () => {
  room = await roomDatabase([secretsRoom, eventsRoom, scopesRoom, identityRoom, operationsRoom, infrastructureRoom]);
  bench = await infrastructureBench(room);
  const registry = new OperationRegistry().register(...orphanOperations(bench.drivers));
  registerOperationSections(room.applier, { registry, bell: silentBell });
  operations = new OperationService(room.database, room.applier, registry, silentBell);
  const { database, applier, log } = room;
  engine = new OperationEngine({ database, registry, applier, bell: silentBell, log, sweepEveryMs: 20, retry: { baseMs: 5, maxMs: 20 } });
  engine.start();
  const known = new KnownObjects().register({
    name: 'spec',
    kinds: ['machine', 'disk', 'floating_ip', 'port', 'load_balancer', 'router', 'external_network', 'network'],
    find: async (_reader, _kind, ids) => ids.filter((id) => rows.has(id)).map((id) => ({ id })),
  });
  sweep = new OrphanSweep(room.database, bench.drivers, known, { settleAfterMs: 0 });
  installation = await installationId(room.database);
});
beforeEach(async () => {
  rows.clear();
  center = await bench.datacenter({ count: 1 });
  driver = await bench.drivers.driver(center.backendId);
});
afterAll(async () => {
  await engine.drain(1000);
  await bench.close();
  await room.close();
});

function call(): DriverCall {
  number += 1;
  return { idempotencyKey: `spec/${number}`, timeoutMs: 5000, signal: new AbortController().signal };
}
const ownership = (owner = installation) => ({ installationId: owner, tenantId: 'ten', projectId: 'prj' });

async function makeDisk(diskId: string, owner = installation): Promise<void> {
  const place = { poolName: 'local', hostName: 'host-1', sizeGib: 1, iopsLimit: null, imageReference: null };
  await driver.storage.createDisk(call(), { diskId, ownership: ownership(owner), ...place });
}

/** A machine on a network, with a port and a disk: nothing of it can be deleted in another order than the sweep's. */
async function makeMachine(name: string): Promise<BackendObject[]> {
  const [machineId, diskId, networkId, portId] = [`vm-${name}`, `dsk-${name}`, `net-${name}`, `prt-${name}`];
  await makeDisk(diskId);
  await driver.network.ensureNetwork(call(), { networkId, revision: 1, ownership: ownership(), subnets: [] });
  const card = { portId, networkId, macAddress: '02:00:00:00:00:01', ipAddress: '10.0.0.5' };
  await driver.network.ensurePort(call(), { ...card, revision: 1, ownership: ownership(), subnetId: 'sub', hostName: 'host-1' });
  await driver.compute.createMachine(call(), {
    machineId,
    hostname: name,
    ownership: ownership(),
    hostName: 'host-1',
    imageReference: 'debian',
    cpu: 1,
    memoryMib: 512,
    interfaces: [card],
    diskIds: [diskId],
    userData: '',
  });
  return [
    { kind: 'network', id: networkId },
    { kind: 'port', id: portId },
    { kind: 'disk', id: diskId },
    { kind: 'machine', id: machineId },
  ];
}

const stone = ({ kind, id }: BackendObject) => ({ backendId: center.backendId, objectKind: kind, objectId: id, reason: 'undone' });
async function bury(...objects: BackendObject[]): Promise<void> {
  await room.database.transaction((transaction) => writeTombstones(transaction, objects.map(stone)));
}
const setHealth = async (health: string): Promise<void> =>
  room.database.transaction(async (transaction) => void (await transaction.execute(setHostHealth, center.backendId, health)));
const look = (beforeSubmit = async (): Promise<void> => undefined): Promise<OrphanReport> => {
  const context: ReconcilerContext = {
    signal: new AbortController().signal,
    fence: 1,
    reader: room.database,
    log: room.log,
    submit: async (changes) => {
      await beforeSubmit();
      return operations.submit(changes);
    },
  };
  return sweep.check(context, center.backendId);
};
async function ended(id: string | null): Promise<{ state: string; error: { message: string } | null }> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const row = await room.database.first(readState, String(id));
    if (row !== undefined && ['SUCCEEDED', 'FAILED', 'STUCK'].includes(row.state)) return row;
    if (Date.now() > deadline) throw new Error(`no end of ${id}: ${JSON.stringify(row)}`);
    await pause(10);
  }
}
const present = async (): Promise<string[]> => (await center.world.objects()).map((object) => object.id).sort();

it('deletes what has a tombstone, each in its turn, and nothing else', async () => {
  const buried = await makeMachine('late');
  const living = await makeMachine('living');
  for (const object of living) rows.add(object.id);
  await makeDisk('dsk-stranger');
  await makeDisk('dsk-of-others', 'another-installation');
  await bury(...buried);
  const report = await look();
  expect(report).toMatchObject({ listed: 9, refusal: null, unknown: [{ kind: 'disk', id: 'dsk-stranger' }] });
  expect(new Set(report.orphans.map((object) => object.id))).toEqual(new Set(buried.map((object) => object.id)));
  expect(await ended(report.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  expect(await present()).toEqual(['dsk-of-others', 'dsk-stranger', ...living.map((object) => object.id)].sort());
  expect(await room.database.rows(readUnsettledTombstones, center.backendId, 10)).toEqual([]);
});

it('says of a backend that answers why it cannot list what it has, until it can', async () => {
  const heartbeat = bench.heartbeat();
  await heartbeat.lookAt(center.backendId, new AbortController().signal);
  const health = async (): Promise<unknown> => {
    const [backend] = await room.database.rows(findBackends, [center.backendId]);
    return { health: backend?.health, reason: backend?.health_reason };
  };
  await center.world.addFault({ kind: 'REFUSED', method: 'listMachines' });
  await expect(look()).rejects.toMatchObject({ code: 'BACKEND_FAILED' });
  expect(await health()).toEqual({ health: 'UP', reason: expect.stringContaining('cannot be listed') });
  await heartbeat.lookAt(center.backendId, new AbortController().signal);
  expect(await health()).toEqual({ health: 'UP', reason: expect.stringContaining('cannot be listed') });
  await look();
  expect(await health()).toEqual({ health: 'UP', reason: null });
});

it('knows again what a late effect brings back after it was settled', async () => {
  await bury({ kind: 'disk', id: 'dsk-twice' });
  expect(await look()).toMatchObject({ orphans: [], operationId: null });
  expect(await room.database.rows(readUnsettledTombstones, center.backendId, 10)).toEqual([]);
  await makeDisk('dsk-twice');
  const report = await look();
  expect(report.orphans).toEqual([{ kind: 'disk', id: 'dsk-twice' }]);
  await ended(report.operationId);
  expect(await present()).toEqual([]);
});

it('sweeps nothing when it would be too much, and says so', async () => {
  const objects = Array.from({ length: 11 }, (_none, index) => ({ kind: 'disk' as const, id: `dsk-many-${index}` }));
  for (const { id } of objects) await makeDisk(id);
  await bury(...objects);
  expect(await look()).toMatchObject({ refusal: 'TOO_MANY', operationId: null });
  expect(await present()).toHaveLength(11);
  // Beside many others it is a small part.
  for (let index = 0; index < 50; index += 1) {
    rows.add(`dsk-other-${index}`);
    await makeDisk(`dsk-other-${index}`);
  }
  const report = await look();
  expect(report.refusal).toBeNull();
  await ended(report.operationId);
  expect(await present()).toHaveLength(50);
});

it('does not count what the return of a host has brought back after it was made anew elsewhere', async () => {
  const objects = Array.from({ length: 15 }, (_none, index) => ({ kind: 'disk' as const, id: `dsk-returned-${index + 10}` }));
  for (const { id } of objects) await makeDisk(id);
  const stones = objects.map((object) => ({ ...stone(object), reason: RECREATED }));
  await room.database.transaction((transaction) => writeTombstones(transaction, stones));
  const report = await look();
  expect(report).toMatchObject({ refusal: null, returned: objects });
  await ended(report.operationId);
  expect(await present()).toEqual([]);
});

it('leaves what only a host that is down could delete until that returns', async () => {
  const [machine, disk] = (await makeMachine('out')).filter(({ kind }) => kind === 'machine' || kind === 'disk').reverse() as [BackendObject, BackendObject];
  for (const id of ['net-out', 'prt-out']) rows.add(id);
  await bury(machine, disk);
  await setHealth('DOWN');
  expect(await look()).toMatchObject({ orphans: [], outOfReach: [machine, disk], operationId: null });
  await setHealth('UP');
  const report = await look();
  expect(report).toMatchObject({ orphans: [machine, disk], outOfReach: [] });
  expect(await ended(report.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  expect(await present()).toEqual(['net-out', 'prt-out']);
});

it('sweeps what was deleted while its host was down when that returns, however much it is, and whatever else is too much', async () => {
  const left = Array.from({ length: 15 }, (_none, index) => ({ kind: 'disk' as const, id: `dsk-left-${index + 10}` }));
  for (const { id } of left) await makeDisk(id);
  await bury(...left);
  await setHealth('DOWN');
  expect(await look()).toMatchObject({ orphans: [], outOfReach: left });
  await setHealth('UP');
  const mistaken = Array.from({ length: 15 }, (_none, index) => ({ kind: 'disk' as const, id: `dsk-mistaken-${index + 10}` }));
  for (const { id } of mistaken) await makeDisk(id);
  await bury(...mistaken);
  const report = await look();
  expect(report).toMatchObject({ refusal: 'TOO_MANY', returned: left });
  expect(await ended(report.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  expect(await present()).toEqual(mistaken.map(({ id }) => id));
});

it('does not take for gone what a backend lists without its owner while its host is down', async () => {
  const hidden = { kind: 'disk' as const, id: 'dsk-hidden' };
  await makeDisk(hidden.id, '');
  await makeDisk('dsk-hidden-too', '');
  await bury(hidden);
  await setHealth('DOWN');
  expect(await look()).toMatchObject({ orphans: [], outOfReach: [hidden], unknown: [], operationId: null });
  expect(await room.database.rows(readUnsettledTombstones, center.backendId, 10)).toMatchObject([{ object_id: hidden.id }]);
  await setHealth('UP');
  // Whose it is is not told: it is left alone, and not taken for gone either.
  expect(await look()).toMatchObject({ orphans: [], outOfReach: [], unknown: [], operationId: null });
  expect(await room.database.rows(readUnsettledTombstones, center.backendId, 10)).toMatchObject([{ object_id: hidden.id }]);
});

it('goes on past what cannot be deleted, names it, and tries again the next time', async () => {
  const objects = [{ kind: 'disk' as const, id: 'dsk-stubborn' }, { kind: 'disk' as const, id: 'dsk-willing' }];
  for (const { id } of objects) await makeDisk(id);
  await bury(...objects);
  await center.world.addFault({ kind: FaultKind.REFUSED, method: 'deleteDisk', resourceId: 'dsk-stubborn' });
  const first = await look();
  const end = await ended(first.operationId);
  expect(end.state).toBe('FAILED');
  expect(end.error?.message).toContain('the disk "dsk-stubborn"');
  expect(await present()).toEqual(['dsk-stubborn']);
  const second = await look();
  expect(await ended(second.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  expect(await present()).toEqual([]);
});

it('keeps an object from being made again while it is deleting it, and leaves alone what was lifted before', async () => {
  const [early, late] = [{ kind: 'disk' as const, id: 'dsk-early' }, { kind: 'disk' as const, id: 'dsk-late' }];
  for (const { id } of [early, late]) await makeDisk(id);
  await bury(early, late);
  await center.world.addFault({ kind: FaultKind.STILL_RUNNING, method: 'deleteDisk', resourceId: 'dsk-late', delayMs: 1500 });
  const lift = async (object: BackendObject): Promise<void> =>
    room.database.transaction((transaction) => liftTombstones(transaction, [stone(object)]));
  const report = await look(() => lift(early));
  expect(report.orphans).toHaveLength(2);
  const claimed = async (): Promise<boolean> =>
    (await room.database.rows(findTombstones, center.backendId, 'disk', ['dsk-late']))[0]?.sweep_operation_id === report.operationId;
  await expect.poll(claimed).toBe(true);
  await expect(lift(late)).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
  expect(await look()).toMatchObject({ refusal: 'BUSY' });
  expect(await ended(report.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  await lift(late);
  expect(await present()).toEqual(['dsk-early']);
});
