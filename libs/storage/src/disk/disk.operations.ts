import { z } from 'zod';
import { MuonError, type ErrorRecord } from '#core';
import { ChangeSet, ROWS } from '#database';
import { defineOperation, done, liftTombstones, lockResources, wait, writeTombstones, type OperationKind } from '#operations';
import { DATASTORE_CLAIMS } from '#placement';
import { CHARGES } from '#quota';
import { diskSnapshotOperations, removeSnapshotsOfDisks } from '../disk-snapshot/disk-snapshot.operations.js';
import type { DiskRealiser } from '../realise/disk-realiser.js';
import { readOffer, storagePolicyOf } from '../storage-policy/policy-choice.js';
import { policyRules } from '../storage-policy/storage-policy.js';
import { chooseDatastore } from './datastore-choice.js';
import { diskAmounts, planDiskRelease, requireDiskLimits, takeBackDiskGrowth } from './disk-plan.js';
import { diskId } from './disk.js';
import { findDisks, markDiskFailed, markDiskKept, removeDiskRows, restoreDiskLimit, restoreDiskPolicy } from './disk.sql.js';

export const DISK_CREATE = 'storage.disk.create';
export const DISK_RESIZE = 'storage.disk.resize';
export const DISK_LIMIT = 'storage.disk.limit';
export const DISK_DELETE = 'storage.disk.delete';

const MINUTE_MS = 60_000;
const DISK_OBJECT = 'disk';

const input = z.strictObject({ diskId: z.string() });
type Input = z.output<typeof input>;
/** `reach` for one that a machine shall reach. */
const createInput = input.extend({
  zoneIds: z.array(z.string()),
  reach: z.strictObject({ backendId: z.string(), hostId: z.string().nullable() }).optional(),
  datastoreKind: z.string().optional(),
});
type CreateInput = z.output<typeof createInput>;
const resizeInput = input.extend({ fromGib: z.int(), toGib: z.int() });
type ResizeInput = z.output<typeof resizeInput>;
const limitInput = input.extend({
  fromLimit: z.int().nullable(),
  toLimit: z.int().nullable(),
  /** Where another storage policy asks for the limit: the one of before, and what each GiB cost by it. */
  policyBefore: z.strictObject({ storagePolicyId: z.string().nullable(), costs: z.record(z.string(), z.int()) }).optional(),
});
type LimitInput = z.output<typeof limitInput>;

/** Of disks of their own, and their snapshots; those of machines are made and deleted with them, and only limited alone. */
export function storageOperations(realiser: DiskRealiser): OperationKind<unknown>[] {
  return [createKind(realiser), resizeKind(realiser), limitKind(realiser), deleteKind(realiser), ...diskSnapshotOperations(realiser)] as OperationKind<unknown>[];
}

function failureOf(error: ErrorRecord | null): string {
  return JSON.stringify(error ?? new MuonError('CANCELLED', 'The making of the disk was cancelled.').toRecord());
}

function createKind(realiser: DiskRealiser): OperationKind<CreateInput> {
  return defineOperation<CreateInput>({
    kind: DISK_CREATE,
    version: 1,
    input: createInput,
    deadlineMs: 30 * MINUTE_MS,
    steps: [
      {
        name: 'realise',
        async run(context) {
          const { diskId: id } = context.operation.input;
          const isRetry = context.operation.attempt > 1 && context.step.memo === undefined;
          if (!isRetry) return realiser.ensureDisks(context, [id]);
          const [disk] = await context.reader.rows(findDisks, [id]);
          // The attempt before was buried; from now on nothing may delete it.
          return wait({
            afterMs: 0,
            blocker: 'The disk is being made again.',
            memo: 'lifted',
            commit: async (transaction) => {
              if (disk !== undefined) await liftTombstones(transaction, [{ backendId: disk.backend_id, objectKind: DISK_OBJECT, objectId: id }]);
            },
          });
        },
        undo: (context) => realiser.removeDisks(context, [context.operation.input.diskId], { settle: true }),
      },
    ],
    async onFailed(transaction, { operation, error, apply }) {
      const { diskId: id } = operation.input;
      const [failed] = await transaction.rows(markDiskFailed, id, failureOf(error));
      if (failed !== undefined) {
        await writeTombstones(transaction, [{ backendId: failed.backend_id, objectKind: DISK_OBJECT, objectId: id, reason: 'undone' }]);
      }
      await apply(planDiskRelease([id]));
    },
    async readmit({ operation, reader }) {
      const [disk] = await reader.rows(findDisks, [operation.input.diskId]);
      if (disk?.lifecycle !== 'FAILED') throw new MuonError('INVALID_STATE', 'Only a disk whose making has failed can be made again.');
      const { id, tenant_id: tenantId, project_id: projectId, size_gib: gib } = disk;
      const { zoneIds, reach, datastoreKind: kind } = operation.input;
      const policy = await storagePolicyOf(reader, disk.storage_policy_id);
      const chosen = await chooseDatastore(reader, zoneIds, gib, { reach, kind, policy: policy?.kept });
      const rules = policy === null ? null : policyRules(policy.policy, readOffer(chosen.offer));
      const limit = policy === null ? disk.iops_limit : policy.policy.iops_limit;
      if (limit !== null) await requireDiskLimits(reader, [chosen.backend_id]);
      const changes = new ChangeSet();
      const place = { datastore_id: chosen.datastore_id, backend_id: chosen.backend_id, host_id: chosen.host_id, zone_id: chosen.zone_id };
      changes.add(DATASTORE_CLAIMS, { action: 'CLAIM', resourceId: id, datastoreId: chosen.datastore_id, tenantId, projectId, gib, offer: chosen.offer });
      changes.add(ROWS, { table: 'disk', update: { ...place, iops_limit: limit, compliance_rules: rules, lifecycle: 'CREATING', failure: null }, id, version: disk.version });
      changes.add(CHARGES, {
        action: 'CHARGE',
        resourceId: id,
        resourceKind: diskId.prefix,
        tenantId,
        projectId,
        zoneId: chosen.zone_id,
        amounts: diskAmounts(gib, disk.costs),
      });
      lockResources(changes, operation.id, [id]);
      return changes;
    },
  });
}

function resizeKind(realiser: DiskRealiser): OperationKind<ResizeInput> {
  return defineOperation<ResizeInput>({
    kind: DISK_RESIZE,
    version: 1,
    input: resizeInput,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'resize',
        run: (context) => realiser.ensureDisks(context, [context.operation.input.diskId]),
        // A disk only grows: what a lost call has done cannot be taken back, only seen.
        undo: (context) => realiser.observeSize(context, context.operation.input.diskId, context.operation.input.fromGib),
      },
    ],
    async onFailed(transaction, { operation, apply }) {
      await apply(await takeBackDiskGrowth(transaction, operation.input.diskId, operation.input.fromGib));
    },
  });
}

/** From a limit to the same, it holds the disk to that anew: then there is nothing to take back. */
function limitKind(realiser: DiskRealiser): OperationKind<LimitInput> {
  return defineOperation<LimitInput>({
    kind: DISK_LIMIT,
    version: 1,
    input: limitInput,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'limit',
        run: (context) => realiser.limitDisk(context, context.operation.input.diskId),
        async undo(context) {
          const { diskId: id, fromLimit, toLimit } = context.operation.input;
          return fromLimit === toLimit ? done() : realiser.restoreLimit(context, id, fromLimit);
        },
      },
    ],
    async onFailed(transaction, { operation, apply }) {
      const { diskId: id, fromLimit, toLimit, policyBefore: before } = operation.input;
      if (fromLimit !== toLimit) await transaction.execute(restoreDiskLimit, id, fromLimit);
      const restored = before === undefined ? undefined : await transaction.first(restoreDiskPolicy, id, before.storagePolicyId, JSON.stringify(before.costs));
      if (before === undefined || restored === undefined) return;
      await apply(new ChangeSet().add(CHARGES, { action: 'ADJUST', resourceId: id, amounts: diskAmounts(restored.size_gib, before.costs) }));
    },
  });
}

function deleteKind(realiser: DiskRealiser): OperationKind<Input> {
  return defineOperation<Input>({
    kind: DISK_DELETE,
    version: 1,
    input,
    deadlineMs: 60 * MINUTE_MS,
    steps: [
      {
        name: 'remove',
        pivot: true,
        run: (context) => realiser.removeDisks(context, [context.operation.input.diskId]),
      },
    ],
    async onSucceeded(transaction, { operation, apply }) {
      const { diskId: id } = operation.input;
      await removeSnapshotsOfDisks(transaction, [id], apply);
      await transaction.execute(removeDiskRows, [id]);
      await apply(planDiskRelease([id]));
    },
    async onFailed(transaction, { operation }) {
      await transaction.execute(markDiskKept, operation.input.diskId);
    },
  });
}
