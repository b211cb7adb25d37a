import { DiskService, DiskSnapshotService, findDisks, planDiskLimit, type DiskRow } from '#storage';
import { idIn } from '../bench/ids.js';
import type { Stage } from '../bench/lane.js';
import type { Scenario } from '../scenario.js';
import { finished, startDisk, startedBy, type Made } from './material.js';

async function startLimit({ bench }: Stage, id: string, toLimit: number | null): Promise<Made> {
  const [disk] = await bench.database.rows(findDisks, [id]);
  return { id, operationId: idIn(await bench.operations.submit(planDiskLimit(disk as DiskRow, toLimit)), 'operationId') };
}

export const storageScenarios: readonly Scenario[] = [
  {
    kind: 'storage.disk.create',
    prepare: async (stage) => ({ submit: async () => (await startDisk(stage)).operationId }),
  },
  {
    kind: 'storage.disk.resize',
    async prepare(stage) {
      const { bench } = stage;
      const id = await finished(stage, await startDisk(stage));
      return { submit: async () => startedBy(await bench.service(DiskService).resize(bench.access, { id, sizeGib: 8 })).operationId };
    },
  },
  {
    kind: 'storage.disk.limit',
    async prepare(stage) {
      const id = await finished(stage, await startDisk(stage));
      await finished(stage, await startLimit(stage, id, 500));
      return { submit: async () => (await startLimit(stage, id, 900)).operationId };
    },
  },
  {
    kind: 'storage.disk.delete',
    async prepare(stage) {
      const { bench } = stage;
      const id = await finished(stage, await startDisk(stage));
      await finished(stage, startedBy(await bench.service(DiskSnapshotService).create(bench.access, { diskId: id, name: 'kept' })));
      return { submit: async () => startedBy(await bench.service(DiskService).delete(bench.access, id)).operationId };
    },
  },
  {
    kind: 'storage.disk_snapshot.create',
    async prepare(stage) {
      const { bench } = stage;
      const diskId = await finished(stage, await startDisk(stage));
      return { submit: async () => startedBy(await bench.service(DiskSnapshotService).create(bench.access, { diskId, name: 'one' })).operationId };
    },
  },
  {
    kind: 'storage.disk_snapshot.delete',
    async prepare(stage) {
      const { bench } = stage;
      const diskId = await finished(stage, await startDisk(stage));
      const id = await finished(stage, startedBy(await bench.service(DiskSnapshotService).create(bench.access, { diskId, name: 'one' })));
      return { submit: async () => startedBy(await bench.service(DiskSnapshotService).delete(bench.access, id)).operationId };
    },
  },
];
