import { assert, type JsonValue } from '#core';
import { ChangeSet, insertRows, sqlState, type ChangeSetApplier, type Database, type Transaction } from '#database';
import type { OperationRegistry } from '../kind/operation-registry.js';
import type { ApplyChanges, CommitWork } from '../kind/step-result.js';
import { handOver } from '../lock/hand-over.js';
import { requestCancel } from '../operation/operation.sql.js';
import { RESOURCE_LOCKS, type ResourceLockItem } from '../operation/operation-sections.js';
import type { FanOutRecord, Leftover, OperationState } from '../operation/operation.js';
import type { Bell } from '../queue/bell.js';
import {
  claimOperations,
  countChildEnd,
  countHopefulChildren,
  loadOperations,
  lockOperation,
  moveOperation,
  readUnfinishedSiblings,
  releaseLeases,
  whoHolds,
} from './engine.sql.js';
import { HeldOperation } from './held-operation.js';
import { LeaseLost } from './hooks.js';
import { applyMove, type Move } from './progress.js';

/** What the kind's own code threw inside the transaction, which is rolled back. */
export class WorkFailed extends Error {
  constructor(
    readonly part: 'COMMIT' | 'FINISH',
    override readonly cause: unknown,
  ) {
    super(`the ${part === 'COMMIT' ? "step's commit" : 'finisher'} failed`);
    this.name = 'WorkFailed';
  }
}

/** A move was refused because a cancel has come that it did not know of. */
class CancelSeen extends Error {}

/** What commits together with a move. */
export interface MoveExtras {
  commit?: CommitWork | undefined;
  /** Rows of child operations, and what each of them takes for itself. */
  children?: Record<string, unknown>[];
  childLocks?: ResourceLockItem[];
}

/** How an operation ended. */
export interface OperationEnd {
  operationId: string;
  state: OperationState;
  errorCode: string | null;
}

export type EndListener = (transaction: Transaction, end: OperationEnd) => Promise<void>;

export interface EngineStoreOptions {
  database: Database;
  registry: OperationRegistry;
  applier: ChangeSetApplier;
  bell: Bell;
  owner: string;
  leaseMs: number;
  /** Tokens of a backend: how many operations workers may be on at once; the default, and by backend id. */
  backendLimit: number;
  backendLimits: () => Record<string, number>;
  /** Called after a commit that made other operations runnable. */
  onWork: () => void;
  freeSlots: () => number;
  onEnded?: EndListener;
}

/** All that the engine reads and writes; every write is under the fence. */
export class EngineStore {
  constructor(private readonly options: EngineStoreOptions) {}

  async claim(slots: number): Promise<HeldOperation[]> {
    const { database, registry, owner, leaseMs, backendLimit } = this.options;
    const goodUntil = performance.now() + leaseMs;
    const limits = JSON.stringify(this.options.backendLimits());
    const claimed = await database.rows(claimOperations, owner, registry.handlers, slots, leaseMs, backendLimit, limits);
    if (claimed.length === 0) return [];
    const rows = await database.rows(loadOperations, claimed.map((row) => row.id), owner);
    return rows.map((row) => {
      const kind = registry.find(row.handler);
      assert(kind !== undefined, `${row.handler} was claimed though it is not served`);
      return new HeldOperation(row, kind, goodUntil);
    });
  }

  async release(held: readonly HeldOperation[]): Promise<void> {
    if (held.length === 0) return;
    const { database, owner } = this.options;
    await database.rows(releaseLeases, held.map((each) => each.id), held.map((each) => each.fence), owner);
  }

  /**
   * Writes the move and all that belongs to it, and takes it over into memory.
   * @returns false when a cancel has come that the move did not know of: nothing is written, and `held` knows it now
   * @throws LeaseLost; WorkFailed when the kind's own code refused; anything else leaves it open whether it was committed
   */
  async write(held: HeldOperation, move: Move, extras: MoveExtras = {}): Promise<boolean> {
    const before = performance.now();
    const alone = extras.commit === undefined && extras.children === undefined && !move.ended;
    const { database } = this.options;
    // What the move knows, not what may be noticed until it is sent.
    const patch = this.patchOf(held, move);
    try {
      if (alone) await this.move(held, patch, database);
      else await database.transaction((transaction) => this.writeAll(transaction, held, move, { ...extras, patch }));
    } catch (error) {
      if (!(error instanceof CancelSeen)) throw error;
      held.noticeCancel();
      return false;
    }
    applyMove(held.progress, move);
    held.leaseGoodUntil = before + this.options.leaseMs;
    return true;
  }

  /**
   * In the order of locks: the parent, the operation itself, its siblings and successors, and only then what the kind
   * writes, with the hottest rows last.
   */
  private async writeAll(
    transaction: Transaction,
    held: HeldOperation,
    move: Move,
    extras: MoveExtras & { patch: string },
  ): Promise<void> {
    const { row } = held;
    const endsChild = move.ended && row.parent_id !== null;
    if (endsChild) await transaction.rows(lockOperation, row.parent_id as string);
    await this.move(held, extras.patch, transaction);
    if (endsChild) await this.endChild(transaction, held, move, row.parent_id as string);
    if (move.ended && row.holds_locks && (await handOver(transaction, held.id))) {
      transaction.onCommit(this.options.onWork);
    }
    const apply: ApplyChanges = (changes) =>
      this.options.applier.apply(transaction, changes, { principalId: row.principal_id, requestId: row.request_id });
    const { childLocks = [] } = extras;
    if (childLocks.length > 0) await kindsOwn('COMMIT', apply(new ChangeSet().add(RESOURCE_LOCKS, ...childLocks)));
    if (extras.commit !== undefined) await kindsOwn('COMMIT', extras.commit(transaction, apply));
    if (extras.children !== undefined) {
      await insertRows(transaction, 'operation', extras.children);
      if (extras.children.length > this.options.freeSlots()) await this.options.bell.ring(transaction);
      transaction.onCommit(this.options.onWork);
    }
    if (move.ended) await this.finish(transaction, held, move, apply);
    if (move.ended && row.parent_id === null) {
      await this.options.onEnded?.(transaction, { operationId: held.id, state: move.state, errorCode: move.error?.code ?? null });
    }
  }

  private patchOf({ progress }: HeldOperation, move: Move): string {
    const cancellable = progress.direction === 'FORWARD' && !progress.pivot_passed;
    return JSON.stringify({ ...move, lease_ms: this.options.leaseMs, heed_cancel: cancellable && !progress.cancel_requested });
  }

  private async move(held: HeldOperation, patch: string, on: Database | Transaction): Promise<void> {
    const { owner } = this.options;
    const moved = await on.first(moveOperation, held.id, owner, held.fence, patch);
    if (moved !== undefined) return;
    const state = await on.first(whoHolds, held.id, owner, held.fence);
    if (state?.mine === true && state.cancel_requested) throw new CancelSeen();
    throw new LeaseLost(held.id);
  }

  private async endChild(transaction: Transaction, held: HeldOperation, move: Move, parentId: string): Promise<void> {
    const parent = await transaction.first(countChildEnd, parentId);
    assert(parent !== undefined, `the parent of ${held.id} is gone`);
    if (parent.pending_children === 0) transaction.onCommit(this.options.onWork);
    else if (move.state !== 'SUCCEEDED' && parent.fan_out?.direction === 'FORWARD') {
      await this.spareSiblings(transaction, held, parent.fan_out, parentId);
    }
  }

  /** When the fan-out can no longer come to what it wants, the others need not go on. */
  private async spareSiblings(
    transaction: Transaction,
    held: HeldOperation,
    fanOut: FanOutRecord,
    parentId: string,
  ): Promise<void> {
    if (fanOut.policy.type === 'AGAIN') return;
    if (fanOut.policy.type === 'KEEP') {
      const count = await transaction.first(countHopefulChildren, held.id);
      if (count === undefined || count.hopeful >= fanOut.policy.atLeast) return;
    }
    const siblings = await transaction.rows(readUnfinishedSiblings, held.id);
    if (siblings.length === 0) return;
    await transaction.rows(requestCancel, siblings.map((row) => row.id), parentId);
    transaction.onCommit(this.options.onWork);
  }

  private async finish(transaction: Transaction, held: HeldOperation, move: Move, apply: ApplyChanges): Promise<void> {
    const { kind, progress } = held;
    const after = { ...progress, steps: new Map(progress.steps) };
    applyMove(after, move);
    const outputs: Record<string, JsonValue | undefined> = {};
    for (const step of after.steps.values()) if (step.output !== null) outputs[step.name] = step.output;
    const leftovers = (move.leftovers ?? []) as unknown as Leftover[];
    const context = { ...held.finishContext(outputs, leftovers, apply), error: move.error };
    if (move.state === 'SUCCEEDED') await kindsOwn('FINISH', kind.onSucceeded?.(transaction, context));
    else if (move.state === 'CANCELLED' && kind.onCancelled !== undefined) {
      await kindsOwn('FINISH', kind.onCancelled(transaction, context));
    } else await kindsOwn('FINISH', kind.onFailed?.(transaction, context));
  }
}

/** Deadlocks pass, so that the whole transaction restarts. */
const RESTARTS = new Set(['40001', '40P01']);

async function kindsOwn(part: 'COMMIT' | 'FINISH', work: Promise<void> | undefined): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (RESTARTS.has(sqlState(error) ?? '')) throw error;
    throw new WorkFailed(part, error);
  }
}
