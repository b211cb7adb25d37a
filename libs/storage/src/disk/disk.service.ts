import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { invalidInput, MAX_DISK_GIB, MuonError, nameSchema, notFound, parseInput } from '#core';
import { ChangeSet, versionConflict, type Reader } from '#database';
import { Action, CommandRunner, type Access, type CommandOptions, type CommandResult, type Place } from '#identity';
import { busyOr, lockResources } from '#operations';
import { QuotaLedger } from '#quota';
import { findScopes, requireActive, SCOPES, type ScopeRow } from '#scopes';
import { usableZones } from '#tenancy';
import { resolveStoragePolicies } from '../storage-policy/policy-choice.js';
import { planPolicyChange } from '../storage-policy/policy-change.js';
import { chooseDatastore } from './datastore-choice.js';
import { planDiskDeletion, planDiskResize, startDiskOperation } from './disk-change-plan.js';
import { lackOfRoom, planDisks } from './disk-plan.js';
import { isRootDisk, type DiskRow } from './disk.js';
import { DISK_CREATE } from './disk.operations.js';
import { findDiskByName, findDisksOfOwners, findVisibleDisks } from './disk.sql.js';

const sizeGib = z.int().min(1, 'A disk has at least 1 GiB.').max(MAX_DISK_GIB, `A disk has at most ${MAX_DISK_GIB} GiB.`);

export const createDiskInput = z.strictObject({
  projectId: z.string().max(100),
  name: nameSchema,
  sizeGib,
  /** Id or name; any zone of the tenant when left out. */
  zone: z.string().min(1).max(100).optional(),
  /** A machine that it can be attached to: it is made where that reaches it. */
  virtualMachineId: z.string().max(100).optional(),
  /** Id or name of what it shall keep to; the default policy when left out. */
  storagePolicy: z.string().min(1).max(100).optional(),
  /** Only datastores of this kind; any when left out. */
  datastoreKind: nameSchema.optional(),
});
export type CreateDiskInput = z.input<typeof createDiskInput>;

export const resizeDiskInput = z.strictObject({ id: z.string().max(100), sizeGib, expectedVersion: z.int().optional() });
export type ResizeDiskInput = z.input<typeof resizeDiskInput>;

export const updateDiskInput = z.strictObject({
  id: z.string().max(100),
  /** Id or name of what it shall keep to from now on; null for nothing. */
  storagePolicy: z.string().min(1).max(100).nullable(),
  expectedVersion: z.int().optional(),
});
export type UpdateDiskInput = z.input<typeof updateDiskInput>;

/**
 * The rules of disks of their own, which may be attached to machines. A machine's root disk is made, resized and deleted with
 * the machine.
 */
@Injectable()
export class DiskService {
  constructor(
    private readonly commands: CommandRunner,
    private readonly ledger: QuotaLedger,
  ) {}

  /** @throws NOT_FOUND, FORBIDDEN, INVALID_STATE of project and zone; ALREADY_EXISTS; INSUFFICIENT_CAPACITY; QUOTA_EXCEEDED */
  async create(access: Access, raw: CreateDiskInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createDiskInput, raw);
    const place: Place = { tenantId: null, projectId: input.projectId };
    return this.commands.run({ access, name: 'createDisk', input, place, ...options }, async (reader) => {
      const project = await this.requireProject(reader, access, input.projectId);
      const { tenant_id: tenantId, id: projectId } = project;
      place.tenantId = tenantId;
      const usable = await this.chooseZoneIds(reader, tenantId, input.zone);
      const machine = input.virtualMachineId === undefined ? null : await this.findMachine(reader, access, projectId, input.virtualMachineId);
      const zoneIds = machine === null || machine.zone_id === null ? usable : usable.filter((zoneId) => zoneId === machine.zone_id);
      if (input.zone !== undefined && zoneIds.length === 0) throw invalidInput('input.zone', 'The machine is in another zone.');
      const { datastoreKind: kind } = input;
      const reach = machine === null ? undefined : { backendId: machine.backend_id, hostId: machine.host_id };
      const [chosen] = await resolveStoragePolicies(reader, [{ reference: input.storagePolicy, field: 'input.storagePolicy' }]);
      const datastore = await chooseDatastore(reader, zoneIds, input.sizeGib, { reach, kind, policy: chosen?.kept });
      const request = {
        name: input.name,
        tenantId,
        projectId,
        datastoreId: datastore.datastore_id,
        datastoreOffer: chosen == null && kind === undefined ? undefined : datastore.offer,
        storagePolicy: chosen?.policy ?? null,
        zoneId: datastore.zone_id,
        sizeGib: input.sizeGib,
        imageReference: null,
        ownerId: null,
      };
      const { changes, disks } = await planDisks(reader, [request], { showDatastores: access.seesInfrastructure });
      const id = disks[0]?.diskId ?? '';
      if ((await reader.first(findDiskByName, projectId, input.name)) !== undefined) {
        const taken = new MuonError('ALREADY_EXISTS', 'A disk of this name exists already in the project.', { field: 'input.name' });
        changes.problems.push(taken.toRecord());
      }
      changes.add(SCOPES, { scopeId: tenantId, need: 'ACTIVE' }, { scopeId: projectId, need: 'ACTIVE' });
      const operation = startDiskOperation(changes, DISK_CREATE, { id, tenant_id: tenantId, project_id: projectId, backend_id: datastore.backend_id }, {
        diskId: id,
        zoneIds,
        ...(reach === undefined ? {} : { reach }),
        ...(kind === undefined ? {} : { datastoreKind: kind }),
      });
      lockResources(changes, operation, [id]);
      await this.ledger.previewPlan(reader, changes);
      return changes;
    });
  }

  /**
   * Makes a disk larger. Claims and charges are raised at once; a change that fails gives back what the disk has not got.
   * @throws INVALID_INPUT when it would not grow; INSUFFICIENT_CAPACITY when its datastore is full; QUOTA_EXCEEDED
   */
  async resize(access: Access, raw: ResizeDiskInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(resizeDiskInput, raw);
    return this.change(access, 'resizeDisk', Action.MODIFY, input.id, { ...input }, options, async (reader, disk, changes) => {
      if (input.expectedVersion !== undefined && input.expectedVersion !== disk.version) {
        throw versionConflict('disk', { id: disk.id, version: input.expectedVersion });
      }
      if (disk.lifecycle !== 'PRESENT') {
        const message = `The disk "${disk.name}" is ${disk.lifecycle}; only a disk that is there can be resized.`;
        throw await busyOr(reader, disk.id, new MuonError('INVALID_STATE', message, { data: { state: disk.lifecycle } }));
      }
      if (input.sizeGib <= disk.size_gib) {
        throw new MuonError('INVALID_INPUT', `The disk has ${disk.size_gib} GiB and only grows.`, {
          field: 'input.sizeGib',
          data: { sizeGib: disk.size_gib },
        });
      }
      changes.add(SCOPES, { scopeId: disk.tenant_id, need: 'ACTIVE' }, { scopeId: disk.project_id, need: 'ACTIVE' });
      changes.problems.push(...(await lackOfRoom(reader, disk, input.sizeGib)));
      const resize = planDiskResize(disk, input.sizeGib);
      changes.include(resize);
      changes.result = resize.result;
      await this.ledger.previewPlan(reader, changes);
    });
  }

  /**
   * Gives a disk another policy to keep to, or none. It stays on its datastore, which must keep that.
   * @throws INVALID_STATE naming the rules that the datastore would break; QUOTA_EXCEEDED for what the policy costs
   */
  async update(access: Access, raw: UpdateDiskInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(updateDiskInput, raw);
    return this.change(access, 'updateDisk', Action.MODIFY, input.id, { ...input }, options, async (reader, disk, changes) => {
      if (input.expectedVersion !== undefined && input.expectedVersion !== disk.version) {
        throw versionConflict('disk', { id: disk.id, version: input.expectedVersion });
      }
      if (disk.lifecycle !== 'PRESENT') {
        const message = `The disk "${disk.name}" is ${disk.lifecycle}; only a disk that is there gets another policy.`;
        throw await busyOr(reader, disk.id, new MuonError('INVALID_STATE', message, { data: { state: disk.lifecycle } }));
      }
      const { storagePolicy: reference } = input;
      const [chosen = null] = reference === null ? [] : await resolveStoragePolicies(reader, [{ reference, field: 'input.storagePolicy' }]);
      changes.add(SCOPES, { scopeId: disk.tenant_id, need: 'ACTIVE' }, { scopeId: disk.project_id, need: 'ACTIVE' });
      const change = await planPolicyChange(reader, disk, chosen?.policy ?? null);
      changes.include(change);
      changes.result = change.result;
      await this.ledger.previewPlan(reader, changes);
    });
  }

  async delete(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    return this.change(access, 'deleteDisk', Action.DELETE, id, { id }, options, async (reader, disk, changes) => {
      if (disk.owner_id !== null) {
        const message = `A machine has the disk "${disk.name}"; detach it first.`;
        throw await busyOr(reader, id, new MuonError('INVALID_STATE', message, { data: { virtualMachineId: disk.owner_id } }));
      }
      if (disk.lifecycle === 'DELETING') throw new MuonError('INVALID_STATE', `The disk "${disk.name}" is being deleted already.`);
      const deletion = planDiskDeletion(disk);
      changes.include(deletion);
      changes.result = deletion.result;
    });
  }

  /** @throws NOT_FOUND, FORBIDDEN */
  async find(reader: Reader, access: Access, action: Action, id: string, field = 'input.id'): Promise<DiskRow> {
    const [row] = await reader.rows(findVisibleDisks, ...access.filter('disk'), [id]);
    const known = row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
    return access.require(action, 'disk', known, id, field);
  }

  private async change(
    access: Access,
    name: string,
    action: Action,
    id: string,
    input: Record<string, string | number | null | undefined>,
    options: CommandOptions,
    plan: (reader: Reader, disk: DiskRow, changes: ChangeSet) => Promise<void>,
  ): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name, input, place, ...options }, async (reader) => {
      const disk = await this.find(reader, access, action, id);
      Object.assign(place, { tenantId: disk.tenant_id, projectId: disk.project_id });
      if (isRootDisk(disk)) {
        throw new MuonError('INVALID_STATE', `The disk "${disk.name}" is the root disk of a machine and changes with it.`, { data: { ownerId: disk.owner_id } });
      }
      const changes = new ChangeSet();
      await plan(reader, disk, changes);
      return changes;
    });
  }

  private async chooseZoneIds(reader: Reader, tenantId: string, reference: string | undefined): Promise<string[]> {
    const zones = await usableZones(reader, tenantId);
    const chosen = reference === undefined ? zones : zones.filter((zone) => zone.id === reference || zone.name === reference);
    if (reference !== undefined && chosen.length === 0) throw notFound('zone', reference, 'input.zone');
    return chosen.map((zone) => zone.id);
  }

  /** @returns the root disk of a machine of the project, which tells what the machine reaches; @throws NOT_FOUND, INVALID_INPUT */
  private async findMachine(reader: Reader, access: Access, projectId: string, id: string): Promise<DiskRow> {
    const root = (await reader.rows(findDisksOfOwners, [id])).find(isRootDisk);
    const known = root === undefined ? undefined : { ...root, tenantId: root.tenant_id, projectId: root.project_id };
    const found = access.require(Action.READ, 'virtual machine', known, id, 'input.virtualMachineId');
    if (found.project_id !== projectId) throw invalidInput('input.virtualMachineId', 'The machine is of another project.');
    return found;
  }

  private async requireProject(reader: Reader, access: Access, id: string): Promise<ScopeRow & { tenant_id: string }> {
    const [scope] = await reader.rows(findScopes, [id]);
    const row = scope?.kind === 'PROJECT' ? { ...scope, tenantId: scope.tenant_id, projectId: scope.id } : undefined;
    const project = access.requireChild('disk', 'project', row, id, 'input.projectId');
    requireActive(project);
    return project as ScopeRow & { tenant_id: string };
  }
}
