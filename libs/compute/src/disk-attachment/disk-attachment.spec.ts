import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { statement } from '#database';
import type { DriverCall, ObservedDisk } from '#drivers';
import { findHosts } from '#infrastructure';
import type { ReconcilerContext } from '#operations';
import { DiskRealiser, DiskService, diskState, findDisks, findDisksOfOwners, storageOperations, storageScopeContents, type DiskRow } from '#storage';
import { accessWith, computeBench, systemAccess, type BenchProject, type ComputeBench } from '#testing';
import { DiskAttachmentService, machineConditions, machineDrift, machineOccupants } from '../index.js';

const SETTLE_MS = 150;
const access = systemAccess();
const silence = statement<never, [id: string]>(
  'spec.disk_silence',
  `UPDATE virtual_machine SET observed_power = 'UNKNOWN', observed_reason = 'Its host is silent.' WHERE id = $1`,
);

describe('disks of machines on hosts with pools of their own', () => {
  let bench: ComputeBench;
  let disks: DiskService;
  let attachments: DiskAttachmentService;

  beforeAll(async () => {
    bench = await computeBench({ moreKinds: (drivers) => storageOperations(new DiskRealiser(drivers, { settleMs: SETTLE_MS })) });
    disks = new DiskService(bench.center.commands, bench.center.ledger);
    attachments = new DiskAttachmentService(bench.center.commands, disks);
  });
  afterEach(() => bench.center.world.clearFaults());
  afterAll(() => bench.close());

  async function succeeds(started: Promise<{ result: { id?: unknown; operationId?: unknown } }>): Promise<string> {
    const { result } = await started;
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED', error: null });
    return String(result.id);
  }
  async function fails(started: Promise<{ result: { operationId?: unknown } }>): Promise<void> {
    const { result } = await started;
    expect((await bench.center.ended(result.operationId)).state).toBe('FAILED');
  }
  const newDisk = (project: BenchProject, name: string, more: { virtualMachineId?: string } = {}): Promise<string> =>
    succeeds(disks.create(access, { projectId: project.projectId, name, sizeGib: 5, ...more }));
  const attach = (diskId: string, virtualMachineId: string) => attachments.attach(access, { diskId, virtualMachineId });
  const detach = (diskId: string) => attachments.detach(access, { diskId });
  async function row(id: string): Promise<DiskRow> {
    const [found] = await bench.room.database.rows(findDisks, [id]);
    if (found === undefined) throw new Error(`no disk ${id}`);
    return found;
  }
  const stateOf = async (id: string): Promise<string> => diskState(await row(id));
  const call = (): DriverCall => ({ idempotencyKey: `spec/${Math.random()}`, timeoutMs: 5000, signal: AbortSignal.timeout(5000) });
  const driver = () => bench.center.drivers.driver(bench.center.backendId);
  async function seen(id: string): Promise<ObservedDisk | undefined> {
    return (await driver()).storage.getDisk(call(), id);
  }
  /** A machine and a disk that it reaches. */
  async function pair(name = 'web'): Promise<{ project: BenchProject; machineId: string; diskId: string }> {
    const project = await bench.freshProject();
    const machineId = await bench.running(project, name);
    return { project, machineId, diskId: await newDisk(project, 'data', { virtualMachineId: machineId }) };
  }

  it('are made where a machine reaches them, attached while it runs, grown, and detached', async () => {
    const { machineId, diskId } = await pair();
    expect((await row(diskId)).host_id).toBe((await bench.machine(machineId)).host_id);
    const dry = await attachments.attach(access, { diskId, virtualMachineId: machineId }, { dryRun: true });
    expect(dry.plan?.changes).toMatchObject({ problems: [], resources: [{ action: 'UPDATE', kind: 'disk', id: diskId, data: { virtualMachineId: machineId } }] });
    expect(await stateOf(diskId)).toBe('AVAILABLE');
    await succeeds(attach(diskId, machineId));
    expect(await row(diskId)).toMatchObject({ owner_id: machineId, position: 1, attachment: 'ATTACHED' });
    expect((await seen(diskId))?.attachedTo).toBe(machineId);
    expect((await bench.room.database.rows(findDisksOfOwners, [machineId])).map((disk) => disk.name)).toEqual(['web', 'data']);
    await succeeds(disks.resize(access, { id: diskId, sizeGib: 8 }));
    expect([await stateOf(diskId), (await seen(diskId))?.sizeGib]).toEqual(['ATTACHED', 8]);
    await succeeds(detach(diskId));
    expect(await row(diskId)).toMatchObject({ owner_id: null, position: 0, attachment: null });
    expect((await seen(diskId))?.attachedTo).toBeNull();
    await succeeds(disks.delete(access, diskId));
  });

  it('stay when their machine goes, and its root disk does not', async () => {
    const { project, machineId, diskId } = await pair();
    await succeeds(attach(diskId, machineId));
    const { plan } = await bench.machines.delete(access, machineId, { dryRun: true });
    expect(plan?.changes.resources).toContainEqual(expect.objectContaining({ action: 'UPDATE', kind: 'disk', id: diskId, data: { virtualMachineId: null } }));
    await succeeds(bench.machines.delete(access, machineId));
    expect([await stateOf(diskId), (await seen(diskId))?.attachedTo]).toEqual(['AVAILABLE', null]);
    expect(await bench.left(project.projectId)).toEqual(['disk', 'datastore claim', 'charge', 'charge']);
    await succeeds(disks.delete(access, diskId));
    expect(await bench.left(project.projectId)).toEqual([]);
  });

  it('are given to one machine at a time, and not taken while somebody is at either', async () => {
    const { project, machineId, diskId } = await pair();
    await bench.center.world.addFault({ kind: 'BUSY', method: 'attachDisk', times: Infinity });
    const { result } = await attach(diskId, machineId);
    expect(await stateOf(diskId)).toBe('ATTACHING');
    const others = [() => attach(diskId, machineId), () => detach(diskId), () => disks.delete(access, diskId), () => bench.machines.power(access, machineId, 'STOP')];
    for (const refused of others) {
      await expect(refused()).rejects.toMatchObject({ code: 'RESOURCE_BUSY', data: { operationId: result.operationId } });
    }
    await bench.center.world.clearFaults();
    expect((await bench.center.ended(result.operationId)).state).toBe('SUCCEEDED');
    const other = await bench.running(project, 'other');
    await expect(attach(diskId, other)).rejects.toMatchObject({ code: 'INVALID_STATE', data: { state: 'ATTACHED', virtualMachineId: machineId } });
    await expect(disks.delete(access, diskId)).rejects.toMatchObject({ code: 'INVALID_STATE', data: { virtualMachineId: machineId } });
  });

  it('are taken back when their machine is deleted while it gets them', async () => {
    const { machineId, diskId } = await pair();
    await bench.center.world.addFault({ kind: 'BUSY', method: 'attachDisk', times: Infinity });
    const { result } = await attach(diskId, machineId);
    const deletion = await bench.machines.delete(access, machineId);
    await expect.poll(async () => (await bench.center.operation(result.operationId)).state, { timeout: 10_000 }).toBe('CANCELLED');
    expect((await bench.center.ended(deletion.result.operationId)).state).toBe('SUCCEEDED');
    expect(await stateOf(diskId)).toBe('AVAILABLE');
  });

  it('are attached by one of many who ask at once', async () => {
    const { project, machineId, diskId } = await pair();
    const asked = await Promise.allSettled(Array.from({ length: 8 }, () => attach(diskId, machineId)));
    expect(asked.filter((each) => each.status === 'fulfilled')).toHaveLength(1);
    const started = asked.flatMap((each) => (each.status === 'fulfilled' ? [each.value.result.operationId] : []));
    for (const id of started) expect((await bench.center.ended(id)).state).toBe('SUCCEEDED');
    expect(await bench.left(project.projectId)).not.toContain('lock');
  });

  it.each(['LOST_ANSWER', 'BUSY', 'UNAVAILABLE', 'STILL_RUNNING'] as const)('go on after %s of every first call', async (kind) => {
    const { machineId, diskId } = await pair();
    for (const method of ['attachDisk', 'detachDisk']) await bench.center.world.addFault({ kind, method, delayMs: 50 });
    await succeeds(attach(diskId, machineId));
    expect((await seen(diskId))?.attachedTo).toBe(machineId);
    await succeeds(detach(diskId));
    expect((await seen(diskId))?.attachedTo).toBeNull();
    expect((await bench.center.world.faults()).map((fault) => fault.fired)).toEqual([1, 1]);
  });

  it('are as they were when attaching or detaching them fails, also when a lost call comes late', async () => {
    const { machineId, diskId } = await pair();
    await bench.center.world.addFault({ kind: 'LATE_EFFECT', method: 'attachDisk', delayMs: 50, uncancellable: true });
    await bench.center.world.addFault({ kind: 'REFUSED', method: 'attachDisk' });
    await fails(attach(diskId, machineId));
    await bench.center.world.landPending();
    expect([await stateOf(diskId), (await seen(diskId))?.attachedTo]).toEqual(['AVAILABLE', null]);
    await succeeds(attach(diskId, machineId));
    await bench.center.world.addFault({ kind: 'LATE_EFFECT', method: 'detachDisk', delayMs: 50, uncancellable: true });
    await bench.center.world.addFault({ kind: 'REFUSED', method: 'detachDisk' });
    await fails(detach(diskId));
    await bench.center.world.landPending();
    expect([await stateOf(diskId), (await seen(diskId))?.attachedTo]).toEqual(['ATTACHED', machineId]);
  });

  it('are refused with the true reason', async () => {
    const { project, machineId, diskId } = await pair();
    const [root] = await bench.room.database.rows(findDisksOfOwners, [machineId]);
    const rootId = root?.id ?? '';
    await expect(attach(rootId, machineId)).rejects.toMatchObject({ code: 'INVALID_STATE', message: expect.stringContaining('root disk') });
    await expect(detach(rootId)).rejects.toMatchObject({ code: 'INVALID_STATE', message: expect.stringContaining('root disk') });
    await expect(detach(diskId)).rejects.toMatchObject({ code: 'INVALID_STATE', data: { state: 'AVAILABLE' } });
    await expect(attach(diskId, 'vm_nobody')).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.virtualMachineId' });
    await expect(attachments.attach(access, { diskId, virtualMachineId: machineId, expectedVersion: 9 })).rejects.toMatchObject({ code: 'CONFLICT' });
    const elsewhere = await bench.freshProject();
    const foreign = await bench.running(elsewhere, 'foreign');
    await expect(attach(diskId, foreign)).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.virtualMachineId' });
    const member = accessWith([{ role: 'OWNER', tenantId: bench.tenant.id, projectId: project.projectId }]);
    await expect(attachments.attach(member, { diskId, virtualMachineId: foreign })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(disks.create(member, { projectId: project.projectId, name: 'far', sizeGib: 1, virtualMachineId: foreign })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const viewer = accessWith([{ role: 'VIEWER', tenantId: bench.tenant.id, projectId: project.projectId }]);
    await expect(attachments.attach(viewer, { diskId, virtualMachineId: machineId })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    const recreated = await bench.running(project, 'recreated', { recovery: 'RECREATE' });
    const near = await newDisk(project, 'near', { virtualMachineId: recreated });
    await expect(attach(near, recreated)).rejects.toMatchObject({ code: 'INVALID_STATE', data: { recovery: 'RECREATE' } });
    await succeeds(attach(diskId, machineId));
    await expect(bench.machines.update(access, { id: machineId, recovery: 'RECREATE' })).rejects.toMatchObject({ code: 'INVALID_STATE', data: { diskIds: [diskId] } });
    await bench.room.database.transaction((transaction) => transaction.execute(silence, machineId));
    await expect(detach(diskId)).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('Its host is silent.') });
  });

  it('on another host than the machine are refused, and only operators hear of hosts', async () => {
    const project = await bench.freshProject();
    await bench.groups.create(access, { projectId: project.projectId, name: 'apart', policy: 'ANTI_AFFINITY', strength: 'REQUIRE' });
    const [one, other] = [await bench.running(project, 'one', { affinityGroup: 'apart' }), await bench.running(project, 'other', { affinityGroup: 'apart' })];
    const diskId = await newDisk(project, 'data', { virtualMachineId: one });
    const [there, here] = [await bench.machine(one), await bench.machine(other)].map((machine) => machine.host_id);
    const names = new Map((await bench.room.database.rows(findHosts, [there ?? '', here ?? ''])).map((host) => [host.id, host.name]));
    const told = await attach(diskId, other).catch((error: unknown) => error);
    expect(told).toMatchObject({ code: 'INVALID_STATE', data: { diskHostId: there, machineHostId: here } });
    expect(String(told)).toContain(`held by host "${names.get(there ?? '')}"`);
    const member = accessWith([{ role: 'OWNER', tenantId: bench.tenant.id, projectId: project.projectId }]);
    const hidden = await attachments.attach(member, { diskId, virtualMachineId: other }).catch((error: unknown) => error);
    expect(hidden).toMatchObject({ code: 'INVALID_STATE', data: {}, message: expect.stringContaining('createDisk with virtualMachineId') });
    expect(JSON.stringify(hidden) + String(hidden)).not.toMatch(/host-\d|hos_/);
  });

  it('of a machine are so many and no more', async () => {
    const { project, machineId } = await pair();
    const ids = await Promise.all(Array.from({ length: 16 }, (_none, index) => newDisk(project, `d-${index}`, { virtualMachineId: machineId })));
    for (const id of ids) await succeeds(attach(id, machineId));
    expect((await bench.room.database.rows(findDisksOfOwners, [machineId])).map((disk) => disk.position)).toEqual(Array.from({ length: 17 }, (_none, index) => index));
    const more = await newDisk(project, 'more', { virtualMachineId: machineId });
    await expect(attach(more, machineId)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED', data: { limit: 16 } });
  }, 60_000);

  it('are no more than so many either when two plans are applied that each had room', async () => {
    const { project, machineId } = await pair();
    const ids = await Promise.all(Array.from({ length: 17 }, (_none, index) => newDisk(project, `d-${index}`, { virtualMachineId: machineId })));
    for (const id of ids.slice(0, 15)) await succeeds(attach(id, machineId));
    const planned = async (diskId: string | undefined) => (await attachments.attach(access, { diskId: diskId ?? '', virtualMachineId: machineId }, { dryRun: true })).plan?.id ?? '';
    const plans = [await planned(ids[15]), await planned(ids[16])] as const;
    await succeeds(bench.center.commands.applyPlan(access, plans[0]));
    const { result } = await bench.center.commands.applyPlan(access, plans[1]);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'FAILED', error: { code: 'LIMIT_EXCEEDED', data: { limit: 16 } } });
    expect([await stateOf(ids[16] ?? ''), (await seen(ids[16] ?? ''))?.attachedTo]).toEqual(['AVAILABLE', null]);
  }, 60_000);

  it('keep their machine on its host until they are detached', async () => {
    const { machineId, diskId } = await pair('stays');
    await succeeds(attach(diskId, machineId));
    const [host] = await bench.room.database.rows(findHosts, [(await bench.machine(machineId)).host_id]);
    const occupants = host === undefined ? [] : await machineOccupants().list(bench.room.database, host, 500);
    expect(occupants.find((each) => each.resourceId === machineId)?.blocked).toMatchObject({ data: { diskIds: expect.arrayContaining([diskId]) } });
  });

  it('that somebody has taken or given behind Muon’s back are put right', async () => {
    const { project, machineId, diskId } = await pair();
    const surplus = await newDisk(project, 'surplus', { virtualMachineId: machineId });
    await succeeds(attach(diskId, machineId));
    const { compute } = await driver();
    await compute.detachDisk(call(), machineId, diskId);
    await compute.attachDisk(call(), machineId, surplus);
    const reasonsBefore: string[] = [];
    const context: ReconcilerContext = {
      signal: AbortSignal.timeout(10_000),
      fence: 1,
      reader: bench.room.database,
      log: bench.room.log,
      async submit(changes) {
        // Once it is submitted it may be mended at any moment.
        reasonsBefore.push(...machineConditions(await bench.machine(machineId)).map(({ reason }) => reason));
        return bench.center.operations.submit(changes);
      },
    };
    const drift = machineDrift(bench.room.database, bench.center.drivers, { graceMs: 0, startAgainAfterMs: 0 });
    await drift.run(context);
    expect(reasonsBefore).toContain('DISKS_DIFFER');
    await expect
      .poll(async () => {
        await drift.run(context);
        return [(await seen(diskId))?.attachedTo, (await seen(surplus))?.attachedTo, (await bench.machine(machineId)).drift];
      }, { timeout: 10_000 })
      .toEqual([machineId, null, null]);
    expect([await stateOf(diskId), await stateOf(surplus)]).toEqual(['ATTACHED', 'AVAILABLE']);
  });

  it('are deleted although a late call has given them to a machine', async () => {
    const { machineId, diskId } = await pair();
    await (await driver()).compute.attachDisk(call(), machineId, diskId);
    await succeeds(disks.delete(access, diskId));
    expect(await seen(diskId)).toBeUndefined();
  });

  it('are free for their project’s end once its machines are gone', async () => {
    const { project, machineId, diskId } = await pair();
    await succeeds(attach(diskId, machineId));
    const scope = { tenantId: bench.tenant.id, projectId: project.projectId };
    const [contents] = storageScopeContents;
    expect((await contents?.planDeletion?.(bench.room.database, scope, 10))?.resources).toEqual([]);
    await succeeds(bench.machines.delete(access, machineId));
    expect((await contents?.planDeletion?.(bench.room.database, scope, 10))?.resources).toMatchObject([{ action: 'DELETE', id: diskId }]);
  });
});
