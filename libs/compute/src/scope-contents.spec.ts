import { afterAll, beforeAll, expect, it } from 'vitest';
import { ChangeSet, insertRows } from '#database';
import { FaultKind } from '#driver-simulated';
import { networkScopeContents } from '#network';
import { OperationRequests } from '#operations';
import { DiskRealiser, DiskService, DiskSnapshotService, storageOperations, storageScopeContents } from '#storage';
import { goingOperations, ProjectService, ScopeContentsRegistry } from '#tenancy';
import { computeBench, systemAccess, type ComputeBench } from '#testing';
import { computeScopeContents, DiskAttachmentService } from './index.js';

const access = systemAccess();
let bench: ComputeBench;
let projects: ProjectService;

beforeAll(async () => {
  const contents = new ScopeContentsRegistry().register(...computeScopeContents, ...storageScopeContents, ...networkScopeContents);
  bench = await computeBench({ moreKinds: (drivers) => [...goingOperations({ contents }), ...storageOperations(new DiskRealiser(drivers, { settleMs: 150 }))] });
  const { database } = bench.room;
  const rows = bench.tenant.projectIds.map((id) => ({ id, tenant_id: bench.tenant.id, project_id: id }));
  await database.transaction((transaction) => insertRows(transaction, 'project', rows));
  projects = new ProjectService(database, bench.center.commands, contents);
});
afterAll(() => bench.close());

it('goes with its project: machines, then their groups, what was attached to them, and the network, and nothing is left', async () => {
  const project = await bench.freshProject();
  await bench.groups.create(access, { projectId: project.projectId, name: 'apart', policy: 'ANTI_AFFINITY' });
  await bench.groups.create(access, { projectId: project.projectId, name: 'empty', policy: 'AFFINITY' });
  const one = await bench.running(project, 'one', { affinityGroup: 'apart' });
  await bench.running(project, 'two', { affinityGroup: 'apart' });
  const { commands, drivers, ledger } = bench.center;
  const disks = new DiskService(commands, ledger);
  const disk = await disks.create(access, { projectId: project.projectId, name: 'data', sizeGib: 1, virtualMachineId: one });
  await bench.center.ended(disk.result.operationId);
  const diskId = disk.result.id as string;
  const snapshot = await new DiskSnapshotService(commands, ledger, drivers).create(access, { diskId, name: 'before' });
  await bench.center.ended(snapshot.result.operationId);
  const attached = await new DiskAttachmentService(commands, disks).attach(access, { diskId, virtualMachineId: one });
  expect(await bench.center.ended(attached.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  await bench.center.world.addFault({ kind: FaultKind.REFUSED, method: 'startMachine' });
  const failed = await bench.machines.create(access, { ...project, name: 'failed', flavor: 'small', image: 'debian' });
  await bench.center.ended(failed.result.operationId);
  await bench.center.world.clearFaults();

  const [machines, groups] = computeScopeContents;
  const scope = { tenantId: bench.tenant.id, projectId: project.projectId };
  expect(await machines?.count(bench.room.database, scope)).toBe(3);
  expect((await groups?.list(bench.room.database, { ...scope, projectId: null }, 1))?.map((each) => each.name)).toEqual(['apart']);
  // A group with machines stays for now.
  expect((await groups?.planDeletion?.(bench.room.database, scope, 10))?.toData().sections).toHaveProperty('rows.length', 1);

  const { result } = await projects.delete(access, { id: project.projectId });
  expect(await bench.center.ended(result.operationId, 20_000)).toMatchObject({ state: 'SUCCEEDED', error: null });
  for (const each of [...computeScopeContents, ...networkScopeContents, ...storageScopeContents]) {
    expect([each.kind, await each.count(bench.room.database, scope)]).toEqual([each.kind, 0]);
  }
  expect(await bench.left(project.projectId)).toEqual([]);
  expect(await bench.objects()).toEqual([]);
});

it('starts no second deletion, and starts anew one that was called off', async () => {
  const project = await bench.freshProject();
  const id = await bench.running(project, 'kept');
  const scope = { tenantId: bench.tenant.id, projectId: project.projectId };
  const [machines] = computeScopeContents;
  const plan = async (): Promise<ChangeSet> => (await machines?.planDeletion?.(bench.room.database, scope, 10)) ?? new ChangeSet();

  await bench.center.world.addFault({ kind: FaultKind.BUSY, method: 'stopMachine', times: 1000 });
  const stop = await bench.machines.power(access, id, 'STOP');
  const deletion = await bench.machines.delete(access, id);
  expect((await plan()).resources).toEqual([]);
  await new OperationRequests(bench.center.commands, bench.center.operations).cancel(access, String(deletion.result.operationId));
  await bench.center.world.clearFaults();
  expect((await bench.center.ended(stop.result.operationId)).state).toMatch(/CANCELLED|SUCCEEDED/);
  expect(await bench.center.ended(deletion.result.operationId)).toMatchObject({ state: 'CANCELLED' });
  expect(await bench.machine(id)).toMatchObject({ lifecycle: 'PRESENT' });

  const changes = await plan();
  expect(changes.resources.map((each) => `${each.action} ${each.name}`)).toEqual(['DELETE kept']);
  const { operationId } = await bench.center.operations.submit(changes);
  expect(await bench.center.ended(operationId)).toMatchObject({ state: 'SUCCEEDED' });
  expect(await bench.left(project.projectId)).toEqual([]);
});
