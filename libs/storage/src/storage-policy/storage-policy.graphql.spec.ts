import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '#database';
import { EventFeed } from '#events';
import { accessWith, countStatements, datacenterDatabase, newTenantInAllZones, systemAccess, testApi, testDatacenter, type RoomDatabase, type TestApi, type TestDatacenter, type TestTenant } from '#testing';
import { storageResolvers } from '../api.js';
import { DiskRealiser, DiskService, DiskSnapshotService, storageOperations, StoragePolicyService, storageRoom } from '../index.js';

const POLICY = `id name description failuresToTolerate failureDomain redundancyMethod needsEncryption needsSharedAccess datastoreKinds iopsLimit
  costs { key amountPerGib } isDefault state version revision createdAt`;
const DISK = 'id name storagePolicy { id name } compliance { state since rules { rule expected actual isKept } }';

describe('storage policies over GraphQL', () => {
  let room: RoomDatabase;
  let database: Database;
  let center: TestDatacenter;
  let api: TestApi;
  let tenant: TestTenant;

  beforeAll(async () => {
    room = await datacenterDatabase([storageRoom]);
    center = await testDatacenter(room, { kinds: (drivers) => storageOperations(new DiskRealiser(drivers)) });
    tenant = await newTenantInAllZones(room.database);
    // Apart from the engine's, so that statements can be counted.
    database = await room.another();
    const { commands, ledger, drivers } = center;
    api = await testApi({
      log: room.log,
      services: [
        database,
        new EventFeed(database, room.log),
        new DiskService(commands, ledger),
        new DiskSnapshotService(commands, ledger, drivers),
        new StoragePolicyService(commands, []),
      ],
      resolvers: storageResolvers,
      callers: {
        operator: systemAccess(),
        ann: accessWith([{ role: 'OWNER', tenantId: tenant.id, projectId: null }]),
        nobody: accessWith([]),
      },
    });
  });
  afterAll(async () => {
    await api.close();
    await center.close();
    await room.close();
  });

  async function change(field: string, input: Record<string, unknown>, caller = 'operator'): Promise<{ storagePolicy: Record<string, unknown> | null; plan: unknown }> {
    const type = `${field.charAt(0).toUpperCase()}${field.slice(1)}Input`;
    const text = `mutation ($input: ${type}!) { ${field}(input: $input) { storagePolicy { ${POLICY} } plan { reasons { message } } } }`;
    const answer = await api.data<Record<string, { storagePolicy: Record<string, unknown> | null; plan: unknown }>>(caller, text, { input });
    return answer[field] as { storagePolicy: Record<string, unknown> | null; plan: unknown };
  }

  async function makeDisk(name: string, storagePolicy: string): Promise<string> {
    const text = `mutation ($input: CreateDiskInput!) { createDisk(input: $input) { disk { ${DISK} } operation { id } } }`;
    const input = { projectId: tenant.projectIds[0], name, sizeGib: 1, storagePolicy };
    const { createDisk } = await api.data<{ createDisk: { disk: { id: string }; operation: { id: string } } }>('ann', text, { input });
    expect(createDisk.disk).toMatchObject({ storagePolicy: { name: storagePolicy }, compliance: null });
    await center.ended(createDisk.operation.id);
    return createDisk.disk.id;
  }

  it('are planned, made, read by all members, changed and deleted', async () => {
    const input = { name: 'gold', description: 'For databases', datastoreKinds: ['standard'], costs: [{ key: 'gold.capacity', amountPerGib: 2 }] };
    expect(await change('createStoragePolicy', { ...input, dryRun: true })).toEqual({ storagePolicy: null, plan: { reasons: [{ message: expect.stringMatching(/^\d of \d active datastores keep it\.$/) }] } });
    const { storagePolicy } = await change('createStoragePolicy', input);
    const id = storagePolicy?.['id'];
    expect(storagePolicy).toMatchObject({ ...input, failuresToTolerate: 0, failureDomain: null, redundancyMethod: null, needsEncryption: false, needsSharedAccess: false, iopsLimit: null, isDefault: false, state: 'ACTIVE' });
    for (const query of [`storagePolicy(id: "${String(id)}") { ${POLICY} }`, `storagePolicy(name: "gold") { ${POLICY} }`]) {
      expect(await api.compiled('ann', `{ ${query} }`)).toEqual({ storagePolicy });
    }
    expect(await api.data('ann', `{ node(id: "${String(id)}") { ... on StoragePolicy { ${POLICY} } } }`)).toEqual({ node: storagePolicy });
    expect(await api.data('ann', '{ storagePolicies { totalCount nodes { name compliance { disks } } } }')).toEqual({ storagePolicies: { totalCount: 1, nodes: [{ name: 'gold', compliance: null }] } });
    const domains = await change('updateStoragePolicy', { id, failuresToTolerate: 1, failureDomain: 'RACK', redundancyMethod: 'MIRRORING', iopsLimit: 100, isDefault: true });
    expect(domains.storagePolicy).toMatchObject({ failuresToTolerate: 1, failureDomain: 'RACK', redundancyMethod: 'MIRRORING', iopsLimit: 100, isDefault: true });
    const lifted = await change('updateStoragePolicy', { id, failuresToTolerate: 0, failureDomain: null, redundancyMethod: null, iopsLimit: null, isDefault: false });
    expect(lifted.storagePolicy).toMatchObject({ failureDomain: null, redundancyMethod: null, iopsLimit: null, isDefault: false, description: 'For databases' });
    expect((await change('deleteStoragePolicy', { id })).storagePolicy).toBeNull();
  });

  it('and what keeps to them are looked up for a whole list at once', async () => {
    await change('createStoragePolicy', { name: 'kept', datastoreKinds: ['standard'] });
    const ids: string[] = [];
    for (const name of ['one', 'two', 'three', 'four']) ids.push(await makeDisk(name, 'kept'));
    const list = `{ disks(compliance: COMPLIANT) { nodes { ${DISK} } } }`;
    const { disks } = await api.compiled<{ disks: { nodes: Record<string, unknown>[] } }>('ann', list);
    expect(disks.nodes).toHaveLength(4);
    expect(disks.nodes[0]).toMatchObject({
      storagePolicy: { name: 'kept' },
      compliance: { state: 'COMPLIANT', since: expect.any(String), rules: [{ rule: 'DATASTORE_KIND', expected: 'standard', actual: 'standard', isKept: true }] },
    });
    expect(await countStatements(database, () => api.data('ann', list))).toBeLessThanOrEqual(3);
    const { storagePolicies } = await api.data<{ storagePolicies: { nodes: { id: string; compliance: unknown }[] } }>('operator', '{ storagePolicies(name: "kept") { nodes { id compliance { state disks } } } }');
    expect(storagePolicies.nodes[0]?.compliance).toEqual([{ state: 'COMPLIANT', disks: 4 }]);
    const filtered = `{ disks(storagePolicyId: "${storagePolicies.nodes[0]?.id}") { totalCount } other: disks(compliance: NONCOMPLIANT) { totalCount } }`;
    expect(await api.data('ann', filtered)).toEqual({ disks: { totalCount: 4 }, other: { totalCount: 0 } });
    const { updateDisk } = await api.data<{ updateDisk: unknown }>('ann', `mutation { updateDisk(input: { id: "${ids[0]}", storagePolicy: null }) { operation { id } disk { ${DISK} } } }`);
    expect(updateDisk).toMatchObject({ operation: null, disk: { storagePolicy: null, compliance: null } });
  });

  it('are not there for those who belong nowhere, and not theirs to change for those who are no operators', async () => {
    expect((await api.ask('nobody', '{ storagePolicy(name: "kept") { id } }')).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    expect(await api.data('nobody', '{ storagePolicies { totalCount } }')).toEqual({ storagePolicies: { totalCount: 0 } });
    const refused = await api.ask('ann', 'mutation { createStoragePolicy(input: { name: "mine" }) { storagePolicy { id } } }');
    expect(refused.errors?.[0]?.extensions.code).toBe('FORBIDDEN');
  });
});
