import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { invalidInput, MAX_DATA_DISKS_PER_MACHINE, MuonError, parseInput } from '#core';
import { ChangeSet, versionConflict, type Reader } from '#database';
import { Action, CommandRunner, type Access, type CommandOptions, type CommandResult, type Place } from '#identity';
import { findHosts } from '#infrastructure';
import { busyOr, lockResources, operationId, OPERATIONS } from '#operations';
import { SCOPES } from '#scopes';
import { DiskAttachment, diskId, DiskService, diskState, DiskState, findDisksOfOwners, isRootDisk, planDiskAttachment, planDiskDetachment, type DiskRow } from '#storage';
import { requirePresent } from '../virtual-machine/machine-presence.js';
import { MachineRecovery, machineState, type VirtualMachineRow } from '../virtual-machine/virtual-machine.js';
import { findVirtualMachines } from '../virtual-machine/virtual-machine.sql.js';
import { DISK_ATTACH, DISK_DETACH, type AttachmentInput } from './disk-attachment.operations.js';

const reference = z.string().min(1).max(100);
const MACHINE_FIELD = 'input.virtualMachineId';

export const detachDiskInput = z.strictObject({ diskId: reference, expectedVersion: z.int().optional() });
export type DetachDiskInput = z.input<typeof detachDiskInput>;

export const attachDiskInput = detachDiskInput.extend({ virtualMachineId: reference });
export type AttachDiskInput = z.input<typeof attachDiskInput>;

/** The rules of giving disks to machines and taking them back. */
@Injectable()
export class DiskAttachmentService {
  constructor(
    private readonly commands: CommandRunner,
    private readonly disks: DiskService,
  ) {}

  /** @throws NOT_FOUND, FORBIDDEN of either; INVALID_STATE, RESOURCE_BUSY, UNAVAILABLE, LIMIT_EXCEEDED with what stands in the way */
  async attach(access: Access, raw: AttachDiskInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(attachDiskInput, raw);
    return this.change(access, 'attachDisk', input, options, async (reader, disk, changes) => {
      const machine = await findMachine(reader, access, input.virtualMachineId, MACHINE_FIELD);
      await requireFree(reader, disk);
      if (machine.project_id !== disk.project_id) throw invalidInput(MACHINE_FIELD, 'The machine is of another project than the disk.');
      await requireReady(reader, machine, MACHINE_FIELD);
      if (machine.recovery === MachineRecovery.RECREATE) {
        const message = `The machine "${machine.name}" would be made anew elsewhere without its disks when its host is lost; set its recovery to NONE first.`;
        throw new MuonError('INVALID_STATE', message, { field: MACHINE_FIELD, data: { recovery: machine.recovery } });
      }
      await requireReach(reader, access, disk, machine);
      const position = await nextPosition(reader, machine);
      changes.include(planDiskAttachment(disk, machine.id, position));
      startAttachment(changes, DISK_ATTACH, disk, { diskId: disk.id, machineId: machine.id });
    });
  }

  /** @throws NOT_FOUND, FORBIDDEN of either; INVALID_STATE, RESOURCE_BUSY, UNAVAILABLE with what stands in the way */
  async detach(access: Access, raw: DetachDiskInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(detachDiskInput, raw);
    return this.change(access, 'detachDisk', input, options, async (reader, disk, changes) => {
      if (isRootDisk(disk)) {
        throw new MuonError('INVALID_STATE', `The disk "${disk.name}" is the root disk of a machine: it is never detached, and goes with the machine.`);
      }
      if (disk.owner_id === null || disk.attachment !== DiskAttachment.ATTACHED) {
        const message = disk.owner_id === null ? `No machine has the disk "${disk.name}".` : `The disk "${disk.name}" is ${diskState(disk).toLowerCase()}.`;
        throw await busyOr(reader, disk.id, new MuonError('INVALID_STATE', message, { data: { state: diskState(disk) } }));
      }
      const machine = await findMachine(reader, access, disk.owner_id, 'input.diskId');
      await requireReady(reader, machine, 'input.diskId');
      changes.include(planDiskDetachment(disk));
      startAttachment(changes, DISK_DETACH, disk, { diskId: disk.id, machineId: machine.id });
    });
  }

  private async change(
    access: Access,
    name: string,
    input: z.output<typeof detachDiskInput> & { virtualMachineId?: string },
    options: CommandOptions,
    plan: (reader: Reader, disk: DiskRow, changes: ChangeSet) => Promise<void>,
  ): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    const { expectedVersion, ...rest } = input;
    const asked = { ...rest, ...(expectedVersion === undefined ? {} : { expectedVersion }) };
    return this.commands.run({ access, name, input: asked, place, ...options }, async (reader) => {
      const disk = await this.disks.find(reader, access, Action.MODIFY, input.diskId, 'input.diskId');
      Object.assign(place, { tenantId: disk.tenant_id, projectId: disk.project_id });
      if (expectedVersion !== undefined && expectedVersion !== disk.version) throw versionConflict('disk', { id: disk.id, version: expectedVersion });
      const changes = new ChangeSet();
      changes.add(SCOPES, { scopeId: disk.tenant_id, need: 'ACTIVE' }, { scopeId: disk.project_id, need: 'ACTIVE' });
      await plan(reader, disk, changes);
      return changes;
    });
  }
}

/** An operation on a disk that also holds its machine: nobody deletes, moves or starts it meanwhile. */
export function startAttachment(changes: ChangeSet, kind: string, disk: Pick<DiskRow, 'tenant_id' | 'project_id' | 'backend_id'>, input: AttachmentInput): string {
  const id = operationId.create();
  const { tenant_id: tenantId, project_id: projectId, backend_id: backendId } = disk;
  changes.add(OPERATIONS, { id, kind, resourceKind: diskId.prefix, resourceId: input.diskId, tenantId, projectId, backendId, input });
  lockResources(changes, id, [input.diskId, input.machineId]);
  changes.result = { id: input.diskId, operationId: id };
  return id;
}

async function findMachine(reader: Reader, access: Access, id: string, field: string): Promise<VirtualMachineRow> {
  const [row] = await reader.rows(findVirtualMachines, [id]);
  const known = row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
  const machine = access.require(Action.MODIFY, 'virtual machine', known, id, field);
  if (machine.owner_id === null) return machine;
  const message = 'The machine is a node of a cluster, which replaces it as it needs: a disk would be lost to it.';
  throw new MuonError('INVALID_STATE', message, { field, data: { ownerId: machine.owner_id } });
}

/** @throws unless it is there, whole, and nobody's */
async function requireFree(reader: Reader, disk: DiskRow): Promise<void> {
  const state = diskState(disk);
  if (isRootDisk(disk)) {
    throw new MuonError('INVALID_STATE', `The disk "${disk.name}" is the root disk of a machine and stays with it.`, { data: { virtualMachineId: disk.owner_id } });
  }
  if (state === DiskState.AVAILABLE) return;
  const message =
    disk.owner_id === null
      ? `The disk "${disk.name}" is ${state.toLowerCase()}; only one that is available can be attached.`
      : `A machine has the disk "${disk.name}" already; detach it first.`;
  const data = { state, ...(disk.owner_id === null ? {} : { virtualMachineId: disk.owner_id }) };
  throw await busyOr(reader, disk.id, new MuonError('INVALID_STATE', message, { data }));
}

/** @throws unless its disks can be changed now */
async function requireReady(reader: Reader, machine: VirtualMachineRow, field: string): Promise<void> {
  await requirePresent(reader, machine);
  const state = machineState(machine);
  if (machine.observed_power === 'UNKNOWN') {
    const message = `The disks of the machine "${machine.name}" cannot be changed now: ${machine.observed_reason ?? 'nobody knows whether it runs.'}`;
    throw await busyOr(reader, machine.id, new MuonError('UNAVAILABLE', message, { field, data: { state } }));
  }
  if (machine.observed_power !== 'SUSPENDED') return;
  const message = `The machine "${machine.name}" is suspended; resume or stop it first.`;
  throw await busyOr(reader, machine.id, new MuonError('INVALID_STATE', message, { field, data: { state } }));
}

/** @throws INVALID_STATE unless the machine reaches the pool that holds the disk */
async function requireReach(reader: Reader, access: Access, disk: DiskRow, machine: VirtualMachineRow): Promise<void> {
  const refuse = (message: string, data: Record<string, string>): MuonError => new MuonError('INVALID_STATE', message, { field: MACHINE_FIELD, data });
  if (disk.zone_id !== null && disk.zone_id !== machine.zone_id) {
    const message = 'The disk is in another zone than the machine; make a disk for this machine (createDisk with virtualMachineId).';
    throw refuse(message, { diskZoneId: disk.zone_id, machineZoneId: machine.zone_id });
  }
  if (disk.backend_id !== machine.backend_id) {
    const data = access.seesInfrastructure ? { diskBackendId: disk.backend_id, machineBackendId: machine.backend_id } : {};
    throw refuse('The disk is held by another backend than the machine’s; make a disk for this machine (createDisk with virtualMachineId).', data);
  }
  if (disk.host_id === null || disk.host_id === machine.host_id) return;
  const remedy = 'Attach it to a machine there, or make a disk for this machine (createDisk with virtualMachineId).';
  if (!access.seesInfrastructure) throw refuse(`The disk is held by another host than the machine’s, and only machines there reach it. ${remedy}`, {});
  const names = new Map((await reader.rows(findHosts, [disk.host_id, machine.host_id])).map((host) => [host.id, host.name]));
  const [holds, runs] = [names.get(disk.host_id) ?? disk.host_id, names.get(machine.host_id) ?? machine.host_id];
  const message = `The disk is held by host "${holds}", which only machines there reach, and the machine is on "${runs}". ${remedy}`;
  throw refuse(message, { diskHostId: disk.host_id, machineHostId: machine.host_id });
}

/** @throws LIMIT_EXCEEDED when the machine has as many as it may */
async function nextPosition(reader: Reader, machine: VirtualMachineRow): Promise<number> {
  const disks = await reader.rows(findDisksOfOwners, [machine.id]);
  const limit = MAX_DATA_DISKS_PER_MACHINE;
  if (disks.filter((disk) => !isRootDisk(disk)).length >= limit) {
    const message = `The machine "${machine.name}" has ${limit} disks beside its root disk, and may have no more.`;
    throw await busyOr(reader, machine.id, new MuonError('LIMIT_EXCEEDED', message, { field: MACHINE_FIELD, data: { limit } }));
  }
  return Math.max(...disks.map((disk) => disk.position), 0) + 1;
}
