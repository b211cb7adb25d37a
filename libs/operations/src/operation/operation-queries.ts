import type { Page, PageRequest, Reader } from '#database';
import type { Access } from '#identity';
import { readUnserved } from '../engine/engine.sql.js';
import type { OperationRegistry } from '../kind/operation-registry.js';
import { END_STATES, type OperationState } from './operation.js';
import {
  countUnfinished,
  findOperationSteps,
  operations,
  readProgress,
  readQueueAge,
  readStepTimes,
  type OperationCount,
  type OperationOrder,
  type OperationRow,
} from './operation-queries.sql.js';

export interface OperationFilter {
  tenantId?: string;
  projectId?: string;
  resourceId?: string;
  kind?: string;
  states?: readonly OperationState[];
  /** Children too, not only what was asked for. */
  includeChildren?: boolean;
  /** Only the children of this one, of all its attempts. */
  parentId?: string;
}

export interface OperationProgress {
  stepsDone: number;
  stepsKnown: number;
  /** 0 to 100. */
  percent: number;
  /** From how long the same steps took before; null without such a past, and when it is not going forward. */
  expectedEndAt: Date | null;
}

export interface OperationMetrics {
  /** Unfinished ones. */
  byKindAndState: OperationCount[];
  /** Ready without a worker on it. */
  ready: number;
  /** How long the oldest of those has been so, in seconds. */
  queueAgeSeconds: number;
  stuck: number;
  /** Unfinished ones that this program's handlers do not serve: an alarm. */
  unserved: { handler: string; count: number }[];
}

const STEP_TIMES_KEPT_MS = 30_000;
/** Thirds of thirds may sum to a hair less than the whole. */
const ROUNDING = 1e-6;

/** Reads operations for people and monitoring. */
export class OperationQueries {
  private readonly stepTimes = new Map<string, { at: number; byStep: Map<string, number> }>();

  /** A page of what the caller may see; only roots unless children are asked for. */
  async list(
    reader: Reader,
    access: Access,
    filter: OperationFilter,
    page: PageRequest,
    order: OperationOrder = 'NEWEST',
  ): Promise<Page<OperationRow>> {
    return operations.page(reader, listParameters(access, filter), order, page);
  }

  async count(reader: Reader, access: Access, filter: OperationFilter): Promise<number> {
    return operations.count(reader, listParameters(access, filter));
  }

  /** By operation id. */
  async progress(reader: Reader, rows: readonly OperationRow[]): Promise<Map<string, OperationProgress>> {
    const ids = rows.map((row) => row.id);
    const sums = new Map((await reader.rows(readProgress, ids)).map((row) => [row.id, row]));
    const ends = await this.expectedEnds(reader, rows);
    return new Map(
      rows.map((row) => {
        const sum = sums.get(row.id);
        const stepsDone = sum?.steps_done ?? row.steps_done;
        const stepsKnown = sum?.steps_known ?? row.step_names.length;
        const percent = Math.floor(100 * (sum?.fraction ?? stepsDone / Math.max(1, stepsKnown)) + ROUNDING);
        return [row.id, { stepsDone, stepsKnown, percent, expectedEndAt: ends.get(row.id) ?? null }];
      }),
    );
  }

  async metrics(reader: Reader, registry: OperationRegistry): Promise<OperationMetrics> {
    const [byKindAndState, age, unserved] = await Promise.all([
      reader.rows(countUnfinished),
      reader.first(readQueueAge),
      reader.rows(readUnserved, registry.handlers),
    ]);
    const stuck = byKindAndState.filter((row) => row.state === 'STUCK').reduce((sum, row) => sum + row.count, 0);
    return { byKindAndState, ready: age?.ready ?? 0, queueAgeSeconds: age?.age_seconds ?? 0, stuck, unserved };
  }

  private async expectedEnds(reader: Reader, rows: readonly OperationRow[]): Promise<Map<string, Date>> {
    const going = rows.filter((row) => row.direction === 'FORWARD' && row.state !== 'STUCK' && !END_STATES.includes(row.state));
    const ends = new Map<string, Date>();
    if (going.length === 0) return ends;
    const times = await this.timesOf(reader, [...new Set(going.map((row) => row.kind))]);
    const steps = Map.groupBy(await reader.rows(findOperationSteps, going.map((row) => row.id)), (step) => step.operation_id);
    for (const row of going) {
      const past = times.get(row.kind);
      if (past === undefined || past.size === 0) continue;
      let remaining = 0;
      for (const [index, name] of row.step_names.entries()) {
        const step = steps.get(row.id)?.find((each) => each.attempt === row.attempt && each.index === index);
        if (step?.state === 'DONE') continue;
        const elapsed = step === undefined ? 0 : Date.now() - step.started_at.getTime();
        remaining += Math.max(0, (past.get(name) ?? 0) - elapsed);
      }
      ends.set(row.id, new Date(Date.now() + remaining));
    }
    return ends;
  }

  private async timesOf(reader: Reader, kinds: readonly string[]): Promise<Map<string, Map<string, number>>> {
    const now = Date.now();
    const missing = kinds.filter((kind) => (this.stepTimes.get(kind)?.at ?? 0) < now - STEP_TIMES_KEPT_MS);
    if (missing.length > 0) {
      const found = Map.groupBy(await reader.rows(readStepTimes, missing), (row) => row.kind);
      for (const kind of missing) {
        const byStep = new Map((found.get(kind) ?? []).map((row) => [row.name, row.ms]));
        this.stepTimes.set(kind, { at: now, byStep });
      }
    }
    return new Map(kinds.map((kind) => [kind, this.stepTimes.get(kind)?.byStep ?? new Map<string, number>()]));
  }
}

function listParameters(access: Access, filter: OperationFilter): Parameters<typeof operations.count>[1] {
  return [
    ...access.filter('operation'),
    filter.tenantId ?? null,
    filter.projectId ?? null,
    filter.resourceId ?? null,
    filter.kind ?? null,
    filter.states === undefined ? null : [...filter.states],
    filter.includeChildren ?? false,
    filter.parentId ?? null,
  ];
}
