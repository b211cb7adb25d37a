import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { MuonError, notFound, parseInput } from '#core';
import { ChangeSet, constraintMeans, ROWS, type Reader } from '#database';
import { SCOPES } from '#scopes';
import type { Access, Place } from '../access/access.js';
import { HOLDINGS, requireHolding } from '../access/holdings.js';
import { located, requireInside, requirePrincipal, requireScope } from '../access/look-up.js';
import { Action } from '../access/role.js';
import type { CommandOptions } from '../command/command-options.js';
import { CommandRunner, type CommandResult } from '../command/command-runner.js';
import { findIssuers } from '../issuer/issuer.sql.js';
import { findGroups, type GroupRow } from './group.sql.js';
import { groupId, MEMBERSHIPS } from './memberships.js';

const taken = (): MuonError => new MuonError('ALREADY_EXISTS', 'A group of this name exists here already.', { field: 'input.name' });
constraintMeans('principal_group_name', taken);
constraintMeans('principal_group_claim', taken);

export const createGroupInput = z.strictObject({
  scopeId: z.string().max(100),
  /** As people or the issuer's claims name it. */
  name: z.string().min(1, 'A group has a name.').max(200, 'The name of a group has at most 200 characters.'),
  /** Id of an issuer of the same scope. */
  issuer: z.string().min(1).max(100).optional(),
});
export const groupMemberInput = z.strictObject({ groupId: z.string().max(100), principalId: z.string().max(100) });
export type GroupMemberInput = z.input<typeof groupMemberInput>;

/** Groups of principals, kept by hand or by the claims of an issuer. */
@Injectable()
export class GroupService {
  constructor(private readonly commands: CommandRunner) {}

  async create(access: Access, raw: z.input<typeof createGroupInput>, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createGroupInput, raw);
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      Object.assign(place, await requireScope(reader, access, 'group', input.scopeId));
      const id = groupId.create();
      const { scopeId, name, issuer = null } = input;
      if (issuer !== null) await requireIssuerOf(reader, scopeId, issuer);
      const changes = new ChangeSet();
      changes.add(SCOPES, { scopeId, need: 'ACTIVE' });
      changes.add(ROWS, {
        table: 'principal_group',
        insert: { id, scope_id: scopeId, tenant_id: place.tenantId, project_id: place.projectId, issuer, name },
      });
      changes.resources.push({ action: 'CREATE', kind: 'group', id, name });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'createGroup', input, place, ...options }, plan);
  }

  /** With it go its memberships and what it held. @throws INVALID_STATE when somebody owns a scope by it alone */
  async delete(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      const group = await this.require(reader, access, Action.DELETE, id, place, 'input.id');
      const changes = new ChangeSet().add(ROWS, { table: 'principal_group', remove: true, id, version: group.version });
      changes.resources.push({ action: 'DELETE', kind: 'group', id, name: group.name });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'deleteGroup', input: { id }, place, ...options }, plan);
  }

  /** @throws FORBIDDEN when the caller does not hold itself what the group holds */
  async addMember(access: Access, raw: GroupMemberInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(groupMemberInput, raw);
    return this.changeMember(access, 'addGroupMember', input, true, options, async (reader, group, changes) => {
      changes.add(HOLDINGS, await requireHolding(reader, access, 'group', group.id, 'input.groupId'));
    });
  }

  /** @throws INVALID_STATE when it makes somebody the last owner of a scope */
  async removeMember(access: Access, raw: GroupMemberInput, options: CommandOptions = {}): Promise<CommandResult> {
    return this.changeMember(access, 'removeGroupMember', parseInput(groupMemberInput, raw), false, options, async () => undefined);
  }

  private async changeMember(
    access: Access,
    name: string,
    input: z.output<typeof groupMemberInput>,
    member: boolean,
    options: CommandOptions,
    check: (reader: Reader, group: GroupRow, changes: ChangeSet) => Promise<void>,
  ): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      const group = await this.require(reader, access, Action.MODIFY, input.groupId, place, 'input.groupId');
      if (group.issuer !== null) {
        throw new MuonError('INVALID_STATE', `The tokens of "${group.issuer}" say who belongs to "${group.name}"; change it there.`, {
          field: 'input.groupId',
        });
      }
      const principal = await requirePrincipal(reader, access, Action.READ, input.principalId);
      requireInside('principal', principal, place, 'input.principalId');
      const changes = new ChangeSet().add(MEMBERSHIPS, { ...input, member });
      await check(reader, group, changes);
      changes.resources.push({ action: 'UPDATE', kind: 'group', id: group.id, name: group.name, data: { principal: principal.name, member } });
      changes.result = { id: group.id };
      return changes;
    };
    return this.commands.run({ access, name, input, place, ...options }, plan);
  }

  private async require(reader: Reader, access: Access, action: Action, id: string, place: Place, field: string): Promise<GroupRow> {
    const [row] = await reader.rows(findGroups, [id]);
    const group = access.require(action, 'group', located(row), id, field);
    Object.assign(place, { tenantId: group.tenantId, projectId: group.projectId });
    return group;
  }
}

/** Only people of the scope's own issuer can come into the group by their claims. @throws NOT_FOUND */
async function requireIssuerOf(reader: Reader, scopeId: string, id: string): Promise<void> {
  const [issuer] = await reader.rows(findIssuers, [id]);
  if (issuer?.scope_id !== scopeId) throw notFound('issuer', id, 'input.issuer');
}
