import type { Transaction } from '#database';
import { findPortsOfOwners, planPortRemoval } from '#network';
import { writeTombstones, type ApplyChanges } from '#operations';
import { HOST_CLAIMS } from '#placement';
import { CHARGES } from '#quota';
import { removeSecretsOwnedBy } from '#secrets';
import { findDisksOfOwners, planDiskRelease, removeDiskRows } from '#storage';
import { MACHINE_OBJECT } from './virtual-machine.js';
import { lockUnmadeMachines, removeVirtualMachines } from './virtual-machine.sql.js';

/**
 * Takes away planned machines whose making has failed, or was never begun because what they were planned with failed before:
 * rows, ports, disks, claims, addresses and charges together. Those that are really there are left alone. For the finisher
 * of an operation that had made them its children.
 * @returns the ids of those that are gone
 */
export async function removeUnmadeMachines(transaction: Transaction, machineIds: readonly string[], apply: ApplyChanges): Promise<string[]> {
  const machines = await transaction.rows(lockUnmadeMachines, [...machineIds]);
  const ids = machines.map((machine) => machine.id);
  if (ids.length === 0) return [];
  const ports = (await transaction.rows(findPortsOfOwners, ids)).map((row) => row.id);
  const disks = (await transaction.rows(findDisksOfOwners, ids)).map((row) => row.id);
  const changes = planDiskRelease(disks).include(planPortRemoval(ports));
  changes.add(HOST_CLAIMS, ...ids.map((resourceId) => ({ action: 'RELEASE' as const, resourceId })));
  changes.add(CHARGES, ...ids.map((resourceId) => ({ action: 'REFUND' as const, resourceId })));
  if (disks.length > 0) await transaction.execute(removeDiskRows, disks);
  const tombstones = machines.map((machine) => ({ backendId: machine.backend_id, objectKind: MACHINE_OBJECT, objectId: machine.instance_id, reason: 'undone' }));
  await writeTombstones(transaction, tombstones);
  await transaction.execute(removeVirtualMachines, ids);
  await removeSecretsOwnedBy(transaction, ids);
  await apply(changes);
  return ids;
}
