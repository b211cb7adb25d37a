import { setTimeout as pause } from 'node:timers/promises';
import { toMuonError } from '#core';
import { statement } from '#database';
import type { OperationKind, OperationState } from '#operations';
import type { FaultHouse } from './bench/fault-house.js';
import type { Lane, Stage } from './bench/lane.js';
import type { RecordedCall } from './bench/recording-driver.js';
import type { Watch } from './bench/control.js';
import { Judge } from './judge.js';
import { forwardPoints, Mode, QUEUED, stepsOf, triggerOf, undoPoints, type FaultPoint, type PlannedFault, type Seen, type SeenMethod, type SeenStep } from './points.js';
import { BaseSpent, type Prepared, type Scenario } from './scenario.js';

interface Relative {
  id: string;
  handler: string;
  parent_id: string | null;
  parent_step: number | null;
}

const readFamily = statement<Relative, [tenantId: string, rootId: string]>(
  'faults.family',
  'SELECT id, handler, parent_id, parent_step FROM operation WHERE tenant_id = $1 OR root_id = $2',
);

type OnEnd = (stage: Stage, id: string, watch: Watch) => Promise<void>;

/** What came of one run. */
export interface Played {
  label: string;
  problems: string[];
  ms: number;
}

/** One kind of operation on its way through all that can go wrong. */
export class Play {
  private readonly kind: OperationKind<unknown>;
  private readonly judge: Judge;

  constructor(
    private readonly bench: FaultHouse,
    private readonly scenario: Scenario,
  ) {
    this.judge = new Judge(bench, scenario);
    this.kind = bench.house.registry.current(scenario.kind);
  }

  /** Looks at one run forward and one back, and says what can go wrong in them. */
  async points(): Promise<FaultPoint[]> {
    const forward = await this.observe({ faults: [] }, ['SUCCEEDED']);
    const points = forwardPoints(this.scenario, this.kind, forward);
    const trigger = triggerOf(this.kind, forward);
    if (trigger === undefined) return points;
    const back = await this.observe(trigger, [trigger.cancelAt === undefined ? 'FAILED' : 'CANCELLED']);
    return [...points, ...undoPoints(this.scenario, back, trigger)];
  }

  async run(point: FaultPoint): Promise<Played> {
    const start = performance.now();
    const problems = await this.bench.onLane(async (lane) => {
      try {
        const found = await this.runOn(lane, point);
        if (found.length > 0) lane.abandon(this.scenario.base);
        return found;
      } catch (error) {
        lane.abandon(this.scenario.base);
        return [describe(error)];
      }
    });
    return { label: point.label, problems, ms: performance.now() - start };
  }

  private async observe(trigger: Pick<FaultPoint, 'faults' | 'cancelAt'>, ends: readonly OperationState[]): Promise<Seen> {
    return this.bench.onLane(async (lane) => {
      const point: FaultPoint = { mode: Mode.DIES, label: 'as it is', sticks: false, ends, ...trigger };
      let seen: Seen | undefined;
      const problems = await this.runOn(lane, point, async (stage, id, watch) => {
        seen = await this.seenIn(stage, id, watch);
      });
      if (problems.length > 0 || seen === undefined) {
        throw new Error(`${this.scenario.kind} does not pass by itself${trigger.faults.length > 0 ? ', turned back' : ''}:\n${problems.join('\n')}`);
      }
      return seen;
    });
  }

  private async runOn(lane: Lane, point: FaultPoint, onEnd: OnEnd = async () => undefined): Promise<string[]> {
    const { control, recorder } = this.bench;
    const { stage, prepared } = await this.prepareOn(lane);
    recorder.clear(stage.backendId);
    const hold = point.cancelAt === QUEUED ? undefined : point.cancelAt;
    const { id, watch } = await control.watch({ crash: point.crash, hold }, async () => {
      const submitted = point.cancelAt === QUEUED ? await this.cancelledAtOnce(() => prepared.submit()) : await prepared.submit();
      for (const fault of point.faults) await stage.world.addFault(scriptOf(fault, submitted));
      return submitted;
    });
    try {
      if (hold !== undefined) {
        await Promise.race([watch.held, this.judge.untilEnd(stage, id, point.sticks)]);
        const removal = point.removes === true ? await prepared.remove?.() : undefined;
        if (removal === undefined) await this.bench.operations.cancel(id);
        watch.release();
        const end = removal === undefined ? undefined : await this.judge.untilEnd(stage, removal);
        if (end !== undefined && end.state !== 'SUCCEEDED') return [`its deletion ended ${end.state}: ${JSON.stringify(end.error)}`];
      }
      return await this.untilJudged(stage, point, { id, watch, prepared, onEnd });
    } finally {
      control.forget(id);
    }
  }

  /** No worker takes anything up in between. */
  private async cancelledAtOnce(submit: () => Promise<string>): Promise<string> {
    const session = this.bench.database.dataSource.createQueryRunner();
    try {
      await session.query(`SELECT pg_advisory_lock(hashtext('muon.operation_claim'))`);
      const id = await submit();
      await this.bench.operations.cancel(id);
      return id;
    } finally {
      await session.query(`SELECT pg_advisory_unlock(hashtext('muon.operation_claim'))`);
      await session.release();
    }
  }

  private async prepareOn(lane: Lane): Promise<{ stage: Stage; prepared: Prepared }> {
    for (let attempt = 1; ; attempt += 1) {
      const { stage, base } = await lane.stageFor(this.scenario);
      try {
        return { stage, prepared: await this.scenario.prepare(stage, base) };
      } catch (error) {
        lane.abandon(this.scenario.base);
        if (!(error instanceof BaseSpent) || attempt > 1) throw error;
      }
    }
  }

  private async untilJudged(
    stage: Stage,
    point: FaultPoint,
    run: { id: string; watch: Watch; prepared: Prepared; onEnd: OnEnd },
  ): Promise<string[]> {
    const { id, watch, prepared } = run;
    const end = await this.judge.untilEnd(stage, id, point.sticks);
    await run.onEnd(stage, id, watch);
    const problems: string[] = [];
    if (!point.ends.includes(end.state)) problems.push(`ended ${end.state}, not ${point.ends.join(' or ')}: ${JSON.stringify(end.error)}`);
    // The end is seen by others a moment before the worker dies of having written it.
    for (let look = 0; look < 200 && point.crash !== undefined && watch.crashes === 0; look += 1) await pause(5);
    if (point.crash !== undefined && watch.crashes === 0) problems.push('the worker never came to where it should have died');
    for (const fault of await stage.world.faults()) {
      if (fault.fired === 0) problems.push(`the fault ${fault.kind} of ${fault.method} was never met`);
    }
    await prepared.returns?.();
    const comesLate = point.mode === Mode.LATE || prepared.returns !== undefined;
    problems.push(...(await this.judge.examine(stage, id, comesLate || undefined)));
    problems.push(...((await prepared.check?.(end.state)) ?? []));
    if (problems.length === 0 && end.state === 'FAILED' && this.kind.readmit !== undefined) problems.push(...(await this.again(stage, id)));
    return problems;
  }

  /** What has failed is tried again, with nothing in its way. */
  private async again(stage: Stage, id: string): Promise<string[]> {
    await this.bench.operations.retry(id);
    const end = await this.judge.untilEnd(stage, id);
    const problems = await this.judge.examine(stage, id);
    if (end.state !== 'SUCCEEDED') problems.unshift(`tried again, it ended ${end.state}: ${JSON.stringify(end.error)}`);
    return problems.map((problem) => `after another attempt: ${problem}`);
  }

  /** Which step made which call: its own, or by the operations that it started. */
  private async seenIn(stage: Stage, id: string, watch: Watch): Promise<Seen> {
    const steps = stepsOf(watch.runs);
    const family = new Map((await this.bench.database.rows(readFamily, stage.tenantId, id)).map((row) => [row.id, row]));
    for (const call of this.bench.recorder.of(stage.backendId)) {
      const place = this.placeOf(call, id, family);
      const step = steps.find((each) => each.step === place.step && each.direction === place.direction);
      if (step === undefined) continue;
      const { method, operationId, part } = call;
      addMethod(step, { method, own: operationId === id, sticks: this.isPastPivot(family.get(operationId), part) });
    }
    return { steps };
  }

  private isPastPivot(relative: Relative | undefined, part: string): boolean {
    const kind = relative === undefined ? undefined : this.bench.house.registry.find(relative.handler);
    if (kind === undefined || kind.pivotIndex === null) return false;
    return kind.stepNames.indexOf(part) >= kind.pivotIndex;
  }

  private placeOf(call: RecordedCall, id: string, family: ReadonlyMap<string, Relative>): { step: string | undefined; direction: 'FORWARD' | 'UNDO' } {
    if (call.operationId === id) {
      const undo = call.part.startsWith('undo-') && !this.kind.stepNames.includes(call.part);
      return { step: undo ? call.part.slice('undo-'.length) : call.part, direction: undo ? 'UNDO' : 'FORWARD' };
    }
    let relative = family.get(call.operationId);
    while (relative?.parent_id != null && relative.parent_id !== id) relative = family.get(relative.parent_id);
    // What is not of the family was started by the operation as a thing of its own: in its first step.
    const index = relative?.parent_id === id ? (relative.parent_step ?? 0) : 0;
    return { step: this.kind.stepNames[index], direction: 'FORWARD' };
  }
}

function addMethod(step: SeenStep, seen: SeenMethod): void {
  if (step.methods.some((each) => each.method === seen.method && each.own === seen.own)) return;
  step.methods.push(seen);
}

function scriptOf({ part, ...fault }: PlannedFault, operationId: string) {
  return part === undefined ? fault : { ...fault, keyContains: `${operationId}/1/${part}/` };
}

function describe(error: unknown): string {
  const known = toMuonError(error);
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return known.code === 'INTERNAL' ? text : `${known.code}: ${text} ${JSON.stringify(known.data ?? {})}`;
}
