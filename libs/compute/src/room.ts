import type { RoomSchema } from '#database';
import { AffinityGroupEntity } from './affinity-group/affinity-group.entity.js';
import { FlavorEntity } from './flavor/flavor.entity.js';
import { ImageEntity } from './image/image.entity.js';
import { Compute1764001200000 } from './migrations/1764001200000-compute.js';
import { MachineSecurityGroups1764404000001 } from './migrations/1764404000001-machine-security-groups.js';
import { PlacementAndDrift1764001200001 } from './migrations/1764001200001-placement-and-drift.js';
import { MachineRecovery1764407000000 } from './migrations/1764407000000-machine-recovery.js';
import { UserDataSecret1764506320000 } from './migrations/1764506320000-user-data-secret.js';
import { MachineDatastoreKind1764506340000 } from './migrations/1764506340000-machine-datastore-kind.js';
import { MachineStoragePolicies1764506350300 } from './migrations/1764506350300-storage-policies.js';
import { VirtualMachineEntity } from './virtual-machine/virtual-machine.entity.js';

export const computeRoom: RoomSchema = {
  name: 'compute',
  entities: [FlavorEntity, ImageEntity, AffinityGroupEntity, VirtualMachineEntity],
  migrations: [
    Compute1764001200000,
    PlacementAndDrift1764001200001,
    MachineSecurityGroups1764404000001,
    MachineRecovery1764407000000,
    UserDataSecret1764506320000,
    MachineDatastoreKind1764506340000,
    MachineStoragePolicies1764506350300,
  ],
};
