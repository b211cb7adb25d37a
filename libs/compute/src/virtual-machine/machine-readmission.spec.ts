import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { statement } from '#database';
import { FaultKind } from '#driver-simulated';
import { findPortsOfOwners, SecurityGroupService } from '#network';
import { OperationRequests } from '#operations';
import { QuotaService } from '#quota';
import { findDisksOfOwners } from '#storage';
import { computeBench, systemAccess, type BenchProject, type ComputeBench } from '#testing';

const tombstones = statement<{ object_id: string }, [id: string]>('spec.readmission_tombstones', 'SELECT object_id FROM tombstone WHERE object_id = $1');

const becomes = statement<{ id: string }, [id: string, kind: string]>('spec.readmission_kind', 'UPDATE datastore SET kind = $2 WHERE id = $1 RETURNING id');

describe('retrying a machine that could not be made', () => {
  let bench: ComputeBench;
  let requests: OperationRequests;
  const access = systemAccess();

  beforeAll(async () => {
    bench = await computeBench();
    requests = new OperationRequests(bench.center.commands, bench.center.operations);
  });
  afterEach(() => bench.center.world.clearFaults());
  afterAll(() => bench.close());

  async function failed(project: BenchProject, name: string, more: { securityGroupIds?: string[]; datastoreKind?: string } = {}): Promise<{ id: string; operationId: string }> {
    await bench.center.world.addFault({ kind: FaultKind.REFUSED, method: 'startMachine' });
    const request = { ...project, name, flavor: 'small', image: 'debian', metadata: { team: 'shop' }, ...more };
    const { result } = await bench.machines.create(access, request);
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'FAILED' });
    await bench.center.world.clearFaults();
    return { id: result.id as string, operationId: result.operationId as string };
  }

  it('makes it under its id, with everything anew', async () => {
    const project = await bench.freshProject();
    const { id, operationId } = await failed(project, 'second-try');
    expect(await bench.left(project.projectId)).toEqual(['machine']);
    expect(await bench.room.database.rows(tombstones, id)).toHaveLength(1);

    const { plan } = await requests.retry(access, operationId, { dryRun: true });
    expect(plan?.changes.resources.map((each) => `${each.action} ${each.kind}`)).toEqual(['CREATE virtual machine', 'CREATE port', 'CREATE disk']);
    expect(await bench.left(project.projectId)).toEqual(['machine']);
    const { result } = await requests.retry(access, operationId);
    expect(result).toEqual({ id, operationId });
    expect(await bench.center.ended(operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.machine(id)).toMatchObject({ lifecycle: 'PRESENT', observed_power: 'RUNNING', failure: null, metadata: { team: 'shop' } });
    const other = await bench.freshProject();
    await bench.running(other, 'first-try');
    expect(await bench.left(project.projectId)).toEqual(await bench.left(other.projectId));
    expect(await bench.room.database.rows(tombstones, id)).toEqual([]);
    await expect(requests.retry(access, operationId)).rejects.toMatchObject({ code: 'INVALID_STATE' });
    const deleted = await bench.machines.delete(access, id);
    expect(await bench.center.ended(deleted.result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.left(project.projectId)).toEqual([]);
  });

  it('puts it into the security groups that it was asked for with, and keeps nobody from deleting them meanwhile', async () => {
    const project = await bench.freshProject();
    const groups = new SecurityGroupService(bench.center.commands, bench.center.ledger, bench.center.drivers);
    const group = async (name: string): Promise<string> => String((await groups.create(access, { projectId: project.projectId, name })).result.id);
    const [web, gone] = [await group('web'), await group('gone')];
    const wanted = await failed(project, 'guarded', { securityGroupIds: [web] });
    const stranded = await failed(project, 'stranded', { securityGroupIds: [gone] });
    await requests.retry(access, wanted.operationId);
    expect(await bench.center.ended(wanted.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    const [port] = await bench.room.database.rows(findPortsOfOwners, [wanted.id]);
    const told = (await bench.center.world.networkParts(bench.tenant.id)).find((part) => part.id === port?.id);
    expect(told?.specification).toMatchObject({ securityGroupIds: [web] });
    expect(await bench.center.ended((await groups.delete(access, gone)).result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    await expect(requests.retry(access, stranded.operationId)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const elsewhere = await bench.freshProject();
    const refused = bench.machines.create(access, { ...elsewhere, name: 'vm', flavor: 'small', image: 'debian', securityGroupIds: [web] });
    await expect(refused).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.securityGroupIds.0' });
  });

  it('puts its root disk on a datastore of the kind that it was asked for with, and refuses by its name a kind that none is', async () => {
    const fast = bench.center.datastoreIds[1] ?? '';
    await bench.room.database.rows(becomes, fast, 'fast');
    try {
      for (const name of ['one', 'two', 'three']) {
        const project = await bench.freshProject();
        const { id, operationId } = await failed(project, name, { datastoreKind: 'fast' });
        await requests.retry(access, operationId);
        expect(await bench.center.ended(operationId)).toMatchObject({ state: 'SUCCEEDED' });
        expect(await bench.room.database.rows(findDisksOfOwners, [id])).toMatchObject([{ datastore_id: fast }]);
      }
      const project = await bench.freshProject();
      const refused = bench.machines.create(access, { ...project, name: 'none', flavor: 'small', image: 'debian', datastoreKind: 'mirrored' });
      await expect(refused).rejects.toMatchObject({ code: 'INSUFFICIENT_CAPACITY', message: expect.stringContaining('without room on a datastore of the kind "mirrored"') });
    } finally {
      await bench.room.database.rows(becomes, fast, 'standard');
    }
  });

  it('can fail again, and is taken back again', async () => {
    const project = await bench.freshProject();
    const { id, operationId } = await failed(project, 'twice');
    await bench.center.world.addFault({ kind: FaultKind.REFUSED, method: 'createMachine' });
    await requests.retry(access, operationId);
    expect(await bench.center.ended(operationId)).toMatchObject({ state: 'FAILED' });
    expect(await bench.machine(id)).toMatchObject({ lifecycle: 'FAILED', failure: { code: 'BACKEND_FAILED' } });
    expect(await bench.left(project.projectId)).toEqual(['machine']);
  });

  it('is admitted like a new one: refused when the quota is full, and nothing is written', async () => {
    const project = await bench.freshProject();
    const { id, operationId } = await failed(project, 'no-quota');
    const quota = new QuotaService(bench.room.database, bench.center.commands);
    await quota.setQuota(access, { scopeId: project.projectId, lines: [{ resourceKey: 'vm.count', limit: 0 }] });
    await expect(requests.retry(access, operationId)).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' });
    expect(await bench.machine(id)).toMatchObject({ lifecycle: 'FAILED' });
    expect(await bench.left(project.projectId)).toEqual(['machine']);
  });

  it('is done once, however many ask at once', async () => {
    const project = await bench.freshProject();
    const { id, operationId } = await failed(project, 'at-once');
    const [first, second] = [await requests.retry(access, operationId, { dryRun: true }), await requests.retry(access, operationId, { dryRun: true })];
    await bench.center.commands.applyPlan(access, first.plan?.id ?? '');
    await expect(bench.center.commands.applyPlan(access, second.plan?.id ?? '')).rejects.toMatchObject({ code: 'PLAN_STALE' });
    expect(await bench.center.ended(operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await bench.machine(id)).toMatchObject({ lifecycle: 'PRESENT' });

    const other = await failed(project, 'at-once-too');
    const outcomes = await Promise.allSettled([1, 2, 3, 4].map(() => requests.retry(access, other.operationId)));
    const codes = outcomes.map((each) => (each.status === 'fulfilled' ? 'OK' : (each.reason as { code: string }).code)).sort();
    expect(codes.filter((code) => code === 'OK')).toHaveLength(1);
    expect(codes.filter((code) => !['OK', 'CONFLICT', 'INVALID_STATE'].includes(code))).toEqual([]);
    expect(await bench.center.ended(other.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  });

  it('is refused for a machine that is being deleted', async () => {
    const project = await bench.freshProject();
    const { id, operationId } = await failed(project, 'going');
    await bench.center.world.addFault({ kind: FaultKind.BUSY, method: 'deleteMachine', times: 1000 });
    const { result } = await bench.machines.delete(access, id);
    await expect(requests.retry(access, operationId)).rejects.toMatchObject({ code: 'INVALID_STATE' });
    await bench.center.world.clearFaults();
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  });
});
