import type { JsonObject } from '#core';
import type { ChangeSet, Section } from '#database';
import type { OperationOrigin } from './operation.js';

/** Holders of these resources are asked to cancel, for the operation that shall run next. */
export interface SucceedRoots {
  resourceIds: string[];
  successorId: string;
}

/** What people ask of an operation: `OperationService` plans it. */
export type OperationCommand =
  | { cancel: string }
  /** Only that it is still this failed attempt: what its new attempt needs comes in other sections. */
  | RetriedOperation
  | { resume: string }
  | { abandon: string; reason: string };

export type OperationRootItem = SucceedRoots | OperationCommand;

export interface ResourceLockItem {
  resourceId: string;
  /** The operation that holds the lock from now on (TAKE), or next (SUCCEED). */
  operationId: string;
  mode: 'TAKE' | 'SUCCEED';
}

/** A new root operation. The kind's newest registered version is taken, and the input is checked against it. */
export interface NewOperation {
  id: string;
  kind: string;
  resourceKind: string;
  resourceId: string;
  tenantId: string | null;
  projectId: string | null;
  input: JsonObject;
  origin?: OperationOrigin;
  /** The backend whose tokens it takes while a worker is on it. */
  backendId?: string | null;
  /** Instead of the kind's. */
  deadlineMs?: number;
}

/** A new attempt of a failed operation. */
export interface RetriedOperation {
  retry: string;
  /** The attempt that failed: the fact that the plan rests on. */
  attempt: number;
}

export type OperationItem = NewOperation | RetriedOperation;

/** Use `succeedResources`, which fills this section and the locks together, or `OperationService`. */
export const OPERATION_ROOTS: Section<OperationRootItem> = { name: 'operationRoots' };
/** Use `lockResources` or `succeedResources`. */
export const RESOURCE_LOCKS: Section<ResourceLockItem> = { name: 'resourceLocks' };
/** New operations, and one bell for all of them. */
export const OPERATIONS: Section<OperationItem> = { name: 'operations' };

/** Every mutation of existing or new resources takes their locks for its operation; RESOURCE_BUSY names who has them. */
export function lockResources(changes: ChangeSet, operationId: string, resourceIds: readonly string[]): void {
  changes.add(RESOURCE_LOCKS, ...resourceIds.map((resourceId) => ({ resourceId, operationId, mode: 'TAKE' as const })));
}

/**
 * For deletes: takes what is free; whoever holds the rest is asked to cancel, and the operation is queued until they
 * have ended.
 */
export function succeedResources(changes: ChangeSet, operationId: string, resourceIds: readonly string[]): void {
  changes.add(OPERATION_ROOTS, { resourceIds: [...resourceIds], successorId: operationId });
  changes.add(RESOURCE_LOCKS, ...resourceIds.map((resourceId) => ({ resourceId, operationId, mode: 'SUCCEED' as const })));
}
