import { assert } from '#core';
import { ChangeSet, type Reader } from '#database';
import { done, type StepDone } from '#operations';
import { HOST_CLAIMS, placeMachines, type KeptPolicy, type Placement } from '#placement';
import { AFFINITY_GROUPS } from '../affinity-group/affinity-group.service.js';
import { findGroupHosts, findAffinityGroups } from '../affinity-group/affinity-group.sql.js';
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
 * that is lost is a retryable error of the step, which then chooses again.
 * @throws INSUFFICIENT_CAPACITY when no other host fits
 */
export async function placeElsewhere(reader: Reader, machine: VirtualMachineRow): Promise<StepDone> {
  const { placement, claims } = await chooseElsewhere(reader, machine);
  const { hostId, rackId } = placement;
  return done({ output: { hostId, rackId }, commit: async (_transaction, apply) => apply(claims) });
}

/**
 * Chooses another host of the same zone and backend, by the same rules as for a new machine.
 * @param disk what it needs of a datastore there; nothing when it keeps its disks
 * @throws INSUFFICIENT_CAPACITY when no other host fits
 */
export async function chooseElsewhere(reader: Reader, machine: VirtualMachineRow, disk?: DiskDemand): Promise<Elsewhere> {
  const { id, affinity_group_id } = machine;
  const groups = affinity_group_id === null ? [] : await reader.rows(findAffinityGroups, [affinity_group_id]);
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
        groupIds: groups.map((group) => group.id),
      },
    ],
    groups: groups.map((group) => ({
      id: group.id,
      policy: group.policy,
      strength: group.strength,
      scope: group.scope,
      existingHostIds: others,
    })),
  });
  const [placement] = placements;
  assert(placement !== undefined, `machine ${id} was not placed`);
  const { hostId, rackId, zoneId } = placement;
  const claims = new ChangeSet().add(HOST_CLAIMS, { action: 'MOVE', resourceId: id, hostId });
  claims.add(AFFINITY_GROUPS, ...groups.map((group) => ({ groupId: group.id, resourceId: id, hostId, rackId, zoneId, replacesId: null, strength: group.strength })));
  return { placement, claims };
}
