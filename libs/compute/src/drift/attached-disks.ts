import { MuonError } from '#core';
import { ChangeSet } from '#database';
import type { ObservedMachine } from '#drivers';
import type { ReconcilerContext } from '#operations';
import { DISK_ATTACH, DISK_DETACH } from '../disk-attachment/disk-attachment.operations.js';
import { startAttachment } from '../disk-attachment/disk-attachment.service.js';
import type { MachineDrift } from '../virtual-machine/virtual-machine.js';
import { disksToPutRight, type MachineToObserve } from './machine-drift.sql.js';

export type DiskDifference = Required<Pick<MachineDrift, 'missingDiskIds' | 'surplusDiskIds'>>;

/** How the disks that the backend shows differ from those that the machine shall have; null when they do not. */
export function differenceOfDisks(row: MachineToObserve, seen: ObservedMachine): DiskDifference | null {
  const there = new Set(seen.diskIds);
  const missingDiskIds = row.data_disk_ids.filter((id) => !there.has(id));
  const surplusDiskIds = seen.diskIds.filter((id) => !row.data_disk_ids.includes(id) && !row.root_disk_ids.includes(id)).sort();
  return missingDiskIds.length + surplusDiskIds.length === 0 ? null : { missingDiskIds, surplusDiskIds };
}

/** Attaches what is missing, and detaches disks of ours that the machine shall not have: calls that were given up have come late. */
export async function putDisksRight(context: ReconcilerContext, limit: number, afterFailureMs: number): Promise<void> {
  for (const row of await context.reader.rows(disksToPutRight, limit, afterFailureMs)) {
    if (context.signal.aborted) return;
    const { disk_id: diskId, machine_id: machineId, is_missing: isMissing } = row;
    const changes = new ChangeSet();
    const operationId = startAttachment(changes, isMissing ? DISK_ATTACH : DISK_DETACH, row, { diskId, machineId });
    try {
      await context.submit(changes);
      context.log.warn({ machineId, diskId, operationId }, isMissing ? 'attaching a disk that a machine has lost' : 'detaching a disk that a machine shall not have');
    } catch (error) {
      // Somebody is changing one of them, as for another disk of the same machine: the next run sees what is left.
      if (!(error instanceof MuonError) || error.code !== 'RESOURCE_BUSY') throw error;
    }
  }
}
