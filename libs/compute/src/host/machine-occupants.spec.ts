import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findHosts, HostMaintenanceService, HostOccupancy, hostOperations, hostState, type HostRow } from '#infrastructure';
import { DiskRealiser, DiskService, findDisks, storageOperations } from '#storage';
import { computeBench, systemAccess, type ComputeBench, type ComputeBenchOptions } from '#testing';
import { DiskAttachmentService, machineOccupants, machinesInZones } from '../index.js';

const access = systemAccess();

/** What both places have in common. */
interface Setting {
  bench: ComputeBench;
  maintenance: HostMaintenanceService;
  hostOf: (machineId: string) => Promise<HostRow>;
  /** What the maintenance says that it waits for, once it says so. */
  waitsFor: (operationId: unknown, code: string) => Promise<void>;
  /** The host is in maintenance, long before the operation would have looked again by itself. */
  isEmptied: (operationId: unknown) => Promise<void>;
  /** Codes of what keeps the machines of a host there, by name. */
  blockedOn: (host: HostRow) => Promise<Record<string, string | null>>;
}

const occupancy = new HostOccupancy();
occupancy.register(machineOccupants());

async function setUp(pools: ComputeBenchOptions): Promise<Setting> {
  const bench = await computeBench({ ...pools, moreKinds: (drivers) => [...hostOperations(occupancy), ...storageOperations(new DiskRealiser(drivers))] });
  return {
    bench,
    maintenance: new HostMaintenanceService(bench.center.commands, occupancy),
    async hostOf(machineId) {
      const { host_id } = await bench.machine(machineId);
      const [host] = await bench.room.database.rows(findHosts, [host_id]);
      if (host === undefined) throw new Error(`no host ${host_id}`);
      return host;
    },
    async waitsFor(operationId, code) {
      const says = async (): Promise<string | undefined> => (await bench.center.operation(operationId)).blocker?.code;
      await expect.poll(says, { timeout: 10_000 }).toBe(code);
    },
    async isEmptied(operationId) {
      expect(await bench.center.ended(operationId, 8_000)).toMatchObject({ state: 'SUCCEEDED' });
    },
    async blockedOn(host) {
      const found = await occupancy.list(bench.room.database, host, 100);
      return Object.fromEntries(found.map(({ occupant }) => [occupant.name, occupant.blocked?.code ?? null]));
    },
  };
}

describe('a host with machines whose disks lie in a shared pool', () => {
  let setting: Setting;
  beforeAll(async () => {
    setting = await setUp({ poolGib: 0, sharedGib: 1000 });
  });
  afterAll(() => setting.bench.close());

  it('is emptied for maintenance: machines run on elsewhere with their addresses and disks', async () => {
    const { bench, maintenance, hostOf } = setting;
    const project = await bench.freshProject();
    const id = await bench.running(project, 'travels');
    const stopped = await bench.running(project, 'travels-off', { power: 'STOPPED' });
    const host = await hostOf(id);
    const { result } = await maintenance.enter(access, { id: host.id });
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    const moved = await hostOf(id);
    expect(moved.id).not.toBe(host.id);
    expect(hostState((await bench.room.database.rows(findHosts, [host.id]))[0] ?? host)).toBe('IN_MAINTENANCE');
    expect(await bench.machine(id)).toMatchObject({ observed_power: 'RUNNING', desired_power: 'RUNNING' });
    expect(await bench.center.world.machine(id)).toMatchObject({ hostName: moved.name, power: 'RUNNING' });
    expect((await bench.machine(stopped)).observed_power).toBe('STOPPED');
    expect(await occupancy.count(bench.room.database, host)).toBe(0);
    await maintenance.exit(access, { id: host.id });
  });

  it('is refused maintenance while something on it is suspended, and names that', async () => {
    const { bench, maintenance, hostOf, blockedOn } = setting;
    const project = await bench.freshProject();
    const id = await bench.running(project, 'frozen');
    await bench.center.ended((await bench.machines.power(access, id, 'SUSPEND')).result.operationId);
    const host = await hostOf(id);
    const refused = maintenance.enter(access, { id: host.id });
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_STATE', data: { blocked: [{ id, name: 'frozen', code: 'INVALID_STATE' }] } });
    await bench.center.ended((await bench.machines.power(access, id, 'RESUME')).result.operationId);
    expect((await blockedOn(host)).frozen).toBeNull();
  });

  it('waits for what is busy, and holds nothing that has left', async () => {
    const { bench, maintenance, hostOf, blockedOn } = setting;
    const project = await bench.freshProject();
    const group = await bench.groups.create(access, { projectId: project.projectId, name: 'together', policy: 'AFFINITY', strength: 'PREFER' });
    const left = await bench.running(project, 'leaves', { affinityGroup: String(group.result.id) });
    // Only of machines that are made: what is moved away may start.
    await bench.center.world.addFault({ kind: 'BUSY', method: 'startMachine', keyContains: '/power/', times: 1000 });
    const { result } = await bench.machines.create(access, { ...project, name: 'busy', flavor: 'small', image: 'debian', affinityGroup: 'together' });
    const host = await hostOf(String(result.id));
    expect((await hostOf(left)).id).toBe(host.id);
    expect((await blockedOn(host)).busy).toBe('RESOURCE_BUSY');
    const entering = await maintenance.enter(access, { id: host.id, whenBlocked: 'WAIT' });
    await setting.waitsFor(entering.result.operationId, 'RESOURCE_BUSY');
    expect((await hostOf(left)).id).not.toBe(host.id);
    const stopping = await bench.machines.power(access, left, 'STOP');
    expect(await bench.center.ended(stopping.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    await bench.center.world.clearFaults();
    await bench.center.operations.cancel(String(entering.result.operationId));
    expect(await bench.center.ended(entering.result.operationId)).toMatchObject({ state: 'CANCELLED' });
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  });

  it('moves a machine once it can be moved, while the host waits', async () => {
    const { bench, maintenance, hostOf, waitsFor, isEmptied } = setting;
    const id = await bench.running(await bench.freshProject(), 'thaws');
    await bench.center.ended((await bench.machines.power(access, id, 'SUSPEND')).result.operationId);
    const host = await hostOf(id);
    const { result } = await maintenance.enter(access, { id: host.id, whenBlocked: 'WAIT' });
    await waitsFor(result.operationId, 'INVALID_STATE');
    const stopping = await bench.machines.power(access, id, 'STOP');
    expect(await bench.center.ended(stopping.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    await isEmptied(result.operationId);
    expect((await hostOf(id)).id).not.toBe(host.id);
    expect(await bench.center.world.machine(id)).toMatchObject({ hostName: (await hostOf(id)).name, power: 'STOPPED' });
    await maintenance.exit(access, { id: host.id });
  });

  it('lets a machine be deleted while it is moved: that calls off the move, and not the maintenance', async () => {
    const { bench, maintenance, hostOf, isEmptied } = setting;
    const project = await bench.freshProject();
    const id = await bench.running(project, 'goes');
    const host = await hostOf(id);
    await bench.center.world.addFault({ kind: 'BUSY', method: 'stopMachine', times: 1000 });
    const { result } = await maintenance.enter(access, { id: host.id });
    await expect.poll(async () => (await bench.center.world.faults()).some((fault) => fault.fired > 0), { timeout: 10_000 }).toBe(true);
    await expect(bench.machines.power(access, id, 'STOP')).rejects.toMatchObject({ code: 'RESOURCE_BUSY', data: { operationKind: 'compute.virtual_machine.move' } });
    const deletion = await bench.machines.delete(access, id);
    await bench.center.world.clearFaults();
    expect(await bench.center.ended(deletion.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    await isEmptied(result.operationId);
    expect(await bench.left(project.projectId)).toEqual([]);
    await maintenance.exit(access, { id: host.id });
  });

  it('keeps its zone while it has machines', async () => {
    const { bench } = setting;
    const before = await machinesInZones.count(bench.room.database, 'zone', bench.center.zoneId);
    const id = await bench.running(await bench.freshProject(), 'in-zone', { power: 'STOPPED' });
    expect(await machinesInZones.count(bench.room.database, 'zone', bench.center.zoneId)).toBe(before + 1);
    expect(await machinesInZones.count(bench.room.database, 'datastore', id)).toBe(0);
  });
});

describe('a host with machines whose disks lie on it', () => {
  let setting: Setting;
  beforeAll(async () => {
    setting = await setUp({ poolGib: 1000 });
  });
  afterAll(() => setting.bench.close());

  it('keeps them: the refusal names each and says why', async () => {
    const { bench, maintenance, hostOf, blockedOn } = setting;
    const project = await bench.freshProject();
    const id = await bench.running(project, 'rooted');
    const host = await hostOf(id);
    const refused = maintenance.enter(access, { id: host.id });
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_STATE', data: { blockedCount: 1, blocked: [{ id, code: 'UNSUPPORTED' }] } });
    await expect(refused).rejects.toThrow('lies on the host itself');
    const { result } = await bench.machines.delete(access, id);
    await bench.center.ended(result.operationId);
    expect(await blockedOn(host)).toEqual({});
  });

  it('keeps them free to be stopped, started and deleted while it waits, and is in maintenance once they are gone', async () => {
    const { bench, maintenance, hostOf, waitsFor, isEmptied } = setting;
    const project = await bench.freshProject();
    const id = await bench.running(project, 'rooted-too');
    const host = await hostOf(id);
    const { result } = await maintenance.enter(access, { id: host.id, whenBlocked: 'WAIT' });
    await waitsFor(result.operationId, 'UNSUPPORTED');
    for (const action of ['STOP', 'START'] as const) {
      const changed = await bench.machines.power(access, id, action);
      expect(await bench.center.ended(changed.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    }
    const deletion = await bench.machines.delete(access, id);
    expect(await bench.center.ended(deletion.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    await isEmptied(result.operationId);
    expect(hostState((await bench.room.database.rows(findHosts, [host.id]))[0] ?? host)).toBe('IN_MAINTENANCE');
    await maintenance.exit(access, { id: host.id });
  });
});

describe('a host with a machine whose data disk lies on it, and its root disk elsewhere', () => {
  let setting: Setting;
  beforeAll(async () => {
    // One machine's root disk fits into the shared pool only, and after it a data disk into each host's.
    setting = await setUp({ hosts: 2, poolGib: 8, sharedGib: 12 });
  });
  afterAll(() => setting.bench.close());

  it('lets go of it as soon as the disk is detached', async () => {
    const { bench, maintenance, hostOf, waitsFor, isEmptied } = setting;
    const { commands, ledger } = bench.center;
    const disks = new DiskService(commands, ledger);
    const attachments = new DiskAttachmentService(commands, disks);
    const project = await bench.freshProject();
    const id = await bench.running(project, 'stores');
    const host = await hostOf(id);
    const made: string[] = [];
    for (const name of ['one', 'other']) {
      const { result } = await disks.create(access, { projectId: project.projectId, name, sizeGib: 5 });
      await bench.center.ended(result.operationId);
      made.push(String(result.id));
    }
    const local = (await bench.room.database.rows(findDisks, made)).find((disk) => disk.host_id === host.id);
    const diskId = String(local?.id);
    await bench.center.ended((await attachments.attach(access, { diskId, virtualMachineId: id })).result.operationId);
    const { result } = await maintenance.enter(access, { id: host.id, whenBlocked: 'WAIT' });
    await waitsFor(result.operationId, 'INVALID_STATE');
    const detaching = await attachments.detach(access, { diskId });
    expect(await bench.center.ended(detaching.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    await isEmptied(result.operationId);
    expect((await hostOf(id)).id).not.toBe(host.id);
    expect((await bench.machine(id)).observed_power).toBe('RUNNING');
  });
});
