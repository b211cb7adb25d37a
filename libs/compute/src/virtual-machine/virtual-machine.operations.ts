import { z } from 'zod';
import type { Transaction } from '#database';
import { findPortsOfOwners, planPortRemoval, type NetworkRealiser } from '#network';
import { defineOperation, type ApplyChanges, type FinishContext, type OperationKind, type StepContext } from '#operations';
import { HOST_CLAIMS } from '#placement';
import { CHARGES } from '#quota';
import { findDisksOfOwners, planDiskRelease, removeDiskRows, type DiskRealiser } from '#storage';
import { removeUnusedFlavors } from '../flavor/flavor.sql.js';
import { removeUnusedImages } from '../image/image.sql.js';
import type { MachineRealiser } from '../realise/machine-realiser.js';
import { findMachineToRealise, markFailed, markPresent, removeVirtualMachine } from './virtual-machine.sql.js';

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

async function diskIdsOf(context: StepContext<MachineInput>): Promise<string[]> {
  return (await context.reader.rows(findDisksOfOwners, [context.operation.input.machineId])).map((row) => row.id);
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
        run: async (context) => networks.ensurePorts(context, await portIdsOf(context)),
        undo: async (context) => networks.removePorts(context, await portIdsOf(context), { settle: true }),
      },
      {
        name: 'disks',
        run: async (context) => disks.ensureDisks(context, await diskIdsOf(context)),
        undo: async (context) => disks.removeDisks(context, await diskIdsOf(context), { settle: true }),
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
      await releaseMachine(transaction, machineId, context.apply);
      await transaction.execute(markFailed, machineId, JSON.stringify(failureOf(context)));
    },
  });
}

async function desiredPower(context: StepContext<MachineInput>): Promise<'RUNNING' | 'STOPPED'> {
  const machine = await context.reader.first(findMachineToRealise, context.operation.input.machineId);
  return machine?.desired_power === 'STOPPED' ? 'STOPPED' : 'RUNNING';
}

/** Takes away the machine with its ports and disks. There is no way back once it has begun. */
export function deleteMachineOperation({ networks, disks, machines }: MachineRealisers): OperationKind<MachineInput> {
  return defineOperation<MachineInput>({
    kind: 'compute.virtual_machine.delete',
    version: 1,
    input: machineInput,
    deadlineMs: 30 * MINUTE_MS,
    steps: [
      { name: 'machine', pivot: true, run: (context) => machines.removeMachine(context, context.operation.input.machineId) },
      { name: 'disks', run: async (context) => disks.removeDisks(context, await diskIdsOf(context)) },
      { name: 'ports', run: async (context) => networks.removePorts(context, await portIdsOf(context)) },
    ],
    async onSucceeded(transaction, { operation, apply }) {
      await releaseMachine(transaction, operation.input.machineId, apply);
      await transaction.execute(removeVirtualMachine, operation.input.machineId);
      await transaction.rows(removeUnusedFlavors);
      await transaction.rows(removeUnusedImages);
    },
  });
}

/** Rows of ports and disks, claims, addresses and charges go together; what is gone already is no error. */
async function releaseMachine(transaction: Transaction, machineId: string, apply: ApplyChanges): Promise<void> {
  const ports = (await transaction.rows(findPortsOfOwners, [machineId])).map((row) => row.id);
  const disks = (await transaction.rows(findDisksOfOwners, [machineId])).map((row) => row.id);
  const changes = planDiskRelease(disks).include(planPortRemoval(ports));
  changes.add(HOST_CLAIMS, { action: 'RELEASE', resourceId: machineId });
  changes.add(CHARGES, { action: 'REFUND', resourceId: machineId });
  if (disks.length > 0) await transaction.execute(removeDiskRows, disks);
  await apply(changes);
}

function failureOf(context: FinishContext<MachineInput>): unknown {
  if (context.error !== null) return context.error;
  return { code: 'CANCELLED', message: 'Its making was cancelled.', fault: 'USER', retryable: true };
}
