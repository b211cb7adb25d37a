import { z } from 'zod';
import type { Reader, Transaction } from '#database';
import { findPortsOfOwners, planPortRemoval, type NetworkRealiser } from '#network';
import {
  defineOperation,
  done,
  liftTombstones,
  writeTombstones,
  type ApplyChanges,
  type FinishContext,
  type OperationKind,
  type StepContext,
  type StepDone,
  type StepWait,
} from '#operations';
import { HOST_CLAIMS } from '#placement';
import { CHARGES } from '#quota';
import { removeSecretsOwnedBy } from '#secrets';
import { findDisksOfOwners, freeDisksOfOwners, isRootDisk, planDiskRelease, removeDiskRows, type DiskRealiser, type RemoveDiskOptions } from '#storage';
import { removeUnusedFlavors } from '../flavor/flavor.sql.js';
import { removeUnusedImages } from '../image/image.sql.js';
import type { MachineRealiser } from '../realise/machine-realiser.js';
import { readmitMachine } from './machine-readmission.js';
import { MACHINE_OBJECT } from './virtual-machine.js';
import { findMachineToRealise, markFailed, markKept, markPresent, removeVirtualMachine } from './virtual-machine.sql.js';

const machineInput = z.strictObject({ machineId: z.string() });
type MachineInput = z.output<typeof machineInput>;

export interface MachineRealisers {
  networks: NetworkRealiser;
  disks: DiskRealiser;
  machines: MachineRealiser;
}

const MINUTE_MS = 60_000;

async function portIdsOf(context: StepContext<MachineInput>): Promise<string[]> {
  return (await context.reader.rows(findPortsOfOwners, [context.operation.input.machineId])).map((row) => row.id);
}

async function rootDiskIdsOf(reader: Reader, machineId: string): Promise<string[]> {
  return (await reader.rows(findDisksOfOwners, [machineId])).filter(isRootDisk).map((row) => row.id);
}

/** Makes what admission has planned: ports, disks, the machine, and its power. */
export function createMachineOperation({ networks, disks, machines }: MachineRealisers): OperationKind<MachineInput> {
  return defineOperation<MachineInput>({
    kind: 'compute.virtual_machine.create',
    version: 1,
    input: machineInput,
    deadlineMs: 30 * MINUTE_MS,
    steps: [
      {
        name: 'ports',
        run: async (context) => withoutTombstone(context, await networks.ensurePorts(context, await portIdsOf(context))),
        undo: async (context) => networks.removePorts(context, await portIdsOf(context), { settle: true }),
      },
      {
        name: 'disks',
        run: async (context) => disks.ensureDisks(context, await rootDiskIdsOf(context.reader, context.operation.input.machineId)),
        undo: (context) => removeDisks(context, { disks, machines }, { settle: true }),
      },
      {
        name: 'machine',
        run: (context) => machines.ensureMachine(context, context.operation.input.machineId),
        undo: (context) => machines.removeMachine(context, context.operation.input.machineId, true),
      },
      {
        name: 'power',
        // Taking the machine back takes its power, too.
        run: async (context) => {
          const power = await desiredPower(context);
          return machines.ensurePower(context, context.operation.input.machineId, power, 'STOPPED');
        },
      },
      {
        name: 'confirm',
        run: async (context) => machines.confirmPower(context, context.operation.input.machineId, await desiredPower(context)),
      },
    ],
    async onSucceeded(transaction, { operation, outputs }) {
      const confirmed = outputs.confirm as { power: string };
      await transaction.execute(markPresent, operation.input.machineId, confirmed.power);
    },
    async onFailed(transaction, context) {
      const { machineId } = context.operation.input;
      await releaseMachine(transaction, machineId, 'undone', context.apply);
      await transaction.execute(markFailed, machineId, JSON.stringify(failureOf(context)));
    },
    readmit: readmitMachine,
  });
}

async function desiredPower(context: StepContext<MachineInput>): Promise<'RUNNING' | 'STOPPED'> {
  const machine = await context.reader.first(findMachineToRealise, context.operation.input.machineId);
  return machine?.desired_power === 'STOPPED' ? 'STOPPED' : 'RUNNING';
}

/** Takes away the machine with its ports and root disk; what was attached to it stays. There is no way back once it has begun. */
export function deleteMachineOperation({ networks, disks, machines }: MachineRealisers): OperationKind<MachineInput> {
  return defineOperation<MachineInput>({
    kind: 'compute.virtual_machine.delete',
    version: 1,
    input: machineInput,
    deadlineMs: 30 * MINUTE_MS,
    steps: [
      { name: 'machine', pivot: true, run: (context) => machines.removeMachine(context, context.operation.input.machineId) },
      { name: 'disks', run: (context) => removeDisks(context, { disks, machines }) },
      { name: 'ports', run: async (context) => networks.removePorts(context, await portIdsOf(context)) },
    ],
    async onSucceeded(transaction, { operation, apply }) {
      await releaseMachine(transaction, operation.input.machineId, 'deleted', apply);
      await transaction.execute(removeVirtualMachine, operation.input.machineId);
      await removeSecretsOwnedBy(transaction, [operation.input.machineId]);
      await transaction.rows(removeUnusedFlavors);
      await transaction.rows(removeUnusedImages);
    },
    // Called off before it began, or given up by an operator: it can be deleted again.
    async onFailed(transaction, { operation }) {
      await transaction.execute(markKept, operation.input.machineId);
    },
  });
}

/** An earlier attempt has left one; from now on nothing may delete the machine of this one. */
async function withoutTombstone(context: StepContext<MachineInput>, result: StepDone | StepWait): Promise<StepDone | StepWait> {
  if (context.operation.attempt === 1 || result.type === 'WAIT') return result;
  const { machineId } = context.operation.input;
  const machine = await context.reader.first(findMachineToRealise, machineId);
  if (machine === undefined) return result;
  return {
    ...result,
    commit: async (transaction, apply) => {
      await result.commit?.(transaction, apply);
      await liftTombstones(transaction, [{ backendId: machine.backend_id, objectKind: MACHINE_OBJECT, objectId: machine.instance_id }]);
    },
  };
}

/** Disks that cannot be reached because their host is proven to be off are left to the sweep: rows leave tombstones. */
async function removeDisks(
  context: StepContext<MachineInput>,
  { disks, machines }: Pick<MachineRealisers, 'disks' | 'machines'>,
  options: RemoveDiskOptions = {},
): Promise<StepDone | StepWait> {
  const { machineId } = context.operation.input;
  // They hang on a machine that is still there.
  if (await machines.isLeftBehind(context, machineId)) return done();
  return machines.unlessHostIsOff(context, machineId, async () => disks.removeDisks(context, await rootDiskIdsOf(context.reader, machineId), options));
}

/**
 * Rows of ports and root disks, claims, addresses and charges go together; what is gone already is no error. A tombstone lets
 * the sweep delete what a late effect or a returning host brings back.
 */
async function releaseMachine(
  transaction: Transaction,
  machineId: string,
  reason: 'deleted' | 'undone',
  apply: ApplyChanges,
): Promise<void> {
  const machine = await transaction.first(findMachineToRealise, machineId);
  if (machine !== undefined) {
    await writeTombstones(transaction, [{ backendId: machine.backend_id, objectKind: MACHINE_OBJECT, objectId: machine.instance_id, reason }]);
  }
  const ports = (await transaction.rows(findPortsOfOwners, [machineId])).map((row) => row.id);
  const disks = await rootDiskIdsOf(transaction, machineId);
  const changes = planDiskRelease(disks).include(planPortRemoval(ports));
  changes.add(HOST_CLAIMS, { action: 'RELEASE', resourceId: machineId });
  changes.add(CHARGES, { action: 'REFUND', resourceId: machineId });
  if (disks.length > 0) await transaction.execute(removeDiskRows, disks);
  await transaction.execute(freeDisksOfOwners, [machineId]);
  await apply(changes);
}

function failureOf(context: FinishContext<MachineInput>): unknown {
  if (context.error !== null) return context.error;
  return { code: 'CANCELLED', message: 'Its making was cancelled.', fault: 'USER', retryable: true };
}
