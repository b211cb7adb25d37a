import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventsRoom } from '#events';
import { identityRoom } from '#identity';
import { operationsRoom } from '#operations';
import { scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { infrastructureBench, roomDatabase, systemAccess, type InfrastructureBench, type RoomDatabase } from '#testing';
import { datastores, findDatastores, infrastructureRoom, offerOf, type DatastoreRow, type UpdateDatastoreInput } from '../index.js';

let room: RoomDatabase;
let bench: InfrastructureBench;
const access = systemAccess();
const MIRRORED = { failuresToTolerate: 1, redundancyMethod: 'MIRRORING' } as const;

beforeAll(async () => {
  room = await roomDatabase([secretsRoom, eventsRoom, scopesRoom, identityRoom, operationsRoom, infrastructureRoom]);
  bench = await infrastructureBench(room);
});
afterAll(async () => {
  await bench.close();
  await room.close();
});

async function pools(backendId: string): Promise<{ local: DatastoreRow; shared: DatastoreRow }> {
  const { rows } = await datastores.page(room.database, [null, backendId, null], 'NAME', {});
  const [local, shared] = [rows.find((row) => row.host_id !== null), rows.find((row) => row.host_id === null)];
  if (local === undefined || shared === undefined) throw new Error('the datacenter has not both kinds of pools');
  return { local, shared };
}

const both = [{ name: 'local', capacityGib: 500 }, { name: 'ceph', capacityGib: 9000, shared: true }];

it('guarantees what its operator says: each host’s own pool at registration, any of them later', async () => {
  const { backendId, zoneId, world } = await bench.datacenter({ count: 1, pools: both });
  await world.createHosts({ prefix: 'mirrored', count: 1, cpu: 8, memoryMib: 4096, pools: [{ name: 'local', capacityGib: 100 }] });
  const localGuarantees = { ...MIRRORED, failureDomain: 'DISK', isEncrypted: true } as const;
  await bench.registration.register(access, { backendId, zoneId, localGuarantees });
  const { rows } = await datastores.page(room.database, [null, backendId, null], 'NAME', {});
  const offers = rows.map(offerOf).map(({ isShared, failuresToTolerate, failureDomain, isEncrypted }) => [isShared, failuresToTolerate, failureDomain, isEncrypted]);
  expect(new Set(offers)).toEqual(new Set([[false, 0, null, false], [false, 1, 'DISK', true], [true, 0, null, false]]));

  const { shared } = await pools(backendId);
  const update = async (input: Partial<UpdateDatastoreInput>) => bench.datastores.update(access, { id: shared.id, ...input });
  const now = async () => offerOf((await room.database.rows(findDatastores, [shared.id]))[0] as DatastoreRow);
  await update({ guarantees: { failuresToTolerate: 2, failureDomain: 'RACK', redundancyMethod: 'ERASURE_CODING', isEncrypted: true } });
  await update({ overcommit: 2 });
  expect(await now()).toMatchObject({ failuresToTolerate: 2, failureDomain: 'RACK', redundancyMethod: 'ERASURE_CODING', isEncrypted: true });
  await update({ guarantees: {} });
  expect(await now()).toMatchObject({ failuresToTolerate: 0, failureDomain: null, redundancyMethod: null, isEncrypted: false });
});

it('is refused guarantees that say half, or that a pool there cannot keep', async () => {
  const { backendId, zoneId } = await bench.datacenter({ count: 1, pools: both });
  const { local, shared } = await pools(backendId);
  const update = (row: DatastoreRow, guarantees: UpdateDatastoreInput['guarantees']) => bench.datastores.update(access, { id: row.id, guarantees });
  await expect(update(shared, { failuresToTolerate: 1 })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.guarantees.failureDomain' });
  await expect(update(shared, { failuresToTolerate: 1, failureDomain: 'HOST' })).rejects.toMatchObject({ field: 'input.guarantees.redundancyMethod' });
  await expect(update(shared, { failureDomain: 'HOST' })).rejects.toMatchObject({ field: 'input.guarantees.failuresToTolerate' });
  await expect(update(shared, { failuresToTolerate: 4 })).rejects.toMatchObject({ field: 'input.guarantees.failuresToTolerate' });
  await expect(update(local, { ...MIRRORED, failureDomain: 'HOST' })).rejects.toMatchObject({ field: 'input.guarantees.failureDomain', message: expect.stringContaining('goes with its host') });
  const ofZone = { ...shared, zone_id: zoneId };
  await bench.datastores.remove(access, shared.id);
  const add = bench.datastores.add(access, { backendId, name: ofZone.name, zoneId, guarantees: { ...MIRRORED, failureDomain: 'ZONE' } });
  await expect(add).rejects.toMatchObject({ field: 'input.guarantees.failureDomain', message: expect.stringContaining('goes with it') });
  await bench.datastores.add(access, { backendId, name: ofZone.name, zoneId, guarantees: { ...MIRRORED, failureDomain: 'RACK' } });
});
