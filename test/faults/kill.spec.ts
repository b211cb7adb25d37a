import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { statement } from '#database';
import { FaultKind } from '#driver-simulated';
import { startSystem, type System, type SystemProcess } from '../support/system.js';
import { FaultHouse } from './bench/fault-house.js';
import type { Lane, Stage } from './bench/lane.js';
import { Judge } from './judge.js';
import type { Prepared, Scenario } from './scenario.js';
import { scenarios } from './scenarios/index.js';

/** How many operations one killed worker leaves behind. */
const BATCH = 9;
const HELD_WITHIN_MS = 15_000;

interface Holder {
  lease_owner: string;
}

const readHolders = statement<Holder, [tenantId: string, rootId: string]>(
  'faults.holders',
  `SELECT lease_owner FROM operation
   WHERE (root_id = $2 OR tenant_id = $1) AND lease_owner IS NOT NULL AND lease_until > clock_timestamp()`,
);

/** An operation in the hands of a worker that is about to be killed. */
interface Victim {
  scenario: Scenario;
  stage: Stage;
  prepared: Prepared;
  id: string;
}

/** Built workers as processes of their own, with the lease and the sweep of everyday. */
describe('a worker that is killed in earnest', () => {
  let system: System;
  let bench: FaultHouse;

  beforeAll(async () => {
    system = await startSystem({ apis: 0, workers: 1, environment: { MUON_LOG_LEVEL: 'warn' } });
    bench = await FaultHouse.beside({ environment: system.environment, simulationUrl: system.simulationUrl }, BATCH);
  });
  afterAll(async () => {
    await bench?.close();
    await system?.close();
  });

  async function submitOn(lane: Lane, scenario: Scenario): Promise<Victim> {
    const { stage, base } = await lane.stageFor(scenario);
    const prepared = await scenario.prepare(stage, base);
    // Whatever an operation asks of the backend, from its first call on, is never answered.
    await stage.world.addFault({ kind: FaultKind.HANG, keyContains: 'op_', times: Number.POSITIVE_INFINITY });
    return { scenario, stage, prepared, id: await prepared.submit() };
  }

  /** Until the worker is in the middle of a call for each of them, and holds its lease. */
  async function untilHeld(victims: readonly Victim[], worker: SystemProcess): Promise<void> {
    const deadline = Date.now() + HELD_WITHIN_MS;
    for (;;) {
      const held = await Promise.all(victims.map((victim) => isHeld(victim, worker)));
      if (held.every(Boolean)) return;
      if (Date.now() > deadline) {
        const free = victims.filter((_victim, index) => held[index] !== true).map((victim) => victim.scenario.kind);
        throw new Error(`the worker is not in the middle of ${free.join(', ')}:\n${worker.log.slice(-20).join('')}`);
      }
      await pause(10);
    }
  }

  async function isHeld({ stage, id }: Victim, worker: SystemProcess): Promise<boolean> {
    const holders = await bench.database.rows(readHolders, stage.tenantId, id);
    if (!holders.some((holder) => holder.lease_owner.split('/')[1] === String(worker.child.pid))) return false;
    return (await stage.world.faults()).some((fault) => fault.fired > 0);
  }

  async function problemsOf({ scenario, stage, prepared, id }: Victim): Promise<string[]> {
    const judge = new Judge(bench, scenario);
    const end = await judge.untilEnd(stage, id);
    await prepared.returns?.();
    const problems = await judge.examine(stage, id, prepared.returns !== undefined || undefined);
    if (end.state !== 'SUCCEEDED') problems.unshift(`ended ${end.state}: ${JSON.stringify(end.error)}`);
    return problems;
  }

  const batches = Array.from({ length: Math.ceil(scenarios.length / BATCH) }, (_none, index) => scenarios.slice(index * BATCH, (index + 1) * BATCH));

  it.each(batches.map((batch) => ({ batch, kinds: batch.map((scenario) => scenario.kind).join(', ') })))(
    'leaves nothing half-made of $kinds',
    { timeout: 180_000 },
    async ({ batch }) => {
      const doomed = system.workers.at(-1);
      if (doomed === undefined) throw new Error('no worker runs');
      const lanes: Lane[] = [];
      await bench.onLanes(batch.length, async (taken) => {
        lanes.push(...taken);
        const heir = await system.startWorker();
        // It must not take the work before the other is dead.
        heir.child.kill('SIGSTOP');
        let victims: Victim[];
        try {
          victims = await Promise.all(batch.map((scenario, index) => submitOn(lanes[index] as Lane, scenario)));
          await untilHeld(victims, doomed);
          await doomed.stop('SIGKILL');
          for (const { stage } of victims) await stage.world.clearFaults();
        } finally {
          heir.child.kill('SIGCONT');
        }
        const start = performance.now();
        const found = await Promise.all(victims.map(problemsOf));
        console.log(`${victims.length} operations of a worker killed by SIGKILL ended ${Math.round(performance.now() - start)} ms later`);
        expect(victims.flatMap(({ scenario: { kind } }, index) => (found[index] ?? []).map((problem) => `${kind}: ${problem}`))).toEqual([]);
        expect(doomed.child.signalCode).toBe('SIGKILL');
      });
    },
  );
});
