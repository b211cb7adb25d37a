import { afterEach, expect, it } from 'vitest';
import type { Bench } from './bench.js';
import { walk } from './walk.js';

/** Of disks that are held to so many reads and writes in a second. */
export function diskLimitConformance(bench: Bench): void {
  afterEach(async () => bench.clear());

  const limit = async (diskId: string, iopsLimit: number | null): Promise<void> =>
    bench.finish(async (call) => bench.driver.storage.limitDisk(call, diskId, iopsLimit));
  const seen = async (diskId: string): Promise<number | null | undefined> => (await bench.driver.storage.getDisk(bench.call(), diskId))?.iopsLimit;
  const listed = async (diskId: string): Promise<number | null | undefined> => {
    const all = await walk(async (after) => bench.driver.storage.listDisks(bench.call(), after, 100), (disk) => disk.diskId);
    return all.find((disk) => disk.diskId === diskId)?.iopsLimit;
  };

  it('a disk that was asked for without a limit is unlimited, and lifting none is DONE', async (context) => {
    bench.needs(context, 'storage');
    const { diskId } = await bench.disk();
    for (let times = 0; times < 2; times += 1) await limit(diskId, null);
    expect([await seen(diskId), await listed(diskId)]).toEqual([null, null]);
  });

  it.for(['an image', 'nothing'])('a disk of %s is made with its limit, which is changed and lifted, and repeated', async (from, context) => {
    bench.needs(context, 'storage', 'iopsLimit');
    const wanted = await bench.disk({ iopsLimit: 500, imageReference: from === 'nothing' ? null : bench.subject.imageReference });
    const { diskId, sizeGib } = wanted;
    expect([await seen(diskId), await listed(diskId)]).toEqual([500, 500]);
    for (const wantedLimit of [700, null, 300]) {
      for (let times = 0; times < 2; times += 1) await limit(diskId, wantedLimit);
      await bench.eventually(`it is listed with ${wantedLimit}`, async () => (await listed(diskId)) === wantedLimit);
      expect(await bench.driver.storage.getDisk(bench.call(), diskId)).toMatchObject({ iopsLimit: wantedLimit, sizeGib, attachedTo: null });
    }
    // What it was asked to be at first is still what it is.
    expect(await bench.finish(async (call) => bench.driver.storage.createDisk(call, wanted))).toMatchObject({ diskId, iopsLimit: 300 });
  });

  it('another limit under the same id is a BACKEND_FAILED conflict', async (context) => {
    bench.needs(context, 'storage', 'iopsLimit');
    const wanted = await bench.disk({ iopsLimit: 500 });
    for (const iopsLimit of [501, null]) {
      await bench.refused(bench.finish(async (call) => bench.driver.storage.createDisk(call, { ...wanted, iopsLimit })), 'BACKEND_FAILED');
    }
    expect(await seen(wanted.diskId)).toBe(500);
  });

  it('a limit whose answer was lost is found set by its repeat', async (context) => {
    bench.needs(context, 'storage', 'iopsLimit');
    const { diskId } = await bench.disk();
    await bench.hook(context, 'loseNextAnswer')('limitDisk');
    await bench.refused(bench.driver.storage.limitDisk(bench.call(), diskId, 500), 'TIMEOUT');
    await limit(diskId, 500);
    expect(await seen(diskId)).toBe(500);
  });

  it('many who set the same limit at once all find it so', async (context) => {
    bench.needs(context, 'storage', 'iopsLimit');
    for (const imageReference of [null, bench.subject.imageReference]) {
      const { diskId } = await bench.disk({ imageReference });
      await Promise.all(Array.from({ length: 5 }, async () => limit(diskId, 500)));
      expect(await seen(diskId)).toBe(500);
    }
  });

  it('a limit goes with its disk to a machine and back, and is changed while the machine runs', async (context) => {
    bench.needs(context, 'storage', 'compute', 'iopsLimit');
    const { compute } = bench.driver;
    const { machineId, diskIds } = await bench.runningMachine();
    const { diskId } = await bench.disk({ iopsLimit: 500 });
    await limit(diskIds[0] as string, 900);
    await bench.finish(async (call) => compute.attachDisk(call, machineId, diskId));
    expect([await seen(diskIds[0] as string), await seen(diskId)]).toEqual([900, 500]);
    await limit(diskId, 700);
    await limit(diskIds[0] as string, null);
    expect([await seen(diskIds[0] as string), await seen(diskId)]).toEqual([null, 700]);
    await limit(diskIds[0] as string, 800);
    await bench.finish(async (call) => compute.stopMachine(call, machineId, true));
    await bench.finish(async (call) => compute.startMachine(call, machineId));
    expect([await seen(diskIds[0] as string), await seen(diskId)]).toEqual([800, 700]);
    await bench.finish(async (call) => compute.detachDisk(call, machineId, diskId));
    expect(await seen(diskId)).toBe(700);
    await bench.finish(async (call) => compute.deleteMachine(call, machineId));
    expect(await seen(diskIds[0] as string)).toBe(800);
  });

  it('a limit moves with its machine', async (context) => {
    bench.needs(context, 'storage', 'compute', 'moveStopped', 'iopsLimit');
    const target = bench.otherHost(context);
    const { machineId, diskIds } = await bench.machine();
    const rootId = diskIds[0] as string;
    await limit(rootId, 500);
    await bench.finish(async (call) => bench.driver.compute.moveMachine(call, machineId, target));
    expect(await bench.driver.storage.getDisk(bench.call(), rootId)).toMatchObject({ hostName: target, iopsLimit: 500 });
  });

  it('a copy has its own limit, not that of its source', async (context) => {
    bench.needs(context, 'storage', 'iopsLimit');
    for (const imageReference of [null, bench.subject.imageReference]) {
      const source = await bench.disk({ iopsLimit: 500, imageReference });
      for (const iopsLimit of [null, 300]) {
        const copy = bench.diskSpecification({ sizeGib: source.sizeGib, iopsLimit });
        bench.willRemoveDisk(copy.diskId);
        const made = await bench.finish(async (call) => bench.driver.storage.cloneDisk(call, source.diskId, copy));
        expect([made.iopsLimit, await seen(copy.diskId), await seen(source.diskId)]).toEqual([iopsLimit, iopsLimit, 500]);
      }
    }
  });

  it('without "iopsLimit" no disk is made with a limit, and a limit can still be lifted', async (context) => {
    bench.needs(context, 'storage');
    const lacking = !bench.driver.capabilities.iopsLimit;
    const { diskId } = await bench.disk(lacking ? {} : { iopsLimit: 500 });
    const driver = lacking ? bench.driver : await bench.hook(context, 'connectWithout')('iopsLimit');
    try {
      const wanted = bench.diskSpecification({ iopsLimit: 500 });
      await bench.refused(driver.storage.createDisk(bench.call(), wanted), 'UNSUPPORTED');
      await bench.refused(driver.storage.cloneDisk(bench.call(), diskId, wanted), 'UNSUPPORTED');
      await bench.refused(driver.storage.limitDisk(bench.call(), diskId, 300), 'UNSUPPORTED');
      expect(await driver.storage.getDisk(bench.call(), wanted.diskId)).toBeUndefined();
      await bench.finish(async (call) => driver.storage.limitDisk(call, diskId, null));
      expect(await seen(diskId)).toBeNull();
    } finally {
      if (!lacking) await driver.close();
    }
  });
}
