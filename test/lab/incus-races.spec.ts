import { typeidUnboxed } from 'typeid-js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { IncusClient } from '#incus';
import { runOn } from '../../apps/lab/src/host/namespace.js';
import { POOL } from '../../apps/lab/src/layout.js';
import { DriverBench, look, type Attempt } from '../support/driver-bench.js';
import { Lab } from '../support/lab.js';

/** What Incus says and does while several are at work on one thing, or while an earlier call is not over yet. */

const VOLUMES = `/var/lib/incus/storage-pools/${POOL}/custom`;
/** So many files that Incus copies them for longer than a call takes that has no time. */
const FILES = 20_000;
const HURRY = { timeoutMs: 1000 };

let lab: Lab;
let incus: IncusClient;
let bench: DriverBench;

beforeAll(async () => {
  lab = await Lab.find();
  incus = await lab.incus('h1');
  await lab.settled(incus);
  bench = await DriverBench.connect(lab, ['h1', 'h2', 'h3']);
});
afterEach(async () => bench.clear());
afterAll(async () => {
  await bench.close();
  incus.close();
});

const onHost = async (program: string, ...programArguments: string[]): Promise<string> => runOn(await lab.machine('h2'), program, programArguments);
const nameOf = (id: string): string => id.replace('_', '-');
const folderOf = (diskId: string): string => `${VOLUMES}/default_${nameOf(diskId)}`;
const instanceOf = async (id: string): Promise<string> => {
  const found = (await incus.instances.names()).find((name) => name.includes(nameOf(id)));
  if (found === undefined) throw new Error(`no instance is ${id}`);
  return found;
};
const filesIn = async (folder: string): Promise<number> => Number(await onHost('sh', '-c', `ls ${folder} | wc -l`));

async function bulkyDisk(): Promise<string> {
  const { diskId } = await bench.disk({ imageReference: null });
  await onHost('sh', '-c', `cd ${folderOf(diskId)} && seq ${FILES} | xargs touch`);
  return diskId;
}

/** Repeats a call that has no time to wait. @returns how often it was made */
async function hurried(attempt: Attempt): Promise<number> {
  let calls = 0;
  await bench.finish(async (driver, call) => {
    calls += 1;
    return attempt(driver, call);
  }, HURRY);
  return calls;
}

describe('what takes longer than a call', { tags: ['lengthy'] }, () => {
  test('a copy of a disk is DONE when all of it is copied', async () => {
    const diskId = await bulkyDisk();
    const copy = bench.diskOf({ imageReference: null });
    expect(await hurried(async ({ storage }, call) => storage.cloneDisk(call, diskId, copy))).toBeGreaterThan(1);
    expect(await filesIn(folderOf(copy.diskId))).toBe(FILES);
  });

  test('a snapshot is DONE when all of it is taken', async () => {
    const diskId = await bulkyDisk();
    const snapshotId = typeidUnboxed('snapshot');
    expect(await hurried(async ({ storage }, call) => storage.createSnapshot(call, diskId, snapshotId))).toBeGreaterThan(1);
    expect(await filesIn(`${VOLUMES}-snapshots/default_${nameOf(diskId)}/${nameOf(snapshotId)}`)).toBe(FILES);
  });
});

describe('what is there already, and what is not', () => {
  test('a folder that somebody left where a disk is to be is BACKEND_FAILED, and says so', async () => {
    const disk = bench.diskOf({ imageReference: null });
    await onHost('mkdir', folderOf(disk.diskId));
    const making = bench.finish(async ({ storage }, call) => storage.createDisk(call, disk));
    await expect(making).rejects.toMatchObject({ code: 'BACKEND_FAILED', retryable: false, message: expect.stringContaining('already exists') });
    await onHost('rmdir', folderOf(disk.diskId));
  });

  test('an image that is not there is NOT_FOUND', async () => {
    const disk = bench.diskOf({ imageReference: 'image-that-is-not' });
    await expect(bench.driver.storage.createDisk(look(), disk)).rejects.toMatchObject({ code: 'NOT_FOUND', retryable: false, message: expect.stringContaining('image-that-is-not') });
  });

  test('a profile that is not there is BACKEND_FAILED, and named', async () => {
    const other = await DriverBench.connect(lab, ['h1'], { profiles: ['profile-that-is-not'] });
    try {
      const making = other.driver.storage.createDisk(look(), bench.diskOf());
      await expect(making).rejects.toMatchObject({ code: 'BACKEND_FAILED', retryable: false, message: expect.stringContaining('profile-that-is-not') });
    } finally {
      await other.close();
    }
  });

  test('a setting that Incus does not know is BACKEND_FAILED, and named', async () => {
    const other = await DriverBench.connect(lab, ['h1'], { instanceConfig: { 'security.nonsense': 'true' } });
    try {
      const machine = await bench.machineOf();
      const making = other.driver.compute.createMachine(look(), machine);
      await expect(making).rejects.toMatchObject({ code: 'BACKEND_FAILED', retryable: false, message: expect.stringContaining('security.nonsense') });
    } finally {
      await other.close();
    }
  });
});

test('a guest that does not end when it is restarted is cut off, and runs anew', async () => {
  const { machineId } = await bench.machine();
  await bench.finish(async ({ compute }, call) => compute.startMachine(call, machineId));
  const name = await instanceOf(machineId);
  const { pid } = await incus.instances.state(name);
  await onHost('kill', '-STOP', String(pid));
  await bench.finish(async ({ compute }, call) => compute.restartMachine(call, machineId), { timeoutMs: 10_000 });
  expect((await incus.instances.state(name)).pid).not.toBe(pid);
});

describe('a root disk that runs, because a start of its machine came late', () => {
  const running = async (): Promise<{ machineId: string; diskIds: string[] }> => {
    const machine = await bench.machine();
    await bench.finish(async ({ compute }, call) => compute.deleteMachine(call, machine.machineId));
    const name = await instanceOf(machine.diskIds[0] as string);
    await (await incus.instances.power(name, { action: 'start' })).wait();
    return machine;
  };

  test('is deleted', async () => {
    const diskId = (await running()).diskIds[0] as string;
    await bench.finish(async ({ storage }, call) => storage.deleteDisk(call, diskId));
    expect(await bench.driver.storage.getDisk(look(), diskId)).toBeUndefined();
  });

  test('gets a machine', async () => {
    const { diskIds } = await running();
    const machine = { ...(await bench.machineOf()), diskIds };
    expect(await bench.finish(async ({ compute }, call) => compute.createMachine(call, machine))).toMatchObject({ power: 'STOPPED', diskIds });
  });
});

describe('calls that contradict one another, made at once through different members', () => {
  type Named = readonly [name: string, attempt: Attempt];
  /** DONE, or that it was too late or too early for that. */
  const ENDS = /: (DONE|INVALID_STATE|NOT_FOUND)$/;

  async function expectEnds(...calls: Named[]): Promise<void> {
    for (const end of await bench.atOnce(calls)) expect(end).toMatch(ENDS);
  }

  // Half of another's rename shows only now and then.
  test('of one machine’s birth and death', async () => {
    for (let round = 0; round < 4; round += 1) {
      const machine = await bench.machineOf();
      const create: Named = ['create', async ({ compute }, call) => compute.createMachine(call, machine)];
      const remove: Named = ['remove', async ({ compute }, call) => compute.deleteMachine(call, machine.machineId)];
      expect(await bench.atOnce([create, create, create, create, create])).toEqual(Array(5).fill('create: DONE'));
      expect(await bench.atOnce([remove, remove, remove, remove, remove])).toEqual(Array(5).fill('remove: DONE'));
    }
  });

  test('of a machine’s power', async () => {
    const { machineId } = await bench.machine();
    const start: Named = ['start', async ({ compute }, call) => compute.startMachine(call, machineId)];
    const stop: Named = ['stop', async ({ compute }, call) => compute.stopMachine(call, machineId, true)];
    const restart: Named = ['restart', async ({ compute }, call) => compute.restartMachine(call, machineId)];
    const suspend: Named = ['suspend', async ({ compute }, call) => compute.suspendMachine(call, machineId)];
    const resume: Named = ['resume', async ({ compute }, call) => compute.resumeMachine(call, machineId)];
    for (const calls of [[start, start, stop], [start, stop, restart], [suspend, resume, stop], [suspend, resume, suspend]]) {
      await bench.atOnce([start]);
      await expectEnds(...calls);
    }
    await bench.atOnce([resume]);
    await bench.finish(stop[1]);
    await bench.finish(start[1]);
    expect(await bench.driver.compute.getMachine(look(), machineId)).toMatchObject({ power: 'RUNNING' });
  });

  test('of a run in its guest', async () => {
    const { machineId } = await bench.machine();
    await bench.finish(async ({ compute }, call) => compute.startMachine(call, machineId));
    const run: Attempt = async ({ compute }, call) =>
      compute.runInGuest(call, { runId: call.idempotencyKey, machineId, script: 'sleep 1', timeoutSeconds: 10 });
    const runs = Array.from({ length: 4 }, (): Named => ['run', run]);
    await expectEnds(...runs, ['stop', async ({ compute }, call) => compute.stopMachine(call, machineId, true)]);
    expect(await bench.driver.compute.getMachine(look(), machineId)).toMatchObject({ power: 'STOPPED' });
  });

  test('of a disk beside the root disk', async () => {
    const { diskId } = await bench.disk({ imageReference: null });
    const { machineId } = await bench.machine();
    const [snapshotId, otherId] = [typeidUnboxed('snapshot'), typeidUnboxed('snapshot')];
    const attach: Named = ['attach', async ({ compute }, call) => compute.attachDisk(call, machineId, diskId)];
    const detach: Named = ['detach', async ({ compute }, call) => compute.detachDisk(call, machineId, diskId)];
    const take: Named = ['take', async ({ storage }, call) => storage.createSnapshot(call, diskId, snapshotId)];
    const other: Named = ['other', async ({ storage }, call) => storage.createSnapshot(call, diskId, otherId)];
    const drop: Named = ['drop', async ({ storage }, call) => storage.deleteSnapshot(call, diskId, snapshotId)];
    const grow: Named = ['grow', async ({ storage }, call) => storage.resizeDisk(call, diskId, 2)];
    const remove: Named = ['remove', async ({ storage }, call) => storage.deleteDisk(call, diskId)];
    await expectEnds(attach, detach, attach, grow);
    await expectEnds(take, take, other, drop, grow);
    await bench.finish(detach[1]);
    await expectEnds(attach, remove, remove, take);
    await bench.atOnce([detach]);
    await bench.finish(remove[1]);
    expect(await bench.driver.storage.getDisk(look(), diskId)).toBeUndefined();
  });

  test('of a root disk’s snapshots, and of the life of its machine', async () => {
    const machine = await bench.machineOf();
    const { machineId } = machine;
    const diskId = machine.diskIds[0] as string;
    const [snapshotId, otherId] = [typeidUnboxed('snapshot'), typeidUnboxed('snapshot')];
    const create: Named = ['create', async ({ compute }, call) => compute.createMachine(call, machine)];
    const start: Named = ['start', async ({ compute }, call) => compute.startMachine(call, machineId)];
    const stop: Named = ['stop', async ({ compute }, call) => compute.stopMachine(call, machineId, true)];
    const remove: Named = ['remove', async ({ compute }, call) => compute.deleteMachine(call, machineId)];
    const take: Named = ['take', async ({ storage }, call) => storage.createSnapshot(call, diskId, snapshotId)];
    const other: Named = ['other', async ({ storage }, call) => storage.createSnapshot(call, diskId, otherId)];
    const drop: Named = ['drop', async ({ storage }, call) => storage.deleteSnapshot(call, diskId, snapshotId)];
    await bench.finish(create[1]);
    await expectEnds(take, other, take);
    await expectEnds(drop, drop, other, take);
    await bench.finish(start[1]);
    await expectEnds(remove, stop, start, remove);
    await bench.finish(remove[1]);
    expect(await bench.driver.compute.getMachine(look(), machineId)).toBeUndefined();
    await bench.finish(async ({ storage }, call) => storage.deleteDisk(call, diskId));
    expect(await bench.driver.storage.getDisk(look(), diskId)).toBeUndefined();
  });
});
