import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EventFeed } from '#events';
import { accessWith, datacenterDatabase, newTenantInAllZones, testApi, testDatacenter, type RoomDatabase, type TestApi, type TestDatacenter, type TestTenant } from '#testing';
import { storageResolvers } from '../api.js';
import { DiskRealiser, DiskService, DiskSnapshotService, storageOperations, StoragePolicyService, storageRoom } from '../index.js';

interface DiskShown {
  id: string;
  name: string;
  state: string;
  sizeGib: number;
  iopsLimit: number | null;
  health: string;
  version: number;
  currentOperation: { id: string; kind: string } | null;
}

const FIELDS = 'id name state sizeGib iopsLimit health version currentOperation { id kind }';
const CREATE = `mutation ($input: CreateDiskInput!) { createDisk(input: $input) { disk { ${FIELDS} } operation { id } plan { resources { kind data } } } }`;
const RESIZE = `mutation ($input: ResizeDiskInput!) { resizeDisk(input: $input) { disk { ${FIELDS} } operation { id } } }`;

describe('disks over GraphQL', () => {
  let room: RoomDatabase;
  let center: TestDatacenter;
  let api: TestApi;
  let tenant: TestTenant;

  beforeAll(async () => {
    room = await datacenterDatabase([storageRoom]);
    center = await testDatacenter(room, { kinds: (drivers) => storageOperations(new DiskRealiser(drivers)) });
    tenant = await newTenantInAllZones(room.database);
    api = await testApi({
      log: room.log,
      services: [
        room.database,
        new EventFeed(room.database, room.log),
        new DiskService(center.commands, center.ledger),
        new DiskSnapshotService(center.commands, center.ledger, center.drivers),
        new StoragePolicyService(center.commands, []),
      ],
      resolvers: storageResolvers,
      callers: {
        ann: accessWith([{ role: 'OWNER', tenantId: tenant.id, projectId: null }]),
        stranger: accessWith([{ role: 'OWNER', tenantId: 'ten_other', projectId: null }]),
      },
    });
  });
  afterAll(async () => {
    await api.close();
    await center.close();
    await room.close();
  });

  it('makes, enlarges, lists and deletes a disk', async () => {
    const input = { projectId: tenant.projectIds[0], name: 'data', sizeGib: 5, zone: null };
    const { createDisk } = await api.data<{ createDisk: { disk: DiskShown; operation: { id: string } } }>('ann', CREATE, { input });
    expect(createDisk.disk).toMatchObject({ name: 'data', state: 'CREATING', health: 'UNKNOWN', currentOperation: { id: createDisk.operation.id, kind: 'storage.disk.create' } });
    await center.ended(createDisk.operation.id);
    const { id } = createDisk.disk;
    const { node } = await api.data<{ node: DiskShown }>('ann', `query ($id: ID!) { node(id: $id) { ... on Disk { ${FIELDS} } } }`, { id });
    expect(node).toMatchObject({ state: 'AVAILABLE', health: 'HEALTHY', iopsLimit: null, currentOperation: null });
    const stale = await api.ask('ann', RESIZE, { input: { id, sizeGib: 9, expectedVersion: node.version + 1 } });
    expect(stale.errors?.[0]?.extensions).toMatchObject({ code: 'CONFLICT', field: 'input.expectedVersion' });
    const { resizeDisk } = await api.data<{ resizeDisk: { disk: DiskShown; operation: { id: string } } }>('ann', RESIZE, {
      input: { id, sizeGib: 9, expectedVersion: node.version },
    });
    expect(resizeDisk.disk).toMatchObject({ state: 'RESIZING', sizeGib: 9 });
    await center.ended(resizeDisk.operation.id);
    const list = `{ disks(name: "data", order: NEWEST) { totalCount eventCursor nodes { ${FIELDS} } } }`;
    const { disks } = await api.compiled<{ disks: { totalCount: number; eventCursor: string; nodes: DiskShown[] } }>('ann', list);
    expect(disks).toMatchObject({ totalCount: 1, eventCursor: expect.any(String), nodes: [{ id, state: 'AVAILABLE', sizeGib: 9 }] });
    const { deleteDisk } = await api.data<{ deleteDisk: { operation: { id: string } } }>('ann', `mutation { deleteDisk(input: { id: "${id}" }) { operation { id } } }`);
    await center.ended(deleteDisk.operation.id);
    expect((await api.ask('ann', `{ node(id: "${id}") { id } }`)).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
  });

  it('shows a plan without making anything', async () => {
    const input = { projectId: tenant.projectIds[0], name: 'planned', sizeGib: 5, dryRun: true };
    const { createDisk } = await api.data<{ createDisk: Record<string, unknown> }>('ann', CREATE, { input });
    expect(createDisk).toMatchObject({ disk: null, operation: null, plan: { resources: [{ kind: 'disk', data: { sizeGib: 5 } }] } });
    expect(JSON.stringify(createDisk)).not.toContain('local');
    expect((await api.data<{ disks: { totalCount: number } }>('ann', '{ disks(name: "planned") { totalCount } }')).disks.totalCount).toBe(0);
  });

  it('does not exist for strangers', async () => {
    const input = { projectId: tenant.projectIds[0], name: 'hidden', sizeGib: 5 };
    const { createDisk } = await api.data<{ createDisk: { disk: DiskShown } }>('ann', CREATE, { input });
    const { id } = createDisk.disk;
    expect((await api.data<{ disks: { totalCount: number } }>('stranger', '{ disks { totalCount } }')).disks.totalCount).toBe(0);
    const texts = [`{ node(id: "${id}") { id } }`, `mutation { deleteDisk(input: { id: "${id}" }) { plan { id } } }`, `mutation { resizeDisk(input: { id: "${id}", sizeGib: 9 }) { plan { id } } }`];
    for (const text of texts) expect((await api.ask('stranger', text)).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    const elsewhere = await api.ask('stranger', CREATE, { input });
    expect(elsewhere.errors?.[0]?.extensions).toMatchObject({ code: 'NOT_FOUND', field: 'input.projectId' });
  });
});
