import type { GroupState } from './affinity.js';
import { domainOf } from './affinity.js';
import type { HostRoom, Pool } from './candidates.js';
import type { MachineClass } from './demand.js';
import type { PlacementGroup, PlacementMachine, PlacementStrategy } from './request.js';

/** One machine of the set, at its level of the search. */
interface Slot {
  machine: PlacementMachine;
  of: MachineClass;
  /** The level of the first machine of its class. */
  classStart: number;
  required: GroupState[];
  preferred: GroupState[];
}

export interface Choice {
  room: HostRoom;
  pool: Pool | null;
}

interface Option extends Choice {
  score: number;
}

export interface SearchResult {
  /** One for each slot, or null when there is no solution among the candidates. */
  choices: Map<PlacementMachine, Choice> | null;
  /** How many could be placed at once. */
  deepest: number;
  /** The class of the first machine that found no place. */
  stuckAt: MachineClass;
}

/** How many of the best are drawn from, so that parallel requests do not chase one host. */
const BEST = 8;
/** A draw never takes a host that is worse than the best by more. */
const CLOSE = 0.05;
/** One broken preference outweighs every difference in fill. */
const DISLIKE = 10;
/** Looks at hosts that backtracking may take beyond one look at each for each machine: about 0.2 s. */
const EXTRA_LOOKS = 2_000_000;
/** And for the plain search that comes when the clever one has found nothing. */
const PLAIN_LOOKS = 200_000;

const SOLVED = -1;
const HOPELESS = -2;

/**
 * Gives each machine a host, with running totals, by depth-first search. Machines come in classes of equals, the hardest
 * first. Within a class greed is exact, so when one finds no host its equals are not shuffled: the search goes back to
 * the member that chose the rack or zone of their common group, which tries another one, else to the class before. Where that
 * may have skipped the one arrangement that fits, a plain search follows.
 * Bounded: large sets of many sizes that only just fit may be refused.
 */
export class SetSearch {
  private readonly slots: Slot[];
  private readonly chosen: Choice[] = [];
  private looks: number;
  private deepest = 0;
  /** The group whose choice of domain the last jump blames. */
  private blamed: GroupState | undefined;
  private isPlain = false;

  constructor(
    classes: readonly MachineClass[],
    private readonly candidates: ReadonlyMap<MachineClass, HostRoom[]>,
    states: ReadonlyMap<PlacementGroup, GroupState>,
    private readonly strategy: PlacementStrategy,
  ) {
    const stateOf = (group: PlacementGroup): GroupState[] => {
      const state = states.get(group);
      return state === undefined ? [] : [state];
    };
    this.slots = [];
    for (const each of classes) {
      const classStart = this.slots.length;
      const required = each.required.flatMap(stateOf);
      const preferred = each.preferred.flatMap(stateOf);
      for (const machine of each.machines) this.slots.push({ machine, of: each, classStart, required, preferred });
    }
    this.looks = EXTRA_LOOKS + this.slots.reduce((sum, slot) => sum + (candidates.get(slot.of)?.length ?? 0), 0);
  }

  run(): SearchResult {
    let isSolved = this.place(0) === SOLVED;
    if (!isSolved && this.mayHaveSkipped()) {
      this.isPlain = true;
      this.looks = PLAIN_LOOKS;
      isSolved = this.place(0) === SOLVED;
    }
    const stuck = this.slots[Math.min(this.deepest, this.slots.length - 1)] as Slot;
    return {
      choices: isSolved ? new Map(this.slots.map((slot, level) => [slot.machine, this.chosen[level] as Choice])) : null,
      deepest: this.deepest,
      stuckAt: stuck.of,
    };
  }

  /** For equals that only keep apart, the clever search has the last word. */
  private mayHaveSkipped(): boolean {
    const [first] = this.slots;
    return this.slots.at(-1)?.of !== first?.of || first?.required.some((state) => state.group.policy === 'AFFINITY') === true;
  }

  /** @returns SOLVED, HOPELESS, or the level to go back to */
  private place(level: number): number {
    this.deepest = Math.max(this.deepest, level);
    const slot = this.slots[level];
    if (slot === undefined) return SOLVED;
    const banned = new Map<GroupState, Set<string>>();
    let hasTried = false;
    for (const option of this.options(slot)) {
      if (isBanned(banned, option.room)) continue;
      hasTried = true;
      this.take(level, slot, option);
      const outcome = this.place(level + 1);
      if (outcome === SOLVED) return SOLVED;
      this.giveBack(slot, option);
      if (outcome !== level || this.looks <= 0) return this.looks <= 0 ? HOPELESS : outcome;
      if (this.blamed !== undefined) ban(banned, this.blamed, option.room);
    }
    return hasTried ? this.back(level - 1, undefined) : this.noHost(level, slot);
  }

  /** Nothing fits at this level: whose choice is to be thought over? */
  private noHost(level: number, slot: Slot): number {
    if (this.isPlain) return this.back(level - 1, undefined);
    let back = slot.classStart - 1;
    let blamed: GroupState | undefined;
    for (const state of slot.required) {
      const anchor = state.group.policy === 'AFFINITY' ? state.placedAt[0] : undefined;
      if (anchor !== undefined && anchor < level && anchor > back) {
        back = anchor;
        blamed = state;
      }
    }
    return this.back(back, blamed);
  }

  private back(level: number, blamed: GroupState | undefined): number {
    this.blamed = blamed;
    return level < 0 ? HOPELESS : level;
  }

  /** The first by lot among the best, then the others in order; only whoever backtracks pays for sorting them. */
  private *options(slot: Slot): Generator<Option> {
    const rooms = this.candidates.get(slot.of) ?? [];
    this.looks -= rooms.length;
    const fitting: Option[] = [];
    for (const room of rooms) {
      const option = this.judge(slot, room);
      if (option !== undefined) fitting.push(option);
    }
    const first = drawAmongBest(fitting);
    if (first === undefined) return;
    yield first;
    fitting.sort((one, other) => one.score - other.score);
    for (const option of fitting) if (option !== first) yield option;
  }

  private judge(slot: Slot, room: HostRoom): Option | undefined {
    const { machine } = slot;
    const cpu = room.cpuClaimed + machine.cpu;
    const memory = room.memoryClaimedMib + machine.memoryMib;
    if (cpu > room.cpuLimit || memory > room.memoryLimitMib) return undefined;
    for (const state of slot.required) if (!state.allows(room)) return undefined;
    const pool = machine.diskGib === 0 ? null : emptiestPool(room.pools, machine);
    if (pool === undefined) return undefined;
    const shares = [cpu / room.cpuLimit, memory / Math.max(1, room.memoryLimitMib)];
    if (pool !== null) shares.push((pool.claimedGib + machine.diskGib) / pool.limitGib);
    let score = fillScore(shares, this.strategy);
    // A REQUIRE group dislikes nothing of what it allows, unless several of its members may meet.
    for (const state of [...slot.required, ...slot.preferred]) score += DISLIKE * state.dislike(room);
    return { room, pool, score };
  }

  private take(level: number, slot: Slot, option: Option): void {
    option.room.cpuClaimed += slot.machine.cpu;
    option.room.memoryClaimedMib += slot.machine.memoryMib;
    if (option.pool !== null) option.pool.claimedGib += slot.machine.diskGib;
    for (const state of [...slot.required, ...slot.preferred]) {
      // Only the member that came to an empty group has chosen its domain.
      if (state.total === 0) state.placedAt.push(level);
      state.add(option.room);
    }
    this.chosen[level] = option;
  }

  private giveBack(slot: Slot, option: Option): void {
    option.room.cpuClaimed -= slot.machine.cpu;
    option.room.memoryClaimedMib -= slot.machine.memoryMib;
    if (option.pool !== null) option.pool.claimedGib -= slot.machine.diskGib;
    for (const state of [...slot.required, ...slot.preferred]) {
      state.remove(option.room);
      if (state.total === 0) state.placedAt.pop();
    }
  }
}

function emptiestPool(pools: readonly Pool[], machine: PlacementMachine): Pool | undefined {
  let best: Pool | undefined;
  for (const pool of pools) {
    if (machine.datastoreKind !== undefined && pool.kind !== machine.datastoreKind) continue;
    if (machine.storagePolicy?.offers.includes(pool.offer) === false) continue;
    const free = pool.limitGib - pool.claimedGib;
    if (free >= machine.diskGib && (best === undefined || free > best.limitGib - best.claimedGib)) best = pool;
  }
  return best;
}

/** Small is good. What is most used counts, and evenly used resources count as better than lopsided ones. */
function fillScore(shares: readonly number[], strategy: PlacementStrategy): number {
  const most = Math.max(...shares);
  const lopsided = 0.25 * (most - Math.min(...shares));
  if (strategy === 'SPREAD') return most + lopsided;
  return lopsided - shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

function drawAmongBest(options: readonly Option[]): Option | undefined {
  const best: Option[] = [];
  for (const option of options) {
    const worst = best[best.length - 1];
    if (best.length === BEST && worst !== undefined && option.score >= worst.score) continue;
    let at = best.length;
    while (at > 0 && (best[at - 1] as Option).score > option.score) at -= 1;
    best.splice(at, 0, option);
    if (best.length > BEST) best.pop();
  }
  const limit = (best[0]?.score ?? 0) + CLOSE;
  const close = best.filter((option) => option.score <= limit);
  return close[Math.floor(Math.random() * close.length)];
}

function isBanned(banned: ReadonlyMap<GroupState, Set<string>>, room: HostRoom): boolean {
  for (const [state, domains] of banned) if (domains.has(domainOf(state.group.scope, room))) return true;
  return false;
}

function ban(banned: Map<GroupState, Set<string>>, state: GroupState, room: HostRoom): void {
  const domains = banned.get(state) ?? new Set<string>();
  domains.add(domainOf(state.group.scope, room));
  banned.set(state, domains);
}
