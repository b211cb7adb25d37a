import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { assert, descriptionSchema, invalidInput, MuonError, nameSchema, notFound, parseInput } from '#core';
import { ChangeSet, ROWS, versionConflict, type Reader } from '#database';
import { Action, CommandRunner, type Access, type CommandOptions, type CommandResult, type Place } from '#identity';
import { DriverRegistry } from '#infrastructure';
import { MAX_GROUPS, usableGroups } from '#network';
import { busyOr, lockResources } from '#operations';
import { HOST_CLAIMS } from '#placement';
import { CHARGES, largerAmounts, QuotaLedger } from '#quota';
import { SecretService } from '#secrets';
import { findScopes, requireActive, SCOPES } from '#scopes';
import { findDisksOfOwners, isRootDisk, lackOfRoom, planDiskGrowth } from '#storage';
import { usableZones } from '#tenancy';
import { resolveAffinityGroups } from '../affinity-group/affinity-group.service.js';
import { findFlavors } from '../flavor/flavor.sql.js';
import { flavorCharges, resolveFlavors } from '../flavor/flavor.service.js';
import { resolveImages } from '../image/image.service.js';
import { planMachineDeletion, startMachineOperation } from './machine-deletion.js';
import { planVirtualMachines, type MachineRequest } from './machine-plan.js';
import { requirePresent } from './machine-presence.js';
import { sealUserData } from './user-data.js';
import { Lifecycle, MachineRecovery, machineState, virtualMachineId, type Power, type VirtualMachineRow } from './virtual-machine.js';
import { findVirtualMachines } from './virtual-machine.sql.js';

/** As clouds have it: whoever needs more fetches it from the guest. Backends tell it again with each list of their machines. */
const MAX_USER_DATA_KIB = 32;
const reference = z.string().min(1).max(100);

export const createVirtualMachineInput = z.strictObject({
  projectId: reference,
  name: nameSchema,
  /** Id or name. */
  flavor: reference,
  /** Id or name. */
  image: reference,
  networkId: reference,
  /** Of the project; a machine in none is open in its network. */
  securityGroupIds: z.array(reference).max(MAX_GROUPS, `A port is in at most ${MAX_GROUPS} security groups.`).default([]),
  /** Id or name; any zone of the tenant when left out. */
  zone: reference.optional(),
  /** Id or name of what its root disk shall keep to; what the flavor says, or the default policy, when left out. */
  storagePolicy: reference.optional(),
  /** Only datastores of this kind for its root disk; any when left out. */
  datastoreKind: nameSchema.optional(),
  /** Id or name. */
  affinityGroup: reference.optional(),
  power: z.enum(['RUNNING', 'STOPPED']).default('RUNNING'),
  userData: z
    .string()
    .refine((text) => Buffer.byteLength(text) <= MAX_USER_DATA_KIB * 1024, `User data has at most ${MAX_USER_DATA_KIB} KiB.`)
    .default(''),
  metadata: z.record(nameSchema, descriptionSchema).refine((map) => Object.keys(map).length <= 50, 'At most 50 entries.').default({}),
  recovery: z.enum(MachineRecovery).default('NONE'),
});
export type CreateVirtualMachineInput = z.input<typeof createVirtualMachineInput>;

export const updateVirtualMachineInput = z.strictObject({ id: reference, recovery: z.enum(MachineRecovery) });
export type UpdateVirtualMachineInput = z.input<typeof updateVirtualMachineInput>;

export const PowerAction = { START: 'START', STOP: 'STOP', RESTART: 'RESTART', SUSPEND: 'SUSPEND', RESUME: 'RESUME' } as const;
export type PowerAction = (typeof PowerAction)[keyof typeof PowerAction];

/** From which states an action leads where. */
const POWER_RULES: Record<PowerAction, { from: readonly Power[]; to: Power }> = {
  START: { from: ['STOPPED'], to: 'RUNNING' },
  STOP: { from: ['RUNNING', 'SUSPENDED'], to: 'STOPPED' },
  RESTART: { from: ['RUNNING'], to: 'RUNNING' },
  SUSPEND: { from: ['RUNNING'], to: 'SUSPENDED' },
  RESUME: { from: ['SUSPENDED'], to: 'RUNNING' },
};

export interface ChangeOptions extends CommandOptions {
  /** Refused with CONFLICT when the machine's version is another. */
  expectedVersion?: number | undefined;
}

type Located = VirtualMachineRow & Place;

/** The rules of virtual machines: plan and apply. */
@Injectable()
export class VirtualMachineService {
  constructor(
    private readonly commands: CommandRunner,
    private readonly ledger: QuotaLedger,
    private readonly drivers: DriverRegistry,
    private readonly secrets: SecretService,
  ) {}

  async create(access: Access, raw: CreateVirtualMachineInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createVirtualMachineInput, raw);
    const place: Place = { tenantId: null, projectId: input.projectId };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      const { tenantId, projectId } = await this.requireProject(reader, access, input.projectId);
      place.tenantId = tenantId;
      const machine = await this.resolveRequest(reader, tenantId, projectId, input);
      const wanted = machine.securityGroupIds ?? [];
      await usableGroups(reader, access, projectId, wanted.map((id, index) => ({ id, field: `input.securityGroupIds.${index}` })));
      const request = { tenantId, projectId, strategy: 'SPREAD' as const, explain: options.dryRun === true, machines: [machine] };
      const set = await planVirtualMachines(reader, access, request);
      for (const { backendId } of wanted.length === 0 ? [] : set.machines) {
        await this.drivers.requireCapability(reader, backendId, 'firewall', 'input.securityGroupIds');
      }
      const changes = new ChangeSet().include(set.changes);
      changes.add(SCOPES, { scopeId: tenantId, need: 'ACTIVE' }, { scopeId: projectId, need: 'ACTIVE' });
      const row = { id: machine.id, tenant_id: tenantId, project_id: projectId, backend_id: set.machines[0]?.backendId ?? null };
      const operation = startMachineOperation(changes, 'compute.virtual_machine.create', row, { machineId: machine.id });
      lockResources(changes, operation, set.lockIds);
      await this.ledger.previewPlan(reader, changes);
      return changes;
    };
    // People put passwords into it, and the audit log is read by others than the machine's makers.
    const { userData, ...shown } = input;
    const audited = { ...shown, userData: `[${userData.length} characters]` };
    return this.commands.run({ access, name: 'createVirtualMachine', input: audited, hidden: { userData }, place, ...options }, plan);
  }

  /** Changes what becomes of it when its host is lost; also while its host is silent, and while an operation is at it. */
  async update(access: Access, raw: UpdateVirtualMachineInput, options: ChangeOptions = {}): Promise<CommandResult> {
    const { id, recovery } = parseInput(updateVirtualMachineInput, raw);
    return this.change(access, 'updateVirtualMachine', Action.MODIFY, id, { id, recovery }, options, async (reader, machine, changes) => {
      if (recovery === MachineRecovery.RECREATE) await requireNoDataDisks(reader, machine);
      changes.add(ROWS, { table: 'virtual_machine', update: { recovery, recovery_block: null }, id, version: machine.version });
      changes.result = { id };
      changes.resources.push({ action: 'UPDATE', kind: 'virtual machine', id, name: machine.name, data: { recovery } });
    });
  }

  async delete(access: Access, id: string, options: ChangeOptions = {}): Promise<CommandResult> {
    return this.change(access, 'deleteVirtualMachine', Action.DELETE, id, { id }, options, async (reader, machine, changes) => {
      if (machine.lifecycle === Lifecycle.DELETING) {
        throw new MuonError('INVALID_STATE', `The machine "${machine.name}" is being deleted already.`);
      }
      const deletion = await planMachineDeletion(reader, [machine]);
      changes.include(deletion);
      changes.result = deletion.result;
    });
  }

  async power(access: Access, id: string, action: PowerAction, options: ChangeOptions & { force?: boolean } = {}): Promise<CommandResult> {
    const input = { id, action, force: options.force ?? false };
    const { force: _force, ...rest } = options;
    return this.change(access, 'changePower', Action.MODIFY, id, input, rest, async (reader, machine, changes) => {
      const rule = POWER_RULES[action];
      await requirePresent(reader, machine);
      if (!rule.from.includes(machine.observed_power as Power)) {
        const state = machineState(machine);
        const message = `To ${action.toLowerCase()}, the machine must be ${rule.from.join(' or ').toLowerCase()}; it is ${state.toLowerCase()}.`;
        throw await busyOr(reader, id, new MuonError('INVALID_STATE', message, { data: { state, needed: [...rule.from] } }));
      }
      if (action === 'SUSPEND' || action === 'RESUME') {
        await this.drivers.requireCapability(reader, machine.backend_id, 'suspend', 'input.action');
      }
      changes.add(ROWS, { table: 'virtual_machine', update: { desired_power: rule.to }, id, version: machine.version });
      const order = { machineId: id, action, force: input.force, before: machine.desired_power };
      const operation = startMachineOperation(changes, 'compute.virtual_machine.power', machine, order);
      lockResources(changes, operation, [id]);
      changes.resources.push({ action: 'UPDATE', kind: 'virtual machine', id, name: machine.name, data: { power: rule.to } });
    });
  }

  /** Only while stopped; the root disk grows with the flavor. Quota and host hold the larger of the two sizes until it has ended. */
  async resize(access: Access, id: string, flavorReference: string, options: ChangeOptions = {}): Promise<CommandResult> {
    const input = { id, flavor: flavorReference };
    return this.change(access, 'resizeVirtualMachine', Action.MODIFY, id, input, options, async (reader, machine, changes) => {
      await requirePresent(reader, machine);
      if (machine.observed_power !== 'STOPPED') {
        const data = { state: machineState(machine) };
        throw await busyOr(reader, id, new MuonError('INVALID_STATE', 'A machine is resized while it is stopped; stop it first.', { data }));
      }
      await this.drivers.requireCapability(reader, machine.backend_id, 'resize', 'input.id');
      const flavors = await resolveFlavors(reader, [{ reference: flavorReference, field: 'input.flavor' }]);
      const [before] = await reader.rows(findFlavors, [machine.flavor_id]);
      const after = flavors.get(flavorReference);
      if (after === undefined || before === undefined) throw invalidInput('input.flavor', 'Name another flavor.');
      const [root] = await reader.rows(findDisksOfOwners, [id]);
      assert(root !== undefined, `machine ${id} has no root disk`);
      if (after.disk_gib < root.size_gib) {
        throw invalidInput('input.flavor', `The root disk has ${root.size_gib} GiB and cannot shrink to ${after.disk_gib}.`);
      }
      const [from, to] = [sizeOf(before), sizeOf(after)];
      changes.add(ROWS, {
        table: 'virtual_machine',
        update: { flavor_id: to.flavorId, cpu: to.cpu, memory_mib: to.memoryMib },
        id,
        version: machine.version,
      });
      const [cpu, memoryMib] = [Math.max(from.cpu, to.cpu), Math.max(from.memoryMib, to.memoryMib)];
      changes.add(HOST_CLAIMS, { action: 'RESIZE', resourceId: id, cpu, memoryMib });
      changes.add(CHARGES, { action: 'ADJUST', resourceId: id, amounts: largerAmounts(from.charges, to.charges) });
      changes.resources.push({ action: 'UPDATE', kind: 'virtual machine', id, name: machine.name, data: { flavor: after.name } });
      if (after.storage_policy_id !== before.storage_policy_id) {
        changes.reasons.push({ subject: machine.name, message: 'Its root disk stays where it is, and keeps to the storage policy that it has.' });
      }
      const grows = after.disk_gib > root.size_gib;
      if (grows) {
        changes.include(planDiskGrowth(root, after.disk_gib));
        changes.problems.push(...(await lackOfRoom(reader, root, after.disk_gib)));
      }
      const disk = grows ? { id: root.id, fromGib: root.size_gib } : null;
      const operation = startMachineOperation(changes, 'compute.virtual_machine.resize', machine, { machineId: id, from, to, disk });
      lockResources(changes, operation, disk === null ? [id] : [id, disk.id]);
      await this.ledger.previewPlan(reader, changes);
    });
  }

  private async change(
    access: Access,
    name: string,
    action: Action,
    id: string,
    input: Record<string, string | boolean>,
    options: ChangeOptions,
    plan: (reader: Reader, machine: Located, changes: ChangeSet) => Promise<void>,
  ): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    const { expectedVersion, ...rest } = options;
    const planner = async (reader: Reader): Promise<ChangeSet> => {
      const [row] = await reader.rows(findVirtualMachines, [id]);
      const found = row === undefined ? undefined : { ...row, ...located(row) };
      const machine = access.require(action, 'virtual machine', found, id, 'input.id');
      Object.assign(place, located(machine));
      if (expectedVersion !== undefined && expectedVersion !== machine.version) {
        throw versionConflict('virtual_machine', { id, version: expectedVersion });
      }
      const need = action === Action.DELETE ? ('EXISTING' as const) : ('ACTIVE' as const);
      const changes = new ChangeSet();
      changes.add(SCOPES, { scopeId: machine.tenant_id, need }, { scopeId: machine.project_id, need });
      if (machine.owner_id !== null) {
        throw new MuonError('INVALID_STATE', 'The machine is a node of a cluster; change the cluster instead.', { data: { ownerId: machine.owner_id } });
      }
      await plan(reader, machine, changes);
      return changes;
    };
    return this.commands.run({ access, name, input: { ...input, ...(expectedVersion === undefined ? {} : { expectedVersion }) }, place, ...rest }, planner);
  }

  private async requireProject(reader: Reader, access: Access, projectId: string): Promise<{ tenantId: string; projectId: string }> {
    const [scope] = await reader.rows(findScopes, [projectId]);
    const row = scope?.kind === 'PROJECT' ? { tenantId: scope.tenant_id, projectId: scope.id } : undefined;
    const project = access.requireChild('virtual machine', 'project', row, projectId, 'input.projectId');
    if (scope !== undefined) requireActive(scope);
    return { tenantId: String(project.tenantId), projectId: project.projectId };
  }

  private async resolveRequest(
    reader: Reader,
    tenantId: string,
    projectId: string,
    input: z.output<typeof createVirtualMachineInput>,
  ): Promise<MachineRequest> {
    const flavors = await resolveFlavors(reader, [{ reference: input.flavor, field: 'input.flavor' }]);
    const images = await resolveImages(reader, projectId, [{ reference: input.image, field: 'input.image' }]);
    const wanted = input.affinityGroup === undefined ? [] : [{ reference: input.affinityGroup, field: 'input.affinityGroup' }];
    const groups = await resolveAffinityGroups(reader, projectId, wanted);
    const flavor = flavors.get(input.flavor);
    const image = images.get(input.image);
    if (flavor === undefined || image === undefined) throw invalidInput('input', 'Name a flavor and an image.');
    if (flavor.disk_gib < image.minimum_disk_gib) {
      throw invalidInput('input.flavor', `The image needs a disk of ${image.minimum_disk_gib} GiB; this flavor has ${flavor.disk_gib}.`);
    }
    const id = virtualMachineId.create();
    return {
      id,
      name: input.name,
      field: 'input',
      flavor,
      image,
      networkId: input.networkId,
      securityGroupIds: [...new Set(input.securityGroupIds)],
      zoneIds: await zonesFor(reader, tenantId, input.zone),
      ...(input.datastoreKind === undefined ? {} : { datastoreKind: input.datastoreKind }),
      ...(input.storagePolicy === undefined ? {} : { storagePolicy: input.storagePolicy }),
      affinityGroup: input.affinityGroup === undefined ? null : (groups.get(input.affinityGroup) ?? null),
      ownerId: null,
      power: input.power,
      userData: await sealUserData(this.secrets, { id, tenantId, projectId }, input.userData),
      metadata: input.metadata,
      recovery: input.recovery,
    };
  }
}

/** The zone that is named, or all that the tenant may use. */
async function zonesFor(reader: Reader, tenantId: string, reference: string | undefined): Promise<string[]> {
  const usable = await usableZones(reader, tenantId);
  const chosen = usable.filter((zone) => reference === undefined || zone.id === reference || zone.name === reference);
  if (reference !== undefined && chosen.length === 0) throw notFound('zone', reference, 'input.zone');
  if (chosen.length > 0) return chosen.map((zone) => zone.id);
  throw new MuonError('INVALID_STATE', 'The tenant may use no zone that takes new machines.', { field: 'input.zone', fault: 'OPERATOR' });
}

function located(row: VirtualMachineRow): { tenantId: string; projectId: string } {
  return { tenantId: row.tenant_id, projectId: row.project_id };
}

/** @throws INVALID_STATE naming them: what is made anew has an empty root disk and nothing else */
async function requireNoDataDisks(reader: Reader, { id, name }: VirtualMachineRow): Promise<void> {
  const diskIds = (await reader.rows(findDisksOfOwners, [id])).filter((disk) => !isRootDisk(disk)).map((disk) => disk.id);
  if (diskIds.length === 0) return;
  const message = `The machine "${name}" has disks beside its root disk, which would be lost with its host; detach them first.`;
  throw new MuonError('INVALID_STATE', message, { field: 'input.recovery', data: { diskIds } });
}

function sizeOf(flavor: Parameters<typeof flavorCharges>[0]): { flavorId: string; cpu: number; memoryMib: number; charges: Record<string, number> } {
  return { flavorId: flavor.id, cpu: flavor.cpu, memoryMib: flavor.memory_mib, charges: flavorCharges(flavor) };
}
