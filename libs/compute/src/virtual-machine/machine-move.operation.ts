import { z } from 'zod';
import { MuonError, notFound } from '#core';
import { ChangeSet, type Reader } from '#database';
import { findHosts, heldBack } from '#infrastructure';
import { findPortsOfOwners, movePorts } from '#network';
import { defineOperation, done, wait, type OperationKind, type StepContext, type StepDone, type StepWait } from '#operations';
import { HOST_CLAIMS } from '#placement';
import { findDisksOfOwners } from '#storage';
import type { MachineOwners } from '../host/machine-owners.js';
import { placeElsewhere } from './machine-move.js';
import type { MachineRealisers } from './virtual-machine.operations.js';
import type { VirtualMachineRow } from './virtual-machine.js';
import { findVirtualMachines, markPresent, moveToHost } from './virtual-machine.sql.js';

const MINUTE_MS = 60_000;

const moveInput = z.strictObject({ machineId: z.string(), fromHostId: z.string(), fromRackId: z.string().nullable() });
type MoveInput = z.output<typeof moveInput>;

/** Takes a machine to another host of its backend, which it chooses itself; a running one is stopped meanwhile. */
export function moveMachineOperation({ machines, networks }: MachineRealisers, owners: MachineOwners): OperationKind<MoveInput> {
  const current = (context: StepContext<MoveInput>): Promise<VirtualMachineRow> => readMachine(context.reader, context.operation.input.machineId);
  const target = (context: StepContext<MoveInput>): { hostId: string; rackId: string | null } =>
    context.outputs.place as { hostId: string; rackId: string | null };
  const ports = async (context: StepContext<MoveInput>): Promise<string[]> =>
    (await context.reader.rows(findPortsOfOwners, [context.operation.input.machineId])).map((row) => row.id);
  return defineOperation<MoveInput>({
    kind: 'compute.virtual_machine.move',
    version: 1,
    input: moveInput,
    deadlineMs: 30 * MINUTE_MS,
    steps: [
      {
        name: 'place',
        run: async (context) => {
          const machine = await current(context);
          await requireNoLocalDisks(context.reader, machine.id);
          await requireNotHeld(context.reader, owners, machine);
          return placeElsewhere(context.reader, owners, machine);
        },
      },
      {
        name: 'stop',
        run: async (context) => {
          const { machineId } = context.operation.input;
          const begin = async (): Promise<StepDone | StepWait> => (await askOnceMore(context, machines, owners)) ?? stop(context, machines);
          return machines.refuseOnceHostIsOff(context, machineId, begin);
        },
        // By now it is back where it was, or stays where it is: its ports first, then its power.
        undo: async (context) => {
          const realised = await networks.ensurePorts(context, await ports(context));
          if (realised.type === 'WAIT') return realised;
          const machine = await current(context);
          const message = `Its host is proven to be off: the machine is not ${machine.desired_power.toLowerCase()} there as before.`;
          if (await isLost(context, machines)) return done({ notRestored: [{ resourceId: machine.id, message }] });
          const restored = await restoreRunning(context, machines, machine);
          return restored.type === 'WAIT' ? restored : realised;
        },
      },
      {
        name: 'move',
        run: async (context) => {
          const { machineId } = context.operation.input;
          const { hostId, rackId } = target(context);
          const moved = await machines.refuseOnceHostIsOff(context, machineId, () => machines.move(context, machineId, hostId), hostId);
          if (moved.type === 'WAIT') return moved;
          const { backend_id } = await current(context);
          return done({
            commit: async (transaction) => {
              await transaction.execute(moveToHost, machineId, hostId, rackId);
              await transaction.execute(movePorts, [machineId], hostId, backend_id);
            },
          });
        },
        undo: async (context) => {
          const { machineId, fromHostId, fromRackId } = context.operation.input;
          const moved = await machines.moveBack(context, machineId, fromHostId, target(context).hostId);
          if (moved.type === 'WAIT') return moved;
          const { backend_id: backendId } = await current(context);
          const from = { hostId: fromHostId, rackId: fromRackId };
          const home = await whereItIs(context, machines, [from, target(context)]);
          const message = 'One of the two hosts is proven to be off: the machine does not go back to where it was.';
          return done({
            notRestored: home.hostId === fromHostId ? [] : [{ resourceId: machineId, message }],
            commit: async (transaction) => {
              await transaction.execute(moveToHost, machineId, home.hostId, home.rackId);
              await transaction.execute(movePorts, [machineId], home.hostId, backendId);
            },
          });
        },
      },
      { name: 'ports', run: async (context) => networks.ensurePorts(context, await ports(context)) },
      {
        name: 'start',
        run: async (context) => {
          const machine = await current(context);
          return machines.refuseOnceHostIsOff(context, machine.id, () => restoreRunning(context, machines, machine));
        },
        // Only a stopped machine moves back.
        undo: async (context) => ((await isLost(context, machines)) ? done() : stop(context, machines)),
      },
      {
        name: 'confirm',
        run: async (context) => {
          const { id, desired_power: power } = await current(context);
          return machines.refuseOnceHostIsOff(context, id, () => machines.confirmPower(context, id, power));
        },
      },
    ],
    async onSucceeded(transaction, { operation, outputs, apply }) {
      const { hostId } = outputs.place as { hostId: string };
      const { power } = outputs.confirm as { power: string };
      await transaction.execute(markPresent, operation.input.machineId, power);
      await apply(new ChangeSet().add(HOST_CLAIMS, { action: 'SETTLE', resourceId: operation.input.machineId, hostId }));
      await owners.wasMoved(transaction, operation.input.machineId);
    },
    async onFailed(transaction, { operation, outputs, apply }) {
      const { id, host_id: hostId } = await readMachine(transaction, operation.input.machineId);
      await apply(new ChangeSet().add(HOST_CLAIMS, { action: 'SETTLE', resourceId: id, hostId }));
      // Without a place it was never stopped.
      if (outputs.place !== undefined) await owners.wasMoved(transaction, id);
    },
  });
}

/** @throws what its owner has against it by now: somebody else of the same owner may have fallen ill since the move was planned */
async function requireNotHeld(reader: Reader, owners: MachineOwners, machine: VirtualMachineRow): Promise<void> {
  const held = (await owners.whatHolds(reader, [machine])).get(machine.id);
  if (held !== undefined) throw MuonError.fromRecord(heldBack(held));
}

/** Nobody is asked again once the machine is told to stop: what has been told may still come, whatever is answered then. */
const TOLD_TO_STOP = 'told to stop';

/**
 * Its backend may have been away for long since the place was chosen: when it answers, the owner is asked again, and that is
 * written down before the machine is told to stop.
 * @returns undefined when it may be told, or need not
 */
async function askOnceMore(context: StepContext<MoveInput>, machines: MachineRealisers['machines'], owners: MachineOwners): Promise<StepWait | undefined> {
  if (context.step.memo === TOLD_TO_STOP) return undefined;
  const machine = await readMachine(context.reader, context.operation.input.machineId);
  const { power } = await machines.look(context, machine.id);
  if (power === 'STOPPED') return undefined;
  await requireNotHeld(context.reader, owners, machine);
  return wait({ afterMs: 0, blocker: 'The machine is being stopped.', memo: TOLD_TO_STOP });
}

/** @throws UNSUPPORTED naming what lies on the host itself: it may have been attached since the move was planned */
async function requireNoLocalDisks(reader: Reader, machineId: string): Promise<void> {
  const diskIds = (await reader.rows(findDisksOfOwners, [machineId])).filter((disk) => disk.host_id !== null).map((disk) => disk.id);
  if (diskIds.length === 0) return;
  throw new MuonError('UNSUPPORTED', 'A disk of the machine lies on its host itself and cannot leave it.', { fault: 'OPERATOR', data: { diskIds } });
}

async function readMachine(reader: Reader, machineId: string): Promise<VirtualMachineRow> {
  const [machine] = await reader.rows(findVirtualMachines, [machineId]);
  if (machine === undefined) throw notFound('virtual machine', machineId);
  return machine;
}

async function stop(context: StepContext<MoveInput>, machines: MachineRealisers['machines']): Promise<StepDone | StepWait> {
  const { machineId } = context.operation.input;
  return machines.ensurePower(context, machineId, 'STOPPED', (await machines.look(context, machineId)).power);
}

/** Its power can neither be seen nor changed any more: nothing that is taken back waits for its host. */
async function isLost(context: StepContext<MoveInput>, machines: MachineRealisers['machines']): Promise<boolean> {
  const { machineId } = context.operation.input;
  return (await machines.look(context, machineId)).power === 'UNKNOWN' && machines.isOnHostThatIsOff(context, machineId);
}

/** Which of the hosts has it, as the backend says. */
async function whereItIs<Place extends { hostId: string }>(
  context: StepContext<MoveInput>,
  machines: MachineRealisers['machines'],
  places: readonly [Place, Place],
): Promise<Place> {
  const { hostName } = await machines.look(context, context.operation.input.machineId);
  const hosts = await context.reader.rows(findHosts, places.map((place) => place.hostId));
  const [found] = hosts.filter((host) => host.name === hostName);
  return places.find((place) => place.hostId === found?.id) ?? places[0];
}

/** Brings a machine that was stopped for the move back to what is desired of it. */
async function restoreRunning(
  context: StepContext<MoveInput>,
  machines: MachineRealisers['machines'],
  machine: VirtualMachineRow,
): Promise<StepDone | StepWait> {
  const { power } = await machines.look(context, machine.id);
  return machines.ensurePower(context, machine.id, machine.desired_power, power);
}
