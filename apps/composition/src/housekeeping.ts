import type { Database } from '#database';
import type { EventFeed } from '#events';
import { pruneAuditEntries, type CommandRunner, type RequestBudgets } from '#identity';
import { defineReconciler, type OperationService, type Reconciler } from '#operations';
import { auditCounters } from '#quota';

const MINUTE_MS = 60_000;
/** Batches of one run: what is left is taken by the next. */
const MAX_BATCHES = 100;

export interface HousekeepingParts {
  database: Database;
  feed: EventFeed;
  commands: CommandRunner;
  budgets: RequestBudgets;
  operations: OperationService;
  /** Days that the audit log is kept. */
  auditDays: number;
}

/** What keeps the house itself clean: retention of events, keys, plans and the audit log, and the audit of the counters. */
export function housekeeping(parts: HousekeepingParts): Reconciler[] {
  const whileAny = async (signal: AbortSignal, batch: () => Promise<number>): Promise<void> => {
    for (let round = 0; round < MAX_BATCHES && !signal.aborted; round += 1) if ((await batch()) === 0) return;
  };
  return [
    defineReconciler({
      name: 'event-retention',
      everyMs: 10 * MINUTE_MS,
      run: ({ signal }) => whileAny(signal, () => parts.feed.prune()),
    }),
    defineReconciler({
      name: 'command-retention',
      everyMs: 10 * MINUTE_MS,
      run: ({ signal }) => whileAny(signal, () => parts.commands.prune()),
    }),
    defineReconciler({
      name: 'audit-retention',
      everyMs: 10 * MINUTE_MS,
      run: ({ signal }) => whileAny(signal, () => pruneAuditEntries(parts.database, parts.auditDays)),
    }),
    defineReconciler({
      name: 'budget-retention',
      everyMs: 10 * MINUTE_MS,
      run: ({ signal }) => whileAny(signal, () => parts.budgets.prune()),
    }),
    defineReconciler({
      name: 'operation-retention',
      everyMs: 10 * MINUTE_MS,
      run: ({ signal }) => whileAny(signal, () => parts.operations.prune()),
    }),
    defineReconciler({
      name: 'quota-audit',
      everyMs: MINUTE_MS,
      async run({ reader, log }) {
        const { drift } = await auditCounters(reader);
        if (drift.length > 0) log.error({ drift: drift.slice(0, 20), counters: drift.length }, 'quota counters have drifted from their charges');
      },
    }),
  ];
}
