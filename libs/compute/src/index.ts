import type { ChangeSetApplier } from '#database';
import type { OperationKind } from '#operations';
import { AFFINITY_GROUPS, applyGroupJoins } from './affinity-group/affinity-group.service.js';
import { attachDiskOperation, detachDiskOperation } from './disk-attachment/disk-attachment.operations.js';
import { noOwners, type MachineOwners } from './host/machine-owners.js';
import { wakingMaintenance } from './host/maintenance-signal.js';
import { recreateMachineOperation } from './recovery/recreate.operation.js';
import { powerMachineOperation, resizeMachineOperation } from './virtual-machine/machine-changes.operations.js';
import { moveMachineOperation } from './virtual-machine/machine-move.operation.js';
import { createMachineOperation, deleteMachineOperation, type MachineRealisers } from './virtual-machine/virtual-machine.operations.js';

export { AFFINITY_GROUPS, affinityGroupId, AffinityGroupService, resolveAffinityGroups, type GroupJoin } from './affinity-group/affinity-group.service.js';
export { planAffinityGroup, planAffinityGroupRemoval, type AffinityGroupRequest, type PlannedAffinityGroup } from './affinity-group/affinity-group-plan.js';
export { findAffinityGroups, type AffinityGroupRow } from './affinity-group/affinity-group.sql.js';
export { CatalogueState } from './catalogue.js';
export { flavorCharges, flavorId, FlavorService, resolveFlavors } from './flavor/flavor.service.js';
export { findFlavors, type FlavorRow } from './flavor/flavor.sql.js';
export { imageId, ImageService, resolveImages } from './image/image.service.js';
export { findImages, type ImageRow } from './image/image.sql.js';
export { DISK_ATTACH, DISK_DETACH } from './disk-attachment/disk-attachment.operations.js';
export { DiskAttachmentService, type AttachDiskInput, type DetachDiskInput } from './disk-attachment/disk-attachment.service.js';
export { machineDrift, type MachineDriftOptions } from './drift/machine-drift.reconciler.js';
export { countMachineDrift } from './drift/machine-drift.sql.js';
export { findMachineOwnersOnHosts } from './host/host-machines.sql.js';
export { MACHINE_DRIFT, MachineHostListener } from './host/machine-host-listener.js';
export { machineOccupants, machinesInZones } from './host/machine-occupants.js';
export type { MachineOwners, OwnedMachine } from './host/machine-owners.js';
export { computeKnownObjects } from './known-objects.js';
export { MachineRealiser, type MachineRealiserOptions } from './realise/machine-realiser.js';
export { machineRecovery, type MachineRecoveryOptions } from './recovery/machine-recovery.reconciler.js';
export { planRecreation } from './recovery/recreation-plan.js';
export { computeRoom } from './room.js';
export { computeScopeContents } from './scope-contents.js';
export { removeUnmadeMachines } from './virtual-machine/machine-removal.js';
export { MachineConsoleService, type ConsoleOutput, type ReadConsoleInput } from './virtual-machine/machine-console.service.js';
export { planMachineDeletion } from './virtual-machine/machine-deletion.js';
export { planVirtualMachines, type MachineRequest, type MachineSetPlan, type MachineSetRequest, type PlannedMachine } from './virtual-machine/machine-plan.js';
export { sealUserData } from './virtual-machine/user-data.js';
export { sealingUserData } from './virtual-machine/user-data.reconciler.js';
export * from './virtual-machine/virtual-machine.js';
export { PowerAction, VirtualMachineService, type CreateVirtualMachineInput } from './virtual-machine/virtual-machine.service.js';
export { findVirtualMachines, findVirtualMachinesOfOwners } from './virtual-machine/virtual-machine.sql.js';
export { storagePolicyUsers } from './storage-policy-users.sql.js';
export { withdrawnOffers } from './withdrawn-offers.js';

export function registerComputeSections(applier: ChangeSetApplier): void {
  applier.register(AFFINITY_GROUPS, applyGroupJoins);
}

/**
 * All kinds of operation of this room.
 * @param owners asked before machines are moved; left out where nobody owns any
 */
export function computeOperations(realisers: MachineRealisers, owners: MachineOwners = noOwners): OperationKind<unknown>[] {
  return [
    createMachineOperation(realisers),
    wakingMaintenance(deleteMachineOperation(realisers)),
    wakingMaintenance(powerMachineOperation(realisers)),
    wakingMaintenance(resizeMachineOperation(realisers)),
    moveMachineOperation(realisers, owners),
    wakingMaintenance(recreateMachineOperation(realisers), (input) => input.lost.hostId),
    wakingMaintenance(attachDiskOperation(realisers)),
    wakingMaintenance(detachDiskOperation(realisers)),
  ] as OperationKind<unknown>[];
}
