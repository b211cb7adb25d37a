import { z } from 'zod';
import { MuonError } from '#core';
import { ChangeSet, type Transaction } from '#database';
import { defineOperation, type ApplyChanges, type OperationKind } from '#operations';
import { CHARGES } from '#quota';
import type { DiskRealiser } from '../realise/disk-realiser.js';
import { findSnapshotsOfDisks, markSnapshotFailed, markSnapshotKept, markSnapshotTaken, removeSnapshotRows } from './disk-snapshot.sql.js';

export const DISK_SNAPSHOT_CREATE = 'storage.disk_snapshot.create';
export const DISK_SNAPSHOT_DELETE = 'storage.disk_snapshot.delete';

const MINUTE_MS = 60_000;

const input = z.strictObject({ snapshotId: z.string(), diskId: z.string() });
export type SnapshotInput = z.output<typeof input>;

const planRefund = (ids: readonly string[]): ChangeSet =>
  new ChangeSet().add(CHARGES, ...ids.map((resourceId) => ({ action: 'REFUND' as const, resourceId })));

/** What disks take with them: rows and charges of their snapshots. Backends delete those with the disks. */
export async function removeSnapshotsOfDisks(transaction: Transaction, diskIds: readonly string[], apply: ApplyChanges): Promise<void> {
  const ids = (await transaction.rows(findSnapshotsOfDisks, [...diskIds])).map((row) => row.id);
  if (ids.length === 0) return;
  await transaction.execute(removeSnapshotRows, ids);
  await apply(planRefund(ids));
}

export function diskSnapshotOperations(realiser: DiskRealiser): OperationKind<unknown>[] {
  return [createKind(realiser), deleteKind(realiser)] as OperationKind<unknown>[];
}

function createKind(realiser: DiskRealiser): OperationKind<SnapshotInput> {
  return defineOperation<SnapshotInput>({
    kind: DISK_SNAPSHOT_CREATE,
    version: 1,
    input,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'take',
        run: (context) => realiser.takeSnapshot(context, context.operation.input),
        undo: (context) => realiser.removeSnapshot(context, context.operation.input, { settle: true }),
      },
    ],
    async onSucceeded(transaction, { operation }) {
      await transaction.execute(markSnapshotTaken, operation.input.snapshotId);
    },
    async onFailed(transaction, { operation, error, apply }) {
      const { snapshotId } = operation.input;
      const failure = error ?? new MuonError('CANCELLED', 'The taking of the snapshot was cancelled.').toRecord();
      await transaction.execute(markSnapshotFailed, snapshotId, JSON.stringify(failure));
      await apply(planRefund([snapshotId]));
    },
  });
}

function deleteKind(realiser: DiskRealiser): OperationKind<SnapshotInput> {
  return defineOperation<SnapshotInput>({
    kind: DISK_SNAPSHOT_DELETE,
    version: 1,
    input,
    deadlineMs: 60 * MINUTE_MS,
    steps: [{ name: 'remove', pivot: true, run: (context) => realiser.removeSnapshot(context, context.operation.input) }],
    async onSucceeded(transaction, { operation, apply }) {
      const { snapshotId } = operation.input;
      await transaction.execute(removeSnapshotRows, [snapshotId]);
      await apply(planRefund([snapshotId]));
    },
    async onFailed(transaction, { operation }) {
      await transaction.execute(markSnapshotKept, operation.input.snapshotId);
    },
  });
}
