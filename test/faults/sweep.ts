import { machineDrift } from '#compute';
import { MuonError } from '#core';
import { OrphanSweep, type OrphanReport } from '#infrastructure';
import { edgeDrift, networkDrift } from '#network';
import { OPERATIONS, type Reconciler, type ReconcilerContext } from '#operations';
import { diskDrift } from '#storage';
import type { Stage } from './bench/lane.js';

/** What a reconciler gets; operations on other backends than the stage's are somebody else's, and busy. */
export function contextOn(stage: Stage): ReconcilerContext & { readonly started: string[] } {
  const { bench, backendId } = stage;
  const started: string[] = [];
  return {
    signal: AbortSignal.timeout(30_000),
    fence: 1,
    reader: bench.database,
    log: bench.log,
    started,
    async submit(changes) {
      for (const operation of changes.items(OPERATIONS)) {
        if (!('id' in operation)) continue;
        if (operation.backendId !== backendId) throw new MuonError('RESOURCE_BUSY', 'Another lane is at it.');
        operation.origin = 'RECONCILER';
        started.push(operation.id);
      }
      return bench.operations.submit(changes);
    },
  };
}

/** The orphan sweep's look at the stage's backend. */
export async function sweepOrphans(stage: Stage): Promise<OrphanReport> {
  return stage.bench.service(OrphanSweep).check(contextOn(stage), stage.backendId);
}

/** What keeps things as they shall be after late effects has its turn, with no grace for listings: ids of what it started. */
export async function mendDrift(stage: Stage): Promise<string[]> {
  const { bench } = stage;
  const context = contextOn(stage);
  const reconcilers: Reconciler[] = [
    machineDrift(bench.database, bench.house.drivers, { graceMs: 0, startAgainAfterMs: 0 }),
    diskDrift(bench.house.drivers, { graceMs: 0 }),
    networkDrift(bench.house.drivers, { graceMs: 0 }),
    edgeDrift(bench.house.database, bench.house.drivers, { graceMs: 0 }),
  ];
  for (const reconciler of reconcilers) await reconciler.run(context);
  return context.started;
}
