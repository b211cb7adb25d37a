import { typeidUnboxed } from 'typeid-js';
import { afterEach, describe, expect, it } from 'vitest';
import type { DriverCall, Outcome } from '../call.js';
import type { ObservedMachine } from '../compute.js';
import type { Bench } from './bench.js';

export function computeConformance(bench: Bench): void {
  afterEach(async () => bench.clear());
  describe('machines', () => machineConformance(bench));
  describe('power', () => powerConformance(bench));
  describe('machines’ disks', () => attachmentConformance(bench));
  describe('guest runs', () => guestConformance(bench));
}

function machineConformance(bench: Bench): void {
  it('is made stopped, as specified and marked with the installation', async (context) => {
    bench.needs(context, 'compute');
    const wanted = await bench.machineSpecification();
    const made = await bench.finish(async (call) => bench.driver.compute.createMachine(call, wanted));
    expect(made).toMatchObject({
      machineId: wanted.machineId,
      installationId: bench.ownership.installationId,
      hostName: wanted.hostName,
      power: 'STOPPED',
      cpu: wanted.cpu,
      memoryMib: wanted.memoryMib,
      portIds: wanted.interfaces.map((card) => card.portId),
      diskIds: wanted.diskIds,
    });
    expect(await bench.observed(wanted.machineId)).toEqual(made);
  });

  it('a repeated create answers the same and makes no second machine', async (context) => {
    bench.needs(context, 'compute');
    const wanted = await bench.machineSpecification();
    const call = bench.call();
    const attempt = async (each = call) => bench.driver.compute.createMachine(each, wanted);
    const first = await bench.finish(attempt, call);
    expect(await bench.finish(attempt, call), 'under the same key').toEqual(first);
    expect(await bench.finish(attempt), 'under another key').toEqual(first);
    await bench.eventually('the machine is listed once', async () => {
      const all = await bench.driver.compute.listMachines(bench.call(), null, 1000);
      return all.filter((machine) => machine.machineId === wanted.machineId).length === 1;
    });
  });

  it('many creates of one machine at once make one', async (context) => {
    bench.needs(context, 'compute');
    const wanted = await bench.machineSpecification();
    const made = await Promise.all(
      Array.from({ length: 5 }, async () => bench.finish(async (call) => bench.driver.compute.createMachine(call, wanted))),
    );
    for (const machine of made) expect(machine).toEqual(made[0]);
  });

  it('what many change at once is so for all of them', async (context) => {
    bench.needs(context, 'compute');
    const { compute, capabilities } = bench.driver;
    const { machineId } = await bench.machine();
    const many = async (attempt: (call: DriverCall) => Promise<Outcome<void>>, so: Partial<ObservedMachine>): Promise<void> => {
      // One call, repeated before its answer has come.
      const call = bench.call();
      await Promise.all(Array.from({ length: 5 }, async () => bench.finish(attempt, call)));
      expect(await bench.observed(machineId)).toMatchObject(so);
    };
    await many(async (call) => compute.startMachine(call, machineId), { power: 'RUNNING' });
    if (capabilities.suspend) {
      await many(async (call) => compute.suspendMachine(call, machineId), { power: 'SUSPENDED' });
      await many(async (call) => compute.resumeMachine(call, machineId), { power: 'RUNNING' });
    }
    await many(async (call) => compute.restartMachine(call, machineId), { power: 'RUNNING' });
    await many(async (call) => compute.stopMachine(call, machineId, true), { power: 'STOPPED' });
    if (capabilities.resize) await many(async (call) => compute.resizeMachine(call, machineId, { cpu: 2, memoryMib: 256 }), { cpu: 2, memoryMib: 256 });
    await Promise.all(Array.from({ length: 5 }, async () => bench.finish(async (call) => compute.deleteMachine(call, machineId))));
    expect(await compute.getMachine(bench.call(), machineId)).toBeUndefined();
  });

  // What the moves that came too late have begun may stand in the way of the deletion for half a minute.
  it('many who move one machine at once find it moved', { tags: ['lengthy'] }, async (context) => {
    bench.needs(context, 'compute', 'moveStopped');
    const target = bench.otherHost(context);
    const { machineId } = await bench.machine();
    const call = bench.call();
    await Promise.all(Array.from({ length: 5 }, async () => bench.finish(async (each) => bench.driver.compute.moveMachine(each, machineId, target), call)));
    expect(await bench.observed(machineId)).toMatchObject({ hostName: target });
  });

  it('another specification under the same id is a BACKEND_FAILED conflict', async (context) => {
    bench.needs(context, 'compute');
    const wanted = await bench.machine();
    const before = await bench.observed(wanted.machineId);
    const other = { ...wanted, memoryMib: wanted.memoryMib * 2 };
    const error = await bench.refused(
      bench.finish(async (call) => bench.driver.compute.createMachine(call, other)),
      'BACKEND_FAILED',
    );
    expect(error.retryable).toBe(false);
    expect(await bench.observed(wanted.machineId)).toEqual(before);
  });

  it('a create whose answer was lost is found done by its repeat', async (context) => {
    bench.needs(context, 'compute');
    const wanted = await bench.machineSpecification();
    await bench.hook(context, 'loseNextAnswer')('createMachine');
    const call = bench.call();
    const error = await bench.refused(bench.driver.compute.createMachine(call, wanted), 'TIMEOUT');
    expect(error.retryable).toBe(true);
    const made = await bench.finish(async (each) => bench.driver.compute.createMachine(each, wanted), call);
    expect(made.machineId).toBe(wanted.machineId);
  });

  it('resizes only while stopped, and repeats', async (context) => {
    bench.needs(context, 'compute', 'resize');
    const { machineId, memoryMib } = await bench.runningMachine();
    const { compute } = bench.driver;
    const size = { cpu: 2, memoryMib: memoryMib * 2 };
    await bench.refused(bench.finish(async (call) => compute.resizeMachine(call, machineId, size)), 'INVALID_STATE');
    await bench.finish(async (call) => compute.stopMachine(call, machineId, true));
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => compute.resizeMachine(call, machineId, size));
    expect(await bench.observed(machineId)).toMatchObject(size);
  });

  it('moves only while stopped, and repeats', async (context) => {
    bench.needs(context, 'compute', 'moveStopped');
    const target = bench.otherHost(context);
    const { machineId } = await bench.runningMachine();
    const { compute } = bench.driver;
    const move = async () => bench.finish(async (call) => compute.moveMachine(call, machineId, target));
    await bench.refused(move(), 'INVALID_STATE');
    await bench.finish(async (call) => compute.stopMachine(call, machineId, true));
    await move();
    await move();
    expect(await bench.observed(machineId)).toMatchObject({ hostName: target, power: 'STOPPED' });
  });

  it('delete is DONE only when the machine is gone, running or not, and repeats', async (context) => {
    bench.needs(context, 'compute');
    const { machineId } = await bench.runningMachine();
    const { compute } = bench.driver;
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => compute.deleteMachine(call, machineId));
    expect(await compute.getMachine(bench.call(), machineId)).toBeUndefined();
    await bench.eventually('the machine is no longer listed', async () => {
      const all = await compute.listMachines(bench.call(), null, 1000);
      return all.every((machine) => machine.machineId !== machineId);
    });
  });

  it('delete of what is still being made leaves nothing that comes later', async (context) => {
    bench.needs(context, 'compute');
    const wanted = await bench.machineSpecification();
    const { compute } = bench.driver;
    const lateMs = 150;
    await bench.hook(context, 'delayNextEffect')('createMachine', lateMs);
    const began = Date.now();
    await bench.refused(compute.createMachine(bench.call(), wanted), 'TIMEOUT');
    await bench.finish(async (call) => compute.deleteMachine(call, wanted.machineId));
    await bench.eventually('the late effect’s time is over', async () => Date.now() > began + 2 * lateMs);
    expect(await compute.getMachine(bench.call(), wanted.machineId)).toBeUndefined();
  });
}

function powerConformance(bench: Bench): void {
  it('starts and stops, and repeats', async (context) => {
    bench.needs(context, 'compute');
    const { machineId } = await bench.machine();
    const { compute } = bench.driver;
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => compute.startMachine(call, machineId));
    expect((await bench.observed(machineId)).power).toBe('RUNNING');
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => compute.stopMachine(call, machineId, true));
    expect((await bench.observed(machineId)).power).toBe('STOPPED');
  });

  it('suspends and resumes, and repeats', async (context) => {
    bench.needs(context, 'compute', 'suspend');
    const { machineId } = await bench.runningMachine();
    const { compute } = bench.driver;
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => compute.suspendMachine(call, machineId));
    expect((await bench.observed(machineId)).power).toBe('SUSPENDED');
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => compute.resumeMachine(call, machineId));
    expect((await bench.observed(machineId)).power).toBe('RUNNING');
  });

  it('restarts what runs, under the same key once, and refuses what is stopped', async (context) => {
    bench.needs(context, 'compute');
    const { machineId } = await bench.machine();
    const { compute } = bench.driver;
    const restart = bench.call();
    const attempt = async () => bench.finish(async (call) => compute.restartMachine(call, machineId), restart);
    await bench.refused(attempt(), 'INVALID_STATE');
    await bench.finish(async (call) => compute.startMachine(call, machineId));
    await attempt();
    await attempt();
    expect((await bench.observed(machineId)).power).toBe('RUNNING');
  });

  it('a start whose answer was lost has started it', async (context) => {
    bench.needs(context, 'compute');
    const { machineId } = await bench.machine();
    await bench.hook(context, 'loseNextAnswer')('startMachine');
    const call = bench.call();
    await bench.refused(bench.driver.compute.startMachine(call, machineId), 'TIMEOUT');
    await bench.finish(async (each) => bench.driver.compute.startMachine(each, machineId), call);
    expect((await bench.observed(machineId)).power).toBe('RUNNING');
  });

  it('shows a console', async (context) => {
    bench.needs(context, 'compute');
    const { machineId } = await bench.runningMachine();
    expect(await bench.driver.compute.readConsole(bench.call(), machineId)).toBeTypeOf('string');
  });
}

function attachmentConformance(bench: Bench): void {
  it('attaches and detaches, and repeats', async (context) => {
    bench.needs(context, 'compute', 'storage');
    const { compute, storage } = bench.driver;
    const { diskId } = await bench.disk();
    const { machineId } = await bench.machine();
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => compute.attachDisk(call, machineId, diskId));
    expect((await bench.observed(machineId)).diskIds.filter((id) => id === diskId)).toHaveLength(1);
    expect((await storage.getDisk(bench.call(), diskId))?.attachedTo).toBe(machineId);
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => compute.detachDisk(call, machineId, diskId));
    expect((await bench.observed(machineId)).diskIds).not.toContain(diskId);
    expect((await storage.getDisk(bench.call(), diskId))?.attachedTo).toBeNull();
  });

  it('an unknown disk is not attached', async (context) => {
    bench.needs(context, 'compute', 'storage');
    const { machineId } = await bench.machine();
    await bench.refused(
      bench.finish(async (call) => bench.driver.compute.attachDisk(call, machineId, typeidUnboxed('disk'))),
      'NOT_FOUND',
    );
  });

  it('a disk is not attached to two machines, nor deleted while attached', async (context) => {
    bench.needs(context, 'compute', 'storage');
    const { compute, storage } = bench.driver;
    const first = await bench.machine();
    const second = await bench.machine();
    const diskId = first.diskIds[0] as string;
    await bench.refused(bench.finish(async (call) => compute.attachDisk(call, second.machineId, diskId)), 'INVALID_STATE');
    await bench.refused(bench.finish(async (call) => storage.deleteDisk(call, diskId)), 'INVALID_STATE');
    expect((await storage.getDisk(bench.call(), diskId))?.attachedTo).toBe(first.machineId);
  });

  it('deleting a machine keeps its disks, free again', async (context) => {
    bench.needs(context, 'compute', 'storage');
    const { machineId, diskIds } = await bench.machine();
    await bench.finish(async (call) => bench.driver.compute.deleteMachine(call, machineId));
    const disk = await bench.driver.storage.getDisk(bench.call(), diskIds[0] as string);
    expect(disk?.attachedTo).toBeNull();
  });
}

function guestConformance(bench: Bench): void {
  /** Says something else each time that it is really executed. */
  const script = 'cat /proc/sys/kernel/random/uuid';

  it('runs once under its run id and answers the same ever after', async (context) => {
    bench.needs(context, 'compute', 'guestRun');
    const { machineId } = await bench.runningMachine();
    const run = { runId: typeidUnboxed('run').padEnd(200, '-of-a-step'), machineId, script, timeoutSeconds: 30 };
    const first = await bench.finish(async (call) => bench.driver.compute.runInGuest(call, run));
    expect(first.exitCode).toBe(0);
    expect(await bench.finish(async (call) => bench.driver.compute.runInGuest(call, run))).toEqual(first);
  });

  it('a run whose answer was lost is not run again', async (context) => {
    bench.needs(context, 'compute', 'guestRun');
    const { machineId } = await bench.runningMachine();
    const run = { runId: typeidUnboxed('run'), machineId, script, timeoutSeconds: 30 };
    await bench.hook(context, 'loseNextAnswer')('runInGuest');
    await bench.refused(bench.driver.compute.runInGuest(bench.call(), run), 'TIMEOUT');
    const first = await bench.finish(async (call) => bench.driver.compute.runInGuest(call, run));
    expect(await bench.finish(async (call) => bench.driver.compute.runInGuest(call, run))).toEqual(first);
  });

  it('tells what the script answers by name, the same ever after', async (context) => {
    bench.needs(context, 'compute', 'guestRun');
    const { machineId } = await bench.runningMachine();
    const answering = 'for name in one other; do echo "$name=$(cat /proc/sys/kernel/random/uuid)"; done';
    const run = { runId: typeidUnboxed('run'), machineId, script: answering, answers: ['one', 'other'], timeoutSeconds: 30 };
    const first = await bench.finish(async (call) => bench.driver.compute.runInGuest(call, run));
    expect(first.standardOutput).toMatch(/^one=\S+\nother=\S+\n$/);
    expect(await bench.finish(async (call) => bench.driver.compute.runInGuest(call, run))).toEqual(first);
  });

  it('another script under a used run id is a BACKEND_FAILED conflict', async (context) => {
    bench.needs(context, 'compute', 'guestRun');
    const { machineId } = await bench.runningMachine();
    const run = { runId: typeidUnboxed('run'), machineId, script, timeoutSeconds: 30 };
    await bench.finish(async (call) => bench.driver.compute.runInGuest(call, run));
    const other = { ...run, script: 'true' };
    await bench.refused(bench.finish(async (call) => bench.driver.compute.runInGuest(call, other)), 'BACKEND_FAILED');
  });

  it('nothing is run in a stopped machine', async (context) => {
    bench.needs(context, 'compute', 'guestRun');
    const { machineId } = await bench.machine();
    const run = { runId: typeidUnboxed('run'), machineId, script, timeoutSeconds: 30 };
    await bench.refused(bench.finish(async (call) => bench.driver.compute.runInGuest(call, run)), 'INVALID_STATE');
  });
}
