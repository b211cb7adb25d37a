import { MuonError, notFound, type JsonObject } from '#core';
import { ChangeSet, type ChangeSetApplier, type Database, type Reader, type Transaction } from '#database';
import type { OperationKind, OperationView } from '../kind/operation-kind.js';
import type { OperationRegistry } from '../kind/operation-registry.js';
import type { Bell } from '../queue/bell.js';
import { refuseCancel, refuseRetry, refuseUnlessStuck } from './operation-commands.js';
import { OPERATION_ROOTS, OPERATIONS } from './operation-sections.js';
import { pruneHistories, readForCommand, readForRetry, wakeBySignal, type OperationForCommand } from './operation.sql.js';

/**
 * For finishers, as `OperationService.signal`: without a bell, since the workers are awake, and their sweep finds what is to be
 * woken in no time.
 * @returns how many were waiting
 */
export async function signalOperations(transaction: Transaction, signals: readonly string[]): Promise<number> {
  return (await transaction.rows(wakeBySignal, [...signals])).length;
}

/** Whoever asks, for the operation's row and the audit. */
export interface Caller {
  principalId: string | null;
  requestId: string | null;
}

const NOBODY: Caller = { principalId: null, requestId: null };
const MAX_REASON = 1000;
const HISTORY_MS = 30 * 86_400_000;

/**
 * What people and reconcilers ask of operations. The `plan…` methods only read and return a change set for the command
 * runner; the methods without it also apply it. Rights are the caller's to prove, before.
 */
export class OperationService {
  constructor(
    private readonly database: Database,
    private readonly applier: ChangeSetApplier,
    private readonly registry: OperationRegistry,
    private readonly bell: Bell,
  ) {}

  /** @throws NOT_FOUND; INVALID_STATE when it has ended, is a child, is STUCK or past its pivot, saying which */
  async planCancel(reader: Reader, id: string): Promise<ChangeSet> {
    const row = await this.find(reader, id);
    refuseCancel(row);
    return changing(row).add(OPERATION_ROOTS, { cancel: id });
  }

  /**
   * A FAILED operation is admitted again (charges, claims, locks) and gets a new attempt; a STUCK one goes on where it is.
   * @throws NOT_FOUND; INVALID_STATE; whatever the kind's `readmit` refuses
   */
  async planRetry(reader: Reader, id: string): Promise<ChangeSet> {
    const row = await this.find(reader, id);
    if (row.state === 'STUCK') return changing(row).add(OPERATION_ROOTS, { resume: id });
    const kind = this.registry.find(row.handler);
    refuseRetry(row, kind?.readmit !== undefined);
    const changes = await this.readmission(reader, row, kind as OperationKind<unknown>);
    const attempt = { retry: id, attempt: row.attempt };
    // Asked first: two who retry at once would else claim the same places for the same resources.
    changes.add(OPERATION_ROOTS, attempt).add(OPERATIONS, attempt);
    changes.result = { ...changes.result, operationId: id };
    return changes;
  }

  /**
   * Gives a STUCK operation up: it ends FAILED as it is, and says which steps may have left traces.
   * @param reason 1 to 1000 characters, kept with the operation
   * @throws NOT_FOUND; INVALID_STATE unless it is STUCK; INVALID_INPUT without a reason
   */
  async planAbandon(reader: Reader, id: string, reason: string): Promise<ChangeSet> {
    const text = reason.trim();
    if (text.length === 0 || text.length > MAX_REASON) {
      throw new MuonError('INVALID_INPUT', `Say why, in 1 to ${MAX_REASON} characters.`, { field: 'input.reason' });
    }
    const row = await this.find(reader, id);
    refuseUnlessStuck(row);
    return changing(row).add(OPERATION_ROOTS, { abandon: id, reason: text });
  }

  async cancel(id: string, caller: Caller = NOBODY): Promise<void> {
    await this.applied(caller, (reader) => this.planCancel(reader, id));
  }

  async retry(id: string, caller: Caller = NOBODY): Promise<void> {
    await this.applied(caller, (reader) => this.planRetry(reader, id));
  }

  async abandon(id: string, reason: string, caller: Caller = NOBODY): Promise<void> {
    await this.applied(caller, (reader) => this.planAbandon(reader, id, reason));
  }

  /** Wakes operations whose step waits for one of these signals, when the transaction commits. */
  async signal(transaction: Transaction, signals: readonly string[]): Promise<void> {
    if ((await signalOperations(transaction, signals)) > 0) await this.bell.ring(transaction);
  }

  /**
   * Deletes one batch of operations that ended so long ago; the caller repeats while it returns the limit.
   * @returns how many roots went, with all below them
   */
  async prune(olderThanMs = HISTORY_MS, limit = 500): Promise<number> {
    const row = await this.database.first(pruneHistories, new Date(Date.now() - olderThanMs), limit);
    return row?.removed ?? 0;
  }

  /** Applies a change set that starts operations on behalf of the system: for reconcilers. */
  async submit(changes: ChangeSet): Promise<JsonObject> {
    await this.database.transaction((transaction) => this.applier.apply(transaction, changes, NOBODY));
    return changes.result;
  }

  private async applied(caller: Caller, plan: (reader: Reader) => Promise<ChangeSet>): Promise<void> {
    await this.database.transaction(async (transaction) => {
      await this.applier.apply(transaction, await plan(transaction), caller);
    });
  }

  private async readmission(
    reader: Reader,
    row: OperationForCommand,
    kind: OperationKind<unknown>,
  ): Promise<ChangeSet> {
    const stored = await reader.first(readForRetry, row.id);
    if (stored === undefined || kind.readmit === undefined) throw notFound('operation', row.id);
    const operation: OperationView<unknown> = { ...stored, attempt: row.attempt + 1 };
    return kind.readmit({ operation, reader, error: row.error });
  }

  private async find(reader: Reader, id: string): Promise<OperationForCommand> {
    const row = await reader.first(readForCommand, id);
    if (row === undefined) throw notFound('operation', id);
    return row;
  }
}

/** A change of the operation itself, and nothing else. */
function changing({ id, kind }: OperationForCommand): ChangeSet {
  const changes = new ChangeSet();
  changes.resources.push({ action: 'UPDATE', kind: 'operation', id, name: kind });
  changes.result = { operationId: id };
  return changes;
}
