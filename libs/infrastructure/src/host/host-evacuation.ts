import { assert, type ErrorRecord } from '#core';
import type { BlockerReason, ChildOperation, FailedChildRow } from '#operations';
import { isHeldBack, type HostOccupancy } from './host-occupants.js';

/** How often, and for how long, what is on a host is tried to be moved away. */
export interface EvacuationPace {
  /** How often it is looked again at what is left, unless something wakes it. */
  lookAgainMs: number;
  /** A move that failed is tried again after twice `lookAgainMs`, then ever later, up to this; counted from its round's end. */
  maxPauseMs: number;
  /** After so many moves that failed an occupant is left to the operator; those that failed for want of room are not counted. */
  maxMoves: number;
  /** How long a move may take of what has failed to move before: it holds what it moves all that time. */
  repeatedMoveMs: number;
  /** A host that is not empty after so long, the time of the moves included, goes back to where it was. */
  patienceMs: number;
}

const MINUTE_MS = 60_000;
const DAY_MS = 1440 * MINUTE_MS;

export const EVACUATION_PACE: EvacuationPace = {
  lookAgainMs: 15_000,
  maxPauseMs: 30 * MINUTE_MS,
  maxMoves: 5,
  repeatedMoveMs: 10 * MINUTE_MS,
  patienceMs: DAY_MS,
};

/** What became of the moves of an occupant that has not left. */
export type Tries = {
  /** Moves that have ended; not those that were held back. */
  times: number;
  /** Those of them that failed, and not for want of room; none where an older worker has written this. */
  failures?: number;
  /** The end of the last, as it was seen; null until then. */
  at: number | null;
  /** The latest that had failed before that one was begun. */
  failedBefore?: string | null;
};
/** Occupants that a move was begun of and that have not left since. */
export type Tried = Record<string, Tries>;

type Found = Awaited<ReturnType<HostOccupancy['list']>>[number];

/** Something that has not left its host. */
export interface Remaining extends Found {
  times: number;
  /** How many of its moves have failed for another reason than want of room. */
  failures: number;
  /** Its latest move that failed. */
  failure: FailedChildRow | undefined;
  /** What is to become of it. */
  standing: 'BLOCKED' | 'DUE' | 'PAUSING' | 'GIVEN_UP';
}

/**
 * What was tried of those that are left, seen after its round has ended. One that is blocked for the moment stays in it: else
 * whoever changes it would have it moved again at once.
 * @param latest the latest failed move of each
 */
export function triedOf(left: readonly Found[], before: Tried, latest: readonly FailedChildRow[], now: number): Tried {
  const failureOf = byResource(latest);
  const tried: Tried = {};
  for (const { occupant: { resourceId } } of left) {
    const earlier = before[resourceId];
    if (earlier !== undefined) tried[resourceId] = earlier.at === null ? counted(earlier, failureOf.get(resourceId), now) : earlier;
  }
  return tried;
}

/** The move that was begun last has ended, and has not taken its occupant away, whether it failed or not. */
function counted({ times, failures = 0, failedBefore }: Tries, latest: FailedChildRow | undefined, at: number): Tries {
  const error = latest === undefined || latest.id === failedBefore ? null : latest.error;
  if (isHeldBack(error)) return { times, failures, at };
  return { times: times + 1, failures: lacksRoom(error) ? failures : failures + 1, at };
}

/** Room may come by itself, from others or with another host. */
function lacksRoom(error: ErrorRecord | null): boolean {
  return error?.code === 'INSUFFICIENT_CAPACITY';
}

function byResource(failures: readonly FailedChildRow[]): Map<string, FailedChildRow> {
  return new Map(failures.map((failure) => [failure.resource_id, failure]));
}

/** @param latest the latest failed move of each */
export function remaining(left: readonly Found[], tried: Tried, latest: readonly FailedChildRow[], pace: EvacuationPace, now: number): Remaining[] {
  const failureOf = byResource(latest);
  return left.map((found) => {
    const { occupant } = found;
    const { times, at, failures = 0 }: Tries = tried[occupant.resourceId] ?? { times: 0, at: null };
    const failure = failureOf.get(occupant.resourceId);
    const dueAt = at === null ? now : at + Math.min(pace.lookAgainMs * 2 ** times, pace.maxPauseMs);
    const isGivenUp = failures >= pace.maxMoves || failure?.abandoned === true;
    const pausing = isHeldBack(failure?.error ?? null) ? 'BLOCKED' : 'PAUSING';
    const open = isGivenUp ? 'GIVEN_UP' : now >= dueAt ? 'DUE' : pausing;
    return { ...found, times, failures, failure, standing: occupant.blocked === null ? open : 'BLOCKED' };
  });
}

/** Those that may leave in one round: the first of each owner, and whoever has none. */
export function oneOfEach<Each extends Found>(found: readonly Each[]): Each[] {
  const owners = new Set<string>();
  return found.filter(({ occupant: { owner = null } }) => {
    if (owner === null) return true;
    if (owners.has(owner)) return false;
    owners.add(owner);
    return true;
  });
}

/** The memory once moves of these have begun. */
export function begun(tried: Tried, due: readonly Remaining[]): Tried {
  const entries = due.map(({ occupant, times, failures, failure }) => [occupant.resourceId, { times, failures, at: null, failedBefore: failure?.id ?? null }]);
  return { ...tried, ...Object.fromEntries(entries) };
}

/** A move that has failed before may not take as long as a first one. */
export function boundedMove(move: ChildOperation, times: number, pace: EvacuationPace): ChildOperation {
  return times === 0 ? move : { ...move, deadlineMs: Math.min(move.deadlineMs ?? pace.repeatedMoveMs, pace.repeatedMoveMs) };
}

/** How many of what is left a blocker names. */
const MAX_NAMED = 20;
const BEGIN_ANEW = 'Mend the reason, then cancel the maintenance and enter it anew; or delete what is left.';

/**
 * Why the host is not empty, by one that will not leave by itself if there is any.
 * @param count of all that is left, at least one
 */
export function whatIsLeft(left: readonly Remaining[], count: number): BlockerReason {
  const pausing = left.filter(({ standing }) => standing === 'PAUSING');
  const ordered = [...left.filter((each) => !pausing.includes(each)), ...pausing];
  const ids = ordered.slice(0, MAX_NAMED).map(({ occupant }) => occupant.resourceId);
  const [first] = ordered;
  assert(first !== undefined, 'nothing is left on the host');
  const { occupant, failure } = first;
  const error = occupant.blocked ?? failure?.error ?? null;
  const why = error === null ? '' : `: ${error.message}`;
  const operation = occupant.blocked === null && failure !== undefined ? { operationId: failure.id } : {};
  return {
    code: error?.code ?? 'INVALID_STATE',
    message: `${count} still on the host, the first of them the ${occupant.kind} "${occupant.name}"${manner(first)}${why}`,
    fault: error?.fault ?? 'OPERATOR',
    remedy: first.standing === 'GIVEN_UP' ? BEGIN_ANEW : 'Move or delete what is left, or cancel the maintenance.',
    data: { count, ids, ...operation },
  };
}

function manner({ standing, times, failures, failure }: Remaining): string {
  if (standing === 'BLOCKED' || times === 0) return '';
  if (standing !== 'GIVEN_UP') return ', which could not be moved and is tried again';
  if (failure?.abandoned === true) return ', whose move was abandoned and is not tried again';
  return `, which could not be moved in ${failures} tries and is not tried again`;
}
