import { AffinityGroupResolver } from './affinity-group/affinity-group.graphql.js';
import { DiskAttachmentResolver } from './disk-attachment/disk-attachment.graphql.js';
import { FlavorResolver } from './flavor/flavor.graphql.js';
import { ImageResolver } from './image/image.graphql.js';
import { MachineConsoleResolver } from './virtual-machine/machine-console.graphql.js';
import { VirtualMachineMutations } from './virtual-machine/machine-mutations.graphql.js';
import { VirtualMachineResolver } from './virtual-machine/machine-resolver.graphql.js';

export { AffinityGroup, loadAffinityGroup } from './affinity-group/affinity-group.graphql.js';
export { Flavor, loadFlavor } from './flavor/flavor.graphql.js';
export { Image, loadImage } from './image/image.graphql.js';
export { loadVirtualMachine, VirtualMachine } from './virtual-machine/virtual-machine.graphql.js';

export const computeResolvers = [
  FlavorResolver,
  ImageResolver,
  AffinityGroupResolver,
  VirtualMachineResolver,
  VirtualMachineMutations,
  MachineConsoleResolver,
  DiskAttachmentResolver,
];
