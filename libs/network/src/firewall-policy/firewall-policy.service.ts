import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { descriptionSchema, MuonError, nameSchema, notFound, parseInput } from '#core';
import { ChangeSet, constraintMeans, ROWS, versionConflict, type PlanReason, type Reader } from '#database';
import { Action, CommandRunner, SYSTEM_PLACE, type Access, type CommandOptions, type CommandResult } from '#identity';
import { busyOr, lockResources, operationId, OPERATIONS, succeedResources, type NewOperation } from '#operations';
import { findScopes, requireActive, SCOPES } from '#scopes';
import { GROUP_CLAIMS } from '../security-group/group-claims.js';
import { requireSenseOf } from '../security-group/rule.js';
import { firewallPolicyId, MAX_POLICIES, MAX_POSITION, MAX_RULES_OF_ALL, policyRulesSchema, type FirewallPolicyRow, type PolicyRule } from './firewall-policy.js';
import { FIREWALL_POLICY_CREATE, FIREWALL_POLICY_DELETE, FIREWALL_POLICY_UPDATE } from './firewall-policy.operations.js';
import { countOpenNetworks, countPolicies, findFirewallPolicies, findPolicyTwin } from './firewall-policy.sql.js';

constraintMeans('firewall_policy_name', () => taken('name'));
constraintMeans('firewall_policy_position', () => taken('position'));

function taken(what: 'name' | 'position'): MuonError {
  return new MuonError('ALREADY_EXISTS', `Another firewall policy has this ${what} already.`, { field: `input.${what}` });
}

/** Room for others in between. */
const STEP = 10;
const position = z.int().min(1, 'Positions begin at 1.').max(MAX_POSITION, `A position is at most ${MAX_POSITION}.`);

export const createFirewallPolicyInput = z.strictObject({
  name: nameSchema,
  description: descriptionSchema.default(''),
  /** Behind all others when left out. */
  position: position.optional(),
  /** A tenant or project; everybody's ports when left out. */
  scopeId: z.string().max(100).optional(),
  rules: policyRulesSchema,
});
export type CreateFirewallPolicyInput = z.input<typeof createFirewallPolicyInput>;

export const updateFirewallPolicyInput = z.strictObject({
  id: z.string().max(100),
  expectedVersion: z.int().min(0).optional(),
  name: nameSchema.optional(),
  description: descriptionSchema.optional(),
  position: position.optional(),
  rules: policyRulesSchema.optional(),
});
export type UpdateFirewallPolicyInput = z.input<typeof updateFirewallPolicyInput>;

type Scope = Pick<FirewallPolicyRow, 'scope_tenant_id' | 'scope_project_id'>;

/** What operators say of networks, above what tenants say. */
@Injectable()
export class FirewallPolicyService {
  constructor(private readonly commands: CommandRunner) {}

  async create(access: Access, raw: CreateFirewallPolicyInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createFirewallPolicyInput, raw);
    const rules = input.rules.map((rule, index): PolicyRule => requireSenseOf(rule, `input.rules.${index}`));
    return this.commands.run({ access, name: 'createFirewallPolicy', input: { ...raw }, place: SYSTEM_PLACE, ...options }, async (reader) => {
      access.requireSystem(Action.CREATE_CHILD, 'firewall policy');
      const changes = new ChangeSet();
      const scope = await this.scope(reader, changes, input.scopeId);
      const { count, last } = await this.requireRoom(reader, rules.length, null);
      if (count >= MAX_POLICIES) {
        throw new MuonError('LIMIT_EXCEEDED', `There are at most ${MAX_POLICIES} firewall policies; put more rules into one.`, { data: { maximum: MAX_POLICIES } });
      }
      const place = input.position ?? Math.min(last + STEP, MAX_POSITION);
      changes.problems.push(...(await this.twins(reader, { name: input.name, position: place })));
      const id: string = firewallPolicyId.create();
      const { name, description } = input;
      changes.reasons.push(...(await openNetworks(reader, scope)));
      changes.add(GROUP_CLAIMS, { action: 'CHANGE_FIREWALL', tenantId: scope.scope_tenant_id });
      changes.add(ROWS, { table: 'firewall_policy', insert: { id, name, description, position: place, ...scope, rules } });
      const operation = operationId.create();
      lockResources(changes, operation, [id]);
      changes.add(OPERATIONS, newOperation(operation, FIREWALL_POLICY_CREATE, id, { policyId: id, tenantId: scope.scope_tenant_id }));
      changes.resources.push({ action: 'CREATE', kind: 'firewall policy', id, name, data: { position: place, rules: rules.length } });
      changes.result = { id, operationId: operation };
      return changes;
    });
  }

  /** Rules are replaced as a whole. `operationId` is null when backends need not be told. */
  async update(access: Access, raw: UpdateFirewallPolicyInput, options: CommandOptions = {}): Promise<CommandResult> {
    const { id, expectedVersion, rules: given, ...set } = parseInput(updateFirewallPolicyInput, raw);
    const rules = given?.map((rule, index): PolicyRule => requireSenseOf(rule, `input.rules.${index}`));
    return this.commands.run({ access, name: 'updateFirewallPolicy', input: { ...raw }, place: SYSTEM_PLACE, ...options }, async (reader) => {
      access.requireSystem(Action.MODIFY, 'firewall policy');
      const row = await requirePolicy(reader, id);
      if (row.lifecycle !== 'PRESENT') {
        const message = `The firewall policy "${row.name}" is ${row.lifecycle.toLowerCase()}.`;
        throw await busyOr(reader, id, new MuonError('INVALID_STATE', message, { data: { state: row.lifecycle } }));
      }
      if (expectedVersion !== undefined && expectedVersion !== row.version) throw versionConflict('firewall_policy', { id, version: expectedVersion });
      if (rules !== undefined) await this.requireRoom(reader, rules.length, id);
      const changes = new ChangeSet();
      changes.problems.push(...(await this.twins(reader, { name: set.name ?? row.name, position: set.position ?? row.position }, id)));
      const update = { ...set, ...(rules === undefined ? {} : { rules }) };
      if (Object.keys(update).length > 0) changes.add(ROWS, { table: 'firewall_policy', update, id, version: row.version });
      changes.resources.push({ action: 'UPDATE', kind: 'firewall policy', id, name: row.name, data: rules === undefined ? {} : { rules: rules.length } });
      changes.result = { id, operationId: null };
      if (rules === undefined && set.position === undefined) return changes;
      changes.reasons.push(...(await openNetworks(reader, row)));
      changes.add(GROUP_CLAIMS, { action: 'CHANGE_FIREWALL', tenantId: row.scope_tenant_id });
      const operation = operationId.create();
      lockResources(changes, operation, [id]);
      const before = { position: row.position, rules: row.rules.map((rule) => ({ ...rule })) };
      changes.add(OPERATIONS, newOperation(operation, FIREWALL_POLICY_UPDATE, id, { policyId: id, tenantId: row.scope_tenant_id, before }));
      changes.result = { id, operationId: operation };
      return changes;
    });
  }

  async delete(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    return this.commands.run({ access, name: 'deleteFirewallPolicy', input: { id }, place: SYSTEM_PLACE, ...options }, async (reader) => {
      access.requireSystem(Action.DELETE, 'firewall policy');
      const row = await requirePolicy(reader, id);
      if (row.lifecycle === 'DELETING') throw new MuonError('INVALID_STATE', `The firewall policy "${row.name}" is being deleted already.`);
      return planPolicyDeletion(row);
    });
  }

  private async scope(reader: Reader, changes: ChangeSet, scopeId: string | undefined): Promise<Scope> {
    if (scopeId === undefined) return { scope_tenant_id: null, scope_project_id: null };
    const [scope] = await reader.rows(findScopes, [scopeId]);
    if (scope === undefined || scope.kind === 'SYSTEM') throw notFound('tenant or project', scopeId, 'input.scopeId');
    requireActive(scope);
    const isProject = scope.kind === 'PROJECT';
    const tenantId = isProject ? String(scope.tenant_id) : scope.id;
    changes.add(SCOPES, { scopeId: tenantId, need: 'ACTIVE' }, ...(isProject ? [{ scopeId: scope.id, need: 'ACTIVE' as const }] : []));
    return { scope_tenant_id: tenantId, scope_project_id: isProject ? scope.id : null };
  }

  private async requireRoom(reader: Reader, amount: number, exceptId: string | null): Promise<{ count: number; last: number }> {
    const { count = 0, last = 0, rules = 0 } = (await reader.first(countPolicies, exceptId)) ?? {};
    if (rules + amount <= MAX_RULES_OF_ALL) return { count, last };
    throw new MuonError('LIMIT_EXCEEDED', `All firewall policies together have at most ${MAX_RULES_OF_ALL} rules; the others have ${rules}.`, {
      field: 'input.rules',
      data: { maximum: MAX_RULES_OF_ALL, others: rules },
    });
  }

  private async twins(reader: Reader, wanted: { name: string; position: number }, own?: string): Promise<ReturnType<MuonError['toRecord']>[]> {
    const others = (await reader.rows(findPolicyTwin, wanted.name, wanted.position)).filter((row) => row.id !== own);
    const same = (what: 'name' | 'position'): boolean => others.some((row) => row[what] === wanted[what]);
    return (['name', 'position'] as const).filter(same).map((what) => taken(what).toRecord());
  }
}

async function requirePolicy(reader: Reader, id: string): Promise<FirewallPolicyRow> {
  const [row] = await reader.rows(findFirewallPolicies, [id]);
  if (row === undefined) throw notFound('firewall policy', id, 'input.id');
  return row;
}

/** Where the policy holds nothing back. */
async function openNetworks(reader: Reader, scope: Scope): Promise<PlanReason[]> {
  const { networks = 0, backends = [] } = (await reader.first(countOpenNetworks, scope.scope_tenant_id, scope.scope_project_id)) ?? {};
  if (networks === 0) return [];
  const which = networks === 1 ? '1 network is' : `${networks} networks are`;
  const message = `${which} on backends that offer no firewall, where the policy is not kept: ${backends.join(', ')}.`;
  return [{ subject: 'firewall', message, data: { networks, backends } }];
}

export function planPolicyDeletion(row: FirewallPolicyRow): ChangeSet {
  const changes = new ChangeSet();
  const operation = operationId.create();
  changes.add(GROUP_CLAIMS, { action: 'CHANGE_FIREWALL', tenantId: row.scope_tenant_id });
  changes.add(ROWS, { table: 'firewall_policy', update: { lifecycle: 'DELETING' }, id: row.id, version: row.version });
  succeedResources(changes, operation, [row.id]);
  changes.add(OPERATIONS, newOperation(operation, FIREWALL_POLICY_DELETE, row.id, { policyId: row.id, tenantId: row.scope_tenant_id }));
  changes.resources.push({ action: 'DELETE', kind: 'firewall policy', id: row.id, name: row.name });
  changes.result = { id: row.id, operationId: operation };
  return changes;
}

function newOperation(id: string, kind: string, policyId: string, input: NewOperation['input']): NewOperation {
  return { id, kind, resourceKind: firewallPolicyId.prefix, resourceId: policyId, tenantId: null, projectId: null, input };
}
