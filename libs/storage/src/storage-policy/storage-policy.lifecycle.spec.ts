import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { MuonError } from '#core';
import { statement } from '#database';
import { findDatastores, offerOf } from '#infrastructure';
import type { ReconcilerContext } from '#operations';
import { accessWith, datacenterDatabase, newTenantInAllZones, systemAccess, testDatacenter, type RoomDatabase, type TestDatacenter, type TestTenant } from '#testing';
import {
  diskHealth,
  DiskRealiser,
  DiskService,
  findDisks,
  findStoragePolicies,
  registerStorageSections,
  storageCompliance,
  storageOperations,
  StoragePolicyService,
  storageRoom,
  type CreateStoragePolicyInput,
  type DiskRow,
} from '../index.js';

const offers = statement<{ datastore_id: string; offer: string }>('spec.offers', 'SELECT datastore_id, offer FROM datastore_capacity');
const becomes = statement<{ id: string }, [id: string, kind: string, failures: number, domain: string | null, method: string | null, encrypted: boolean]>(
  'spec.datastore_becomes',
  `UPDATE datastore SET kind = $2, failures_to_tolerate = $3, failure_domain = $4, redundancy_method = $5, is_encrypted = $6
   WHERE id = $1 RETURNING id`,
);
const charges = statement<{ resource_key: string; amount: number }, [id: string]>(
  'spec.charges_of',
  `SELECT DISTINCT resource_key, amount FROM quota_charge WHERE resource_id = $1 ORDER BY resource_key`,
);
const ofPolicy = statement<{ id: string }, [policyId: string]>('spec.disks_of_policy', 'SELECT id FROM disk WHERE storage_policy_id = $1');
const forever = statement<never, [policyId: string]>('spec.policies_go', 'DELETE FROM storage_policy WHERE id = $1');

describe('storage policies on a simulated datacenter', () => {
  let room: RoomDatabase;
  let center: TestDatacenter;
  let disks: DiskService;
  let policies: StoragePolicyService;
  let tenant: TestTenant;
  let context: ReconcilerContext;
  const access = systemAccess();
  let [plain, safe, shared] = ['', '', ''];
  let made: string[] = [];

  beforeAll(async () => {
    room = await datacenterDatabase([storageRoom]);
    const kinds = (drivers: TestDatacenter['drivers']) => storageOperations(new DiskRealiser(drivers, { settleMs: 150 }));
    center = await testDatacenter(room, { hosts: 2, poolGib: 100, sharedGib: 100, sections: registerStorageSections, kinds });
    [plain = '', safe = '', shared = ''] = center.datastoreIds;
    disks = new DiskService(center.commands, center.ledger);
    policies = new StoragePolicyService(center.commands, []);
    context = { signal: AbortSignal.timeout(600_000), fence: 1, reader: room.database, log: room.log, submit: async () => ({}) };
  });
  beforeEach(async () => {
    tenant = await newTenantInAllZones(room.database);
    for (const id of made) await removePolicy(id);
    made = [];
    await offer(plain, 'standard');
    await offer(safe, 'ssd', 1, 'DISK');
    await offer(shared, 'ceph', 1, 'RACK', true);
  });
  afterAll(async () => {
    await center.close();
    await room.close();
  });

  const projectId = (): string => tenant.projectIds[0] ?? '';
  const disk = async (id: unknown): Promise<DiskRow | undefined> => (await room.database.rows(findDisks, [String(id)]))[0];
  const policy = async (id: string) => (await room.database.rows(findStoragePolicies, [id]))[0];
  const look = (): Promise<unknown> => storageCompliance(room.database, []).run(context);

  async function offer(id: string, kind: string, failures = 0, domain: string | null = null, encrypted = false): Promise<void> {
    await room.database.rows(becomes, id, kind, failures, domain, failures === 0 ? null : 'MIRRORING', encrypted);
  }

  async function makePolicy(input: CreateStoragePolicyInput): Promise<string> {
    const { result } = await policies.create(access, input);
    made.push(String(result.id));
    return String(result.id);
  }

  async function removePolicy(id: string): Promise<void> {
    for (const each of await room.database.rows(ofPolicy, id)) await removeDisk(each.id);
    await room.database.transaction((transaction) => transaction.execute(forever, id));
  }

  async function makeDisk(name: string, storagePolicy?: string, sizeGib = 5): Promise<DiskRow> {
    const { result } = await disks.create(access, { projectId: projectId(), name, sizeGib, ...(storagePolicy === undefined ? {} : { storagePolicy }) });
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    return (await disk(result.id)) as DiskRow;
  }

  async function removeDisk(id: string): Promise<void> {
    const { result } = await disks.delete(access, id);
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
  }

  const refusal = async (work: Promise<unknown>): Promise<MuonError> => work.then(() => Promise.reject(new Error('it was not refused')), (error: unknown) => error as MuonError);

  it('placement knows of each datastore what infrastructure says that it offers', async () => {
    const known = new Map((await room.database.rows(offers)).map((row) => [row.datastore_id, JSON.parse(row.offer) as unknown]));
    const rows = await room.database.rows(findDatastores, [...center.datastoreIds]);
    expect(rows.map((row) => known.get(row.id))).toEqual(rows.map(offerOf));
    expect(rows.map(offerOf)).toContainEqual(expect.objectContaining({ kind: 'ceph', isShared: true, failuresToTolerate: 1, failureDomain: 'RACK', isEncrypted: true }));
  });

  it('a disk lies where its policy is kept, and says how it keeps to it', async () => {
    const id = await makePolicy({ name: 'gold', failuresToTolerate: 1, failureDomain: 'DISK', datastoreKinds: ['ssd', 'nvme'] });
    for (const name of ['one', 'two', 'three']) {
      expect(await makeDisk(name, name === 'two' ? id : 'gold')).toMatchObject({
        datastore_id: safe,
        storage_policy_id: id,
        compliance: 'COMPLIANT',
        compliance_since: expect.any(Date),
        compliance_rules: [
          { rule: 'FAILURES_TO_TOLERATE', expected: '1 of DISK', actual: '1 of DISK', isKept: true },
          { rule: 'DATASTORE_KIND', expected: 'nvme or ssd', actual: 'ssd', isKept: true },
        ],
      });
    }
    const other = await makeDisk('other');
    expect(other).toMatchObject({ storage_policy_id: null, compliance: null, compliance_rules: null });
    await removeDisk(other.id);
  });

  it('keeps to it when it is made again, also when its pool has lost what the policy asks for', async () => {
    await makePolicy({ name: 'kind', datastoreKinds: ['ssd'] });
    await center.world.addFault({ kind: 'REFUSED', method: 'createDisk' });
    const { result } = await disks.create(access, { projectId: projectId(), name: 'again', sizeGib: 5, storagePolicy: 'kind' });
    expect((await center.ended(result.operationId)).state).toBe('FAILED');
    await center.world.clearFaults();
    await offer(safe, 'standard');
    expect(await refusal(center.operations.retry(String(result.operationId)))).toMatchObject({ code: 'INSUFFICIENT_CAPACITY', message: expect.stringContaining('No datastore keeps the storage policy "kind"') });
    await offer(plain, 'ssd');
    await center.operations.retry(String(result.operationId));
    expect((await center.ended(result.operationId)).state).toBe('SUCCEEDED');
    expect(await disk(result.id)).toMatchObject({ datastore_id: plain, compliance: 'COMPLIANT' });
  });

  it('is refused with what each datastore lacks when none keeps it, and by its name when those that do have no room', async () => {
    const id = await makePolicy({ name: 'vault', failuresToTolerate: 2, failureDomain: 'HOST', needsEncryption: true });
    const none = await refusal(disks.create(access, { projectId: projectId(), name: 'x', sizeGib: 5, storagePolicy: 'vault' }));
    expect(none).toMatchObject({
      code: 'INSUFFICIENT_CAPACITY',
      fault: 'OPERATOR',
      field: 'input.storagePolicy',
      message: 'No datastore keeps the storage policy "vault": what they lack is FAILURES_TO_TOLERATE (2 of HOST), ENCRYPTION (encrypted).',
      data: {
        storagePolicyId: id,
        rules: [
          { rule: 'FAILURES_TO_TOLERATE', expected: '2 of HOST' },
          { rule: 'ENCRYPTION', expected: 'encrypted' },
        ],
      },
    });
    await makePolicy({ name: 'rack-safe', failuresToTolerate: 1, failureDomain: 'RACK' });
    const full = await refusal(disks.create(access, { projectId: projectId(), name: 'x', sizeGib: 101, storagePolicy: 'rack-safe' }));
    expect(full.message).toBe('None of 1 datastores in these zones keeping the storage policy "rack-safe" has 101 GiB free; the most that one has is 100 GiB.');
    expect(await refusal(disks.create(access, { projectId: projectId(), name: 'x', sizeGib: 5, storagePolicy: 'nosuch' }))).toMatchObject({ code: 'NOT_FOUND', field: 'input.storagePolicy' });
  });

  it('is not applied when its datastore, or the policy, has become another since the plan was made', async () => {
    const id = await makePolicy({ name: 'fast', datastoreKinds: ['ssd'] });
    const request = { projectId: projectId(), name: 'planned', sizeGib: 5, storagePolicy: 'fast' };
    const { plan } = await disks.create(access, request, { dryRun: true });
    expect(plan?.changes.resources[0]?.data).toMatchObject({ storagePolicy: 'fast' });
    await offer(safe, 'standard');
    expect(await refusal(center.commands.applyPlan(access, plan?.id ?? ''))).toMatchObject({ code: 'PLAN_STALE' });
    await offer(safe, 'ssd');
    expect(await makeDisk('after', 'fast')).toMatchObject({ datastore_id: safe });
    const again = await disks.create(access, { ...request, name: 'of-another-rule' }, { dryRun: true });
    await policies.update(access, { id, datastoreKinds: ['ssd', 'nvme'] });
    expect(await refusal(center.commands.applyPlan(access, again.plan?.id ?? ''))).toMatchObject({ code: 'PLAN_STALE' });
  });

  it('is the default one for disks that name none, until another is', async () => {
    const [first, second] = [await makePolicy({ name: 'usual', needsSharedAccess: true }), await makePolicy({ name: 'other', datastoreKinds: ['ssd'] })];
    await policies.update(access, { id: first, isDefault: true });
    expect(await makeDisk('by-default')).toMatchObject({ datastore_id: shared, storage_policy_id: first });
    expect(await makeDisk('named', 'other')).toMatchObject({ datastore_id: safe, storage_policy_id: second });
    await policies.update(access, { id: second, isDefault: true });
    expect([(await policy(first))?.is_default, (await policy(second))?.is_default]).toEqual([false, true]);
    expect(await makeDisk('by-the-other')).toMatchObject({ datastore_id: safe, storage_policy_id: second });
    for (const id of [first, second]) await policies.update(access, { id, isDefault: false });
    const all = await Promise.allSettled([first, second, first, second].map((id) => policies.update(access, { id, isDefault: true })));
    expect(all.filter((each) => each.status === 'fulfilled')).not.toEqual([]);
    expect([(await policy(first))?.is_default, (await policy(second))?.is_default].filter(Boolean)).toHaveLength(1);
    for (const id of [first, second]) await policies.update(access, { id, isDefault: false });
    const without = await makeDisk('without');
    expect(without).toMatchObject({ storage_policy_id: null });
    await removeDisk(without.id);
  });

  it('costs what it says for each GiB, when a disk is made, enlarged, given another policy and deleted', async () => {
    const gold = await makePolicy({ name: 'gold', datastoreKinds: ['ssd'], costs: [{ key: 'gold.capacity', amountPerGib: 3 }] });
    await makePolicy({ name: 'silver', costs: [{ key: 'silver.capacity', amountPerGib: 1 }] });
    const amounts = async (id: string) => Object.fromEntries((await room.database.rows(charges, id)).map((row) => [row.resource_key, row.amount]));
    const { id } = await makeDisk('data', 'gold');
    expect(await amounts(id)).toEqual({ 'disk.capacity': 5, 'disk.count': 1, 'gold.capacity': 15 });
    const grown = await disks.resize(access, { id, sizeGib: 7 });
    expect((await center.ended(grown.result.operationId)).state).toBe('SUCCEEDED');
    expect(await amounts(id)).toEqual({ 'disk.capacity': 7, 'disk.count': 1, 'gold.capacity': 21 });
    await center.world.addFault({ kind: 'REFUSED', method: 'resizeDisk' });
    const failed = await disks.resize(access, { id, sizeGib: 9 });
    expect((await center.ended(failed.result.operationId)).state).toBe('FAILED');
    await center.world.clearFaults();
    expect(await amounts(id)).toEqual({ 'disk.capacity': 7, 'disk.count': 1, 'gold.capacity': 21 });
    await disks.update(access, { id, storagePolicy: 'silver' });
    expect(await amounts(id)).toEqual({ 'disk.capacity': 7, 'disk.count': 1, 'silver.capacity': 7 });
    await disks.update(access, { id, storagePolicy: null });
    expect(await amounts(id)).toEqual({ 'disk.capacity': 7, 'disk.count': 1 });
    expect(await disk(id)).toMatchObject({ storage_policy_id: null, compliance: null });
    await disks.update(access, { id, storagePolicy: gold });
    expect(await disk(id)).toMatchObject({ storage_policy_id: gold, compliance: 'COMPLIANT' });
    await removeDisk(id);
    expect(await amounts(id)).toEqual({});
  });

  it('is not given to a disk whose datastore does not keep it, nor by its owner where it would cost less', async () => {
    await makePolicy({ name: 'gold', datastoreKinds: ['ssd'] });
    await makePolicy({ name: 'encrypted', datastoreKinds: ['ssd', 'ceph'], needsEncryption: true });
    const { id } = await makeDisk('data', 'gold');
    expect(await refusal(disks.update(access, { id, storagePolicy: 'encrypted' }))).toMatchObject({
      code: 'INVALID_STATE',
      field: 'input.storagePolicy',
      message: expect.stringContaining('ENCRYPTION (encrypted, and it has not encrypted)'),
    });
    const owner = accessWith([{ role: 'OWNER', tenantId: tenant.id, projectId: null }]);
    await makePolicy({ name: 'cheap', datastoreKinds: ['ssd'] });
    await makePolicy({ name: 'dear', datastoreKinds: ['ssd'], costs: [{ key: 'gold.capacity', amountPerGib: 2 }] });
    await disks.update(owner, { id, storagePolicy: 'dear' });
    for (const storagePolicy of ['cheap', null]) {
      expect(await refusal(disks.update(owner, { id, storagePolicy }))).toMatchObject({ code: 'FORBIDDEN', field: 'input.storagePolicy', data: { quotaKeys: ['gold.capacity'] } });
    }
    const stranger = accessWith([{ role: 'OWNER', tenantId: 'ten_other', projectId: null }]);
    expect(await refusal(disks.update(stranger, { id, storagePolicy: null }))).toMatchObject({ code: 'NOT_FOUND' });
    expect(await disk(id)).toMatchObject({ compliance: 'COMPLIANT' });
  });

  it('is watched: what a pool loses, what the policy comes to ask for, and how disks are, show; and what has not changed costs no event', async () => {
    const id = await makePolicy({ name: 'watched', failuresToTolerate: 1, failureDomain: 'RACK' });
    const { id: diskId } = await makeDisk('data', 'watched');
    await look();
    const before = (await disk(diskId))?.revision;
    await look();
    expect((await disk(diskId))?.revision).toBe(before);

    await offer(shared, 'ceph', 1, 'HOST', true);
    await look();
    expect(await disk(diskId)).toMatchObject({ compliance: 'NONCOMPLIANT', compliance_rules: [{ expected: '1 of RACK', actual: '1 of HOST', isKept: false }] });
    await offer(shared, 'ceph', 2, 'ZONE', true);
    await look();
    expect(await disk(diskId)).toMatchObject({ compliance: 'COMPLIANT', compliance_rules: [{ actual: '2 of ZONE', isKept: true }] });

    for (const [health, state] of [['DEGRADED', 'REDUCED_WAITING'], ['REBUILDING', 'REDUCED_REBUILDING'], ['BLOCKED', 'REDUCED_BLOCKED'], ['UNAVAILABLE', 'UNAVAILABLE'], ['HEALTHY', 'COMPLIANT']] as const) {
      await center.world.setPoolHealth('shared', health);
      await diskHealth(room.database, center.drivers).run(context);
      await look();
      expect(await disk(diskId)).toMatchObject({ health, compliance: state });
    }

    const { plan } = await policies.update(access, { id, failuresToTolerate: 3 }, { dryRun: true });
    expect(plan?.changes.reasons).toEqual([
      expect.objectContaining({ message: '0 of 3 active datastores keep it.' }),
      expect.objectContaining({ message: '1 of its 1 disks lie on datastores that do not keep it, and stay there as NONCOMPLIANT.', data: { disks: 1, noncompliant: 1 } }),
    ]);
    await policies.update(access, { id, failuresToTolerate: 3 });
    await look();
    expect(await disk(diskId)).toMatchObject({ compliance: 'NONCOMPLIANT' });
  });

  it('limits the accesses to its disks: to those that are made, that get it, and when it comes to ask for another', async () => {
    const id = await makePolicy({ name: 'slow', datastoreKinds: ['ssd'], iopsLimit: 100, costs: [{ key: 'slow.capacity', amountPerGib: 1 }] });
    await makePolicy({ name: 'free', datastoreKinds: ['ssd'] });
    const limits = async (diskId: string) => {
      const row = await disk(diskId);
      const { storage } = await center.drivers.driver(center.backendId);
      const seen = await storage.getDisk({ idempotencyKey: 'look', timeoutMs: 5000, signal: context.signal }, diskId);
      return [row?.iops_limit, row?.realised_iops_limit, seen?.iopsLimit, row?.compliance];
    };
    const [born, given] = [(await makeDisk('born', 'slow')).id, (await makeDisk('given', 'free')).id];
    expect(await limits(born)).toEqual([100, 100, 100, 'COMPLIANT']);
    expect(await limits(given)).toEqual([null, null, null, 'COMPLIANT']);

    await center.world.addFault({ kind: 'BUSY', method: 'limitDisk', times: 1000 });
    const begun = await disks.update(access, { id: given, storagePolicy: 'slow' });
    expect(await limits(given)).toMatchObject({ 0: 100, 3: 'RECONFIGURING' });
    expect(await refusal(disks.update(access, { id: given, storagePolicy: 'free' }))).toMatchObject({ code: 'RESOURCE_BUSY' });
    expect((await room.database.rows(charges, given)).map((row) => row.resource_key)).toContain('slow.capacity');
    await expect.poll(async () => (await center.world.faults())[0]?.fired ?? 0).toBeGreaterThan(0);
    await center.operations.cancel(String(begun.result.operationId));
    await expect.poll(async () => (await center.operation(begun.result.operationId)).state).toBe('UNDOING');
    await center.world.clearFaults();
    expect((await center.ended(begun.result.operationId)).state).toBe('CANCELLED');
    await look();
    expect(await limits(given)).toEqual([null, null, null, 'COMPLIANT']);
    expect((await disk(given))?.storage_policy_id).not.toBe(id);
    expect((await room.database.rows(charges, given)).map((row) => row.resource_key)).not.toContain('slow.capacity');
    const change = await disks.update(access, { id: given, storagePolicy: 'slow' });
    expect((await center.ended(change.result.operationId)).state).toBe('SUCCEEDED');
    await look();
    expect(await limits(given)).toEqual([100, 100, 100, 'COMPLIANT']);

    await policies.update(access, { id, iopsLimit: 50 });
    const submitted: unknown[] = [];
    const submit: ReconcilerContext['submit'] = async (changes) => {
      const result = await center.operations.submit(changes);
      submitted.push(changes.result['operationId']);
      return result;
    };
    await storageCompliance(room.database, []).run({ ...context, submit });
    expect(submitted).toHaveLength(2);
    for (const each of submitted) expect((await center.ended(each)).state).toBe('SUCCEEDED');
    await look();
    for (const each of [born, given]) expect(await limits(each)).toEqual([50, 50, 50, 'COMPLIANT']);
  });

  it('that is deleted in use takes no new disks and goes with its last one', async () => {
    const id = await makePolicy({ name: 'leaving', datastoreKinds: ['ssd'] });
    const { id: diskId } = await makeDisk('last', 'leaving');
    const { plan } = await policies.delete(access, id, { dryRun: true });
    expect(plan?.changes.reasons[0]).toMatchObject({ message: 'It is in use (1 disks) and goes with the last of them.' });
    await policies.delete(access, id);
    expect(await refusal(disks.create(access, { projectId: projectId(), name: 'late', sizeGib: 5, storagePolicy: 'leaving' }))).toMatchObject({ code: 'INVALID_STATE' });
    await look();
    expect(await policy(id)).toMatchObject({ state: 'PENDING_DELETE' });
    await removeDisk(diskId);
    await look();
    expect(await policy(id)).toBeUndefined();
    const unused = await makePolicy({ name: 'unused' });
    await policies.delete(access, unused);
    expect(await policy(unused)).toBeUndefined();
  });

  it('is an operator’s to make and change, with what belongs together', async () => {
    const owner = accessWith([{ role: 'OWNER', tenantId: tenant.id, projectId: null }]);
    const id = await makePolicy({ name: 'fixed' });
    expect((await refusal(policies.create(owner, { name: 'mine' }))).code).toBe('FORBIDDEN');
    expect((await refusal(policies.update(owner, { id, description: 'mine' }))).code).toBe('FORBIDDEN');
    expect((await refusal(policies.delete(owner, id))).code).toBe('FORBIDDEN');
    const wrong: [CreateStoragePolicyInput, string][] = [
      [{ name: 'fixed' }, 'input.name'],
      [{ name: 'half', failuresToTolerate: 1 }, 'input.failureDomain'],
      [{ name: 'half', failureDomain: 'HOST' }, 'input.failuresToTolerate'],
      [{ name: 'half', costs: [{ key: 'disk.capacity', amountPerGib: 1 }] }, 'input.costs.0.key'],
      [{ name: 'half', costs: [{ key: 'gold.cap-x', amountPerGib: 1 }] }, 'input.costs.0.key'],
    ];
    for (const [input, field] of wrong) expect(await refusal(policies.create(access, input))).toMatchObject({ field });
    expect(await refusal(policies.update(access, { id, failureDomain: 'RACK' }))).toMatchObject({ field: 'input.failuresToTolerate' });
    expect(await refusal(policies.update(access, { id, isDefault: true, datastoreKinds: ['none-is'] }))).toMatchObject({ code: 'INVALID_STATE', field: 'input.isDefault' });
    expect(await refusal(policies.update(access, { id, expectedVersion: 7, description: 'late' }))).toMatchObject({ code: 'CONFLICT' });
  });
});
