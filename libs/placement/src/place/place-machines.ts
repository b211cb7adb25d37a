import type { Reader } from '#database';
import { groupStates, type GroupState } from './affinity.js';
import { demandRecord, firstLook, loadCandidates, wholeLook } from './candidates.js';
import type { DemandRecord } from './candidates.sql.js';
import { machineClasses, type MachineClass } from './demand.js';
import { explain, insufficientCapacity } from './explanation.js';
import type { Placement, PlacementGroup, PlacementMachine, PlacementRequest, PlacementResult } from './request.js';
import { SetSearch, type Choice, type SearchResult } from './search.js';

/**
 * Finds a place for every machine of a set, all or nothing; reads only. SQL filters and ranks over all hosts and hands
 * the best of each zone to this process, which assigns them with running totals. When those do not suffice, it looks
 * at all hosts that fit before it refuses. The places are claimed by applying `HOST_CLAIMS` of the same plan.
 * @throws INSUFFICIENT_CAPACITY with the explanation in `data.placement`; LIMIT_EXCEEDED when the set is too large
 */
export async function placeMachines(reader: Reader, request: PlacementRequest): Promise<PlacementResult> {
  if (request.machines.length === 0) return { placements: [], explanation: null };
  const classes = machineClasses(request);
  const strategy = request.strategy ?? 'SPREAD';
  const states = await groupStates(reader, request.groups ?? []);
  const demands = classes.map((each, index) => demandRecord(each, index, states, strategy));
  const result = await search(reader, request, { classes, demands, states });
  const progress = { requested: request.machines.length, placed: result.deepest, isStuck: result.choices === null };
  const why = async (each: MachineClass): Promise<NonNullable<PlacementResult['explanation']>> =>
    explain(reader, each, demands[classes.indexOf(each)] as DemandRecord, progress, request.showHosts === true);
  if (result.choices === null) throw insufficientCapacity(await why(result.stuckAt), result.stuckAt.sample);
  const { choices } = result;
  return {
    placements: request.machines.map((machine) => placementOf(machine, choices.get(machine) as Choice)),
    explanation: request.explain === true ? await why(classes[0] as MachineClass) : null,
  };
}

interface Prepared {
  classes: MachineClass[];
  demands: DemandRecord[];
  states: Map<PlacementGroup, GroupState>;
}

async function search(reader: Reader, request: PlacementRequest, prepared: Prepared): Promise<SearchResult> {
  const { classes, demands, states } = prepared;
  const look = async (perZone: number): Promise<SearchResult & { isTruncated: boolean }> => {
    const { byClass, isTruncated } = await loadCandidates(reader, classes, demands, request.plannedClaims ?? [], perZone);
    return { ...new SetSearch(classes, byClass, states, request.strategy ?? 'SPREAD').run(), isTruncated };
  };
  const first = await look(firstLook(classes));
  return first.choices === null && first.isTruncated ? look(wholeLook(classes)) : first;
}

function placementOf(machine: PlacementMachine, choice: Choice): Placement {
  const { room, pool } = choice;
  const isChoosy = machine.datastoreKind !== undefined || machine.storagePolicy !== undefined;
  return {
    resourceId: machine.resourceId,
    hostId: room.hostId,
    hostName: room.hostName,
    backendId: room.backendId,
    zoneId: room.zoneId,
    rackId: room.rackId,
    datastoreId: pool?.datastoreId ?? null,
    ...(pool !== null && isChoosy ? { datastoreOffer: pool.offer } : {}),
  };
}
