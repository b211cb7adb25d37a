import { z } from 'zod';
import { ChangeSet } from '#database';
import { findPortsOfOwners } from '#network';
import { defineOperation, done, type OperationKind } from '#operations';
import { HOST_CLAIMS } from '#placement';
import { CHARGES } from '#quota';
import { takeBackDiskGrowth } from '#storage';
import type { MachineRealisers } from './virtual-machine.operations.js';
import { markPresent, restorePower, restoreSize } from './virtual-machine.sql.js';

const MINUTE_MS = 60_000;

const powerInput = z.strictObject({
  machineId: z.string(),
  action: z.enum(['START', 'STOP', 'RESTART', 'SUSPEND', 'RESUME']),
  force: z.boolean(),
  before: z.enum(['RUNNING', 'STOPPED', 'SUSPENDED']),
});
type PowerInput = z.output<typeof powerInput>;

const POWER_AFTER = { START: 'RUNNING', STOP: 'STOPPED', RESTART: 'RUNNING', SUSPEND: 'SUSPENDED', RESUME: 'RUNNING' } as const;

/** Changes the power of a machine; the desired state was written at admission and is put back when it fails. */
export function powerMachineOperation({ machines, networks }: MachineRealisers): OperationKind<PowerInput> {
  return defineOperation<PowerInput>({
    kind: 'compute.virtual_machine.power',
    version: 1,
    input: powerInput,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'change',
        run: async (context) => {
          const { machineId, action, force } = context.operation.input;
          if (action === 'RESTART') return machines.restart(context, machineId);
          const { power } = await machines.look(context, machineId);
          if (power === 'STOPPED' && POWER_AFTER[action] === 'RUNNING') {
            // Its host may have been away, and lack the rules that its ports shall be under.
            const ports = await context.reader.rows(findPortsOfOwners, [machineId]);
            const waiting = await networks.hostsCatchUp(context, ports.map((port) => port.id));
            if (waiting !== null) return waiting;
          }
          return machines.ensurePower(context, machineId, POWER_AFTER[action], power, force);
        },
        undo: async (context) => {
          const { machineId, before } = context.operation.input;
          const { power } = await machines.look(context, machineId);
          if (power === 'UNKNOWN') {
            const message = `The machine's host does not answer: nobody knows whether it is ${before.toLowerCase()} as before.`;
            return done({ notRestored: [{ resourceId: machineId, message }] });
          }
          return machines.ensurePower(context, machineId, before, power, true);
        },
      },
      {
        name: 'confirm',
        run: (context) => {
          const { machineId, action } = context.operation.input;
          return machines.confirmPower(context, machineId, POWER_AFTER[action]);
        },
      },
    ],
    async onSucceeded(transaction, { operation }) {
      await transaction.execute(markPresent, operation.input.machineId, POWER_AFTER[operation.input.action]);
    },
    async onFailed(transaction, { operation }) {
      // A reconciler wants nothing that was not wanted before.
      if (operation.origin === 'RECONCILER') return;
      await transaction.execute(restorePower, operation.input.machineId, operation.input.before);
    },
  });
}

const sizeSchema = z.strictObject({ flavorId: z.string(), cpu: z.int(), memoryMib: z.int(), charges: z.record(z.string(), z.int()) });
const resizeInput = z.strictObject({
  machineId: z.string(),
  from: sizeSchema,
  to: sizeSchema,
  /** The root disk as it was; null when its size stays. */
  disk: z.strictObject({ id: z.string(), fromGib: z.int() }).nullable(),
});
export type ResizeInput = z.output<typeof resizeInput>;

/** Changes the size of a stopped machine. Quota and host hold the larger of the two until it has ended. */
export function resizeMachineOperation({ machines, disks }: MachineRealisers): OperationKind<ResizeInput> {
  const settled = (machineId: string, size: ResizeInput['to']): ChangeSet => {
    const { cpu, memoryMib, charges: amounts } = size;
    const changes = new ChangeSet().add(HOST_CLAIMS, { action: 'RESIZE', resourceId: machineId, cpu, memoryMib });
    return changes.add(CHARGES, { action: 'ADJUST', resourceId: machineId, amounts });
  };
  return defineOperation<ResizeInput>({
    kind: 'compute.virtual_machine.resize',
    version: 1,
    input: resizeInput,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'resize',
        run: (context) => {
          const { machineId, to } = context.operation.input;
          return machines.resize(context, machineId, to);
        },
        undo: (context) => {
          const { machineId, from } = context.operation.input;
          return machines.resize(context, machineId, from);
        },
      },
      {
        // Last, because a disk only grows.
        name: 'disk',
        run: async (context) => {
          const { disk } = context.operation.input;
          return disk === null ? done() : disks.ensureDisks(context, [disk.id]);
        },
        undo: async (context) => {
          const { disk } = context.operation.input;
          return disk === null ? done() : disks.observeSize(context, disk.id, disk.fromGib);
        },
      },
    ],
    async onSucceeded(_transaction, { operation, apply }) {
      await apply(settled(operation.input.machineId, operation.input.to));
    },
    async onFailed(transaction, { operation, apply }) {
      const { machineId, from, disk } = operation.input;
      await transaction.execute(restoreSize, machineId, from.flavorId, from.cpu, from.memoryMib);
      const changes = settled(machineId, from);
      if (disk !== null) changes.include(await takeBackDiskGrowth(transaction, disk.id, disk.fromGib));
      await apply(changes);
    },
  });
}
