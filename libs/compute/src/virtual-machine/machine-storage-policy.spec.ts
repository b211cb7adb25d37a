import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { statement } from '#database';
import { FaultKind } from '#driver-simulated';
import { OperationRequests } from '#operations';
import { findDisksOfOwners, storageCompliance, StoragePolicyService, type DiskRow } from '#storage';
import { computeBench, systemAccess, type BenchProject, type ComputeBench } from '#testing';
import { storagePolicyUsers } from '../index.js';

const becomes = statement<{ id: string }, [id: string, kind: string]>('spec.machine_policy_kind', 'UPDATE datastore SET kind = $2 WHERE id = $1 RETURNING id');

describe('the storage policy of a machine’s root disk', () => {
  let bench: ComputeBench;
  let policies: StoragePolicyService;
  let requests: OperationRequests;
  const access = systemAccess();
  let [fast, slow] = ['', ''];

  beforeAll(async () => {
    bench = await computeBench();
    policies = new StoragePolicyService(bench.center.commands, storagePolicyUsers);
    requests = new OperationRequests(bench.center.commands, bench.center.operations);
    [fast = '', slow = ''] = bench.center.datastoreIds;
    await bench.room.database.rows(becomes, fast, 'fast');
    await bench.room.database.rows(becomes, slow, 'slow');
    await policies.create(access, { name: 'fast', datastoreKinds: ['fast'], costs: [{ key: 'fast.capacity', amountPerGib: 1 }] });
    await policies.create(access, { name: 'slow', datastoreKinds: ['slow'] });
    await bench.flavors.create(access, { name: 'fast-one', cpu: 1, memoryMib: 512, diskGib: 10, storagePolicy: 'fast' });
  });
  afterAll(() => bench.close());

  const root = async (id: string): Promise<DiskRow | undefined> => (await bench.room.database.rows(findDisksOfOwners, [id]))[0];
  const idOf = async (name: string): Promise<string> => {
    const { result } = await policies.create(access, { name });
    return String(result.id);
  };

  it('is the one that is named, or else the flavor’s, or else the default, or none', async () => {
    const project = await bench.freshProject();
    expect(await root(await bench.running(project, 'named', { storagePolicy: 'slow' }))).toMatchObject({ datastore_id: slow, compliance: 'COMPLIANT' });
    expect(await root(await bench.running(project, 'of-flavor', { flavor: 'fast-one' }))).toMatchObject({ datastore_id: fast, costs: { 'fast.capacity': 1 } });
    expect(await root(await bench.running(project, 'over-flavor', { flavor: 'fast-one', storagePolicy: 'slow' }))).toMatchObject({ datastore_id: slow });
    expect(await root(await bench.running(project, 'none'))).toMatchObject({ storage_policy_id: null });
    const usual = await idOf('usual');
    await policies.update(access, { id: usual, isDefault: true, datastoreKinds: ['slow'] });
    expect(await root(await bench.running(project, 'default'))).toMatchObject({ datastore_id: slow, storage_policy_id: usual });
    expect(await root(await bench.running(project, 'still-of-flavor', { flavor: 'fast-one' }))).toMatchObject({ datastore_id: fast });
    await policies.update(access, { id: usual, isDefault: false });
  });

  it('is kept when the machine is made once more, also after the flavor’s machines would get another', async () => {
    const project = await bench.freshProject();
    for (const name of ['one', 'two', 'three']) {
      const { id, operationId } = await failed(project, name);
      expect(await bench.machine(id)).toMatchObject({ lifecycle: 'FAILED' });
      await requests.retry(access, operationId);
      expect(await bench.center.ended(operationId)).toMatchObject({ state: 'SUCCEEDED' });
      expect(await root(id)).toMatchObject({ datastore_id: fast, compliance: 'COMPLIANT' });
    }
  });

  async function failed(project: BenchProject, name: string): Promise<{ id: string; operationId: string }> {
    await bench.center.world.addFault({ kind: FaultKind.REFUSED, method: 'startMachine' });
    const { result } = await bench.machines.create(access, { ...project, name, flavor: 'small', image: 'debian', storagePolicy: 'fast' });
    expect(await bench.center.ended(result.operationId)).toMatchObject({ state: 'FAILED' });
    await bench.center.world.clearFaults();
    return { id: String(result.id), operationId: String(result.operationId) };
  }

  it('that no host can keep is refused with the reason: none has it, or those that have it are elsewhere', async () => {
    const project = await bench.freshProject();
    const ask = (storagePolicy: string) => bench.machines.create(access, { ...project, name: 'nowhere', flavor: 'small', image: 'debian', storagePolicy });
    await policies.create(access, { name: 'nvme', datastoreKinds: ['nvme'] });
    await expect(ask('nvme')).rejects.toMatchObject({
      code: 'INSUFFICIENT_CAPACITY',
      field: 'input.storagePolicy',
      message: 'No datastore keeps the storage policy "nvme". Of 3 active ones: 3 break DATASTORE_KIND (nvme).',
    });
    await expect(ask('nosuch')).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.storagePolicy' });
    const group = await bench.groups.create(access, { projectId: project.projectId, name: 'apart', policy: 'ANTI_AFFINITY', strength: 'REQUIRE' });
    const inGroup = { affinityGroup: String(group.result.id), storagePolicy: 'fast' };
    await bench.running(project, 'first', inGroup);
    const second = bench.machines.create(access, { ...project, name: 'second', flavor: 'small', image: 'debian', ...inGroup });
    await expect(second).rejects.toMatchObject({
      code: 'INSUFFICIENT_CAPACITY',
      message: expect.stringContaining('2 without room on a datastore that keeps the storage policy "fast"'),
    });
  });

  it('stays while a flavor names it, although no disk has it', async () => {
    const id = await idOf('of-a-flavor');
    const { result: flavor } = await bench.flavors.create(access, { name: 'holding', cpu: 1, memoryMib: 512, diskGib: 10, storagePolicy: 'of-a-flavor' });
    const { plan } = await policies.delete(access, id, { dryRun: true });
    expect(plan?.changes.reasons[0]?.message).toBe('It is in use (1 flavors) and goes with the last of them.');
    await policies.delete(access, id);
    const context = { signal: AbortSignal.timeout(10_000), fence: 1, reader: bench.room.database, log: bench.room.log, submit: async () => ({}) };
    const look = () => storageCompliance(bench.room.database, storagePolicyUsers).run(context);
    await look();
    const project = await bench.freshProject();
    await expect(bench.machines.create(access, { ...project, name: 'late', flavor: 'holding', image: 'debian' })).rejects.toMatchObject({ code: 'INVALID_STATE', field: 'input.flavor' });
    await bench.flavors.delete(access, String(flavor.id));
    await look();
    await expect(policies.delete(access, id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
