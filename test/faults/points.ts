import { FaultKind, type FaultScript } from '#driver-simulated';
import type { OperationKind, OperationState } from '#operations';
import type { Crash, RunOutcome, StepPlace, StepRun } from './bench/control.js';
import { isRead } from './bench/recording-driver.js';
import type { Scenario } from './scenario.js';

/** What the report counts. */
export const Mode = {
  DIES: 'dies',
  REPEATS: 'repeats',
  FAILS: 'fails',
  LOST: 'answer lost',
  LATE: 'late effect',
  CANCELLED: 'cancelled',
} as const;
export type Mode = (typeof Mode)[keyof typeof Mode];

/** A fault script whose operation is not known before it is submitted: `part` is a step, `undo-` before it for its undo. */
export interface PlannedFault extends Omit<FaultScript, 'keyContains'> {
  part?: string;
}

export const QUEUED = 'QUEUED';

/** One thing that goes wrong in one run of an operation. */
export interface FaultPoint {
  mode: Mode;
  label: string;
  crash?: Crash;
  /** The operation is cancelled while it stands before this step, or before any worker has seen it. */
  cancelAt?: StepPlace | typeof QUEUED;
  /** By a deletion of what it changes, which comes next. */
  removes?: true;
  faults: PlannedFault[];
  /** It may come to rest STUCK, and must go on when it is told to. */
  sticks: boolean;
  ends: readonly OperationState[];
}

/** What a step was seen to do. */
export interface SeenStep extends StepPlace {
  outcomes: RunOutcome[];
  /** Methods that the operation's own step called, and those that what it started called meanwhile. */
  methods: SeenMethod[];
}

export interface SeenMethod {
  method: string;
  own: boolean;
  /** Called where there is no way back: a failure for good comes to rest STUCK. */
  sticks: boolean;
}

export interface Seen {
  steps: SeenStep[];
}

const HOUR_MS = 3_600_000;
const SHORT_MS = 60;
/** Also when the step is repeated, because its worker was too slow to keep its lease. */
const FOR_GOOD = { kind: FaultKind.REFUSED, times: Number.POSITIVE_INFINITY } as const;

export function stepsOf(runs: readonly StepRun[]): SeenStep[] {
  const steps = new Map<string, SeenStep>();
  for (const { step, direction, outcome } of runs) {
    const key = `${direction} ${step}`;
    const seen = steps.get(key) ?? { step, direction, outcomes: [], methods: [] };
    if (!seen.outcomes.includes(outcome)) seen.outcomes.push(outcome);
    steps.set(key, seen);
  }
  return [...steps.values()];
}

/** Where a failure makes the operation take back the most. */
export type Trigger = Pick<FaultPoint, 'faults' | 'cancelAt'>;

function isBeforePivot(kind: OperationKind<unknown>, step: string): boolean {
  return kind.pivotIndex === null || kind.stepNames.indexOf(step) < kind.pivotIndex;
}

/** undefined for what only goes forward. */
export function triggerOf(kind: OperationKind<unknown>, seen: Seen): Trigger | undefined {
  const forward = seen.steps.filter((step) => step.direction === 'FORWARD' && isBeforePivot(kind, step.step));
  const last = forward.at(-1);
  if (last === undefined) return undefined;
  const method = last.methods.findLast((each) => each.own)?.method;
  if (method === undefined) return { faults: [], cancelAt: { step: last.step, direction: 'FORWARD' } };
  return { faults: [{ ...FOR_GOOD, method, part: last.step }] };
}

function crashPoints(step: SeenStep, trigger: Trigger | undefined, ends: OperationState): FaultPoint[] {
  const { direction, outcomes } = step;
  const name = direction === 'FORWARD' ? `"${step.step}"` : `the undo of "${step.step}"`;
  const common = {
    faults: trigger?.faults ?? [],
    ...(trigger?.cancelAt === undefined ? {} : { cancelAt: trigger.cancelAt }),
    sticks: false,
    ends: [ends],
  };
  const place = { step: step.step, direction };
  const points: FaultPoint[] = [{ ...common, mode: Mode.DIES, label: `dies before ${name}`, crash: { ...place, at: 'BEFORE' } }];
  for (const outcome of outcomes) {
    points.push({ ...common, mode: Mode.REPEATS, label: `repeats ${name} after ${outcome}`, crash: { ...place, at: 'AFTER_RUN', outcome } });
    if (outcome === 'ERROR') continue;
    points.push({ ...common, mode: Mode.DIES, label: `dies when ${name} (${outcome}) is written`, crash: { ...place, at: 'AFTER_COMMIT', outcome } });
  }
  return points;
}

interface Call {
  method: string;
  part: string | undefined;
  name: string;
}

function callPoints(call: Call, given: { trigger: PlannedFault[]; ends: OperationState; refused: Pick<FaultPoint, 'sticks' | 'ends'> | null }): FaultPoint[] {
  const { method, name } = call;
  const at = call.part === undefined ? { method } : { method, part: call.part };
  const { trigger, ends, refused } = given;
  const common = { sticks: false, ends: [ends] };
  const points: FaultPoint[] = [
    { ...common, mode: Mode.LOST, label: `${method} of ${name}: the answer is lost`, faults: [...trigger, { ...at, kind: FaultKind.LOST_ANSWER }] },
  ];
  if (refused !== null) {
    points.push({ ...refused, mode: Mode.FAILS, label: `${method} of ${name} fails for good`, faults: [...trigger, { ...at, ...FOR_GOOD }] });
  }
  if (isRead(method)) return points;
  const late = { ...at, kind: FaultKind.LATE_EFFECT };
  points.push(
    { ...common, mode: Mode.LATE, label: `${method} of ${name} comes late`, faults: [...trigger, { ...late, delayMs: SHORT_MS }] },
    {
      ...common,
      mode: Mode.LATE,
      label: `${method} of ${name} comes after the end`,
      faults: [...trigger, { ...late, delayMs: HOUR_MS, uncancellable: true }],
    },
  );
  if (refused !== null && !refused.sticks && !refused.ends.includes('SUCCEEDED') && trigger.length === 0) {
    points.push({
      ...refused,
      mode: Mode.LATE,
      label: `${method} of ${name} comes after all was taken back`,
      faults: [
        { ...late, delayMs: HOUR_MS, uncancellable: true },
        { ...at, ...FOR_GOOD },
      ],
    });
  }
  return points;
}

/** What goes wrong on the way forward. */
export function forwardPoints(scenario: Scenario, kind: OperationKind<unknown>, seen: Seen): FaultPoint[] {
  const points: FaultPoint[] = [{ mode: Mode.CANCELLED, label: 'cancelled before it has begun', cancelAt: QUEUED, faults: [], sticks: false, ends: ['CANCELLED'] }];
  for (const step of seen.steps) {
    const before = isBeforePivot(kind, step.step);
    points.push(...crashPoints(step, undefined, 'SUCCEEDED'));
    if (before) {
      const cancelAt = { step: step.step, direction: 'FORWARD' as const };
      points.push({ mode: Mode.CANCELLED, label: `cancelled before "${step.step}"`, cancelAt, faults: [], sticks: false, ends: ['CANCELLED'] });
      if (scenario.removable === true) {
        points.push({ mode: Mode.CANCELLED, label: `deleted before "${step.step}"`, cancelAt, removes: true, faults: [], sticks: false, ends: ['CANCELLED', 'FAILED'] });
      }
    }
    for (const { method, own, sticks } of step.methods) {
      const refused = refusalOf(scenario, { part: step.step, method, own, sticks });
      const call = { method, part: own ? step.step : undefined, name: own ? `"${step.step}"` : `what "${step.step}" started` };
      points.push(...callPoints(call, { trigger: [], ends: 'SUCCEEDED', refused }));
    }
  }
  return points;
}

/** What goes wrong on the way back. */
export function undoPoints(scenario: Scenario, seen: Seen, trigger: Trigger): FaultPoint[] {
  const ends = trigger.cancelAt === undefined ? 'FAILED' : 'CANCELLED';
  const points: FaultPoint[] = [];
  for (const step of seen.steps) {
    if (step.direction === 'FORWARD') {
      if (!step.outcomes.includes('ERROR')) continue;
      // The way forward has its own points: here only the failure itself.
      points.push(...crashPoints({ ...step, outcomes: ['ERROR'] }, trigger, ends).filter((point) => point.mode === Mode.REPEATS));
      continue;
    }
    points.push(...crashPoints(step, trigger, ends));
    for (const { method, own } of step.methods) {
      const call = { method, part: own ? `undo-${step.step}` : undefined, name: own ? `the undo of "${step.step}"` : `what the undo of "${step.step}" started` };
      const refused = { sticks: !(own && bears(scenario, `undo-${step.step}`, method)), ends: [ends] as const };
      const common = trigger.cancelAt === undefined ? {} : { cancelAt: trigger.cancelAt };
      points.push(...callPoints(call, { trigger: trigger.faults, ends, refused }).map((point) => ({ ...point, ...common })));
    }
  }
  return points;
}

/** What a call that fails for good makes of the operation. */
function refusalOf(scenario: Scenario, call: SeenMethod & { part: string }): Pick<FaultPoint, 'sticks' | 'ends'> {
  if (call.own && bears(scenario, call.part, call.method)) return { sticks: false, ends: ['SUCCEEDED'] };
  if (call.sticks) return { sticks: true, ends: ['SUCCEEDED'] };
  if (!call.own && scenario.waitsForPeople === true) return { sticks: true, ends: ['SUCCEEDED', 'CANCELLED'] };
  return { sticks: false, ends: ['FAILED'] };
}

function bears(scenario: Scenario, part: string, method: string): boolean {
  return scenario.bears?.some((each) => each.part === part && each.method === method) === true;
}
