import { MuonError } from '#core';
import type { Reader } from '#database';
import { explainFilters, explainNearest, type DemandRecord, type NearestRow } from './candidates.sql.js';
import type { MachineClass } from './demand.js';
import { explanationData, PlacementFilter, type PlacementExplanation, type PlacementMachine, type Shortage } from './request.js';

export interface Progress {
  requested: number;
  placed: number;
  /** True when nothing more could be placed. */
  isStuck: boolean;
}

/** Counts over all hosts what each filter removed for one class of machines. */
export async function explain(
  reader: Reader,
  each: MachineClass,
  demand: DemandRecord,
  progress: Progress,
  showHosts: boolean,
): Promise<PlacementExplanation> {
  const text = JSON.stringify([demand]);
  const counts = new Map((await reader.rows(explainFilters, text)).map((row) => [row.filter, row.hosts]));
  const fitting = counts.get(null) ?? 0;
  if (progress.isStuck && fitting > 0) {
    // Each of them would take one machine alone; what is left of them is what the others of the set leave.
    counts.set('SET', fitting);
  }
  const nearest = fitting === 0 ? await reader.first(explainNearest, text) : undefined;
  return {
    resourceId: each.sample.resourceId,
    requested: progress.requested,
    placed: progress.placed,
    considered: [...counts].reduce((sum, [filter, hosts]) => sum + (filter === 'SET' ? 0 : hosts), 0),
    removed: Object.values(PlacementFilter).flatMap((filter) => {
      const hosts = counts.get(filter) ?? 0;
      return hosts === 0 ? [] : [{ filter, hosts }];
    }),
    fitting: progress.isStuck ? 0 : fitting,
    nearestMiss: nearest === undefined ? null : nearestMiss(nearest, showHosts),
  };
}

function nearestMiss(row: NearestRow, showHosts: boolean): PlacementExplanation['nearestMiss'] {
  const shortages: Shortage[] = [
    { resource: 'CPU', needed: row.cpu, free: row.cpu_free },
    { resource: 'MEMORY_MIB', needed: row.memory, free: row.memory_free },
    { resource: 'DISK_GIB', needed: row.disk, free: row.disk_free },
  ];
  return {
    hostId: showHosts ? row.host_id : null,
    hostName: showHosts ? row.host_name : null,
    lacks: shortages.filter((shortage) => shortage.needed > shortage.free),
  };
}

const WORDS: Record<PlacementFilter, string> = {
  ZONE: 'in other zones',
  STATE: 'not active',
  EXCLUDED: 'excluded',
  NETWORK: 'not reached by its networks',
  TRAITS: 'without the needed traits',
  AFFINITY: 'ruled out by affinity',
  CPU: 'short of processors',
  MEMORY: 'short of memory',
  DATASTORE: 'short of disk space',
  SET: 'taken by or kept from the other machines of this request',
};

const UNITS: Record<Shortage['resource'], string> = { CPU: 'processors', MEMORY_MIB: 'MiB of memory', DISK_GIB: 'GiB of disk' };

/** Of what datastore a machine's disks need room. */
function datastoreOf({ datastoreKind: kind, storagePolicy: policy }: PlacementMachine): string | undefined {
  const ofKind = kind === undefined ? '' : ` of the kind "${kind}"`;
  const keeping = policy === undefined ? '' : ` that keeps the storage policy "${policy.name}"`;
  return ofKind + keeping === '' ? undefined : `without room on a datastore${ofKind}${keeping}`;
}

/**
 * The refusal, in a sentence and in numbers.
 * @param machine one that found no place
 */
export function insufficientCapacity(explanation: PlacementExplanation, machine: PlacementMachine): MuonError {
  const { placed, requested, considered, removed, nearestMiss: miss } = explanation;
  const head =
    requested === 1 ? 'No host has room for this machine.' : `Only ${placed} of ${requested} machines found a place, so none was placed.`;
  const words = { ...WORDS, DATASTORE: datastoreOf(machine) ?? WORDS.DATASTORE };
  const counts = removed.map(({ filter, hosts }) => `${hosts} ${words[filter]}`).join(', ');
  const why = considered === 0 ? ' There are no hosts.' : ` Of ${considered} hosts: ${counts}.`;
  const lacks = (miss?.lacks ?? []).map(({ resource, needed, free }) => `${needed - free} ${UNITS[resource]}`).join(' and ');
  const nearest = lacks === '' ? '' : ` The nearest lacks ${lacks}.`;
  return new MuonError('INSUFFICIENT_CAPACITY', `${head}${why}${nearest}`, { data: { placement: explanationData(explanation) } });
}
