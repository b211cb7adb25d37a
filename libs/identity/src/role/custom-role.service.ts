import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { defineId, descriptionSchema, invalidInput, MuonError, nameSchema, parseInput } from '#core';
import { ChangeSet, constraintMeans, ROWS, versionConflict, type Reader } from '#database';
import { SCOPES } from '#scopes';
import type { Access, Place } from '../access/access.js';
import { located, requireScope } from '../access/look-up.js';
import { RESOURCE_KINDS, type ResourceKind } from '../access/resource-kind.js';
import { Action, ACTIONS, type Permissions } from '../access/role.js';
import { findBindingsOfRole } from '../binding/role-binding.sql.js';
import type { CommandOptions } from '../command/command-options.js';
import { CommandRunner, type CommandResult } from '../command/command-runner.js';
import { findCustomRoles, type CustomRoleRow } from './custom-role.sql.js';

export const customRoleId = defineId('rol');

constraintMeans(
  'custom_role_name',
  () => new MuonError('ALREADY_EXISTS', 'The tenant has a role of this name already.', { field: 'input.name' }),
);

/** How many holders a refusal names. */
const MAX_NAMED = 10;

const permissionsSchema = z
  .array(z.strictObject({ kind: z.enum(RESOURCE_KINDS as [ResourceKind, ...ResourceKind[]]), actions: z.array(z.enum(Action)).min(1).max(ACTIONS.length) }))
  .min(1, 'A role allows something.')
  .max(RESOURCE_KINDS.length);

export const createRoleInput = z.strictObject({
  tenantId: z.string().max(100),
  name: nameSchema,
  description: descriptionSchema.default(''),
  permissions: permissionsSchema,
});
export const updateRoleInput = z.strictObject({
  id: z.string().max(100),
  description: descriptionSchema.optional(),
  permissions: permissionsSchema.optional(),
  expectedVersion: z.int().min(1).optional(),
});

/** Roles that a tenant makes of its own: sets of the uniform actions on kinds. */
@Injectable()
export class CustomRoleService {
  constructor(private readonly commands: CommandRunner) {}

  /** @throws FORBIDDEN when the caller does not hold on the tenant all that the role would allow */
  async create(access: Access, raw: z.input<typeof createRoleInput>, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createRoleInput, raw);
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      Object.assign(place, await requireScope(reader, access, 'role', input.tenantId, 'input.tenantId'));
      if (place.tenantId === null || place.projectId !== null) throw invalidInput('input.tenantId', 'A role is made in a tenant.');
      const permissions = byKind(input.permissions);
      requireHeld(access, permissions, place, input.tenantId);
      const id = customRoleId.create();
      const { name, description } = input;
      const changes = new ChangeSet();
      changes.add(SCOPES, { scopeId: input.tenantId, need: 'ACTIVE' });
      changes.add(ROWS, { table: 'custom_role', insert: { id, tenant_id: input.tenantId, project_id: null, name, description, permissions } });
      changes.resources.push({ action: 'CREATE', kind: 'role', id, name });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'createRole', input, place, ...options }, plan);
  }

  /** What holders of the role may do changes everywhere within a second. @throws as `create` does; CONFLICT */
  async update(access: Access, raw: z.input<typeof updateRoleInput>, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(updateRoleInput, raw);
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      const role = await this.require(reader, access, Action.MODIFY, input.id, place);
      if (input.expectedVersion !== undefined && input.expectedVersion !== role.version) {
        throw versionConflict('role', { id: role.id, version: input.expectedVersion });
      }
      const permissions = input.permissions === undefined ? role.permissions : byKind(input.permissions);
      requireHeld(access, permissions, place, role.id);
      const update = { permissions, description: input.description ?? role.description };
      const changes = new ChangeSet().add(ROWS, { table: 'custom_role', update, id: role.id, version: role.version });
      changes.resources.push({ action: 'UPDATE', kind: 'role', id: role.id, name: role.name });
      changes.result = { id: role.id };
      return changes;
    };
    return this.commands.run({ access, name: 'updateRole', input, place, ...options }, plan);
  }

  /** @throws INVALID_STATE while somebody holds it, naming the bindings */
  async delete(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      const role = await this.require(reader, access, Action.DELETE, id, place);
      const changes = new ChangeSet().add(ROWS, { table: 'custom_role', remove: true, id, version: role.version });
      const held = await reader.rows(findBindingsOfRole, id, MAX_NAMED);
      if (held.length > 0) changes.problems.push(inUse(role, held.map((binding) => binding.id)).toRecord());
      changes.resources.push({ action: 'DELETE', kind: 'role', id, name: role.name });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'deleteRole', input: { id }, place, ...options }, plan);
  }

  private async require(reader: Reader, access: Access, action: Action, id: string, place: Place): Promise<CustomRoleRow> {
    const [row] = await reader.rows(findCustomRoles, [id]);
    const role = access.require(action, 'role', located(row), id, 'input.id');
    Object.assign(place, { tenantId: role.tenantId, projectId: null });
    return role;
  }
}

function byKind(list: readonly { kind: ResourceKind; actions: readonly Action[] }[]): Permissions {
  const permissions: Partial<Record<ResourceKind, readonly Action[]>> = {};
  for (const { kind, actions } of list) {
    permissions[kind] = ACTIONS.filter((action) => actions.includes(action) || permissions[kind]?.includes(action) === true);
  }
  return permissions;
}

function requireHeld(access: Access, permissions: Permissions, place: Place, id: string): void {
  access.requireHolds([{ role: null, permissions, ...place }], id, 'input.permissions');
}

function inUse(role: CustomRoleRow, bindingIds: string[]): MuonError {
  return new MuonError('INVALID_STATE', `The role "${role.name}" is held by somebody: revoke these bindings of it first, beginning with "${bindingIds[0]}".`, {
    data: { roleBindingIds: bindingIds },
  });
}
