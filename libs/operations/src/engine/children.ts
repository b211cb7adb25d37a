import { assert, MuonError, type ErrorRecord, type JsonValue } from '#core';
import type { OperationRegistry } from '../kind/operation-registry.js';
import type { OperationStep } from '../kind/operation-kind.js';
import type { ChildOperation } from '../kind/step-result.js';
import { operationId, type ChildOutcome, type FanOutPolicy } from '../operation/operation.js';
import { operationRow } from '../operation/operation-insert.js';
import type { ResourceLockItem } from '../operation/operation-sections.js';
import type { ChildRow } from './engine.sql.js';
import type { HeldOperation } from './held-operation.js';

/** Admission sets the size of things; this only keeps a defect from flooding the table. */
const MAX_CHILDREN = 2000;

/** Rows for a step's children; the ids are new each time, the rows commit with the parent's waiting. */
export function childRows(
  registry: OperationRegistry,
  held: HeldOperation,
  children: readonly { child: ChildOperation; compensatesId: string | null }[],
): Record<string, unknown>[] {
  const { row, progress } = held;
  assert(children.length <= MAX_CHILDREN, `${children.length} children of ${row.id} are more than ${MAX_CHILDREN}`);
  return children.map(({ child, compensatesId }) =>
    operationRow(registry.current(child.kind), {
      id: operationId.create(),
      resourceKind: child.resourceKind,
      resourceId: child.resourceId,
      tenantId: child.tenantId === undefined ? row.tenant_id : child.tenantId,
      projectId: child.projectId === undefined ? row.project_id : child.projectId,
      backendId: child.backendId ?? null,
      input: child.input,
      origin: row.origin,
      principalId: row.principal_id,
      requestId: row.request_id,
      deadlineMs: child.deadlineMs,
      family: { rootId: row.root_id, parentId: row.id, step: progress.step_index, attempt: row.attempt, compensatesId },
      blocker: null,
    }),
  );
}

/** What these children take for themselves; `rows` are theirs, in the same order. */
export function childLocks(rows: readonly Record<string, unknown>[], children: readonly ChildOperation[]): ResourceLockItem[] {
  return children.flatMap(({ locks = [] }, index) =>
    locks.map((resourceId) => ({ resourceId, operationId: String(rows[index]?.id), mode: 'TAKE' as const })),
  );
}

/** What takes back each of these children. */
export function compensations(
  step: OperationStep<unknown>,
  children: readonly ChildRow[],
): { child: ChildOperation; compensatesId: string }[] {
  return children.flatMap((row) => {
    const child = compensationOf(step, outcomeOf(row));
    return child === undefined ? [] : [{ child, compensatesId: row.id }];
  });
}

function compensationOf(step: OperationStep<unknown>, child: ChildOutcome): ChildOperation | undefined {
  if (typeof step.compensate === 'function') return step.compensate(child);
  if (step.compensate === undefined) return undefined;
  const { resourceKind, resourceId, input } = child;
  return { kind: step.compensate, resourceKind, resourceId, input };
}

function outcomeOf(row: ChildRow): ChildOutcome {
  const { resource_kind: resourceKind, resource_id: resourceId, compensates_id: _none, ...rest } = row;
  return { ...rest, resourceKind, resourceId };
}

/** The root cause of a fan-out that did not come to what its policy wants, or undefined when it did. */
export function fanOutFailure(policy: Exclude<FanOutPolicy, { type: 'AGAIN' }>, children: readonly ChildRow[]): ErrorRecord | undefined {
  const succeeded = children.filter((child) => child.state === 'SUCCEEDED').length;
  const wanted = policy.type === 'KEEP' ? policy.atLeast : children.length;
  if (succeeded >= wanted) return undefined;
  const first = children.find((child) => child.state === 'FAILED' && child.error !== null);
  const cause = first?.error ?? new MuonError('CANCELLED', 'The operations that this one waits for were cancelled.').toRecord();
  return {
    ...cause,
    data: { ...cause.data, succeeded, wanted, of: children.length, ...(first === undefined ? {} : { operationId: first.id }) },
  };
}

/** The root cause of a taking back that failed. */
export function compensationFailure(children: readonly ChildRow[]): ErrorRecord | undefined {
  return fanOutFailure({ type: 'UNDO_ALL' }, children);
}

/** What a child does, and to what. */
export function childKey(child: { kind: string; resource_id: string; compensates_id?: string | null }): string {
  return `${child.kind}/${child.resource_id}/${child.compensates_id ?? ''}`;
}

/** A step that an operator had resumed may have started some children anew: only their last outcome counts. */
export function lastOfEach(children: readonly ChildRow[]): ChildRow[] {
  const last = new Map<string, ChildRow>();
  for (const child of children) {
    const known = last.get(childKey(child));
    if (known === undefined || known.id < child.id) last.set(childKey(child), child);
  }
  return [...last.values()];
}

/** A fan-out's output for later steps. */
export function fanOutOutput(children: readonly ChildRow[]): JsonValue {
  return {
    children: children.map(({ id, kind, resource_id: resourceId, state, error, outputs }) => ({
      id,
      kind,
      resourceId,
      state,
      error: error as JsonValue,
      outputs,
    })),
  };
}
