import { assert, MuonError } from '#core';
import { ChangeSet, type Reader } from '#database';
import { done, type StepDone } from '#operations';
import { HOST_CLAIMS, placeMachines, type KeptPolicy, type Placement } from '#placement';
import { placedBy, widerGroups } from '../affinity-group/affinity-group-plan.js';
import { AFFINITY_GROUPS } from '../affinity-group/affinity-group.service.js';
import { findGroupHosts, findAffinityGroups } from '../affinity-group/affinity-group.sql.js';
import type { MachineOwners } from '../host/machine-owners.js';
import type { VirtualMachineRow } from './virtual-machine.js';

/** What a machine needs of a datastore where it goes. */
export interface DiskDemand {
  gib: number;
  /** Any when null. */
  datastoreKind: string | null;
  /** What the disk keeps to; nothing when null. */
  storagePolicy: KeptPolicy | null;
}

/** Another host for a machine, with what claims it there beside the present one. */
export interface Elsewhere {
  placement: Placement;
  claims: ChangeSet;
}

/**
 * Chooses another host of the same zone and backend, and claims it beside the present one with the step's outcome. A race
 * that is lost is a retryable error of the step, which then chooses again. Where no host is without another member of its
 * group, it goes to one that has as many as its owner lets meet, rather than nowhere.
 * @throws INSUFFICIENT_CAPACITY when no other host fits; at once and for good where others wait for its owner
 */
export async function placeElsewhere(reader: Reader, owners: MachineOwners, machine: VirtualMachineRow): Promise<StepDone> {
  const chosen = chooseApart(reader, machine, await owners.mostTogether(reader, machine));
  const { placement, claims } = await (machine.owner_id === null ? chosen : chosen.catch(withoutPatience));
  const { hostId, rackId } = placement;
  return done({ output: { hostId, rackId }, commit: async (_transaction, apply) => apply(claims) });
}

/** Until its move ends, nobody can change or heal what the machine belongs to. */
function withoutPatience(error: unknown): never {
  if (error instanceof MuonError && error.code === 'INSUFFICIENT_CAPACITY') throw MuonError.fromRecord({ ...error.toRecord(), retryable: false });
  throw error;
}

async function chooseApart(reader: Reader, machine: VirtualMachineRow, most: number): Promise<Elsewhere> {
  try {
    return await chooseElsewhere(reader, machine);
  } catch (error) {
    if (!(error instanceof MuonError) || error.code !== 'INSUFFICIENT_CAPACITY' || most < 2) throw error;
    return chooseElsewhere(reader, machine, { most });
  }
}

/**
 * Chooses another host of the same zone and backend, by the same rules as for a new machine.
 * @param needs.disk of a datastore there; nothing when it keeps its disks
 * @param needs.most members of its group that may meet there; 1 unless it is said
 * @throws INSUFFICIENT_CAPACITY when no other host fits
 */
export async function chooseElsewhere(
  reader: Reader,
  machine: VirtualMachineRow,
  { disk, most = 1 }: { disk?: DiskDemand; most?: number } = {},
): Promise<Elsewhere> {
  const { id, affinity_group_id } = machine;
  const [group] = affinity_group_id === null ? [] : await reader.rows(findAffinityGroups, [affinity_group_id]);
  // What is owned together was spread over racks, too.
  const groups = group === undefined ? [] : [placedBy({ ...group, most }), ...(machine.owner_id === null ? [] : widerGroups(group))];
  const members = affinity_group_id === null ? [] : await reader.rows(findGroupHosts, [affinity_group_id]);
  // The machine itself stands in nobody's way.
  const others = members.filter((row) => row.machine_id !== id).map((row) => row.host_id);
  const { placements } = await placeMachines(reader, {
    zoneIds: [machine.zone_id],
    machines: [
      {
        resourceId: id,
        cpu: machine.cpu,
        memoryMib: machine.memory_mib,
        diskGib: disk?.gib ?? 0,
        ...(disk?.datastoreKind == null ? {} : { datastoreKind: disk.datastoreKind }),
        ...(disk?.storagePolicy == null ? {} : { storagePolicy: disk.storagePolicy }),
        backendIds: [machine.backend_id],
        excludedHostIds: [machine.host_id],
        groupIds: groups.map((each) => each.id),
      },
    ],
    groups: groups.map((each) => ({ ...each, existingHostIds: others })),
  });
  const [placement] = placements;
  assert(placement !== undefined, `machine ${id} was not placed`);
  const { hostId, rackId, zoneId } = placement;
  const claims = new ChangeSet().add(HOST_CLAIMS, { action: 'MOVE', resourceId: id, hostId });
  if (group !== undefined) claims.add(AFFINITY_GROUPS, { groupId: group.id, resourceId: id, hostId, rackId, zoneId, replacesId: null, most });
  return { placement, claims };
}
