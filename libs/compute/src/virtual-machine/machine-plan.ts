import { assert, MuonError, type JsonObject } from '#core';
import { ChangeSet, constraintMeans, ROWS, type Reader } from '#database';
import type { Access } from '#identity';
import { planPorts, portId, type PlannedPort } from '#network';
import { HOST_CLAIMS, placeMachines, type Placement, type PlacementGroup } from '#placement';
import { CHARGES } from '#quota';
import { sealedSecretRow, type SealedSecret } from '#secrets';
import { diskId, planDisks, resolveStoragePolicies, storagePolicyOf, type ChosenPolicy, type PlannedDisk } from '#storage';
import { placedBy, widerGroups, type PlannedAffinityGroup } from '../affinity-group/affinity-group-plan.js';
import { AFFINITY_GROUPS } from '../affinity-group/affinity-group.service.js';
import { findGroupHosts } from '../affinity-group/affinity-group.sql.js';
import { flavorCharges } from '../flavor/flavor.service.js';
import type { FlavorRow } from '../flavor/flavor.sql.js';
import type { ImageRow } from '../image/image.sql.js';
import { virtualMachineId, type MachineRecovery, type Power } from './virtual-machine.js';

constraintMeans(
  'virtual_machine_name',
  () => new MuonError('ALREADY_EXISTS', 'A machine of this name exists already in the project.', { field: 'input.name' }),
);

/** One machine of a set that is admitted together. */
export interface MachineRequest {
  id: string;
  name: string;
  /** Path of the input that asks for it, for errors: `input`, `input.pools.0`. */
  field: string;
  flavor: FlavorRow;
  image: ImageRow;
  networkId: string;
  /** Security groups of the project that its port is in, looked up before; none when left out. */
  securityGroupIds?: readonly string[];
  /** One of them is chosen; none means any zone that the tenant may use. */
  zoneIds: readonly string[];
  /** Only datastores of this kind for its root disk; any when left out. */
  datastoreKind?: string;
  /** Id or name of what its root disk shall keep to; what its flavor says, or the default policy, when left out. */
  storagePolicy?: string;
  affinityGroup: PlannedAffinityGroup | null;
  /** Where there are several racks and zones, the members of its group are spread over those, too. */
  spreads?: boolean;
  /** A member of its group that is deleted before this one is made, and stands in nobody's way. */
  replacesId?: string;
  /** The cluster that it is a node of. */
  ownerId: string | null;
  power: Power;
  /** Null when there is none, and of a machine that is made again, which keeps its own. */
  userData: SealedSecret | null;
  metadata: Record<string, string>;
  recovery: MachineRecovery;
  /** Of a machine that has failed and is made again under its id: the version of its row, and what its root disk kept to. */
  existing?: { version: number; storagePolicyId: string | null };
}

/** All machines of a set are placed together: all fit, or none is made. */
export interface MachineSetRequest {
  tenantId: string;
  projectId: string;
  strategy: 'SPREAD' | 'PACK';
  /** Also explains the places: for dry runs. */
  explain?: boolean;
  machines: readonly MachineRequest[];
}

/** Where a machine will be, known before anything is made. */
export interface PlannedMachine {
  id: string;
  hostId: string;
  zoneId: string;
  rackId: string | null;
  backendId: string;
  portId: string;
  address: string;
  diskId: string;
}

export interface MachineSetPlan {
  /**
   * Rows, charges, claims and addresses of all machines, without operations and locks: whoever composes it adds those,
   * for `lockIds`, and runs `compute.virtual_machine.create` on each machine.
   */
  changes: ChangeSet;
  machines: PlannedMachine[];
  lockIds: string[];
}

/**
 * Plans a set of machines with their ports and root disks, by a number of statements that does not grow with the set.
 * @param access null for the system's own work, as healing a cluster
 * @param alongside the change set that this will be part of: networks and groups that it makes can be used
 * @throws INSUFFICIENT_CAPACITY with the explanation; NOT_FOUND, INVALID_STATE of networks
 */
export async function planVirtualMachines(
  reader: Reader,
  access: Access | null,
  request: MachineSetRequest,
  alongside?: ChangeSet,
): Promise<MachineSetPlan> {
  const changes = new ChangeSet();
  const policies = await policiesOf(reader, request.machines);
  const placements = await place(reader, access, request, policies, changes);
  const { tenantId, projectId } = request;
  const ports = await planPorts(
    reader,
    access,
    request.machines.map((machine) => {
      const { hostId, backendId, zoneId } = placementOf(placements, machine);
      const { name, networkId, id, field, securityGroupIds = [] } = machine;
      const common = { portId: portId.create(), name, networkId, ownerId: id, tenantId, projectId, hostId, backendId, zoneId };
      return { ...common, securityGroupIds, field: `${field}.networkId` };
    }),
    alongside,
  );
  const disks = await planDisks(
    reader,
    request.machines.map((machine) => {
      const { datastoreId, datastoreOffer, zoneId } = placementOf(placements, machine);
      assert(datastoreId !== null, `machine ${machine.id} was placed without a datastore`);
      const { name, id, flavor, image } = machine;
      const common = { diskId: diskId.create(), name, tenantId, projectId, datastoreId, zoneId, ownerId: id };
      const storagePolicy = policies.get(machine)?.policy ?? null;
      return { ...common, datastoreOffer, storagePolicy, sizeGib: flavor.disk_gib, imageReference: image.reference };
    }),
    { showDatastores: access?.seesInfrastructure ?? false },
  );
  const machines = request.machines.map((machine, index) => {
    const port = ports.ports[index] as PlannedPort;
    const disk = disks.disks[index] as PlannedDisk;
    const placement = placementOf(placements, machine);
    const policyId = policies.get(machine)?.policy.id ?? null;
    addMachine(changes, request, { ...machine, storagePolicyId: policyId }, placement, { address: port.address, ...(access?.seesInfrastructure === true ? { hostId: placement.hostId } : {}) });
    return plannedMachine(machine.id, placement, port, disk);
  });
  changes.include(ports.changes).include(disks.changes);
  return { changes, machines, lockIds: machines.flatMap((each) => [each.id, each.portId, each.diskId]) };
}

/** What each root disk keeps to: what is asked for, or else the flavor's, or else the default; of one that is made again what it was. */
async function policiesOf(reader: Reader, machines: readonly MachineRequest[]): Promise<Map<MachineRequest, ChosenPolicy | null>> {
  const fresh = machines.filter((machine) => machine.existing === undefined);
  const references = fresh.map(({ storagePolicy, flavor, field }) =>
    storagePolicy === undefined
      ? { reference: flavor.storage_policy_id ?? undefined, field: `${field}.flavor` }
      : { reference: storagePolicy, field: `${field}.storagePolicy` },
  );
  const found = fresh.length === 0 ? [] : await resolveStoragePolicies(reader, references);
  const policies = new Map(fresh.map((machine, index) => [machine, found[index] ?? null]));
  for (const machine of machines) {
    if (machine.existing !== undefined) policies.set(machine, await storagePolicyOf(reader, machine.existing.storagePolicyId));
  }
  return policies;
}

async function place(
  reader: Reader,
  access: Access | null,
  request: MachineSetRequest,
  policies: ReadonlyMap<MachineRequest, ChosenPolicy | null>,
  changes: ChangeSet,
): Promise<Map<string, Placement>> {
  const groups = await placementGroups(reader, request.machines);
  const { placements, explanation } = await placeMachines(reader, {
    zoneIds: [...new Set(request.machines.flatMap((machine) => machine.zoneIds))],
    machines: request.machines.map((machine) => ({
      ...keptBy(policies.get(machine) ?? null),
      resourceId: machine.id,
      cpu: machine.flavor.cpu,
      memoryMib: machine.flavor.memory_mib,
      diskGib: machine.flavor.disk_gib,
      ...(machine.datastoreKind === undefined ? {} : { datastoreKind: machine.datastoreKind }),
      zoneIds: machine.zoneIds,
      groupIds: groupsOf(machine).map((group) => group.id),
    })),
    groups,
    strategy: request.strategy,
    explain: request.explain ?? false,
    showHosts: access?.seesInfrastructure ?? false,
  });
  if (explanation !== null) {
    const message = `${explanation.fitting} of ${explanation.considered} hosts fit; ${placements.length} machines were placed to ${request.strategy.toLowerCase()}.`;
    changes.reasons.push({ subject: 'placement', message, data: { ...explanation } as JsonObject });
  }
  return new Map(placements.map((placement) => [placement.resourceId, placement]));
}

const keptBy = (chosen: ChosenPolicy | null): { storagePolicy?: ChosenPolicy['kept'] } => (chosen === null ? {} : { storagePolicy: chosen.kept });

/** The groups that the scheduler is told of: the machine's own, and wider ones in which it prefers to keep apart. */
function groupsOf({ affinityGroup, spreads }: MachineRequest): Omit<PlacementGroup, 'existingHostIds'>[] {
  if (affinityGroup === null) return [];
  return spreads === true ? [placedBy(affinityGroup), ...widerGroups(affinityGroup)] : [placedBy(affinityGroup)];
}

async function placementGroups(reader: Reader, machines: readonly MachineRequest[]): Promise<PlacementGroup[]> {
  const ids = [...new Set(machines.flatMap(({ affinityGroup }) => (affinityGroup === null ? [] : [affinityGroup.id])))];
  const replaced = new Set(machines.map((machine) => machine.replacesId));
  const members = ids.length === 0 ? [] : await reader.rows(findGroupHosts, ids);
  const staying = Map.groupBy(members.filter((row) => !replaced.has(row.machine_id)), (row) => row.affinity_group_id);
  const groups = new Map<string, PlacementGroup>();
  for (const machine of machines) {
    const existingHostIds = (staying.get(machine.affinityGroup?.id ?? '') ?? []).map((row) => row.host_id);
    for (const group of groupsOf(machine)) groups.set(group.id, { ...group, existingHostIds });
  }
  return [...groups.values()];
}

function placementOf(placements: ReadonlyMap<string, Placement>, machine: MachineRequest): Placement {
  const placement = placements.get(machine.id);
  assert(placement !== undefined, `machine ${machine.id} was not placed`);
  return placement;
}

function plannedMachine(id: string, placement: Placement, port: PlannedPort, disk: PlannedDisk): PlannedMachine {
  const { hostId, zoneId, rackId, backendId } = placement;
  return { id, hostId, zoneId, rackId, backendId, portId: port.portId, address: port.address, diskId: disk.diskId };
}

/** With what its root disk keeps to. */
type AdmittedMachine = MachineRequest & { storagePolicyId: string | null };

function addMachine(
  changes: ChangeSet,
  { tenantId, projectId }: MachineSetRequest,
  machine: AdmittedMachine,
  placement: Placement,
  shown: JsonObject,
): void {
  const { id, name, flavor, affinityGroup } = machine;
  const { hostId, zoneId, rackId, backendId } = placement;
  changes.add(HOST_CLAIMS, { action: 'CLAIM', resourceId: id, hostId, tenantId, projectId, cpu: flavor.cpu, memoryMib: flavor.memory_mib });
  if (affinityGroup !== null) {
    changes.add(AFFINITY_GROUPS, { groupId: affinityGroup.id, resourceId: id, hostId, rackId, zoneId, replacesId: machine.replacesId ?? null, most: affinityGroup.most ?? 1 });
  }
  const place = { network_id: machine.networkId, zone_ids: [...machine.zoneIds], zone_id: zoneId, rack_id: rackId, host_id: hostId, backend_id: backendId };
  if (machine.existing === undefined) {
    changes.add(ROWS, { table: 'virtual_machine', insert: { ...newRow(tenantId, projectId, machine), ...place } });
    if (machine.userData !== null) changes.add(ROWS, sealedSecretRow(machine.userData));
  } else {
    const update = { ...place, lifecycle: 'CREATING', failure: null, observed_power: 'UNKNOWN', observed_reason: null };
    changes.add(ROWS, { table: 'virtual_machine', update, id, version: machine.existing.version });
  }
  changes.add(CHARGES, {
    action: 'CHARGE',
    resourceId: id,
    resourceKind: virtualMachineId.prefix,
    tenantId,
    projectId,
    zoneId,
    amounts: flavorCharges(flavor),
  });
  changes.resources.push({ action: 'CREATE', kind: 'virtual machine', id, name, data: { zoneId, ...shown, flavor: flavor.name } });
}

function newRow(tenantId: string, projectId: string, machine: AdmittedMachine): Record<string, unknown> {
  return {
    id: machine.id,
    instance_id: machine.id,
    tenant_id: tenantId,
    project_id: projectId,
    name: machine.name,
    owner_id: machine.ownerId,
    flavor_id: machine.flavor.id,
    image_id: machine.image.id,
    affinity_group_id: machine.affinityGroup?.id ?? null,
    security_group_ids: [...(machine.securityGroupIds ?? [])],
    datastore_kind: machine.datastoreKind ?? null,
    storage_policy_id: machine.storagePolicyId,
    cpu: machine.flavor.cpu,
    memory_mib: machine.flavor.memory_mib,
    desired_power: machine.power,
    recovery: machine.recovery,
    user_data_secret: machine.userData?.id ?? null,
    metadata: machine.metadata,
    lifecycle: 'CREATING',
  };
}
