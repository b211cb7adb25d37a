import { MuonError, toMuonError, type JsonObject, type JsonValue } from '#core';
import type { ComputeDriver, DriverCall } from '#drivers';
import type { DriverRegistry } from '#infrastructure';
import { done, StepFailed, wait, type BlockerReason, type CommitWork, type StepContext, type StepDone, type StepWait } from '#operations';
import type { GuestScript } from '../blueprint/blueprint.js';
import type { NodeFacts } from './cluster-facts.js';
import { redactOutput } from './redact.js';

/** A script that shall run on a node. */
export interface GuestTask {
  node: NodeFacts;
  script: GuestScript;
}

export interface RunOnEach {
  /** What it is for: part of the run id. */
  purpose: string;
  /** For people, as `join the cluster`. */
  words: string;
  /** Everything that is still to be done; those that are not begun in this round come in a later one. */
  tasks: readonly GuestTask[];
  /** How many may run at once. */
  parallel: number;
  /** How often a script may fail on a node before the step does; without it, until the operation's deadline. */
  maxFailures?: number;
  /** Writes down which nodes (machine ids) are done, so that the next round leaves them out. */
  commit?: (machineIds: string[]) => CommitWork;
}

type Outcome =
  | { type: 'DONE'; machineId: string; answers: Answers }
  | { type: 'PENDING'; machineId: string; afterMs: number }
  | { type: 'FAILED'; machineId: string; failure: MuonError }
  | { type: 'AWAY'; machineId: string; error: MuonError }
  | { type: 'BROKEN'; machineId: string; error: unknown };

/** What a script has told, by name. */
export type Answers = Readonly<Record<string, string>>;

type AnyContext = StepContext<unknown>;

/** How often each node has failed, or how many control nodes were tried, and how often that counts: what the step's memo keeps. */
type Rounds = Record<string, number>;
const FAILURES = 'failures';
/** In the memo beside the rounds: those that an operator's retry has forgiven. They are not counted any more, but never run again. */
const FORGIVEN = 'forgiven';

/** The control node on which the round's script may be running, and since when: beside the rounds in the memo. */
interface Begun {
  machineId: string;
  /** By `Date.now()`. */
  since: number;
}

const DEFAULT_RETRY_MS = 1500;
/** How far the wait between rounds grows where nothing bounds their number, in times of the shortest. */
const MAX_RETRY_FACTOR = 40;
const NEXT_BATCH_MS = 5;
/** How long a script may be on its way to the guest before its own time begins. */
const ON_ITS_WAY_MS = 30_000;

export interface GuestRunnerOptions {
  /** How long to wait, at first, before a script that failed runs again, and before a guest that does not answer is asked again. */
  retryMs?: number;
}

/**
 * Runs a blueprint's scripts in guests for the steps of operations. A run's id names operation, attempt, direction, purpose,
 * node and round, so that a repeated step finds its run again, and only a new round, or the way back, runs the script once more.
 * What fails for good is a round, too: if an operator retries the operation where it is STUCK, the next one begins.
 */
export class GuestRunner {
  private readonly retryMs: number;

  constructor(
    private readonly drivers: DriverRegistry,
    options: GuestRunnerOptions = {},
  ) {
    this.retryMs = options.retryMs ?? DEFAULT_RETRY_MS;
  }

  /** One round on several nodes; the step is done when all of them are. */
  async onEach(context: AnyContext, request: RunOnEach): Promise<StepDone | StepWait> {
    const rounds = roundsOf(context);
    const forgiven = roundsOf(context, FORGIVEN);
    const batch = request.tasks.slice(0, request.parallel);
    const outcomes = await Promise.all(batch.map((task) => this.runOne(context, request, task, rounds)));
    const after: Rounds = { ...rounds };
    for (const outcome of outcomes) {
      if (outcome.type === 'FAILED' || outcome.type === 'BROKEN') after[outcome.machineId] = (after[outcome.machineId] ?? 0) + 1;
    }
    // Only when all calls have ended, so that none is on its way when the step does.
    throwBroken(context, outcomes, { ...after, [FORGIVEN]: after });
    const finished = outcomes.flatMap((outcome) => (outcome.type === 'DONE' ? [outcome.machineId] : []));
    const commit = finished.length === 0 ? undefined : request.commit?.(finished);
    if (finished.length === request.tasks.length) return done(commit === undefined ? {} : { commit });
    for (const outcome of outcomes) {
      if (outcome.type !== 'FAILED') continue;
      const failures = (after[outcome.machineId] ?? 0) - (forgiven[outcome.machineId] ?? 0);
      if (failures > (request.maxFailures ?? Number.POSITIVE_INFINITY)) throw new StepFailed(outcome.failure, { ...after, [FORGIVEN]: after });
    }
    const { afterMs, blocker } = waitReason(outcomes, request, this.retryMs);
    return wait({ afterMs, blocker, memo: { ...after, [FORGIVEN]: forgiven }, ...(commit === undefined ? {} : { commit }) });
  }

  /**
   * Runs a script on one of the control nodes, and on the next one when it fails there, or cannot run because the machine is
   * stopped or gone. One that does not answer is left for
   * the next, as is a run that is broken, only when the script cannot be running there any more: two that run at once, or one that comes late, could undo
   * what the other, or a later operation, has done.
   * @param request.maxFailures also bounds how often nobody answers; then the last failure is thrown
   * @param request.patient that nobody answers does not count: the next one is asked, until the operation's deadline
   * @param request.keep seals what the script answers, and says how to keep that: it is secret, and goes nowhere else
   */
  async onOneOf(
    context: AnyContext,
    request: Omit<RunOnEach, 'tasks' | 'parallel' | 'commit'> & {
      controls: readonly NodeFacts[];
      script: GuestScript;
      key: string;
      patient?: boolean;
      keep?: (answers: Answers) => Promise<CommitWork>;
    },
  ): Promise<StepDone | StepWait> {
    const { controls, key, script } = request;
    const rounds = roundsOf(context);
    const round = rounds[key] ?? 0;
    const before = begunOf(context);
    const control = before === undefined ? controls[round % Math.max(1, controls.length)] : controls.find((each) => each.row.machine_id === before.machineId);
    const answered: Outcome =
      control === undefined
        ? { type: 'AWAY', machineId: key, error: noControlNode(request.words) }
        : awayWhereNothingRuns(await this.runOne(context, { ...request, purpose: `${request.purpose}-${key}` }, { node: control, script }, { [control.row.machine_id]: round }));
    const next: Rounds = { ...rounds, [key]: round + 1 };
    // What may still be running is asked for again, also after a retry.
    const stays = before !== undefined && canStillRun(control, script, before);
    const outcome = before === undefined || stays || context.signal.aborted ? answered : awayWhereBroken(answered);
    throwBroken(context, [outcome], stays ? { ...rounds, begun: { ...before } } : { ...next, [FAILURES]: 0 });
    if (outcome.type === 'DONE') {
      const commit = await request.keep?.(outcome.answers);
      return done(commit === undefined ? {} : { commit });
    }
    const { afterMs, blocker } = waitReason([outcome], request, this.retryAfter(round, request));
    const begun = before ?? (mayRun(outcome) ? { machineId: outcome.machineId, since: Date.now() } : undefined);
    const isOpen = outcome.type === 'PENDING' || (outcome.type === 'AWAY' && begun !== undefined && canStillRun(control, script, begun));
    if (isOpen) return wait({ afterMs, blocker, memo: { ...rounds, ...(begun === undefined ? {} : { begun: { ...begun } }) } });
    const counts = outcome.type === 'FAILED' || request.patient !== true;
    const failures = (rounds[FAILURES] ?? 0) + (counts ? 1 : 0);
    if (failures > (request.maxFailures ?? Number.POSITIVE_INFINITY)) {
      if (outcome.type === 'FAILED') throw new StepFailed(outcome.failure, { ...next, [FAILURES]: 0 });
      const error = outcome.error as MuonError;
      throw error.retryable ? error : new StepFailed(error, { ...next, [FAILURES]: 0 });
    }
    return wait({ afterMs, blocker, memo: { ...next, [FAILURES]: failures } });
  }

  private retryAfter(round: number, { maxFailures }: Pick<RunOnEach, 'maxFailures'>): number {
    return this.retryMs * (maxFailures === undefined ? Math.min(2 ** round, MAX_RETRY_FACTOR) : 1);
  }

  private async runOne(
    context: AnyContext,
    request: Pick<RunOnEach, 'purpose' | 'words'>,
    task: GuestTask,
    rounds: Rounds,
  ): Promise<Outcome> {
    const { id, attempt } = context.operation;
    const machineId = task.node.row.machine_id;
    const purpose = context.step.direction === 'UNDO' ? `undo-${request.purpose}` : request.purpose;
    const runId = `${id}-${attempt}-${purpose}-${machineId}-${rounds[machineId] ?? 0}`;
    try {
      const compute = await this.compute(task.node);
      const answer = await runScript(compute, context.call(runId), { runId, machineId, ...task.script });
      if (answer.type !== 'FAILED') return { ...answer, machineId };
      return { type: 'FAILED', machineId, failure: scriptFailed(task.node, request.words, answer) };
    } catch (error) {
      const known = toMuonError(error);
      return known.retryable ? { type: 'AWAY', machineId, error: known } : { type: 'BROKEN', machineId, error };
    }
  }

  private async compute(node: NodeFacts): Promise<ComputeDriver> {
    if (node.machine === undefined) {
      throw new MuonError('INVALID_STATE', `The machine of node "${node.row.name}" is gone.`, { data: { nodeId: node.row.id }, fault: 'OPERATOR' });
    }
    return (await this.drivers.driver(node.machine.backend_id)).compute;
  }
}

export type ScriptAnswer =
  | { type: 'DONE'; answers: Answers }
  | { type: 'PENDING'; afterMs: number }
  | { type: 'FAILED'; exitCode: number; output: string };

/** Runs one script in a guest, or asks how it goes. */
export async function runScript(
  compute: ComputeDriver,
  call: DriverCall,
  run: GuestScript & { runId: string; machineId: string },
): Promise<ScriptAnswer> {
  const outcome = await compute.runInGuest(call, run);
  if (outcome.state === 'PENDING') return { type: 'PENDING', afterMs: outcome.retryAfterMs };
  const { exitCode, standardError, standardOutput } = outcome.value;
  const secret = run.answers !== undefined;
  if (exitCode !== 0) return { type: 'FAILED', exitCode, output: redactOutput(standardError === '' && !secret ? standardOutput : standardError) };
  const answers = answersOf(standardOutput);
  const missing = (run.answers ?? []).filter((name) => answers[name] === undefined);
  if (missing.length === 0) return { type: 'DONE', answers };
  return { type: 'FAILED', exitCode, output: `It did not tell: ${missing.join(', ')}.` };
}

/** Lines `name=value`; others are passed over, and so are names without a value. */
function answersOf(text: string): Answers {
  const lines = text.split('\n').flatMap((line) => {
    const at = line.indexOf('=');
    return at < 1 || at === line.length - 1 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const];
  });
  return Object.fromEntries(lines);
}

/** @param memo for an operator's retry, if it comes to that */
function throwBroken(context: AnyContext, outcomes: readonly Outcome[], memo: JsonValue): void {
  const broken = outcomes.find((outcome) => outcome.type === 'BROKEN');
  if (broken === undefined) return;
  const { error } = broken;
  throw error instanceof MuonError && !context.signal.aborted ? new StepFailed(error, memo) : error;
}

/** A machine that is stopped, or gone, is no better than one that does not answer: others may be there. */
function awayWhereNothingRuns(outcome: Outcome): Outcome {
  if (outcome.type !== 'BROKEN' || !(outcome.error instanceof MuonError)) return outcome;
  return outcome.error.code === 'INVALID_STATE' || outcome.error.code === 'NOT_FOUND' ? awayWhereBroken(outcome) : outcome;
}

/** A run that is over and cannot be told of any more, as one that an upgrade has changed, is no better than silence: the next may run. */
function awayWhereBroken(outcome: Outcome): Outcome {
  if (outcome.type !== 'BROKEN' || !(outcome.error instanceof MuonError)) return outcome;
  return { type: 'AWAY', machineId: outcome.machineId, error: outcome.error };
}

/** A call that had no answer in time may have had its effect; one that was refused had none. */
function mayRun(outcome: Outcome): boolean {
  return outcome.type === 'PENDING' || (outcome.type === 'AWAY' && outcome.error.code === 'TIMEOUT');
}

/** Nothing runs on a host that is off, and no script for longer than it may. */
function canStillRun(control: NodeFacts | undefined, script: GuestScript, { since }: Begun): boolean {
  if (control?.machine === undefined || control.hostState === 'FENCED') return false;
  return Date.now() - since < script.timeoutSeconds * 1000 + ON_ITS_WAY_MS;
}

function scriptFailed(node: NodeFacts, words: string, answer: { exitCode: number; output: string }): MuonError {
  const { name, id } = node.row;
  return new MuonError('BACKEND_FAILED', `Node "${name}" could not ${words}: the script in its guest ended with exit code ${answer.exitCode}.`, {
    data: { nodeId: id, exitCode: answer.exitCode, ...(answer.output === '' ? {} : { output: answer.output }) },
  });
}

function noControlNode(words: string): MuonError {
  return new MuonError('UNAVAILABLE', `No control node of the cluster is there to ${words}.`, { fault: 'OPERATOR' });
}

/** The reason that people should see first: failures before silence before mere work. */
function waitReason(
  outcomes: readonly Outcome[],
  request: Pick<RunOnEach, 'words'>,
  retryMs: number,
): { afterMs: number; blocker: BlockerReason | string } {
  const failed = outcomes.find((outcome) => outcome.type === 'FAILED');
  if (failed !== undefined) return { afterMs: retryMs, blocker: blockerOf(failed.failure) };
  const away = outcomes.find((outcome) => outcome.type === 'AWAY');
  if (away !== undefined) return { afterMs: retryMs, blocker: blockerOf(away.error) };
  const waits = outcomes.flatMap((outcome) => (outcome.type === 'PENDING' ? [outcome.afterMs] : []));
  const afterMs = waits.length === 0 ? NEXT_BATCH_MS : Math.min(...waits);
  return { afterMs, blocker: `Nodes are under way to ${request.words}.` };
}

function blockerOf(error: MuonError): BlockerReason {
  const { code, message, fault, data } = error;
  return data === undefined ? { code, message, fault } : { code, message, fault, data };
}

function begunOf(context: AnyContext): Begun | undefined {
  const { machineId, since } = objectOf(objectOf(context.step.memo)['begun']);
  return typeof machineId === 'string' && typeof since === 'number' ? { machineId, since } : undefined;
}

/** @param part of the memo; all of it when not said */
function roundsOf(context: AnyContext, part?: string): Rounds {
  const memo = objectOf(context.step.memo);
  const rounds = part === undefined ? memo : objectOf(memo[part]);
  return Object.fromEntries(Object.entries(rounds).flatMap(([key, value]) => (typeof value === 'number' ? [[key, value]] : [])));
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}
