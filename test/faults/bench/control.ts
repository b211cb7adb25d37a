import { SimulatedCrash, type Direction, type EngineHooks, type HookPoint, type StepResult } from '#operations';

/** Where in a step's course a worker dies. */
export const CrashAt = {
  /** Nothing of the step has run. */
  BEFORE: 'BEFORE',
  /** The step has run, its calls are made, and nothing is written: the next worker repeats it. */
  AFTER_RUN: 'AFTER_RUN',
  /** The outcome is written, and nobody goes on. */
  AFTER_COMMIT: 'AFTER_COMMIT',
} as const;
export type CrashAt = (typeof CrashAt)[keyof typeof CrashAt];

export type RunOutcome = 'DONE' | 'WAIT' | 'FAN_OUT' | 'ERROR';

export interface StepPlace {
  step: string;
  direction: Direction;
}

export interface Crash extends StepPlace {
  at: CrashAt;
  /** Of the run in which the worker dies. */
  outcome?: RunOutcome;
}

export interface StepRun extends StepPlace {
  outcome: RunOutcome;
}

/** One operation under test: what shall happen to it, and what has. */
export interface Watch {
  readonly crash?: Crash | undefined;
  /** The operation stands before this step until `release`. */
  readonly hold?: StepPlace | undefined;
  /** Every run of a step, in order, of the first attempt. */
  readonly runs: StepRun[];
  crashes: number;
  readonly held: Promise<void>;
  release(): void;
}

interface Entry extends Watch {
  readonly reached: () => void;
  readonly released: Promise<void>;
}

/** Sits in the hooks of all engines and does to each operation what its watch says. */
export class FaultControl {
  private readonly entries = new Map<string, Entry>();
  private readonly submissions = new Set<Promise<unknown>>();

  readonly hooks: EngineHooks = {
    beforeStep: (point) => this.before(point),
    afterRun: (point, result) => this.afterRun(point, result),
    afterCommit: async (point) => this.crash(point, CrashAt.AFTER_COMMIT, this.entries.get(point.operationId)?.runs.at(-1)?.outcome),
  };

  /**
   * Submits an operation and puts it under watch before its first step runs.
   * @param submit answers with the operation's id; what else must be ready before the first step is done in it, too
   */
  async watch(plan: Pick<Watch, 'crash' | 'hold'>, submit: () => Promise<string>): Promise<{ id: string; watch: Watch }> {
    const submission = (async () => {
      const id = await submit();
      const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const entry: Entry = {
        ...plan,
        runs: [],
        crashes: 0,
        held: reached.promise,
        reached: reached.resolve,
        released: released.promise,
        release: released.resolve,
      };
      this.entries.set(id, entry);
      return { id, watch: entry };
    })();
    this.submissions.add(submission);
    try {
      return await submission;
    } finally {
      this.submissions.delete(submission);
    }
  }

  forget(operationId: string): void {
    this.entries.get(operationId)?.release();
    this.entries.delete(operationId);
  }

  private async before(point: HookPoint): Promise<void> {
    // Whoever submits it may not have heard its id yet.
    if (!this.entries.has(point.operationId)) await Promise.allSettled(this.submissions);
    const entry = this.entries.get(point.operationId);
    if (entry === undefined || point.attempt > 1) return;
    await this.crash(point, CrashAt.BEFORE);
    if (entry.hold === undefined || !isAt(point, entry.hold)) return;
    entry.reached();
    await entry.released;
  }

  private async afterRun(point: HookPoint, result: StepResult | Error): Promise<void> {
    const outcome = result instanceof Error ? 'ERROR' : result.type;
    const entry = this.entries.get(point.operationId);
    if (entry === undefined || point.attempt > 1) return;
    entry.runs.push({ step: point.step, direction: point.direction, outcome });
    await this.crash(point, CrashAt.AFTER_RUN, outcome);
  }

  private async crash(point: HookPoint, at: CrashAt, outcome?: RunOutcome): Promise<void> {
    const entry = this.entries.get(point.operationId);
    if (entry?.crash === undefined || entry.crashes > 0 || point.attempt > 1) return;
    const { crash } = entry;
    if (crash.at !== at || !isAt(point, crash)) return;
    if (crash.outcome !== undefined && crash.outcome !== outcome) return;
    entry.crashes += 1;
    throw new SimulatedCrash();
  }
}

function isAt(point: HookPoint, place: StepPlace): boolean {
  return point.step === place.step && point.direction === place.direction;
}
