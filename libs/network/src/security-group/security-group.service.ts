import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { descriptionSchema, invalidInput, MuonError, nameSchema, notFound, parseInput } from '#core';
import { ChangeSet, constraintMeans, LostRace, ROWS, versionConflict, type Reader } from '#database';
import { Action, CommandRunner, type Access, type CommandOptions, type CommandResult, type Place } from '#identity';
import { DriverRegistry } from '#infrastructure';
import { busyOr, lockResources, operationId, OPERATIONS, succeedResources } from '#operations';
import { CHARGES, QuotaLedger } from '#quota';
import { findScopes, requireActive } from '#scopes';
import { lockScopes } from '../network/network-plan.js';
import { portId, type PortRow } from '../port/port.js';
import { findVisiblePorts } from '../port/port.sql.js';
import { SECURITY_GROUP_COUNT } from '../quota-keys.js';
import { GROUP_CLAIMS, groupInUse } from './group-claims.js';
import { OPEN_EGRESS, readSecurityRules, referencesOf, securityGroupId, securityRulesSchema, type SecurityGroupRow, type SecurityRule } from './security-group.js';
import { requireFewGroups, usableGroups } from './security-group-plan.js';
import { PORT_SECURE, rulesBefore, SECURITY_GROUP_DELETE, SECURITY_GROUP_UPDATE } from './security-group.operations.js';
import { findGroupsOfPorts, findGroupUsers, findSecurityGroupByName, findVisibleSecurityGroups } from './security-group.sql.js';

constraintMeans('security_group_name', () => nameTaken());
// It went, or came into use, since the plan was made: plan again.
for (const constraint of ['port_security_group_group', 'security_group_reference_referenced']) {
  constraintMeans(constraint, (detail) => new LostRace('security group', detail));
}

const nameTaken = (): MuonError =>
  new MuonError('ALREADY_EXISTS', 'A security group of this name exists already in the project.', { field: 'input.name' });

const MAX_IDS = 100;
const id = z.string().max(100);
const ids = z.array(id).max(MAX_IDS).default([]);

export const createSecurityGroupInput = z.strictObject({
  projectId: id,
  name: nameSchema,
  description: descriptionSchema.default(''),
  rules: securityRulesSchema.optional(),
});
export type CreateSecurityGroupInput = z.input<typeof createSecurityGroupInput>;

export const updateSecurityGroupInput = z.strictObject({
  id,
  expectedVersion: z.int().min(0).optional(),
  name: nameSchema.optional(),
  description: descriptionSchema.optional(),
  rules: securityRulesSchema.optional(),
});
export type UpdateSecurityGroupInput = z.input<typeof updateSecurityGroupInput>;

export const updatePortSecurityGroupsInput = z.strictObject({ portId: id, add: ids, remove: ids });
export type UpdatePortSecurityGroupsInput = z.input<typeof updatePortSecurityGroupsInput>;

/** The rules of security groups, and who is in them. */
@Injectable()
export class SecurityGroupService {
  constructor(
    private readonly commands: CommandRunner,
    private readonly ledger: QuotaLedger,
    private readonly drivers: DriverRegistry,
  ) {}

  /** Backends hear of it with its first port. @throws NOT_FOUND, INVALID_INPUT, ALREADY_EXISTS, QUOTA_EXCEEDED */
  async create(access: Access, raw: CreateSecurityGroupInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createSecurityGroupInput, raw);
    const rules = input.rules === undefined ? [OPEN_EGRESS] : readSecurityRules(input.rules, 'input.rules');
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name: 'createSecurityGroup', input: { ...raw }, place, ...options }, async (reader) => {
      const [scope] = await reader.rows(findScopes, [input.projectId]);
      const row = scope?.kind === 'PROJECT' ? { tenantId: String(scope.tenant_id), projectId: scope.id } : undefined;
      const project = access.requireChild('security group', 'project', row, input.projectId, 'input.projectId');
      const { tenantId, projectId } = project;
      Object.assign(place, { tenantId, projectId });
      if (scope !== undefined) requireActive(scope);
      const groupId: string = securityGroupId.create();
      const changes = new ChangeSet();
      if ((await reader.first(findSecurityGroupByName, projectId, input.name)) !== undefined) changes.problems.push(nameTaken().toRecord());
      await this.requireReferences(reader, access, { projectId, groupId, rules });
      lockScopes(changes, { tenantId, projectId }, 'ACTIVE');
      if (referencesOf(rules).length > 0) changes.add(GROUP_CLAIMS, { action: 'REFER', securityGroupId: groupId, referencedIds: referencesOf(rules) });
      const { name, description } = input;
      changes.add(ROWS, { table: 'security_group', insert: { id: groupId, tenant_id: tenantId, project_id: projectId, name, description, rules } });
      changes.add(CHARGES, {
        action: 'CHARGE',
        resourceId: groupId,
        resourceKind: securityGroupId.prefix,
        tenantId,
        projectId,
        zoneId: null,
        amounts: { [SECURITY_GROUP_COUNT]: 1 },
      });
      changes.resources.push({ action: 'CREATE', kind: 'security group', id: groupId, name, data: { rules: rules.length } });
      await this.ledger.previewPlan(reader, changes);
      changes.result = { id: groupId, operationId: null };
      return changes;
    });
  }

  /** Rules are replaced as a whole. `operationId` is null when backends need not be told. */
  async update(access: Access, raw: UpdateSecurityGroupInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(updateSecurityGroupInput, raw);
    const rules = input.rules === undefined ? undefined : readSecurityRules(input.rules, 'input.rules');
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name: 'updateSecurityGroup', input: { ...raw }, place, ...options }, async (reader) => {
      const row = await this.find(reader, access, Action.MODIFY, input.id);
      Object.assign(place, { tenantId: row.tenant_id, projectId: row.project_id });
      await requirePresent(reader, row);
      if (input.expectedVersion !== undefined && input.expectedVersion !== row.version) {
        throw versionConflict('security_group', { id: row.id, version: input.expectedVersion });
      }
      const changes = new ChangeSet();
      lockScopes(changes, { tenantId: row.tenant_id, projectId: row.project_id }, 'EXISTING');
      const set = {
        ...(input.name === undefined ? {} : { name: input.name }),
        ...(input.description === undefined ? {} : { description: input.description }),
        ...(rules === undefined ? {} : { rules, desired_revision: row.desired_revision + 1 }),
      };
      changes.resources.push({ action: 'UPDATE', kind: 'security group', id: row.id, name: row.name, data: rules === undefined ? {} : { rules: rules.length } });
      changes.result = { id: row.id, operationId: null };
      if (Object.keys(set).length > 0) changes.add(ROWS, { table: 'security_group', update: set, id: row.id, version: row.version });
      if (rules === undefined) return changes;
      await this.requireReferences(reader, access, { projectId: row.project_id, groupId: row.id, rules });
      changes.add(GROUP_CLAIMS, { action: 'REFER', securityGroupId: row.id, referencedIds: referencesOf(rules) });
      const operation = operationId.create();
      lockResources(changes, operation, [row.id]);
      changes.add(OPERATIONS, {
        ...operationOn(row),
        id: operation,
        kind: SECURITY_GROUP_UPDATE,
        input: { securityGroupId: row.id, before: rulesBefore(row.rules) },
      });
      changes.result = { id: row.id, operationId: operation };
      return changes;
    });
  }

  /** @throws INVALID_STATE naming ports that are in it and groups whose rules name it */
  async delete(access: Access, groupId: string, options: CommandOptions = {}): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name: 'deleteSecurityGroup', input: { id: groupId }, place, ...options }, async (reader) => {
      const row = await this.find(reader, access, Action.DELETE, groupId);
      Object.assign(place, { tenantId: row.tenant_id, projectId: row.project_id });
      if (row.lifecycle === 'DELETING') throw new MuonError('INVALID_STATE', `The security group "${row.name}" is being deleted already.`);
      const users = await reader.rows(findGroupUsers, row.id, MAX_IDS);
      if (users.length > 0) throw groupInUse(users);
      return planSecurityGroupDeletion(row);
    });
  }

  /** Puts a port into groups and takes it out of others; those that are not named stay. */
  async updatePort(access: Access, raw: UpdatePortSecurityGroupsInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(updatePortSecurityGroupsInput, raw);
    const both = input.add.find((each) => input.remove.includes(each));
    if (both !== undefined) throw invalidInput('input.remove', `"${both}" cannot be added and removed at once.`);
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name: 'updatePortSecurityGroups', input: { ...raw }, place, ...options }, async (reader) => {
      const port = await this.findPort(reader, access, input.portId);
      const { tenant_id: tenantId, project_id: projectId } = port;
      Object.assign(place, { tenantId, projectId });
      const current = new Set((await reader.rows(findGroupsOfPorts, [port.id])).map((row) => row.security_group_id));
      await usableGroups(reader, access, projectId, input.add.map((each, index) => ({ id: each, field: `input.add.${index}` })));
      const added = [...new Set(input.add)].filter((each) => !current.has(each));
      const removed = [...new Set(input.remove)].filter((each) => current.has(each));
      requireFewGroups(current.size + added.length - removed.length, 'input.add');
      if (added.length > 0) await this.drivers.requireCapability(reader, port.backend_id, 'firewall', 'input.add');
      const changes = new ChangeSet();
      changes.result = { id: port.id, operationId: null };
      if (added.length + removed.length === 0) return changes;
      const operation = operationId.create();
      lockScopes(changes, { tenantId, projectId }, 'EXISTING');
      lockResources(changes, operation, [port.id]);
      changes.add(GROUP_CLAIMS, { action: 'CHANGE_PORT', portId: port.id, add: added, remove: removed });
      changes.add(OPERATIONS, {
        id: operation,
        kind: PORT_SECURE,
        resourceKind: portId.prefix,
        resourceId: port.id,
        tenantId,
        projectId,
        backendId: port.backend_id,
        input: { portId: port.id, added, removed },
      });
      changes.resources.push({ action: 'UPDATE', kind: 'port', id: port.id, name: port.name, data: { added, removed } });
      changes.result = { id: port.id, operationId: operation };
      return changes;
    });
  }

  private async find(reader: Reader, access: Access, action: Action, groupId: string): Promise<SecurityGroupRow> {
    const [row] = await reader.rows(findVisibleSecurityGroups, ...access.filter('security group'), [groupId]);
    const known = row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
    return access.require(action, 'security group', known, groupId, 'input.id');
  }

  private async findPort(reader: Reader, access: Access, id: string): Promise<PortRow> {
    const [row] = await reader.rows(findVisiblePorts, ...access.filter('port'), [id]);
    const known = row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
    const port = access.require(Action.MODIFY, 'port', known, id, 'input.portId');
    if (port.lifecycle !== 'PRESENT') throw notFound('port', id, 'input.portId');
    return port;
  }

  /** A group may name itself: its ports among each other. */
  private async requireReferences(
    reader: Reader,
    access: Access,
    { projectId, groupId, rules }: { projectId: string; groupId: string; rules: readonly SecurityRule[] },
  ): Promise<void> {
    const uses = rules.flatMap(({ remoteSecurityGroupId: other }, index) =>
      other === null || other === groupId ? [] : [{ id: other, field: `input.rules.${index}.remoteSecurityGroupId` }],
    );
    await usableGroups(reader, access, projectId, uses);
  }
}

export function planSecurityGroupDeletion(row: SecurityGroupRow): ChangeSet {
  const changes = new ChangeSet();
  const operation = operationId.create();
  changes.add(GROUP_CLAIMS, { action: 'CLOSE', securityGroupId: row.id });
  changes.add(ROWS, { table: 'security_group', update: { lifecycle: 'DELETING' }, id: row.id, version: row.version });
  succeedResources(changes, operation, [row.id]);
  changes.add(OPERATIONS, { ...operationOn(row), id: operation, kind: SECURITY_GROUP_DELETE, input: { securityGroupId: row.id } });
  changes.resources.push({ action: 'DELETE', kind: 'security group', id: row.id, name: row.name });
  changes.result = { id: row.id, operationId: operation };
  return changes;
}

function operationOn(row: SecurityGroupRow): { resourceKind: string; resourceId: string; tenantId: string; projectId: string } {
  return { resourceKind: securityGroupId.prefix, resourceId: row.id, tenantId: row.tenant_id, projectId: row.project_id };
}

/** @throws RESOURCE_BUSY naming who deletes it; INVALID_STATE */
async function requirePresent(reader: Reader, row: SecurityGroupRow): Promise<void> {
  if (row.lifecycle === 'PRESENT') return;
  const message = `The security group "${row.name}" is being deleted.`;
  throw await busyOr(reader, row.id, new MuonError('INVALID_STATE', message, { data: { state: row.lifecycle } }));
}
