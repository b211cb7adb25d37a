import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { allInOrder, assert, defineId, MuonError, toMuonError, type JsonObject, type Logger } from '#core';
import {
  ChangeSet,
  ChangeSetApplier,
  currentSnapshot,
  Database,
  LostRace,
  type ChangeSetData,
  type Reader,
  type Transaction,
} from '#database';
import { placeOfRefusal, scopeKind, SYSTEM_PLACE, type Access, type Place } from '../access/access.js';
import { AuditOutcome, insertAudit } from '../audit/audit.sql.js';
import type { SystemPause } from '../pause/system-pause.js';
import {
  claimKey,
  completeKey,
  insertPlan,
  pruneCommands,
  readKey,
  readPlan,
  serialisePlanning,
  takePlan,
} from './command.sql.js';

const auditId = defineId('aud');
export const planId = defineId('pln');

/** Lost races that a mutation plans anew before it queues up with the others that lose theirs. */
const OPTIMISTIC_ATTEMPTS = 3;
const MAX_ATTEMPTS = 20;
const PLAN_LIFE_MS = 3_600_000;
const KEY_LIFE_MS = 86_400_000;
/** Refused attempts and plans that are written down, a principal and minute in each process. */
const ATTEMPTS_PER_MINUTE = 60;
const MAX_AUDITED_INPUT = 16_384;

export interface Command {
  access: Access;
  /** The mutation's name, as `createVirtualMachine`. */
  name: string;
  /** What was asked, with secrets removed; hashed for the idempotency key and kept with the audit entry. */
  input: JsonObject;
  /** What was asked beside it that is not kept, as a password or a long list; with the idempotency key it must be the same too. */
  hidden?: JsonObject | undefined;
  dryRun?: boolean | undefined;
  idempotencyKey?: string | undefined;
  /** Runs while the system is paused, too: it is what ends the pause. */
  evenPaused?: boolean;
  /** The scope that the command speaks of, for the audit log. */
  place: Place;
}

/** Reads only, takes no row locks, throws what the caller must mend and gathers the rest as the change set's problems. */
export type Planner = (reader: Reader) => Promise<ChangeSet>;

export interface CommandResult {
  /** Ids that the resolver looks up again under the caller's current rights. */
  result: JsonObject;
  /** Set by a dry run. */
  plan: StoredPlan | null;
  /** The answer of an earlier request with the same idempotency key. */
  replayed: boolean;
}

export interface StoredPlan {
  id: string;
  changes: ChangeSetData;
  snapshot: string;
  expiresAt: Date;
}

/** The one way of every mutation through the house: key, plan, apply, audit, all in one transaction. */
@Injectable()
export class CommandRunner {
  private readonly attempts = new Map<string, { minute: number; count: number }>();

  constructor(
    private readonly database: Database,
    private readonly applier: ChangeSetApplier,
    private readonly log: Logger,
    private readonly pause?: SystemPause,
  ) {}

  async run(command: Command, plan: Planner): Promise<CommandResult> {
    try {
      if (command.evenPaused !== true) await this.pause?.requireMutations();
      if (command.dryRun === true) return await this.dryRun(command, plan);
      return await this.retryLostRaces((serialise) =>
        this.database.transaction((transaction) => this.execute(transaction, command, plan, serialise), { genericPlans: true }),
      );
    } catch (error) {
      await this.auditRefusal(command, error);
      throw error;
    }
  }

  /**
   * As `run`, after work outside of any transaction, as asking a backend; what that refuses is audited too. A repeat with
   * the idempotency key of a request that was done is answered without it.
   */
  async runPrepared<Prepared>(
    command: Command,
    prepare: () => Promise<Prepared>,
    plan: (reader: Reader, prepared: Prepared) => Promise<ChangeSet>,
  ): Promise<CommandResult> {
    let prepared: { value: Prepared } | undefined;
    try {
      if (command.evenPaused !== true) await this.pause?.requireMutations();
      if (!(await this.isRepeat(command))) prepared = { value: await prepare() };
    } catch (error) {
      await this.auditRefusal(command, error);
      throw error;
    }
    return this.run(command, async (reader) => {
      assert(prepared !== undefined, 'an idempotency key was forgotten while it was used');
      return plan(reader, prepared.value);
    });
  }

  /**
   * Applies a stored plan exactly as it was shown.
   * @throws PLAN_STALE when a fact that it rests on has changed; NOT_FOUND when it is not the caller's.
   */
  async applyPlan(access: Access, id: string, idempotencyKey?: string): Promise<CommandResult> {
    const place = { tenantId: null, projectId: null };
    const command: Command = { access, name: 'applyPlan', input: { planId: id }, idempotencyKey, place };
    try {
      await this.pause?.requireMutations();
      return await this.database.transaction(async (transaction) => {
        const replay = await this.claim(transaction, command);
        if (replay !== undefined) return replay;
        const row = await transaction.first(takePlan, id, access.principal.id);
        if (row === undefined) throw await this.whyNoPlan(transaction, access, id);
        Object.assign(place, { tenantId: row.tenant_id, projectId: row.project_id });
        for (const need of row.requirements) access.require(need.action, need.kind, need, id);
        const changes = ChangeSet.fromData(row.changes);
        refuseProblems(changes);
        try {
          await this.commit(transaction, { ...command, input: { planId: id, ...row.input }, place }, changes);
        } catch (error) {
          throw stale(error);
        }
        return { result: changes.result, plan: null, replayed: false };
      });
    } catch (error) {
      await this.auditRefusal(command, error);
      throw error;
    }
  }

  /** Deletes one batch of expired keys and plans; the caller repeats while it returns something. */
  async prune(limit = 1000): Promise<number> {
    return this.database.transaction(async (transaction) => {
      const row = await transaction.first(pruneCommands, new Date(Date.now() - KEY_LIFE_MS), limit);
      return row?.removed ?? 0;
    });
  }

  private async retryLostRaces<T>(attempt: (serialise: boolean) => Promise<T>): Promise<T> {
    for (let number = 1; ; number += 1) {
      try {
        return await attempt(number > OPTIMISTIC_ATTEMPTS);
      } catch (error) {
        if (!(error instanceof LostRace) || number >= MAX_ATTEMPTS) throw error;
      }
    }
  }

  private async isRepeat({ access, dryRun, idempotencyKey }: Command): Promise<boolean> {
    if (idempotencyKey === undefined || dryRun === true) return false;
    return (await this.database.first(readKey, access.principal.id, idempotencyKey)) !== undefined;
  }

  private async execute(
    transaction: Transaction,
    command: Command,
    plan: Planner,
    serialise: boolean,
  ): Promise<CommandResult> {
    const replay = await this.claim(transaction, command);
    if (replay !== undefined) return replay;
    if (serialise) await transaction.rows(serialisePlanning);
    const changes = await plan(transaction);
    refuseProblems(changes);
    await this.commit(transaction, command, changes);
    return { result: changes.result, plan: null, replayed: false };
  }

  private async commit(transaction: Transaction, command: Command, changes: ChangeSet): Promise<void> {
    const { principal, origin } = command.access;
    const { idempotencyKey: key } = command;
    await allInOrder([
      this.applier.apply(transaction, changes, { principalId: principal.id, requestId: origin.requestId }),
      transaction.execute(insertAudit, JSON.stringify([auditEntry(command, 'ACCEPTED', null, changes.result)])),
      key === undefined ? undefined : transaction.execute(completeKey, principal.id, key, JSON.stringify(changes.result)),
    ]);
  }

  private async claim(transaction: Transaction, command: Command): Promise<CommandResult | undefined> {
    if (command.idempotencyKey === undefined) return undefined;
    const hash = createHash('sha256').update(JSON.stringify([command.name, command.input, command.hidden])).digest('hex');
    const principal = command.access.principal.id;
    const claimed = await transaction.first(claimKey, principal, command.idempotencyKey, hash);
    if (claimed !== undefined) return undefined;
    const earlier = await transaction.first(readKey, principal, command.idempotencyKey);
    assert(earlier !== undefined && earlier.result !== null, 'an idempotency key was committed without its result');
    if (earlier.input_hash !== hash) {
      throw new MuonError('IDEMPOTENCY_KEY_REUSED', 'This Idempotency-Key was used for another request; choose a new one.');
    }
    return { result: earlier.result, plan: null, replayed: true };
  }

  private async dryRun(command: Command, plan: Planner): Promise<CommandResult> {
    const { changes, snapshot } = await this.database.transaction(
      async (transaction) => {
        const planned = await plan(transaction);
        await this.applier.preview(transaction, planned);
        const row = await transaction.first(currentSnapshot);
        return { changes: planned, snapshot: row?.snapshot ?? '' };
      },
      { isolation: 'REPEATABLE READ', readOnly: true },
    );
    const id = planId.create();
    const expiresAt = new Date(Date.now() + PLAN_LIFE_MS);
    const data = changes.toData();
    const { access, place } = command;
    await this.database.transaction(async (transaction) => {
      await transaction.execute(
        insertPlan,
        id,
        access.principal.id,
        command.name,
        JSON.stringify(command.input),
        JSON.stringify(data),
        JSON.stringify(access.requirements),
        snapshot,
        place.tenantId,
        place.projectId,
        expiresAt,
      );
      if (!this.mayAudit(access.principal.id)) return;
      await transaction.execute(insertAudit, JSON.stringify([auditEntry(command, 'PLANNED', null, changes.result)]));
    });
    return { result: {}, plan: { id, changes: data, snapshot, expiresAt }, replayed: false };
  }

  private async whyNoPlan(reader: Reader, access: Access, id: string): Promise<MuonError> {
    const row = await reader.first(readPlan, id, access.principal.id);
    if (row === undefined) return new MuonError('NOT_FOUND', `There is no plan "${id.slice(0, 100)}" of yours.`, { field: 'input.planId' });
    const why = row.applied_at === null ? 'has expired' : 'has been applied already';
    return new MuonError('PLAN_STALE', `This plan ${why}; plan again.`, { data: { fact: 'plan' } });
  }

  private async auditRefusal(command: Command, error: unknown): Promise<void> {
    const refusal = toMuonError(error);
    if (!this.mayAudit(command.access.principal.id)) return;
    // What the command was aimed at, when it was refused before it knew.
    const place = placeOfRefusal(error) ?? command.place;
    // Those who own a place are told of attempts by whoever may see it: others have only named it.
    const aimed = { ...command, place: command.access.sees(scopeKind(place), place) ? place : SYSTEM_PLACE };
    const id = refusal.code === 'FORBIDDEN' ? refusal.data?.id : undefined;
    try {
      await this.database.transaction((transaction) =>
        transaction.execute(insertAudit, JSON.stringify([auditEntry(aimed, 'REFUSED', refusal.code, { id })])),
      );
    } catch (failure) {
      this.log.warn({ err: failure, command: command.name }, 'a refused attempt could not be audited');
    }
  }

  /** Whoever only tries, or only plans, cannot fill the log. */
  private mayAudit(principal: string): boolean {
    const minute = Math.floor(Date.now() / 60_000);
    const seen = this.attempts.get(principal);
    if (seen === undefined || seen.minute !== minute) {
      if (this.attempts.size > 10_000) this.attempts.clear();
      this.attempts.set(principal, { minute, count: 1 });
      return true;
    }
    seen.count += 1;
    return seen.count <= ATTEMPTS_PER_MINUTE;
  }
}

/** A plan shows all its problems; applying stops at the first. */
function refuseProblems(changes: ChangeSet): void {
  const first = changes.problems[0];
  if (first !== undefined) throw MuonError.fromRecord(first);
}

function stale(error: unknown): unknown {
  if (!(error instanceof MuonError) || error.code === 'INTERNAL' || error.code === 'UNAVAILABLE') return error;
  const fact = typeof error.data?.fact === 'string' ? error.data.fact : error.code;
  return new MuonError('PLAN_STALE', `What this plan rests on has changed: ${error.message} Plan again.`, {
    data: { fact, code: error.code, ...error.data },
    cause: error,
  });
}

function auditEntry(
  command: Command,
  outcome: AuditOutcome,
  errorCode: string | null,
  result: JsonObject,
): Record<string, unknown> {
  const text = JSON.stringify(command.input);
  return {
    id: auditId.create(),
    principal_id: command.access.principal.id,
    token_id: command.access.tokenId,
    address: command.access.origin.address,
    request_id: command.access.origin.requestId,
    command: command.name,
    outcome,
    error_code: errorCode,
    tenant_id: command.place.tenantId,
    project_id: command.place.projectId,
    resource_id: result.id ?? null,
    operation_id: result.operationId ?? null,
    // Cut in the middle of a character it would be refused by PostgreSQL, and the mutation with it.
    input: text.length <= MAX_AUDITED_INPUT ? command.input : { truncated: text.slice(0, MAX_AUDITED_INPUT).toWellFormed() },
  };
}
