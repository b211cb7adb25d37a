import { z } from 'zod';
import { MAX_DATA_DISKS_PER_MACHINE, MuonError } from '#core';
import type { Reader } from '#database';
import { defineOperation, done, type OperationKind, type StepContext } from '#operations';
import { DiskAttachment, findDisks, findDisksOfOwners, freeDisk, isRootDisk, markDiskAttached, type DiskRow } from '#storage';
import type { MachineRealisers } from '../virtual-machine/virtual-machine.operations.js';
import { noteDisksChanged } from './disk-attachment.sql.js';

export const DISK_ATTACH = 'compute.disk.attach';
export const DISK_DETACH = 'compute.disk.detach';

const MINUTE_MS = 60_000;

const attachmentInput = z.strictObject({ diskId: z.string(), machineId: z.string() });
export type AttachmentInput = z.output<typeof attachmentInput>;
type Context = StepContext<AttachmentInput>;

/** How far the disk is with this machine, as its row says; undefined when it is not the machine's. */
async function attachmentOf({ reader, operation: { input } }: Context): Promise<DiskAttachment | undefined> {
  const [disk]: (DiskRow | undefined)[] = await reader.rows(findDisks, [input.diskId]);
  return disk?.owner_id === input.machineId ? (disk.attachment ?? undefined) : undefined;
}

/** @throws LIMIT_EXCEEDED: others may have been attached since this was planned; from now on none can be */
async function requireRoom(reader: Reader, machineId: string): Promise<void> {
  const disks = await reader.rows(findDisksOfOwners, [machineId]);
  const limit = MAX_DATA_DISKS_PER_MACHINE;
  if (disks.filter((disk) => !isRootDisk(disk)).length <= limit) return;
  throw new MuonError('LIMIT_EXCEEDED', `The machine has ${limit} disks beside its root disk, and may have no more.`, { data: { limit } });
}

/** The rows say already that the disk is the machine's; asked for by a reconciler, it has been so for long. */
export function attachDiskOperation({ machines }: Pick<MachineRealisers, 'machines'>): OperationKind<AttachmentInput> {
  return defineOperation<AttachmentInput>({
    kind: DISK_ATTACH,
    version: 1,
    input: attachmentInput,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'attach',
        async run(context) {
          const { machineId, diskId } = context.operation.input;
          const attachment = await attachmentOf(context);
          // Since a reconciler saw that it was missing, it may have been taken from the machine.
          if (attachment === undefined) return done();
          if (attachment === DiskAttachment.ATTACHING) await requireRoom(context.reader, machineId);
          return machines.attachDisk(context, machineId, diskId);
        },
        async undo(context) {
          const { machineId, diskId } = context.operation.input;
          const isNew = (await attachmentOf(context)) === DiskAttachment.ATTACHING;
          return isNew ? machines.detachDisk(context, machineId, diskId, { settle: true }) : done();
        },
      },
    ],
    async onSucceeded(transaction, { operation: { input } }) {
      await transaction.execute(markDiskAttached, input.diskId, input.machineId);
      await transaction.execute(noteDisksChanged, input.machineId);
    },
    async onFailed(transaction, { operation: { input } }) {
      await transaction.execute(freeDisk, input.diskId, input.machineId, DiskAttachment.ATTACHING);
    },
  });
}

/** The machine has it until it is proven to be off it; one that cannot be taken from it stays where it was. */
export function detachDiskOperation({ machines }: Pick<MachineRealisers, 'machines'>): OperationKind<AttachmentInput> {
  return defineOperation<AttachmentInput>({
    kind: DISK_DETACH,
    version: 1,
    input: attachmentInput,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'detach',
        async run(context) {
          const { machineId, diskId } = context.operation.input;
          // Since a reconciler saw that it was too much, it may have been given to the machine.
          const isKept = (await attachmentOf(context)) === DiskAttachment.ATTACHED;
          return isKept ? done() : machines.detachDisk(context, machineId, diskId);
        },
        async undo(context) {
          const { machineId, diskId } = context.operation.input;
          if ((await attachmentOf(context)) !== DiskAttachment.DETACHING) return done();
          return machines.attachDiskAgain(context, machineId, diskId);
        },
      },
    ],
    async onSucceeded(transaction, { operation: { input } }) {
      await transaction.execute(freeDisk, input.diskId, input.machineId, DiskAttachment.DETACHING);
      await transaction.execute(noteDisksChanged, input.machineId);
    },
    async onFailed(transaction, { operation: { input } }) {
      await transaction.execute(markDiskAttached, input.diskId, input.machineId);
    },
  });
}
