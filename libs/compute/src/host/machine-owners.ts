import type { ErrorRecord } from '#core';
import type { Reader, Transaction } from '#database';
import type { VirtualMachineRow } from '../virtual-machine/virtual-machine.js';

/** A machine that somebody may own. */
export type OwnedMachine = Pick<VirtualMachineRow, 'id' | 'owner_id' | 'affinity_group_id'>;

/**
 * What a room above that owns machines, as clusters do, has to say when one of them is to be moved, which stops it for a
 * while. Of one owner's machines only one moves at a time: its move holds the owner's lock.
 */
export interface MachineOwners {
  /** Why machines must not be stopped now, by their ids; those that may be are left out. */
  whatHolds(reader: Reader, machines: readonly OwnedMachine[]): Promise<Map<string, ErrorRecord>>;
  /** How many members of the machine's REQUIRE group may meet where they cannot all be apart; 1 when none may. */
  mostTogether(reader: Reader, machine: OwnedMachine): Promise<number>;
  /** It was off, and runs again, or runs still: nobody has seen since how it does. */
  wasMoved(transaction: Transaction, machineId: string): Promise<void>;
}

/** Where nobody owns machines. */
export const noOwners: MachineOwners = {
  whatHolds: async () => new Map(),
  mostTogether: async () => 1,
  wasMoved: async () => undefined,
};
