import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { MuonError, parseInput } from '#core';
import { ChangeSet, constraintMeans, ROWS, type Reader } from '#database';
import { SCOPES } from '#scopes';
import type { Access, Place } from '../access/access.js';
import { holdingOf, HOLDINGS } from '../access/holdings.js';
import { located, requireInside, requirePrincipal, requireScope } from '../access/look-up.js';
import { Action, Role, type Permissions } from '../access/role.js';
import type { CommandOptions } from '../command/command-options.js';
import { CommandRunner, type CommandResult } from '../command/command-runner.js';
import { findGroups } from '../group/group.sql.js';
import { roleBindingId } from '../principal/bootstrap.js';
import { findCustomRoles } from '../role/custom-role.sql.js';
import { findBindings } from './role-binding.sql.js';

const twice = (): MuonError =>
  new MuonError('ALREADY_EXISTS', 'This role is held on this scope already.', { field: 'input.role' });
for (const name of ['once', 'of_group_once', 'custom_once', 'of_group_custom_once']) constraintMeans(`role_binding_${name}`, twice);
constraintMeans(
  'scope_last_owner',
  (scopeId) =>
    new MuonError('INVALID_STATE', 'This would leave the scope without an owner; give another one the role OWNER there first.', {
      data: { scopeId },
    }),
);
constraintMeans('role_binding_custom_role', () => new MuonError('INVALID_STATE', 'The custom role is held by somebody, or was just deleted.'));

const id = z.string().max(100);

export const grantRoleInput = z
  .strictObject({
    principalId: id.optional(),
    groupId: id.optional(),
    scopeId: id,
    role: z.enum(Role).optional(),
    customRoleId: id.optional(),
  })
  .refine((input) => (input.principalId === undefined) !== (input.groupId === undefined), {
    path: ['principalId'],
    error: 'Give either a principal or a group.',
  })
  .refine((input) => (input.role === undefined) !== (input.customRoleId === undefined), {
    path: ['role'],
    error: 'Give either a role or a custom role.',
  });
type GrantRole = z.output<typeof grantRoleInput>;

interface Named {
  name: string;
}

/** Who holds which role where. */
@Injectable()
export class RoleBindingService {
  constructor(private readonly commands: CommandRunner) {}

  /** @throws FORBIDDEN when the caller does not hold itself what the role allows there */
  async grantRole(access: Access, raw: z.input<typeof grantRoleInput>, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(grantRoleInput, raw);
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      Object.assign(place, await requireScope(reader, access, 'role binding', input.scopeId));
      const subject = await this.requireSubject(reader, access, input, place);
      const role = await this.requireRole(reader, access, input, place);
      access.requireHolds([{ role: input.role ?? null, permissions: role.permissions, ...place }], input.scopeId, 'input.role');
      const made = roleBindingId.create();
      const changes = new ChangeSet();
      if (input.customRoleId !== undefined) changes.add(HOLDINGS, await holdingOf(reader, 'role', input.customRoleId));
      changes.add(SCOPES, { scopeId: input.scopeId, need: 'ACTIVE' });
      changes.add(ROWS, {
        table: 'role_binding',
        insert: {
          id: made,
          principal_id: input.principalId ?? null,
          group_id: input.groupId ?? null,
          scope_id: input.scopeId,
          tenant_id: place.tenantId,
          project_id: place.projectId,
          role: input.role ?? null,
          custom_role_id: input.customRoleId ?? null,
        },
      });
      changes.resources.push({ action: 'CREATE', kind: 'role binding', id: made, name: `${subject.name}: ${role.name}` });
      changes.result = { id: made };
      return changes;
    };
    return this.commands.run({ access, name: 'grantRole', input, place, ...options }, plan);
  }

  /** @throws INVALID_STATE when it makes somebody the last owner of the scope */
  async revokeRole(access: Access, bindingId: string, options: CommandOptions = {}): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      const [row] = await reader.rows(findBindings, [bindingId]);
      const binding = access.require(Action.DELETE, 'role binding', located(row), bindingId, 'input.id');
      Object.assign(place, { tenantId: binding.tenantId, projectId: binding.projectId });
      const changes = new ChangeSet().add(ROWS, { table: 'role_binding', remove: true, id: bindingId, version: binding.version });
      const name = binding.role ?? binding.custom_role_name ?? bindingId;
      changes.resources.push({ action: 'DELETE', kind: 'role binding', id: bindingId, name });
      changes.result = { id: bindingId };
      return changes;
    };
    return this.commands.run({ access, name: 'revokeRole', input: { id: bindingId }, place, ...options }, plan);
  }

  private async requireSubject(reader: Reader, access: Access, input: GrantRole, place: Place): Promise<Named> {
    if (input.groupId === undefined) {
      const principal = await requirePrincipal(reader, access, Action.READ, input.principalId ?? '');
      requireInside('principal', principal, place, 'input.scopeId');
      return principal;
    }
    const [row] = await reader.rows(findGroups, [input.groupId]);
    const group = access.require(Action.READ, 'group', located(row), input.groupId, 'input.groupId');
    requireInside('group', group, place, 'input.scopeId');
    return group;
  }

  private async requireRole(reader: Reader, access: Access, input: GrantRole, place: Place): Promise<Named & { permissions: Permissions | null }> {
    if (input.role !== undefined) return { name: input.role, permissions: null };
    const customRoleId = input.customRoleId ?? '';
    const [row] = await reader.rows(findCustomRoles, [customRoleId]);
    // A tenant's roles are there for its projects: whoever may read roles on the scope may also use them there.
    const isOurs = row !== undefined && row.tenant_id === place.tenantId;
    const role = access.require(Action.READ, 'role', isOurs ? { ...row, ...place } : located(row), customRoleId, 'input.customRoleId');
    if (isOurs) return role;
    throw new MuonError('INVALID_INPUT', 'A custom role can only be held inside of its tenant.', { field: 'input.customRoleId' });
  }
}
