import type { Reader } from '#database';
import type { GroupState, Location } from './affinity.js';
import { findCandidates, findPools, type CandidateRow, type DemandRecord, type PoolRow } from './candidates.sql.js';
import type { MachineClass } from './demand.js';
import type { PlacementGroup, PlacementStrategy, PlannedClaim } from './request.js';

/** A datastore with a running total; a shared one is the same object for all hosts that reach it. */
export interface Pool {
  readonly datastoreId: string;
  readonly kind: string;
  readonly offer: string;
  readonly limitGib: number;
  claimedGib: number;
}

/** A host with running totals. */
export interface HostRoom extends Location {
  readonly hostName: string;
  readonly backendId: string;
  readonly rackId: string | null;
  readonly cpuLimit: number;
  readonly memoryLimitMib: number;
  cpuClaimed: number;
  memoryClaimedMib: number;
  pools: Pool[];
}

export interface Candidates {
  byClass: Map<MachineClass, HostRoom[]>;
  /** Some zone had more that fit than were taken. */
  isTruncated: boolean;
}

/** Rows that one widened search may bring into this process. */
const MAX_ROWS = 100_000;

/** A first look: enough for any choice among good hosts. */
export function firstLook(classes: readonly MachineClass[]): number {
  const most = Math.max(...classes.map((each) => each.machines.length));
  return Math.min(500, Math.max(50, most * 4));
}

/** A second look: all hosts that fit, within what a process may hold. */
export function wholeLook(classes: readonly MachineClass[]): number {
  return Math.floor(MAX_ROWS / Math.max(1, classes.reduce((sum, each) => sum + each.zoneIds.length, 0)));
}

/** What SQL needs to know of a class; `perHost` is what one host must hold at least. */
export function demandRecord(
  each: MachineClass,
  index: number,
  states: ReadonlyMap<PlacementGroup, GroupState>,
  strategy: PlacementStrategy,
): DemandRecord {
  const { sample } = each;
  const old = (list: readonly PlacementGroup[], policy: string, scope: string, of: 'domains' | 'full' = 'domains'): string[][] =>
    list
      .filter((group) => group.policy === policy && group.scope === scope)
      .flatMap((group) => {
        const domains = states.get(group)?.[of] ?? [];
        return domains.length === 0 ? [] : [domains];
      });
  const onlyZones = old(each.required, 'AFFINITY', 'ZONE');
  const notZones = new Set(old(each.required, 'ANTI_AFFINITY', 'ZONE', 'full').flat());
  // Those that are full are left out anyway.
  const all = [...each.required, ...each.preferred];
  return {
    class: index,
    asked_zones: [...each.zoneIds],
    zones: each.zoneIds.filter((zone) => !notZones.has(zone) && onlyZones.every((zones) => zones.includes(zone))),
    cpu: each.bundle.cpu,
    memory: each.bundle.memoryMib,
    disk: sample.diskGib,
    kind: sample.datastoreKind ?? null,
    offers: sample.storagePolicy === undefined ? null : [...sample.storagePolicy.offers],
    traits: [...(sample.traits ?? [])],
    backends: sample.backendIds === undefined ? null : [...sample.backendIds],
    only_hosts: intersection(old(each.required, 'AFFINITY', 'HOST')),
    only_racks: intersection(old(each.required, 'AFFINITY', 'RACK')),
    not_hosts: old(each.required, 'ANTI_AFFINITY', 'HOST', 'full').flat(),
    not_racks: old(each.required, 'ANTI_AFFINITY', 'RACK', 'full').flat(),
    excluded: [...(sample.excludedHostIds ?? [])],
    near_hosts: intersection(old(each.preferred, 'AFFINITY', 'HOST')),
    near_racks: intersection(old(each.preferred, 'AFFINITY', 'RACK')),
    far_hosts: old(all, 'ANTI_AFFINITY', 'HOST').flat(),
    far_racks: old(all, 'ANTI_AFFINITY', 'RACK').flat(),
    pack: strategy === 'PACK',
  };
}

function intersection(lists: readonly string[][]): string[] | null {
  const [first, ...others] = lists;
  if (first === undefined) return null;
  return first.filter((item) => others.every((list) => list.includes(item)));
}

/** The best `perZone` hosts of each zone for each class, with their datastores and what the plan has taken already. */
export async function loadCandidates(
  reader: Reader,
  classes: readonly MachineClass[],
  demands: readonly DemandRecord[],
  planned: readonly PlannedClaim[],
  perZone: number,
): Promise<Candidates> {
  const rows = await reader.rows(findCandidates, JSON.stringify(demands), perZone);
  const rooms = new Map<string, HostRoom>();
  const byClass = new Map<MachineClass, HostRoom[]>(classes.map((each) => [each, []]));
  const perList = new Map<string, number>();
  let isTruncated = false;
  for (const row of rows) {
    const each = classes[row.class];
    if (each === undefined) continue;
    let room = rooms.get(row.host_id);
    if (room === undefined) rooms.set(row.host_id, (room = newRoom(row)));
    byClass.get(each)?.push(room);
    const list = `${row.class}/${row.zone_id}`;
    const count = (perList.get(list) ?? 0) + 1;
    perList.set(list, count);
    if (count >= perZone) isTruncated = true;
  }
  const pools = classes.some((each) => each.sample.diskGib > 0) ? await attachPools(reader, rooms) : new Map<string, Pool>();
  for (const claim of planned) {
    const room = rooms.get(claim.hostId);
    if (room !== undefined) {
      room.cpuClaimed += claim.cpu;
      room.memoryClaimedMib += claim.memoryMib;
    }
    const pool = claim.datastoreId === null ? undefined : pools.get(claim.datastoreId);
    if (pool !== undefined) pool.claimedGib += claim.diskGib;
  }
  return { byClass, isTruncated };
}

function newRoom(row: CandidateRow): HostRoom {
  return {
    hostId: row.host_id,
    hostName: row.host_name,
    backendId: row.backend_id,
    zoneId: row.zone_id,
    rackId: row.rack_id,
    rackDomain: row.rack_id ?? row.zone_id,
    cpuLimit: row.cpu_limit,
    memoryLimitMib: row.memory_limit_mib,
    cpuClaimed: row.cpu_claimed,
    memoryClaimedMib: row.memory_claimed_mib,
    pools: [],
  };
}

async function attachPools(reader: Reader, rooms: ReadonlyMap<string, HostRoom>): Promise<Map<string, Pool>> {
  const all = [...rooms.values()];
  const rows = await reader.rows(findPools, [...rooms.keys()], [...new Set(all.map((room) => room.backendId))]);
  const pools = new Map<string, Pool>();
  const shared: { row: PoolRow; pool: Pool }[] = [];
  for (const row of rows) {
    const pool = { datastoreId: row.datastore_id, kind: row.kind, offer: row.offer, limitGib: row.limit_gib, claimedGib: row.claimed_gib };
    pools.set(row.datastore_id, pool);
    if (row.host_id === null) shared.push({ row, pool });
    else rooms.get(row.host_id)?.pools.push(pool);
  }
  for (const room of all) {
    for (const { row, pool } of shared) {
      if (row.backend_id === room.backendId && (row.zone_id === null || row.zone_id === room.zoneId)) room.pools.push(pool);
    }
  }
  return pools;
}
