import { assert, parseInput, type JsonObject } from '#core';
import type { OperationKind } from '../kind/operation-kind.js';
import type { Blocker, OperationOrigin } from './operation.js';

/** Where a new operation belongs, and what it is to do. */
export interface OperationSeed {
  id: string;
  resourceKind: string;
  resourceId: string;
  tenantId: string | null;
  projectId: string | null;
  backendId: string | null;
  input: JsonObject;
  origin: OperationOrigin;
  principalId: string | null;
  requestId: string | null;
  deadlineMs: number | undefined;
  family: { rootId: string; parentId: string; step: number; attempt: number; compensatesId: string | null } | null;
  /** Queued behind somebody: not woken before they have ended. */
  blocker: Blocker | null;
}

/** The most that an operation's input may take as JSON: it is read at every claim. */
const MAX_INPUT_BYTES = 64 * 1024;

/**
 * The row of a new operation. The input is checked and completed by the kind's schema.
 * @throws INVALID_INPUT when the input does not fit
 */
export function operationRow(kind: OperationKind<unknown>, seed: OperationSeed): Record<string, unknown> {
  const input = parseInput(kind.input, seed.input);
  assert(JSON.stringify(input).length <= MAX_INPUT_BYTES, `the input of ${kind.kind} is longer than ${MAX_INPUT_BYTES} bytes`);
  return {
    id: seed.id,
    kind: kind.kind,
    kind_version: kind.version,
    handler: kind.handler,
    resource_kind: seed.resourceKind,
    resource_id: seed.resourceId,
    tenant_id: seed.tenantId,
    project_id: seed.projectId,
    root_id: seed.family?.rootId ?? seed.id,
    parent_id: seed.family?.parentId ?? null,
    parent_step: seed.family?.step ?? null,
    parent_attempt: seed.family?.attempt ?? null,
    compensates_id: seed.family?.compensatesId ?? null,
    origin: seed.origin,
    principal_id: seed.principalId,
    request_id: seed.requestId,
    backend_id: seed.backendId,
    input,
    step_names: kind.stepNames,
    pivot_index: kind.pivotIndex,
    turn: seed.family === null ? 1 : 0,
    // PostgreSQL reads this word as the start of the transaction.
    wake_at: seed.blocker === null ? 'now' : null,
    blocker: seed.blocker,
    deadline_ms: seed.deadlineMs ?? kind.deadlineMs,
    state: 'QUEUED',
    attempt: 1,
    direction: 'FORWARD',
    step_index: 0,
  };
}
