import { defineReconciler, type Reconciler } from '#operations';
import type { Heartbeat } from './heartbeat/heartbeat.js';
import type { PendingRemoval } from './usage/pending-removal.js';

export const HOST_HEARTBEAT = 'host-heartbeat';

/** What the workers of this room's app run from time to time. */
export function infrastructureReconcilers(
  heartbeat: Heartbeat,
  pendingRemoval: PendingRemoval,
  options: { heartbeatEveryMs?: number } = {},
): Reconciler[] {
  return [
    defineReconciler({
      name: HOST_HEARTBEAT,
      everyMs: options.heartbeatEveryMs ?? 5000,
      run: ({ signal }) => heartbeat.run(signal),
    }),
    defineReconciler({
      name: 'withdrawn-infrastructure',
      everyMs: 30_000,
      run: async ({ signal }) => {
        await pendingRemoval.run(signal);
      },
    }),
  ];
}
