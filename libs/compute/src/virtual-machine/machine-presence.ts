import { MuonError } from '#core';
import type { Reader } from '#database';
import { busyOr } from '#operations';
import { Lifecycle, type VirtualMachineRow } from './virtual-machine.js';

/** @throws RESOURCE_BUSY naming who makes or deletes it; INVALID_STATE */
export async function requirePresent(reader: Reader, { id, name, lifecycle }: VirtualMachineRow): Promise<void> {
  if (lifecycle === Lifecycle.PRESENT) return;
  const message = `The machine "${name}" is ${lifecycle.toLowerCase()}.`;
  throw await busyOr(reader, id, new MuonError('INVALID_STATE', message, { data: { state: lifecycle } }));
}
