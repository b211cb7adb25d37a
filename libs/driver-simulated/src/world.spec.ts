import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Driver } from '#drivers';
import { testDatabase, type TestDatabase } from '#testing';
import { callOf, diskOf, machineOf, OWNERSHIP, portOf } from './fixtures.js';
import { simulatedDriverFactory, SimulatedWorld, type SimulatedOptions } from './index.js';

let database: TestDatabase;
let world: SimulatedWorld;
let driver: Driver;
let backends = 0;

async function connect(options: SimulatedOptions = {}, backendId = world.backendId, endpoint = database.url): Promise<Driver> {
  return simulatedDriverFactory().connect({ backendId, installationId: 'i', endpoint, secret: null, options: { ...options } });
}

beforeAll(async () => {
  database = await testDatabase();
});
afterAll(async () => database.drop());
beforeEach(async () => {
  backends += 1;
  world = await SimulatedWorld.open(database.url, `backend-${backends}`);
  await world.createHosts({
    prefix: 'host',
    count: 3,
    cpu: 16,
    memoryMib: 65_536,
    traits: ['ssd'],
    rack: 'rack-1',
    pools: [
      { name: 'local', capacityGib: 100 },
      { name: 'ceph', capacityGib: 1000, shared: true },
    ],
  });
  driver = await connect();
});
afterEach(async () => {
  await driver.close();
  await world.close();
});

const power = async (machineId: string) => (await driver.compute.getMachine(callOf(), machineId))?.power;

describe('hosts', () => {
  test('are created once, with their own and their shared pools', async () => {
    const again = await world.createHosts({ prefix: 'host', count: 4, cpu: 1, memoryMib: 1 });
    expect(again).toEqual(['host-1', 'host-2', 'host-3', 'host-4']);
    await driver.storage.createDisk(callOf(), diskOf('disk_1', { hostName: 'host-2' }));
    await driver.storage.createDisk(callOf(), diskOf('disk_2', { poolName: 'ceph', hostName: null, sizeGib: 30 }));
    const hosts = await driver.hosts.listHosts(callOf());
    expect(hosts.map((host) => [host.hostName, host.cpu])).toEqual([['host-1', 16], ['host-2', 16], ['host-3', 16], ['host-4', 1]]);
    expect(hosts[1]).toEqual({
      hostName: 'host-2',
      alive: true,
      cpu: 16,
      memoryMib: 65_536,
      traits: ['ssd'],
      pools: [
        { name: 'ceph', capacityGib: 1000, usedGib: 30, shared: true },
        { name: 'local', capacityGib: 100, usedGib: 10, shared: false },
      ],
    });
    expect(hosts[0]?.pools[1]).toMatchObject({ name: 'local', usedGib: 0 });
  });

  test('ten thousand of them are made by one statement', async () => {
    expect(await world.createHosts({ prefix: 'rack', count: 10_000, cpu: 64, memoryMib: 1, pools: [{ name: 'local', capacityGib: 1 }] })).toHaveLength(10_000);
    expect(await driver.hosts.listHosts(callOf())).toHaveLength(10_003);
  });

  test('a killed host hides its machines, proves it is off, and returns with them stopped', async () => {
    for (const id of ['vm_1', 'vm_2']) await driver.compute.createMachine(callOf(), machineOf(id));
    await driver.compute.createMachine(callOf(), machineOf('vm_3', { hostName: 'host-2' }));
    for (const id of ['vm_1', 'vm_3']) await driver.compute.startMachine(callOf(), id);
    await world.setHost('host-1', 'DEAD');
    expect(await Promise.all(['vm_1', 'vm_2', 'vm_3'].map(power))).toEqual(['UNKNOWN', 'UNKNOWN', 'RUNNING']);
    for (const call of [
      async () => driver.compute.startMachine(callOf(), 'vm_1'),
      async () => driver.compute.deleteMachine(callOf(), 'vm_1'),
      async () => driver.compute.readConsole(callOf(), 'vm_1'),
      async () => driver.compute.createMachine(callOf(), machineOf('vm_4')),
      async () => driver.storage.createDisk(callOf(), diskOf('disk_1')),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    }
    expect(await driver.hosts.fence(callOf(), 'host-1')).toBe('PROVEN_OFF');
    expect((await driver.hosts.readLoad(callOf())).map((load) => load.hostName)).toEqual(['host-2', 'host-3']);
    await world.setHost('host-1', 'ALIVE');
    expect(await Promise.all(['vm_1', 'vm_2', 'vm_3'].map(power))).toEqual(['STOPPED', 'STOPPED', 'RUNNING']);
  });

  test('a host that is cut off proves nothing and its machines run on', async () => {
    await driver.compute.createMachine(callOf(), machineOf('vm_1'));
    await driver.compute.startMachine(callOf(), 'vm_1');
    await world.setHost('host-1', 'PARTITIONED');
    expect(await driver.hosts.fence(callOf(), 'host-1')).toBe('UNKNOWN');
    expect(await power('vm_1')).toBe('UNKNOWN');
    expect((await world.machine('vm_1'))?.power).toBe('RUNNING');
    await world.setHost('host-1', 'ALIVE');
    expect(await power('vm_1')).toBe('RUNNING');
  });

  test('fencing a host that answers turns it off first', async () => {
    await driver.compute.createMachine(callOf(), machineOf('vm_1'));
    await driver.compute.startMachine(callOf(), 'vm_1');
    expect(await driver.hosts.fence(callOf(), 'host-1')).toBe('PROVEN_OFF');
    expect((await world.machine('vm_1'))?.power).toBe('STOPPED');
  });

  test('from a dead host only machines without local disks move away', async () => {
    await driver.storage.createDisk(callOf(), diskOf('disk_1', { poolName: 'ceph' }));
    await driver.storage.createDisk(callOf(), diskOf('disk_2'));
    await driver.compute.createMachine(callOf(), machineOf('vm_1', { diskIds: ['disk_1'] }));
    await driver.compute.createMachine(callOf(), machineOf('vm_2', { diskIds: ['disk_2'] }));
    await world.setHost('host-1', 'PARTITIONED');
    await expect(driver.compute.moveMachine(callOf(), 'vm_1', 'host-2')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await world.setHost('host-1', 'DEAD');
    expect(await driver.compute.moveMachine(callOf(), 'vm_1', 'host-2')).toMatchObject({ state: 'DONE' });
    await expect(driver.compute.moveMachine(callOf(), 'vm_2', 'host-2')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await driver.compute.startMachine(callOf(), 'vm_1');
    await world.setHost('host-1', 'ALIVE');
    expect(await Promise.all(['vm_1', 'vm_2'].map(power))).toEqual(['RUNNING', 'STOPPED']);
  });
});

describe('disks', () => {
  test('local ones move with their machine, and pools count exactly', async () => {
    await driver.storage.createDisk(callOf(), diskOf('disk_1', { sizeGib: 60 }));
    await driver.compute.createMachine(callOf(), machineOf('vm_1', { diskIds: ['disk_1'] }));
    await driver.compute.moveMachine(callOf(), 'vm_1', 'host-2');
    const used = async () => (await driver.hosts.listHosts(callOf())).map((host) => host.pools.find((pool) => pool.name === 'local')?.usedGib);
    expect(await used()).toEqual([0, 60, 0]);
    await driver.storage.createDisk(callOf(), diskOf('disk_2', { hostName: 'host-3', sizeGib: 41 }));
    await expect(driver.compute.moveMachine(callOf(), 'vm_1', 'host-3')).rejects.toMatchObject({ code: 'BACKEND_FAILED' });
    await expect(driver.storage.createDisk(callOf(), diskOf('disk_3', { hostName: 'host-3', sizeGib: 60 }))).rejects.toMatchObject({ code: 'BACKEND_FAILED' });
    await expect(driver.storage.resizeDisk(callOf(), 'disk_2', 101)).rejects.toMatchObject({ code: 'BACKEND_FAILED' });
    await driver.storage.resizeDisk(callOf(), 'disk_2', 100);
    expect(await used()).toEqual([0, 60, 100]);
    await driver.compute.deleteMachine(callOf(), 'vm_1');
    for (const id of ['disk_1', 'disk_2']) await driver.storage.deleteDisk(callOf(), id);
    expect(await used()).toEqual([0, 0, 0]);
  });

  test('a machine is refused disks of another host and disks or ports that are not there', async () => {
    await driver.storage.createDisk(callOf(), diskOf('disk_1', { hostName: 'host-2' }));
    const create = async (overrides: object) => driver.compute.createMachine(callOf(), machineOf('vm_1', overrides));
    const card = { portId: 'port_1', networkId: 'net_1', macAddress: '02:00:00:00:00:01', ipAddress: '10.0.0.10' };
    await expect(create({ diskIds: ['disk_1'] })).rejects.toMatchObject({ code: 'BACKEND_FAILED' });
    await expect(create({ diskIds: ['disk_2'] })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(create({ interfaces: [card] })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await world.counts()).toMatchObject({ machines: 0 });
    // A backend without disks and networks takes them from another one on trust.
    const computeOnly = await connect({ capabilities: { storage: false, network: false } });
    const made = await computeOnly.compute.createMachine(callOf(), machineOf('vm_1', { diskIds: ['disk_2'], interfaces: [card] }));
    expect(made).toMatchObject({ state: 'DONE', value: { diskIds: ['disk_2'], portIds: ['port_1'] } });
    await computeOnly.close();
  });

  test('fare as their pool and host do', async () => {
    await driver.storage.createDisk(callOf(), diskOf('disk_1', { hostName: 'host-2' }));
    await driver.storage.createDisk(callOf(), diskOf('disk_2', { poolName: 'ceph' }));
    await world.setPoolHealth('ceph', 'DEGRADED');
    await world.setHost('host-2', 'DEAD');
    const health = await driver.storage.diskHealth(callOf(), ['disk_1', 'disk_2', 'disk_3']);
    expect(Object.fromEntries(health)).toEqual({ disk_1: 'UNAVAILABLE', disk_2: 'DEGRADED', disk_3: 'UNKNOWN' });
  });
});

describe('guests', () => {
  test('answer what was registered last for their script, and keep no standard input', async () => {
    await driver.compute.createMachine(callOf(), machineOf('vm_1'));
    await driver.compute.startMachine(callOf(), 'vm_1');
    await world.onGuestRun({ pattern: 'kubeadm', standardOutput: 'joined' });
    await world.onGuestRun({ pattern: '^kubeadm token', standardOutput: 'token of {{hostname}} in {{runId}}' });
    await world.onGuestRun({ pattern: 'etcd', machineId: 'vm_1', exitCode: 3, standardError: 'no quorum' });
    const run = async (runId: string, script: string) =>
      driver.compute.runInGuest(callOf(), { runId, machineId: 'vm_1', script, standardInput: 'canary-5f1d', timeoutSeconds: 5 });
    expect(await run('run_1', 'kubeadm join')).toMatchObject({ value: { exitCode: 0, standardOutput: 'joined' } });
    expect(await run('run_2', 'kubeadm token create')).toMatchObject({ value: { standardOutput: 'token of vm_1 in run_2' } });
    expect(await run('run_3', 'etcdctl status')).toMatchObject({ value: { exitCode: 3, standardError: 'no quorum' } });
    expect(await run('run_4', 'true')).toMatchObject({ value: { exitCode: 0, standardOutput: '', standardError: '' } });
    expect((await world.guestRuns('vm_1')).map((each) => each.script)).toEqual(['kubeadm join', 'kubeadm token create', 'etcdctl status', 'true']);
    await world.addFault({ kind: 'LATE_EFFECT', method: 'runInGuest', delayMs: 3_600_000 });
    await expect(run('run_5', 'true')).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(await everythingStored()).toContain('kubeadm join');
    expect(await everythingStored()).not.toContain('canary-5f1d');
  });
});

async function everythingStored(): Promise<string> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    const tables = await client.query<{ name: string }>(
      `SELECT relname AS name FROM pg_class WHERE relnamespace = 'simulation'::regnamespace AND relkind = 'r'`,
    );
    let all = '';
    for (const { name } of tables.rows) all += JSON.stringify((await client.query(`SELECT t::text FROM simulation.${name} t`)).rows);
    return all;
  } finally {
    await client.end();
  }
}

describe('one world for many', () => {
  test('backends share a database and see nothing of each other, and a reset ends only one', async () => {
    const other = await SimulatedWorld.open(database.url, 'backend-other');
    await other.createHosts({ prefix: 'host', count: 1, cpu: 1, memoryMib: 1 });
    const otherDriver = await connect({}, 'backend-other');
    await driver.compute.createMachine(callOf(), machineOf('vm_1'));
    expect(await otherDriver.compute.getMachine(callOf(), 'vm_1')).toBeUndefined();
    await otherDriver.compute.createMachine(callOf(), machineOf('vm_1', { cpu: 1 }));
    await world.reset();
    expect(await world.counts()).toMatchObject({ hosts: 0, machines: 0 });
    expect(await other.counts()).toMatchObject({ hosts: 1, machines: 1 });
    await otherDriver.close();
    await other.close();
  });

  test('many processes may open an empty database at once', async () => {
    const empty = await testDatabase();
    const worlds = await Promise.all(Array.from({ length: 6 }, async (_, number) => SimulatedWorld.open(empty.url, `b${number}`)));
    await Promise.all(worlds.map(async (each) => each.close()));
    await empty.drop();
  });

  test('many calls at once on the same few things end well and leave them consistent', async () => {
    const second = await connect();
    await driver.network.ensureNetwork(callOf(), { networkId: 'net_1', revision: 1, ownership: OWNERSHIP, subnets: [] });
    await world.addFault({ kind: 'LATE_EFFECT', delayMs: 1, times: 60, nth: 40 });
    const allowed = new Set(['TIMEOUT', 'INVALID_STATE', 'NOT_FOUND', 'UNAVAILABLE']);
    const unexpected: unknown[] = [];
    const tasks = Array.from({ length: 600 }, async (_, number) => {
      const { compute, storage, network, hosts } = number % 2 === 0 ? driver : second;
      const machineId = `vm_${number % 3}`;
      const diskId = `disk_${number % 4}`;
      const calls = [
        async () => compute.createMachine(callOf(), machineOf(machineId)),
        async () => storage.createDisk(callOf(), diskOf(diskId)),
        async () => compute.attachDisk(callOf(), machineId, diskId),
        async () => compute.startMachine(callOf(), machineId),
        async () => compute.detachDisk(callOf(), machineId, diskId),
        async () => storage.deleteDisk(callOf(), diskId),
        async () => network.ensurePort(callOf(), portOf(`port_${number % 3}`, 'net_1')),
        async () => network.removeNetwork(callOf(), 'net_1'),
        async () => compute.stopMachine(callOf(), machineId, true),
        async () => hosts.listHosts(callOf()),
        async () => compute.deleteMachine(callOf(), machineId),
      ];
      await calls[number % calls.length]?.().catch((error: { code?: string }) => {
        if (!allowed.has(error.code ?? '')) unexpected.push(error);
      });
    });
    await Promise.all(tasks);
    await world.clearFaults();
    await world.landPending();
    expect(unexpected).toEqual([]);
    const disks = await driver.storage.listDisks(callOf(), null, 100);
    const machines = await driver.compute.listMachines(callOf(), null, 100);
    for (const disk of disks.filter((each) => each.attachedTo !== null)) {
      expect(machines.find((machine) => machine.machineId === disk.attachedTo)?.diskIds).toContain(disk.diskId);
    }
    for (const machine of machines) {
      for (const id of machine.diskIds) expect(disks.find((disk) => disk.diskId === id)?.attachedTo).toBe(machine.machineId);
    }
    const pool = (await driver.hosts.listHosts(callOf()))[0]?.pools.find((each) => each.name === 'local');
    expect(pool?.usedGib).toBe(disks.length * 10);
    await second.close();
  });

  test('a disk that goes while it is being attached is not attached', async () => {
    await driver.storage.createDisk(callOf(), diskOf('disk_1'));
    await driver.compute.createMachine(callOf(), machineOf('vm_1'));
    await withRival(async (rival) => {
      await rival.query(`DELETE FROM disk WHERE id = 'disk_1' AND backend_id = $1`, [world.backendId]);
      const attached = driver.compute.attachDisk(callOf(), 'vm_1', 'disk_1').catch((error: { code: string }) => error.code);
      await driversWait(rival, 1);
      await rival.query('COMMIT');
      expect(await attached).toBe('NOT_FOUND');
    });
    expect((await world.machine('vm_1'))?.diskIds).toEqual([]);
  });

  test('work that takes time is begun once, however many ask at the same time', async () => {
    const delay = 3_600_000;
    const slow = await connect({ delayMs: { min: delay, max: delay } });
    await driver.compute.createMachine(callOf(), machineOf('vm_0'));
    await withRival(async (rival) => {
      // Holds up whoever is about to make the machine.
      await rival.query(
        `INSERT INTO machine SELECT (jsonb_populate_record(m, '{"id": "vm_1"}')).* FROM machine m WHERE id = 'vm_0' AND backend_id = $1`,
        [world.backendId],
      );
      const asked = [1, 2].map(async () => slow.compute.createMachine(callOf(), machineOf('vm_1')));
      await driversWait(rival, 2);
      await rival.query('ROLLBACK');
      for (const outcome of await Promise.all(asked)) expect(outcome.state).toBe('PENDING');
    });
    expect((await world.counts()).pendingWork).toBe(1);
    await slow.close();
  });

  test('a deadlock restarts the call, and nobody notices', async () => {
    await driver.storage.createDisk(callOf(), diskOf('disk_1'));
    await driver.compute.createMachine(callOf(), machineOf('vm_1'));
    await withRival(async (rival) => {
      await rival.query(`SELECT FROM disk WHERE id = 'disk_1' AND backend_id = $1 FOR UPDATE`, [world.backendId]);
      const attached = driver.compute.attachDisk(callOf(), 'vm_1', 'disk_1');
      await driversWait(rival, 1);
      // Each now waits for the other; the server ends the one whose patience is shorter, which is the driver's.
      await rival.query(`SELECT FROM machine WHERE id = 'vm_1' AND backend_id = $1 FOR UPDATE`, [world.backendId]);
      await rival.query('COMMIT');
      expect(await attached).toEqual({ state: 'DONE', value: undefined });
    });
  });

  test('what a killed process was told is still true, and the next one goes on', { timeout: 60_000 }, async () => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', SURVIVOR, database.url, world.backendId], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const told: string[] = [];
    const lines = createInterface(child.stdout);
    for await (const line of lines) {
      told.push(line);
      if (told.length === 25) child.kill('SIGKILL');
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    expect(child.signalCode).toBe('SIGKILL');
    expect(told.length).toBeGreaterThanOrEqual(25);
    const there = (await world.objects()).map((object) => object.id);
    expect(there).toEqual(expect.arrayContaining(told));
    // The one that it did not live to be told of may be there or not; a repeat settles it.
    expect(there.length - told.length).toBeLessThanOrEqual(1);
    const next = `vm_${String(told.length).padStart(6, '0')}`;
    expect(await driver.compute.createMachine(callOf(), machineOf(next))).toMatchObject({ state: 'DONE' });
    expect((await world.counts()).machines).toBe(told.length + 1);
  });
});

/** Someone else with an open transaction in the simulation's database. */
async function withRival(work: (rival: pg.Client) => Promise<void>): Promise<void> {
  const rival = new pg.Client({ connectionString: database.url, options: '-c search_path=simulation -c deadlock_timeout=30s' });
  await rival.connect();
  try {
    await rival.query('BEGIN');
    await work(rival);
  } finally {
    await rival.end();
  }
}

/** Until so many connections of drivers wait for a lock in this database. */
async function driversWait(rival: pg.Client, count: number): Promise<void> {
  const look = async (): Promise<unknown[]> => {
    // Inside a transaction the view would show what it showed first.
    await rival.query('SELECT pg_stat_clear_snapshot()');
    const found = await rival.query(
      `SELECT pid FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'muon-simulation' AND wait_event_type = 'Lock'`,
    );
    return found.rows;
  };
  await expect.poll(look, { timeout: 10_000 }).toHaveLength(count);
}

/** Runs this room's sources, never what was built, in a process of their own. */
const SURVIVOR = `
  const { runnerImport } = await import('vite');
  const file = ${JSON.stringify(fileURLToPath(new URL('./survivor.ts', import.meta.url)))};
  const environments = { inline: { resolve: { conditions: ['source', 'node'] } } };
  const { module } = await runnerImport(file, { configFile: false, environments });
  await module.makeMachines(process.argv[1], process.argv[2]);
`;

describe('connecting', () => {
  test('names what is wrong with endpoint and options', async () => {
    const wrong = async (promise: Promise<unknown>, field: string): Promise<void> => {
      await expect(promise).rejects.toMatchObject({ code: 'INVALID_INPUT', field });
    };
    await wrong(connect({}, 'b', 'http://host/db'), 'endpoint');
    await wrong(connect({}, 'b', 'postgres://host:5432'), 'endpoint');
    await wrong(connect({ delayMs: { min: 2, max: 1 } }), 'options.delayMs');
    await wrong(connect({ random: { seed: 'a', rates: { REFUSED: 0.7, BUSY: 0.7 } } }), 'options.random.rates');
    await wrong(connect({ colour: 'red' } as SimulatedOptions), 'options');
  });

  test('says that the database is away, in time, and works on when it is back', async () => {
    await expect(connect({}, 'b', 'postgres://postgres@127.0.0.1:1/none')).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'muon-simulation' AND datname = current_database()`);
    await client.end();
    await expect.poll(async () => driver.hosts.listHosts(callOf()).catch((error: { code: string }) => error.code)).toHaveLength(3);
  });

  test('a closed driver ends its watch', async () => {
    const other = await connect();
    const watch = other.watch(() => undefined, new AbortController().signal);
    await other.close();
    await watch;
  });
});
