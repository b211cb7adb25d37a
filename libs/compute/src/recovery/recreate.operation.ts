import { z } from 'zod';
import { assert, MuonError } from '#core';
import { ChangeSet, type Reader, type Transaction } from '#database';
import { findHosts, HostState, hostState } from '#infrastructure';
import { findPortsOfOwners, movePorts } from '#network';
import { defineOperation, done, RECREATED, writeTombstones, type ApplyChanges, type OperationKind, type StepContext, type StepDone, type StepWait } from '#operations';
import { HOST_CLAIMS } from '#placement';
import { findDisks, findDisksOfOwners, isRootDisk, planDiskSuccession, removeDiskRows } from '#storage';
import type { MachineRealisers } from '../virtual-machine/virtual-machine.operations.js';
import { DISK_OBJECT, MACHINE_OBJECT, type RecoveryBlock, type VirtualMachineRow } from '../virtual-machine/virtual-machine.js';
import { findVirtualMachines, markPresent } from '../virtual-machine/virtual-machine.sql.js';
import { endRecovery, giveBack, lockWished, takeOver } from './machine-recovery.sql.js';

export const RECREATE_MACHINE = 'compute.virtual_machine.recreate';

const MINUTE_MS = 60_000;

const place = z.strictObject({ instanceId: z.string(), hostId: z.string(), rackId: z.string().nullable(), diskId: z.string() });
const recreateInput = z.strictObject({ machineId: z.string(), lost: place, successor: place });
export type RecreateInput = z.output<typeof recreateInput>;
type Place = RecreateInput['lost'];
type Context = StepContext<RecreateInput>;

/**
 * Makes a machine anew on another host, of its image: it keeps its id, name, ports, addresses and charges, and loses what was
 * on its root disk. The lost one is not touched until the end, and takes its place again should anything fail: its host may
 * have come back by then, or it shall wait for its host after all. After the end it has a tombstone, and never runs again.
 */
export function recreateMachineOperation({ networks, disks, machines }: MachineRealisers): OperationKind<RecreateInput> {
  return defineOperation<RecreateInput>({
    kind: RECREATE_MACHINE,
    version: 1,
    input: recreateInput,
    deadlineMs: 10 * MINUTE_MS,
    steps: [
      {
        name: 'verify',
        run: async (context) => {
          const { input } = context.operation;
          await requireLost(context.reader, input);
          await requireWished(context.reader, input.machineId);
          await requireNoDataDisks(context.reader, input.machineId);
          return done();
        },
        // By now its row speaks of the lost one again.
        undo: async (context) => networks.ensurePorts(context, await portIdsOf(context)),
      },
      {
        name: 'disk',
        run: (context) => disks.ensureDisks(context, [context.operation.input.successor.diskId]),
        undo: async (context) => {
          const { machineId, successor } = context.operation.input;
          // It hangs on a machine that is still there.
          if (await machines.isLeftBehind(context, machineId, successor)) return done();
          return machines.unlessHostIsOff(context, machineId, () => disks.removeDisks(context, [successor.diskId], { settle: true }), successor);
        },
      },
      {
        name: 'machine',
        run: (context) => machines.ensureMachine(context, context.operation.input.machineId, context.operation.input.successor),
        undo: (context) => machines.removeMachine(context, context.operation.input.machineId, true, context.operation.input.successor),
      },
      {
        name: 'take-over',
        run: async (context) => {
          const { input } = context.operation;
          await requireLost(context.reader, input);
          await requireWished(context.reader, input.machineId);
          const { backend_id: backendId } = await readMachine(context.reader, input.machineId);
          return done({ commit: (transaction) => takeOverFrom(transaction, input, backendId) });
        },
        undo: async (context) => {
          const { machineId, lost } = context.operation.input;
          const { backend_id: backendId } = await readMachine(context.reader, machineId);
          return done({
            commit: async (transaction) => {
              await transaction.execute(giveBack, machineId, lost.instanceId, lost.hostId, lost.rackId);
              await transaction.execute(movePorts, [machineId], lost.hostId, backendId);
            },
          });
        },
      },
      { name: 'ports', run: async (context) => networks.ensurePorts(context, await portIdsOf(context)) },
      {
        name: 'start',
        // Taking the new machine back takes its power, too.
        run: (context) => start(context, machines),
      },
      {
        name: 'confirm',
        run: async (context) => {
          const { machineId } = context.operation.input;
          await requireWished(context.reader, machineId);
          return machines.confirmPower(context, machineId, 'RUNNING');
        },
      },
    ],
    async onSucceeded(transaction, { operation, apply }) {
      const { machineId, lost, successor } = operation.input;
      // Up to here its disk can be kept.
      if ((await transaction.rows(lockWished, machineId)).length === 0) throw shallWait();
      await transaction.execute(markPresent, machineId, 'RUNNING');
      await transaction.execute(endRecovery, machineId, null);
      await settle(transaction, machineId, { kept: successor, dropped: lost, reason: RECREATED }, apply);
    },
    async onFailed(transaction, { operation, error, apply }) {
      const { machineId, lost, successor } = operation.input;
      await transaction.execute(endRecovery, machineId, error === null ? null : JSON.stringify(blockOf(error)));
      await settle(transaction, machineId, { kept: lost, dropped: successor, reason: 'undone' }, apply);
    },
  });
}

/** @throws INVALID_STATE when the lost machine's host is not proven to be off any more */
async function requireLost(reader: Reader, { lost }: RecreateInput): Promise<void> {
  const [host] = await reader.rows(findHosts, [lost.hostId]);
  if (host === undefined || hostState(host) !== HostState.FENCED) throw hasReturned();
}

/** @throws INVALID_STATE: one may have been attached since this was planned; from now on none can be */
async function requireNoDataDisks(reader: Reader, machineId: string): Promise<void> {
  if ((await reader.rows(findDisksOfOwners, [machineId])).every(isRootDisk)) return;
  throw new MuonError('INVALID_STATE', 'It has disks beside its root disk, which would be lost: it waits for its host.', { fault: 'SYSTEM' });
}

/** @throws INVALID_STATE when the machine shall wait for its host meanwhile */
async function requireWished(reader: Reader, machineId: string): Promise<void> {
  if ((await readMachine(reader, machineId)).recovery !== 'RECREATE') throw shallWait();
}

function shallWait(): MuonError {
  return new MuonError('INVALID_STATE', 'It is not to be made anew any more: it waits for its host, and keeps its disk.', { fault: 'SYSTEM' });
}

function hasReturned(): MuonError {
  return new MuonError('INVALID_STATE', 'Its host is not proven to be off any more: the machine stays what it is, with its disk.', { fault: 'SYSTEM' });
}

/** From here on the machine is the new one, unless it is given back. */
async function takeOverFrom(transaction: Transaction, { machineId, lost, successor }: RecreateInput, backendId: string): Promise<void> {
  const { instanceId, hostId, rackId } = successor;
  const taken = await transaction.rows(takeOver, machineId, lost.hostId, instanceId, hostId, rackId);
  if (taken.length === 0) {
    await requireWished(transaction, machineId);
    throw hasReturned();
  }
  await transaction.execute(movePorts, [machineId], hostId, backendId);
}

async function start(context: Context, machines: MachineRealisers['machines']): Promise<StepDone | StepWait> {
  const { machineId } = context.operation.input;
  const { power } = await machines.look(context, machineId);
  return machines.ensurePower(context, machineId, 'RUNNING', power);
}

async function portIdsOf(context: Context): Promise<string[]> {
  return (await context.reader.rows(findPortsOfOwners, [context.operation.input.machineId])).map((row) => row.id);
}

async function readMachine(reader: Reader, machineId: string): Promise<VirtualMachineRow> {
  const [machine] = await reader.rows(findVirtualMachines, [machineId]);
  assert(machine !== undefined, `machine ${machineId} is gone while it is being made anew`);
  return machine;
}

/** One of the two is the machine; of the other what the backend has, or may yet get, is left to the sweep. */
async function settle(
  transaction: Transaction,
  machineId: string,
  { kept, dropped, reason }: { kept: Place; dropped: Place; reason: string },
  apply: ApplyChanges,
): Promise<void> {
  const machine = await readMachine(transaction, machineId);
  const [disk] = await transaction.rows(findDisks, [kept.diskId]);
  assert(disk !== undefined, `disk ${kept.diskId} is gone while its machine is being made anew`);
  await transaction.execute(removeDiskRows, [dropped.diskId]);
  const { backend_id: backendId } = machine;
  await writeTombstones(transaction, [
    { backendId, objectKind: MACHINE_OBJECT, objectId: dropped.instanceId, reason },
    { backendId, objectKind: DISK_OBJECT, objectId: dropped.diskId, reason },
  ]);
  const changes = new ChangeSet().add(HOST_CLAIMS, { action: 'SETTLE', resourceId: machineId, hostId: kept.hostId });
  await apply(changes.include(planDiskSuccession(disk, dropped.diskId)));
}

function blockOf({ code, message }: { code: string; message: string }): RecoveryBlock {
  return { code, message: `Making it anew has failed: ${message}`, since: new Date().toISOString() };
}
