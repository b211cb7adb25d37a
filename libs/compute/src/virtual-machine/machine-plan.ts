import type { ChangeSet } from '#database';
import type { AffinityGroupRow } from '../affinity-group/affinity-group.sql.js';
import type { FlavorRow } from '../flavor/flavor.sql.js';
import type { ImageRow } from '../image/image.sql.js';
import type { Power } from './virtual-machine.js';

/** One machine of a set that is admitted together. */
export interface MachineRequest {
  id: string;
  name: string;
  /** Path of the input that asks for it, for errors: `input`, `input.pools.0`. */
  field: string;
  flavor: FlavorRow;
  image: ImageRow;
  networkId: string;
  /** One of them is chosen; none means any zone that the tenant may use. */
  zoneIds: readonly string[];
  affinityGroup: Pick<AffinityGroupRow, 'id' | 'policy' | 'strength' | 'scope'> | null;
  /** The cluster that it is a node of. */
  ownerId: string | null;
  power: Power;
  userData: string;
  metadata: Record<string, string>;
  recovery: 'NONE' | 'RECREATE';
}

/** All machines of a set are placed together: all fit, or none is made. */
export interface MachineSetRequest {
  tenantId: string;
  projectId: string;
  strategy: 'SPREAD' | 'PACK';
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
