import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { MuonError, nameSchema, parseInput } from '#core';
import { ChangeSet, constraintMeans, ROWS, type Reader } from '#database';
import { findScopes, requireActive, SCOPES, SYSTEM_SCOPE_ID } from '#scopes';
import { Action, Role, type Access, type Place } from '../access/access.js';
import type { CommandOptions } from '../command/command-options.js';
import { CommandRunner, type CommandResult } from '../command/command-runner.js';
import { principalId, roleBindingId } from './bootstrap.js';
import { findBindings, findPrincipals, findTokens, type PrincipalRow } from './principal.sql.js';
import { createToken } from './token.js';

const taken = (noun: string, field: string) => () =>
  new MuonError('ALREADY_EXISTS', `A ${noun} of this name exists here already.`, { field });
constraintMeans('principal_name', taken('principal', 'input.name'));
constraintMeans('api_token_name', taken('token', 'input.name'));
constraintMeans(
  'role_binding_once',
  () => new MuonError('ALREADY_EXISTS', 'The principal holds this role on this scope already.', { field: 'input.role' }),
);

export const createServiceAccountInput = z.strictObject({
  scopeId: z.string().max(100).optional(),
  name: nameSchema,
});
export const createApiTokenInput = z.strictObject({
  principalId: z.string().max(100),
  name: nameSchema,
  /** Days from now; without it the token holds until it is revoked. */
  validDays: z.int().min(1).max(3650).optional(),
});
export const grantRoleInput = z.strictObject({
  principalId: z.string().max(100),
  scopeId: z.string().max(100),
  role: z.enum(Role),
});

const DAY_MS = 86_400_000;

/** Service accounts, their tokens, and who holds which role where. */
@Injectable()
export class PrincipalService {
  constructor(private readonly commands: CommandRunner) {}

  async createServiceAccount(
    access: Access,
    raw: z.input<typeof createServiceAccountInput>,
    options: CommandOptions = {},
  ): Promise<CommandResult> {
    const input = parseInput(createServiceAccountInput, raw);
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      const scopeId = input.scopeId ?? SYSTEM_SCOPE_ID;
      Object.assign(place, await this.requireScope(reader, access, Action.CREATE_CHILD, scopeId));
      const id = principalId.create();
      const changes = new ChangeSet();
      changes.add(SCOPES, { scopeId, need: 'ACTIVE' });
      changes.add(ROWS, {
        table: 'principal',
        insert: { id, kind: 'SERVICE_ACCOUNT', scope_id: scopeId, tenant_id: place.tenantId, project_id: place.projectId, name: input.name },
      });
      changes.resources.push({ action: 'CREATE', kind: 'service account', id, name: input.name });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'createServiceAccount', input, place, ...options }, plan);
  }

  /**
   * A token acts as its principal: whoever makes one must be allowed to modify the principal.
   * @returns the token's text, which is kept nowhere; null when an idempotency key repeats an earlier request
   */
  async createApiToken(
    access: Access,
    raw: z.input<typeof createApiTokenInput>,
    options: Pick<CommandOptions, 'idempotencyKey'> = {},
  ): Promise<CommandResult & { token: string | null }> {
    const input = parseInput(createApiTokenInput, raw);
    const token = createToken();
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      const owner = await this.requirePrincipal(reader, access, Action.MODIFY, input.principalId);
      Object.assign(place, { tenantId: owner.tenant_id, projectId: owner.project_id });
      const changes = new ChangeSet();
      changes.add(SCOPES, { scopeId: owner.scope_id, need: 'ACTIVE' });
      changes.add(ROWS, {
        table: 'api_token',
        insert: {
          id: token.id,
          principal_id: owner.id,
          tenant_id: owner.tenant_id,
          project_id: owner.project_id,
          name: input.name,
          secret_hash: token.secretHash,
          expires_at: input.validDays === undefined ? null : new Date(Date.now() + input.validDays * DAY_MS),
        },
      });
      changes.result = { id: token.id };
      return changes;
    };
    const made = await this.commands.run({ access, name: 'createApiToken', input, place, ...options }, plan);
    return { ...made, token: made.replayed ? null : token.text };
  }

  /** Stops working on every process within a second. */
  async revokeApiToken(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      const [row] = await reader.rows(findTokens, [id]);
      const found = row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
      const token = access.require(Action.DELETE, 'token', found, id, 'input.id');
      Object.assign(place, { tenantId: token.tenantId, projectId: token.projectId });
      const changes = new ChangeSet();
      if (token.revoked_at === null) {
        changes.add(ROWS, { table: 'api_token', update: { revoked_at: new Date() }, id, version: token.version });
      }
      changes.resources.push({ action: 'UPDATE', kind: 'token', id, name: token.name });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'revokeApiToken', input: { id }, place, ...options }, plan);
  }

  async grantRole(access: Access, raw: z.input<typeof grantRoleInput>, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(grantRoleInput, raw);
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      Object.assign(place, await this.requireScope(reader, access, Action.MODIFY, input.scopeId));
      const principal = await this.requirePrincipal(reader, access, Action.READ, input.principalId);
      if (principal.tenant_id !== null && principal.tenant_id !== place.tenantId) {
        throw new MuonError('INVALID_INPUT', 'A principal of a tenant can only hold roles inside of that tenant.', { field: 'input.scopeId' });
      }
      // Whoever owns its project may make tokens of it, and would rise by them to what it holds elsewhere.
      if (principal.project_id !== null && principal.project_id !== place.projectId) {
        throw new MuonError('INVALID_INPUT', 'A principal of a project can only hold roles on that project.', { field: 'input.scopeId' });
      }
      const id = roleBindingId.create();
      const changes = new ChangeSet();
      changes.add(SCOPES, { scopeId: input.scopeId, need: 'ACTIVE' });
      changes.add(ROWS, {
        table: 'role_binding',
        insert: {
          id,
          principal_id: principal.id,
          scope_id: input.scopeId,
          tenant_id: place.tenantId,
          project_id: place.projectId,
          role: input.role,
        },
      });
      changes.resources.push({ action: 'CREATE', kind: 'role binding', id, name: `${principal.name}: ${input.role}` });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'grantRole', input, place, ...options }, plan);
  }

  async revokeRole(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      const [row] = await reader.rows(findBindings, [id]);
      const found = row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
      const binding = access.require(Action.DELETE, 'role binding', found, id, 'input.id');
      Object.assign(place, { tenantId: binding.tenantId, projectId: binding.projectId });
      const changes = new ChangeSet().add(ROWS, { table: 'role_binding', remove: true, id, version: binding.version });
      changes.resources.push({ action: 'DELETE', kind: 'role binding', id, name: binding.role });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'revokeRole', input: { id }, place, ...options }, plan);
  }

  private async requireScope(reader: Reader, access: Access, action: Action, id: string): Promise<Place> {
    const [scope] = await reader.rows(findScopes, [id]);
    const row = scope === undefined ? undefined : { tenantId: scope.tenant_id, projectId: scope.project_id };
    const place = access.require(action, 'scope', row, id, 'input.scopeId');
    if (scope !== undefined) requireActive(scope);
    return place;
  }

  private async requirePrincipal(reader: Reader, access: Access, action: Action, id: string): Promise<PrincipalRow> {
    const [row] = await reader.rows(findPrincipals, [id]);
    const found = row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
    return access.require(action, 'principal', found, id, 'input.principalId');
  }
}
