import { assert, backoffMs, sleep, toMuonError, withLogFields, withTimeout, type Logger } from '#core';
import type { ChangeSet, ChangeSetApplier, Database, Transaction } from '#database';
import { freeLeases, nudgeLeases } from '../lease/lease.sql.js';
import type { NamedLease, NamedLeases } from '../lease/named-leases.js';
import { OPERATIONS } from '../operation/operation-sections.js';
import type { WorkQueue } from '../queue/work-queue.js';
import type { NextRun, Reconciler, ReconcilerContext } from './reconciler.js';

export interface ReconcilerRunnerOptions {
  database: Database;
  applier: ChangeSetApplier;
  leases: NamedLeases;
  reconcilers: readonly Reconciler[];
  log: Logger;
  /** Wakes at the periods; without it the runner's own look does. */
  queue?: Pick<WorkQueue, 'schedule'>;
  /** How often it looks by itself which reconcilers are due. */
  lookEveryMs?: number;
}

const PREFIX = 'reconciler:';
const DEFAULT_TIMEOUT_MS = 60_000;

/** Makes reconcilers due when the transaction commits: for whoever changes what they look at. */
export async function nudgeReconcilers(transaction: Transaction, names: readonly string[]): Promise<void> {
  await transaction.rows(nudgeLeases, names.map((name) => PREFIX + name));
}

/** Runs reconcilers when they are due: each at one place at a time, over all workers. */
export class ReconcilerRunner {
  private readonly byName: Map<string, Reconciler>;
  private readonly running = new Map<string, Promise<void>>();
  private readonly stop = new AbortController();
  private looking: Promise<void> | undefined;

  constructor(private readonly options: ReconcilerRunnerOptions) {
    const { reconcilers } = options;
    this.byName = new Map(reconcilers.map((reconciler) => [reconciler.name, reconciler]));
    assert(this.byName.size === reconcilers.length, 'two reconcilers have one name');
  }

  async start(): Promise<void> {
    this.looking = this.look();
    const periods = this.options.reconcilers.map(({ name, everyMs }) => ({ name, everyMs }));
    await this.options.queue?.schedule(periods, (name) => this.wake(name));
  }

  /** Runs it now if it is due and nobody else does. */
  wake(name: string): void {
    const reconciler = this.byName.get(name);
    if (reconciler === undefined || this.running.has(name) || this.stop.signal.aborted) return;
    const run = withLogFields({ reconciler: name }, () => this.runOnce(reconciler)).finally(() => this.running.delete(name));
    this.running.set(name, run);
  }

  /** Tells runs to stop, waits for them and gives their leases back. */
  async close(): Promise<void> {
    this.stop.abort();
    await Promise.all([this.looking, ...this.running.values()]);
  }

  private async look(): Promise<void> {
    const names = [...this.byName.keys()].map((name) => PREFIX + name);
    const { database, log, lookEveryMs = 1000 } = this.options;
    while (!this.stop.signal.aborted && names.length > 0) {
      try {
        const due = await database.rows(freeLeases, names);
        for (const { name } of due) this.wake(name.slice(PREFIX.length));
      } catch (error) {
        log.warn({ err: error }, 'due reconcilers could not be looked for');
      }
      await sleep(lookEveryMs * (0.8 + Math.random() * 0.4), this.stop.signal);
    }
  }

  private async runOnce(reconciler: Reconciler): Promise<void> {
    const { leases, log } = this.options;
    try {
      const lease = await leases.take(PREFIX + reconciler.name);
      if (lease === undefined) return;
      const ended = await this.runHeld(reconciler, lease);
      const failed = ended === 'FAILED';
      // A little early, so that a ring at the full period finds it due.
      const period = reconciler.everyMs * 0.9;
      const again = failed ? backoffMs(lease.failures, 1000, reconciler.everyMs) : Math.min(period, ended?.afterMs ?? period);
      await leases.release(lease, again, failed);
    } catch (error) {
      log.warn({ err: error }, 'a reconciler could not be started or ended; its lease runs out by itself');
    }
  }

  private async runHeld(reconciler: Reconciler, lease: NamedLease): Promise<NextRun | void | 'FAILED'> {
    const { log } = this.options;
    const parent = AbortSignal.any([lease.lost, this.stop.signal]);
    try {
      return await withTimeout(
        `Reconciler "${reconciler.name}"`,
        reconciler.timeoutMs ?? DEFAULT_TIMEOUT_MS,
        (signal) => reconciler.run(this.context(lease, signal)),
        parent,
      );
    } catch (error) {
      if (this.stop.signal.aborted) return undefined;
      const muon = toMuonError(error);
      log.warn({ code: muon.code, reason: muon.message, detail: muon.detail, err: error }, 'a reconciler failed');
      return 'FAILED';
    }
  }

  private context(lease: NamedLease, signal: AbortSignal): ReconcilerContext {
    const { database, applier, leases, log } = this.options;
    return {
      signal,
      fence: lease.fence,
      reader: database,
      log,
      async submit(changes: ChangeSet) {
        signal.throwIfAborted();
        for (const item of changes.items(OPERATIONS)) if ('id' in item) item.origin = 'RECONCILER';
        await database.transaction(async (transaction) => {
          assert(await leases.isHeld(transaction, lease), `the run of ${lease.name} was taken over`);
          await applier.apply(transaction, changes, { principalId: null, requestId: null });
        });
        return changes.result;
      },
    };
  }
}
