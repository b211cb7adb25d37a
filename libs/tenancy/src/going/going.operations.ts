import { z } from 'zod';
import { MuonError } from '#core';
import type { Reader, Transaction } from '#database';
import { removePrincipalsOf } from '#identity';
import { defineOperation, done, findHeldOfScope, wait, type BlockerReason, type FinishContext, type HeldRow, type OperationKind, type StepContext, type StepResult } from '#operations';
import { chargesOfScope, removeQuotaOf } from '#quota';
import { ScopeState } from '#scopes';
import { findLeftovers, keepScope, lockGoingScopes, removeScopeRows, type LeftoverRow } from './going.sql.js';
import { DELETE_PROJECT, OFFBOARD_TENANT } from './plan-going.js';
import type { ScopeContentsRegistry } from './scope-contents.js';

const input = z.strictObject({
  tenantId: z.string(),
  projectId: z.string().nullable(),
  name: z.string(),
  stateBefore: z.enum(ScopeState),
});
type Input = z.output<typeof input>;

const DAY_MS = 86_400_000;
/** Deletions that one look starts. */
const BATCH = 100;
/** What the error of an unfinished end names of each kind. */
const MAX_LEFTOVERS = 100;
/** Operations that hold it back, of which the blocker tells. */
const MAX_HELD = 10;
const SHORTEST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 2000;
const PROOF_PATIENCE_MS = 10_000;

export interface GoingOptions {
  contents: ScopeContentsRegistry;
  /** How long the proof waits for last steps of others before what is left counts as left. */
  proofPatienceMs?: number;
}

/** The kinds that take away tenants and projects. */
export function goingOperations(options: GoingOptions): OperationKind<unknown>[] {
  return [goingKind(OFFBOARD_TENANT, 'tenant', options), goingKind(DELETE_PROJECT, 'project', options)] as OperationKind<unknown>[];
}

function goingKind(kind: string, table: 'tenant' | 'project', options: GoingOptions): OperationKind<Input> {
  const { contents, proofPatienceMs = PROOF_PATIENCE_MS } = options;
  return defineOperation<Input>({
    kind,
    version: 1,
    input,
    deadlineMs: 30 * DAY_MS,
    steps: [
      { name: 'remove-contents', pivot: true, run: (context) => removeContents(context, contents) },
      { name: 'prove-empty', run: (context) => proveEmpty(context, contents, proofPatienceMs) },
    ],
    async onSucceeded(transaction, { operation }) {
      await removeScopes(transaction, operation.input);
    },
    async onFailed(transaction, context) {
      await keep(transaction, table, context);
    },
  });
}

/** Starts what must go next and looks again until nothing of it is left; then the next kind. */
async function removeContents(context: StepContext<Input>, contents: ScopeContentsRegistry): Promise<StepResult> {
  const { input: scope } = context.operation;
  for (const each of contents.inOrder) {
    if (each.planDeletion === undefined) continue;
    const count = await each.count(context.reader, scope);
    if (count === 0) continue;
    const changes = await each.planDeletion(context.reader, scope, BATCH);
    const first = await each.list(context.reader, scope, 10);
    const held = await context.reader.rows(findHeldOfScope, scope.tenantId, scope.projectId, context.operation.id, MAX_HELD);
    const blocker = goingBlocker({ kind: each.kind, count, first: first.map(({ id, name }) => ({ id, name })) }, held);
    return wait({ afterMs: nextLook(context), blocker, commit: (_transaction, apply) => apply(changes) });
  }
  return done();
}

/** Says what is still to go and, where something holds that back, what and why: the fault and the remedy are then its. */
function goingBlocker(left: { kind: string; count: number; first: { id: string; name: string }[] }, held: readonly HeldRow[]): BlockerReason {
  const message = `${left.count} of kind ${left.kind} are still to go.`;
  const [worst] = held;
  if (worst === undefined) return { code: 'RESOURCE_BUSY', message, fault: 'SYSTEM', data: left };
  const { id, kind, state, blocker } = worst;
  return {
    code: 'RESOURCE_BUSY',
    message: `${message} Operation "${id}" (${kind}) is ${state}: ${blocker.message}`,
    fault: blocker.fault,
    ...(blocker.remedy === undefined ? {} : { remedy: blocker.remedy }),
    data: {
      ...left,
      operations: held.map((row) => ({ id: row.id, kind: row.kind, resourceId: row.resource_id, state: row.state, code: row.blocker.code, message: row.blocker.message })),
    },
  };
}

/**
 * Asks every room and what is below them: nothing may be left. What is left is named one by one, and keeps the scope from
 * being forgotten.
 * @throws INVALID_STATE with the list in `data.leftovers`: the operation is STUCK
 */
async function proveEmpty(context: StepContext<Input>, contents: ScopeContentsRegistry, patienceMs: number): Promise<StepResult> {
  const { operation, reader, step } = context;
  const found: LeftoverRow[] = [];
  const proven: Record<string, number> = {};
  for (const each of contents.inOrder) {
    proven[each.kind] = await each.count(reader, operation.input);
    if (proven[each.kind] === 0) continue;
    for (const { id, name } of await each.list(reader, operation.input, MAX_LEFTOVERS)) found.push({ kind: each.kind, id, name });
  }
  found.push(...(await belowUs(reader, operation.input, operation.rootId)));
  if (found.length === 0) return done({ output: { proof: { left: { ...proven, charge: 0, secret: 0, operation: 0 } } } });
  const leftovers = found.map(({ kind, id, name }) => ({ kind, id, name }));
  const message = `${found.length} things are left in "${operation.input.name}", beginning with the ${found[0]?.kind} "${found[0]?.id}".`;
  if (Date.now() - step.since.getTime() < patienceMs) {
    const blocker = { code: 'INVALID_STATE' as const, message, fault: 'SYSTEM' as const, data: { leftovers } };
    return wait({ afterMs: nextLook(context), blocker });
  }
  throw new MuonError('INVALID_STATE', message, { fault: 'OPERATOR', retryable: false, data: { leftovers } });
}

async function belowUs(reader: Reader, scope: Input, rootId: string): Promise<LeftoverRow[]> {
  const charges = await reader.rows(chargesOfScope, scope.tenantId, scope.projectId, MAX_LEFTOVERS);
  const others = await reader.rows(findLeftovers, scope.tenantId, scope.projectId, rootId, MAX_LEFTOVERS);
  return [...charges.map((row) => ({ kind: 'charge', id: row.resource_id, name: row.resource_key })), ...others];
}

async function removeScopes(transaction: Transaction, scope: Input): Promise<void> {
  const ids = (await transaction.rows(lockGoingScopes, scope.tenantId, scope.projectId)).map((row) => row.id);
  await removePrincipalsOf(transaction, ids);
  await removeQuotaOf(transaction, scope);
  await transaction.execute(removeScopeRows, scope.tenantId, ids);
}

/** Cancelled in time: as it was. Given up by an operator: closed for good, until it is deleted again. */
async function keep(transaction: Transaction, table: 'tenant' | 'project', context: FinishContext<Input>): Promise<void> {
  const { operation, abandoned } = context;
  const state = abandoned === null ? operation.input.stateBefore : ScopeState.DELETING;
  await transaction.execute(keepScope[table], operation.resourceId, state, operation.id);
}

function nextLook(context: StepContext<Input>): number {
  return Math.min(LONGEST_WAIT_MS, SHORTEST_WAIT_MS * 2 ** Math.min(context.step.tries, 5));
}
