import { assert } from '#core';
import type { BlockerReason, ChildOperation, FailedChildRow } from '#operations';
import type { HostOccupancy } from './host-occupants.js';

/** How often, and for how long, what is on a host is tried to be moved away. */
export interface EvacuationPace {
  /** How often it is looked again at what is left, unless something wakes it. */
  lookAgainMs: number;
  /** A move that failed is tried again after twice `lookAgainMs`, then ever later, up to this; counted from its round's end. */
  maxPauseMs: number;
  /** After so many moves that failed an occupant is left to the operator, unless it was for want of room. */
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

/** Occupants that a move was begun of and that have not left since: how often, and the end of the last; null until it was seen. */
export type Tried = Record<string, { times: number; at: number | null }>;

type Found = Awaited<ReturnType<HostOccupancy['list']>>[number];

/** Something that has not left its host. */
export interface Remaining extends Found {
  times: number;
  /** Its latest move that failed. */
  failure: FailedChildRow | undefined;
  /** What is to become of it. */
  standing: 'BLOCKED' | 'DUE' | 'PAUSING' | 'GIVEN_UP';
}

/**
 * What was tried of those that are left, seen after its round has ended. One that is blocked for the moment stays in it: else
 * whoever changes it would have it moved again at once.
 */
export function triedOf(left: readonly Found[], before: Tried, now: number): Tried {
  const tried: Tried = {};
  for (const { occupant } of left) {
    const earlier = before[occupant.resourceId];
    if (earlier !== undefined) tried[occupant.resourceId] = { times: earlier.times, at: earlier.at ?? now };
  }
  return tried;
}

/** @param failures the latest failed move of each */
export function remaining(left: readonly Found[], tried: Tried, failures: readonly FailedChildRow[], pace: EvacuationPace, now: number): Remaining[] {
  const failureOf = new Map(failures.map((failure) => [failure.resource_id, failure]));
  return left.map((found) => {
    const { occupant } = found;
    const { times, at } = tried[occupant.resourceId] ?? { times: 0, at: null };
    const failure = failureOf.get(occupant.resourceId);
    const dueAt = times === 0 || at === null ? now : at + Math.min(pace.lookAgainMs * 2 ** times, pace.maxPauseMs);
    // Room may come by itself, from others or with another host.
    const lacksRoom = failure?.error?.code === 'INSUFFICIENT_CAPACITY';
    const isGivenUp = (times >= pace.maxMoves && !lacksRoom) || failure?.abandoned === true;
    const open = isGivenUp ? 'GIVEN_UP' : now >= dueAt ? 'DUE' : 'PAUSING';
    return { ...found, times, failure, standing: occupant.blocked === null ? open : 'BLOCKED' };
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
  return { ...tried, ...Object.fromEntries(due.map(({ occupant, times }) => [occupant.resourceId, { times: times + 1, at: null }])) };
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

function manner({ standing, times, failure }: Remaining): string {
  if (standing === 'BLOCKED' || times === 0) return '';
  if (standing !== 'GIVEN_UP') return ', which could not be moved and is tried again';
  if (failure?.abandoned === true) return ', whose move was abandoned and is not tried again';
  return `, which could not be moved in ${times} tries and is not tried again`;
}
