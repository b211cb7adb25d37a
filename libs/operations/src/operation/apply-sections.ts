import { allInOrder } from '#core';
import { insertRows, LostRace, type ApplyContext, type ChangeSetApplier, type SectionHandler, type Transaction } from '#database';
import type { OperationRegistry } from '../kind/operation-registry.js';
import { previewLocks, resourceBusy } from '../lock/resource-busy.js';
import { lockOperations, readAwaited, readHolders, takeLocks, takeOrSucceedLocks } from '../lock/resource-lock.sql.js';
import type { Bell } from '../queue/bell.js';
import { applyCommand, notThatAttempt } from './operation-commands.js';
import { operationRow } from './operation-insert.js';
import {
  OPERATION_ROOTS,
  OPERATIONS,
  RESOURCE_LOCKS,
  type NewOperation,
  type OperationItem,
  type OperationRootItem,
  type ResourceLockItem,
  type SucceedRoots,
} from './operation-sections.js';
import { requestCancel, startAttempt } from './operation.sql.js';
import { blockedBy } from './waits.js';

/** A new holder may turn up while the last one's row is being waited for. */
const MAX_HOLDER_ROUNDS = 5;

/** Lets an app's change sets start operations. Every process that takes mutations calls it, with or without a worker. */
export function registerOperationSections(
  applier: ChangeSetApplier,
  parts: { registry: OperationRegistry; bell: Bell },
): void {
  applier.register(OPERATION_ROOTS, (transaction, items, context) => applyRoots(transaction, items, context, parts.bell));
  applier.register(RESOURCE_LOCKS, applyLocks, { sendsAtOnce: (items) => items.every((item) => item.mode === 'TAKE'), preview: previewLocks });
  const startAndRing: SectionHandler<OperationItem> = async (transaction, items, context) => {
    await allInOrder([applyOperations(transaction, items, context, parts.registry), parts.bell.ring(transaction)]);
  };
  const areFresh = (items: readonly OperationItem[], context: ApplyContext): boolean => items.every((item) => 'id' in item) && !isSucceeding(context);
  applier.register(OPERATIONS, startAndRing, { sendsAtOnce: areFresh });
}

/** Whether an operation of the change set has to wait for others to end. */
function isSucceeding(context: ApplyContext): boolean {
  return context.changes.items(RESOURCE_LOCKS).some((lock) => lock.mode === 'SUCCEED');
}

async function applyRoots(
  transaction: Transaction,
  items: readonly OperationRootItem[],
  context: ApplyContext,
  bell: Bell,
): Promise<void> {
  for (const item of items) {
    if (!('successorId' in item)) await applyCommand(transaction, item, context.principalId);
  }
  const successions = items.filter((item): item is SucceedRoots => 'successorId' in item);
  if (successions.length > 0) await askHolders(transaction, successions);
  await bell.ring(transaction);
}

/**
 * Locks the roots that hold the resources, so that none of them can end (and drop its locks) before the successor stands
 * in line, and asks them to cancel.
 */
async function askHolders(transaction: Transaction, items: readonly SucceedRoots[]): Promise<void> {
  const resourceIds = items.flatMap((item) => item.resourceIds);
  const asked = new Set<string>();
  for (let round = 0; round < MAX_HOLDER_ROUNDS; round += 1) {
    const holders = await transaction.rows(readHolders, resourceIds);
    const roots = new Set(holders.map((holder) => holder.root_operation_id));
    const unlocked = [...roots].filter((root) => !asked.has(root)).sort();
    if (unlocked.length === 0) return;
    await transaction.rows(lockOperations, unlocked);
    for (const root of unlocked) asked.add(root);
    await transaction.rows(requestCancel, unlocked, items[0]?.successorId ?? null);
  }
  throw new LostRace('resourceLock', 'the holders of the resources kept changing');
}

async function applyLocks(transaction: Transaction, items: readonly ResourceLockItem[]): Promise<void> {
  const sorted = [...items].sort((one, other) => (one.resourceId < other.resourceId ? -1 : 1));
  const takes = sorted.filter((item) => item.mode === 'TAKE');
  const successions = sorted.filter((item) => item.mode === 'SUCCEED');
  if (takes.length > 0) {
    const taken = await transaction.rows(takeLocks, takes.map((item) => item.resourceId), takes.map((item) => item.operationId));
    await refuseBusy(transaction, takes, new Set(taken.map((row) => row.resource_id)));
  }
  if (successions.length === 0) return;
  const stood = await transaction.rows(
    takeOrSucceedLocks,
    successions.map((item) => item.resourceId),
    successions.map((item) => item.operationId),
  );
  await refuseBusy(transaction, successions, new Set(stood.map((row) => row.resource_id)));
  // Whoever took a free lock after the holders were asked is asked now.
  const holders = [...new Set(stood.flatMap((row) => row.holder_id ?? []))].sort();
  if (holders.length > 0) await transaction.rows(requestCancel, holders, successions[0]?.operationId ?? null);
}

async function refuseBusy(
  transaction: Transaction,
  items: readonly ResourceLockItem[],
  got: ReadonlySet<string>,
): Promise<void> {
  const missing = items.map((item) => item.resourceId).filter((resourceId) => !got.has(resourceId));
  if (missing.length === 0) return;
  const [holder] = await transaction.rows(readHolders, missing);
  // Its holder has ended between the two statements.
  if (holder === undefined) throw new LostRace('resourceLock', `the lock of ${String(missing[0])} came free`);
  throw resourceBusy(holder, items);
}

async function applyOperations(
  transaction: Transaction,
  items: readonly OperationItem[],
  context: ApplyContext,
  registry: OperationRegistry,
): Promise<void> {
  const fresh = items.filter((item): item is NewOperation => 'id' in item);
  const awaited = isSucceeding(context) ? await transaction.rows(readAwaited, fresh.map((item) => item.id)) : [];
  const blockers = new Map(awaited.map((row) => [row.successor_operation_id, blockedBy(row)]));
  const rows = fresh.map((item) =>
    operationRow(registry.current(item.kind), {
      ...item,
      backendId: item.backendId ?? null,
      origin: item.origin ?? 'USER',
      principalId: context.principalId,
      requestId: context.requestId,
      deadlineMs: item.deadlineMs,
      family: null,
      blocker: blockers.get(item.id) ?? null,
    }),
  );
  await insertRows(transaction, 'operation', rows);
  for (const item of items) {
    if (!('retry' in item)) continue;
    const started = await transaction.first(startAttempt, item.retry, item.attempt, context.principalId, context.requestId);
    if (started === undefined) throw notThatAttempt(item);
  }
}
