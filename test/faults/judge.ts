import { setTimeout as pause } from 'node:timers/promises';
import type { ErrorRecord } from '#core';
import { statement } from '#database';
import type { OperationState } from '#operations';
import type { FaultHouse } from './bench/fault-house.js';
import type { Stage } from './bench/lane.js';
import { violationsOn } from './invariants.js';
import type { Scenario } from './scenario.js';
import { mendDrift, sweepOrphans } from './sweep.js';

export interface Progress {
  id: string;
  kind: string;
  state: OperationState;
  step_index: number;
  error: ErrorRecord | null;
  blocker: ErrorRecord | null;
}

const readProgress = statement<Progress, [id: string]>(
  'faults.progress',
  'SELECT id, kind, state, step_index, error, blocker FROM operation WHERE id = $1',
);
const readUnfinished = statement<{ id: string; kind: string; state: OperationState; parent_id: string | null }, [tenantId: string, rootId: string]>(
  'faults.unfinished',
  'SELECT id, kind, state, parent_id FROM operation WHERE ended_at IS NULL AND (tenant_id = $1 OR root_id = $2) ORDER BY id',
);

/** Without a move for so long, an operation that waits for people is called off by them. */
const QUIET_MS = 1500;
const LOOK_MS = 15;

/** Waits for ends, and says what is not as it must be after them. */
export class Judge {
  constructor(
    private readonly bench: FaultHouse,
    private readonly scenario: Scenario,
  ) {}

  /**
   * Waits for the end.
   * @param sticks it may be STUCK, it or what it started: told to go on once the cause is gone, or called off
   */
  async untilEnd(stage: Stage, id: string, sticks = false): Promise<Progress> {
    const deadline = Date.now() + this.bench.ground.patienceMs;
    let [last, movedAt] = ['', Date.now()];
    for (;;) {
      const now = await this.bench.database.first(readProgress, id);
      if (now === undefined) throw new Error(`operation ${id} is gone`);
      if (['SUCCEEDED', 'FAILED', 'CANCELLED'].includes(now.state)) return now;
      const others = await this.bench.database.rows(readUnfinished, stage.tenantId, id);
      const stuck = others.filter((each) => each.state === 'STUCK');
      const moves = JSON.stringify([now.state, now.step_index, now.blocker?.message, others]);
      if (moves !== last) [last, movedAt] = [moves, Date.now()];
      if (stuck.length > 0) {
        if (!sticks) throw new Error(`it is STUCK: ${JSON.stringify(stuck)} ${JSON.stringify(now.blocker)}`);
        await stage.world.clearFaults();
        for (const each of stuck) await this.bench.operations.retry(each.id);
      } else if (sticks && this.scenario.waitsForPeople === true && others.length === 1 && Date.now() - movedAt > QUIET_MS) {
        await this.bench.operations.cancel(id);
        movedAt = Date.now();
      }
      if (Date.now() > deadline) throw new Error(`does not end: ${JSON.stringify(now)}, beside ${JSON.stringify(others)}`);
      await pause(LOOK_MS);
    }
  }

  /**
   * Lets all that is late come now; then everything must be as it shall be.
   * @param late what came late may be swept away and mended, as after a while; otherwise nothing may be left to do that
   */
  async examine(stage: Stage, id: string, late = this.scenario.mendedLater === true): Promise<string[]> {
    await stage.world.clearFaults();
    await stage.world.landPending();
    const swept = late ? await this.sweep(stage, id) : [];
    await this.untilQuiet(stage, id);
    const found = [...swept, ...(await violationsOn(stage, id))];
    if (found.length === 0 || !late) return found;
    for (const started of await mendDrift(stage)) await this.untilQuiet(stage, started);
    return [...swept, ...(await violationsOn(stage, id))];
  }

  private async sweep(stage: Stage, id: string): Promise<string[]> {
    const { operationId, refusal, unknown } = await sweepOrphans(stage);
    await this.untilQuiet(stage, operationId ?? id);
    return [
      ...(refusal === null ? [] : [`the sweep refused: ${refusal}`]),
      ...unknown.map((object) => `nobody knows of ${object.kind} ${object.id}`),
    ];
  }

  private async untilQuiet(stage: Stage, id: string): Promise<void> {
    const deadline = Date.now() + this.bench.ground.patienceMs;
    while (Date.now() < deadline) {
      const left = await this.bench.database.rows(readUnfinished, stage.tenantId, id);
      if (left.length === 0) return;
      await pause(LOOK_MS);
    }
  }
}
