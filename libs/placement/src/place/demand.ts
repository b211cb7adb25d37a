import { assert, MuonError } from '#core';
import type { PlacementGroup, PlacementMachine, PlacementRequest } from './request.js';

/** Bounds of one request; a cluster of the largest size fits. */
export const MAX_MACHINES = 1000;
export const MAX_CLASSES = 50;
const MAX_GROUPS = 200;

/** Machines that need the same and stand in the same groups: one is as good as another. */
export interface MachineClass {
  machines: PlacementMachine[];
  /** Any of them. */
  sample: PlacementMachine;
  zoneIds: string[];
  required: PlacementGroup[];
  preferred: PlacementGroup[];
  /** What a host needs at least: of a group that must share one host, all of it. Its disks may go to several datastores. */
  bundle: { cpu: number; memoryMib: number };
}

/**
 * Sorts the machines of a request into classes, the hardest to place first.
 * @throws LIMIT_EXCEEDED when there are too many
 */
export function machineClasses(request: PlacementRequest): MachineClass[] {
  const groups = groupsById(request);
  if (request.machines.length > MAX_MACHINES) throw tooMany('machines', request.machines.length, MAX_MACHINES);
  const classes = new Map<string, MachineClass>();
  for (const machine of request.machines) {
    const key = JSON.stringify(classKey(machine));
    const known = classes.get(key);
    if (known === undefined) classes.set(key, newClass(request, machine, groups));
    else known.machines.push(machine);
  }
  if (classes.size > MAX_CLASSES) throw tooMany('different kinds of machines', classes.size, MAX_CLASSES);
  const all = [...classes.values()];
  for (const each of all) each.bundle = bundleOf(each, all);
  const hardness = (each: MachineClass): number =>
    each.required.some((group) => group.policy === 'AFFINITY') ? 2 : Math.min(1, each.required.length);
  return all.sort((one, other) => hardness(other) - hardness(one) || weight(other) - weight(one));
}

/** Processors weigh as much as the memory that usually comes with them. */
const MIB_PER_CPU = 4096;
const weight = (each: MachineClass): number => Math.max(each.sample.cpu, each.sample.memoryMib / MIB_PER_CPU);

function groupsById(request: PlacementRequest): Map<string, PlacementGroup> {
  const groups = request.groups ?? [];
  if (groups.length > MAX_GROUPS) throw tooMany('affinity groups', groups.length, MAX_GROUPS);
  return new Map(groups.map((group) => [group.id, group]));
}

function classKey(machine: PlacementMachine): unknown[] {
  const sorted = (list: readonly string[] | undefined): string[] | null => (list === undefined ? null : [...list].sort());
  return [
    machine.cpu,
    machine.memoryMib,
    machine.diskGib,
    machine.datastoreKind ?? null,
    machine.storagePolicy === undefined ? null : [machine.storagePolicy.name, sorted(machine.storagePolicy.offers)],
    sorted(machine.traits),
    sorted(machine.zoneIds),
    sorted(machine.backendIds),
    sorted(machine.excludedHostIds),
    sorted(machine.groupIds),
  ];
}

function newClass(
  request: PlacementRequest,
  machine: PlacementMachine,
  groups: ReadonlyMap<string, PlacementGroup>,
): MachineClass {
  const own = [...new Set(machine.groupIds ?? [])].map((id) => {
    const group = groups.get(id);
    assert(group !== undefined, `a machine names the affinity group ${id}, which the request has not`);
    return group;
  });
  const zones = machine.zoneIds;
  return {
    machines: [machine],
    sample: machine,
    zoneIds: [...new Set(request.zoneIds)].filter((zone) => zones === undefined || zones.includes(zone)),
    required: own.filter((group) => group.strength === 'REQUIRE'),
    preferred: own.filter((group) => group.strength === 'PREFER'),
    bundle: { cpu: machine.cpu, memoryMib: machine.memoryMib },
  };
}

/** New members of one host's affinity group all go to one host, unless older members give them several to choose from. */
function bundleOf(each: MachineClass, all: readonly MachineClass[]): MachineClass['bundle'] {
  const bundle = { cpu: each.sample.cpu, memoryMib: each.sample.memoryMib };
  const shared = each.required.filter(
    (group) => group.policy === 'AFFINITY' && group.scope === 'HOST' && new Set(group.existingHostIds).size <= 1,
  );
  for (const group of shared) {
    const sum = { cpu: 0, memoryMib: 0 };
    for (const other of all.filter((candidate) => candidate.required.includes(group))) {
      sum.cpu += other.sample.cpu * other.machines.length;
      sum.memoryMib += other.sample.memoryMib * other.machines.length;
    }
    bundle.cpu = Math.max(bundle.cpu, sum.cpu);
    bundle.memoryMib = Math.max(bundle.memoryMib, sum.memoryMib);
  }
  return bundle;
}

function tooMany(noun: string, count: number, maximum: number): MuonError {
  return new MuonError('LIMIT_EXCEEDED', `At most ${maximum} ${noun} can be placed at once.`, { data: { count, maximum } });
}
