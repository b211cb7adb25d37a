import type { EventFeed } from '#events';
import type { CommandRunner } from '#identity';
import { defineReconciler, type OperationService, type Reconciler } from '#operations';
import { auditCounters } from '#quota';

const MINUTE_MS = 60_000;
/** Batches of one run: what is left is taken by the next. */
const MAX_BATCHES = 100;

/** What keeps the house itself clean: retention of events, keys and plans, and the audit of the counters. */
export function housekeeping(parts: { feed: EventFeed; commands: CommandRunner; operations: OperationService }): Reconciler[] {
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
