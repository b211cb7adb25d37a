import { typeidUnboxed } from 'typeid-js';
import { afterEach, expect, it } from 'vitest';
import type { DriverCall, Outcome } from '../call.js';
import type { Bench } from './bench.js';

export function storageConformance(bench: Bench): void {
  afterEach(async () => bench.clear());

  it('makes a disk as specified, marked with the installation, and repeats', async (context) => {
    bench.needs(context, 'storage');
    const wanted = bench.diskSpecification();
    bench.willRemoveDisk(wanted.diskId);
    const call = bench.call();
    const attempt = async (each = call) => bench.driver.storage.createDisk(each, wanted);
    const made = await bench.finish(attempt, call);
    expect(made).toMatchObject({
      diskId: wanted.diskId,
      installationId: bench.ownership.installationId,
      poolName: wanted.poolName,
      sizeGib: wanted.sizeGib,
      attachedTo: null,
    });
    expect(await bench.finish(attempt, call)).toEqual(made);
    expect(await bench.finish(attempt)).toEqual(made);
    expect(await bench.driver.storage.getDisk(bench.call(), wanted.diskId)).toEqual(made);
  });

  it('another specification under the same id is a BACKEND_FAILED conflict', async (context) => {
    bench.needs(context, 'storage');
    const wanted = await bench.disk();
    const other = { ...wanted, sizeGib: wanted.sizeGib + 1 };
    await bench.refused(bench.finish(async (call) => bench.driver.storage.createDisk(call, other)), 'BACKEND_FAILED');
    expect((await bench.driver.storage.getDisk(bench.call(), wanted.diskId))?.sizeGib).toBe(wanted.sizeGib);
  });

  it('a create whose answer was lost is found done by its repeat', async (context) => {
    bench.needs(context, 'storage');
    const wanted = bench.diskSpecification();
    bench.willRemoveDisk(wanted.diskId);
    await bench.hook(context, 'loseNextAnswer')('createDisk');
    await bench.refused(bench.driver.storage.createDisk(bench.call(), wanted), 'TIMEOUT');
    const made = await bench.finish(async (call) => bench.driver.storage.createDisk(call, wanted));
    expect(made.diskId).toBe(wanted.diskId);
  });

  it('a disk in a pool that is not there is NOT_FOUND', async (context) => {
    bench.needs(context, 'storage');
    const wanted = bench.diskSpecification({ poolName: 'pool-that-is-not' });
    await bench.refused(bench.finish(async (call) => bench.driver.storage.createDisk(call, wanted)), 'NOT_FOUND');
  });

  it('grows, repeats, and never shrinks', async (context) => {
    bench.needs(context, 'storage');
    const { storage } = bench.driver;
    const { diskId, sizeGib } = await bench.disk();
    const larger = sizeGib + 2;
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => storage.resizeDisk(call, diskId, larger));
    expect((await storage.getDisk(bench.call(), diskId))?.sizeGib).toBe(larger);
    await bench.refused(bench.finish(async (call) => storage.resizeDisk(call, diskId, sizeGib)), 'INVALID_STATE');
    expect((await storage.getDisk(bench.call(), diskId))?.sizeGib).toBe(larger);
  });

  it('makes and deletes snapshots, and repeats', async (context) => {
    bench.needs(context, 'storage', 'snapshot');
    const { storage } = bench.driver;
    const { diskId } = await bench.disk();
    const snapshotId = typeidUnboxed('snapshot');
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => storage.createSnapshot(call, diskId, snapshotId));
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => storage.deleteSnapshot(call, diskId, snapshotId));
  });

  it('clones a disk, repeats, and the copy outlives its source', async (context) => {
    bench.needs(context, 'storage');
    const { storage } = bench.driver;
    const source = await bench.disk();
    const copy = bench.diskSpecification({ sizeGib: source.sizeGib });
    bench.willRemoveDisk(copy.diskId);
    const attempt = async () => bench.finish(async (call) => storage.cloneDisk(call, source.diskId, copy));
    const made = await attempt();
    expect(await attempt()).toEqual(made);
    await bench.finish(async (call) => storage.deleteDisk(call, source.diskId));
    expect(await storage.getDisk(bench.call(), copy.diskId)).toEqual(made);
  });

  it.for(['an image', 'nothing'])('many who make or delete one disk of %s at once all find it so', async (from, context) => {
    bench.needs(context, 'storage');
    const { storage } = bench.driver;
    const wanted = bench.diskSpecification({ imageReference: from === 'nothing' ? null : bench.subject.imageReference });
    bench.willRemoveDisk(wanted.diskId);
    const many = async <Value>(attempt: (call: DriverCall) => Promise<Outcome<Value>>): Promise<Value[]> =>
      Promise.all(Array.from({ length: 5 }, async () => bench.finish(attempt)));
    const made = await many(async (call) => storage.createDisk(call, wanted));
    for (const disk of made) expect(disk).toEqual(made[0]);
    await many(async (call) => storage.resizeDisk(call, wanted.diskId, wanted.sizeGib + 1));
    await many(async (call) => storage.deleteDisk(call, wanted.diskId));
    expect(await storage.getDisk(bench.call(), wanted.diskId)).toBeUndefined();
  });

  it('delete is DONE only when the disk is gone, and repeats', async (context) => {
    bench.needs(context, 'storage');
    const { storage } = bench.driver;
    const { diskId } = await bench.disk();
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => storage.deleteDisk(call, diskId));
    expect(await storage.getDisk(bench.call(), diskId)).toBeUndefined();
  });

  it('says for every disk it is asked about how it fares', async (context) => {
    bench.needs(context, 'storage');
    const { diskId } = await bench.disk();
    const unknown = typeidUnboxed('disk');
    const health = await bench.driver.storage.diskHealth(bench.call(), [diskId, unknown]);
    expect(Object.fromEntries(health)).toEqual({ [diskId]: 'HEALTHY', [unknown]: 'UNKNOWN' });
    expect(await bench.driver.storage.diskHealth(bench.call(), [])).toEqual(new Map());
  });
}
