import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { MuonError, nameSchema, parseInput } from '#core';
import { ChangeSet, constraintMeans, ROWS, type Reader } from '#database';
import { SCOPES, SYSTEM_SCOPE_ID } from '#scopes';
import type { Access, Place } from '../access/access.js';
import { HOLDINGS, requireHolding } from '../access/holdings.js';
import { located, requirePrincipal, requireScope } from '../access/look-up.js';
import { Action } from '../access/role.js';
import type { CommandOptions } from '../command/command-options.js';
import { CommandRunner, type CommandResult } from '../command/command-runner.js';
import { principalId } from './bootstrap.js';
import { findTokens, type PrincipalRow } from './principal.sql.js';
import { createToken } from './token.js';

const taken = (noun: string, field: string) => () =>
  new MuonError('ALREADY_EXISTS', `A ${noun} of this name exists here already.`, { field });
constraintMeans('principal_name', taken('principal', 'input.name'));
constraintMeans('api_token_name', taken('token', 'input.name'));

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

const DAY_MS = 86_400_000;

/** Service accounts, tokens, and who may call at all. */
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
      Object.assign(place, await requireScope(reader, access, 'principal', scopeId));
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
   * A token acts as its principal: whoever makes one must hold itself all that the principal holds.
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
      const owner = await requirePrincipal(reader, access, Action.READ, input.principalId);
      Object.assign(place, { tenantId: owner.tenantId, projectId: owner.projectId });
      access.requireChild('token', 'principal', owner, owner.id, 'input.principalId');
      const changes = new ChangeSet().add(HOLDINGS, await requireHolding(reader, access, 'principal', owner.id, 'input.principalId'));
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
      const found = located(row);
      // Everybody may end their own.
      const isOwn = found?.principal_id === access.principal.id;
      const token = isOwn && found !== undefined ? found : access.require(Action.DELETE, 'token', found, id, 'input.id');
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

  /** With it go its tokens, its roles and its memberships. @throws INVALID_STATE when it is the last owner of a scope */
  async deleteServiceAccount(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    return this.change(access, 'deleteServiceAccount', Action.DELETE, id, options, async (_reader, account) => {
      if (account.kind !== 'SERVICE_ACCOUNT') {
        throw new MuonError('INVALID_INPUT', 'This is a person, not a service account; disable it instead.', { field: 'input.id' });
      }
      const changes = new ChangeSet().add(ROWS, { table: 'principal', remove: true, id, version: account.version });
      changes.resources.push({ action: 'DELETE', kind: 'principal', id, name: account.name });
      return changes;
    });
  }

  /** It may not call any more, within a second on every process. @throws INVALID_STATE when it is the last owner of a scope */
  async disable(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    return this.change(access, 'disablePrincipal', Action.MODIFY, id, options, async (_reader, principal) =>
      setDisabled(principal, principal.disabled_at ?? new Date()),
    );
  }

  /** @throws FORBIDDEN when it holds what the caller does not */
  async enable(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    return this.change(access, 'enablePrincipal', Action.MODIFY, id, options, async (reader, principal) => {
      const holding = await requireHolding(reader, access, 'principal', principal.id, 'input.id');
      return setDisabled(principal, null).add(HOLDINGS, holding);
    });
  }

  private async change(
    access: Access,
    name: string,
    action: Action,
    id: string,
    options: CommandOptions,
    plan: (reader: Reader, principal: PrincipalRow) => Promise<ChangeSet>,
  ): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name, input: { id }, place, ...options }, async (reader) => {
      const principal = await requirePrincipal(reader, access, action, id, 'input.id');
      Object.assign(place, { tenantId: principal.tenantId, projectId: principal.projectId });
      const changes = await plan(reader, principal);
      changes.result = { id };
      return changes;
    });
  }
}

function setDisabled(principal: PrincipalRow, at: Date | null): ChangeSet {
  const { id, name, version } = principal;
  const changes = new ChangeSet().add(ROWS, { table: 'principal', update: { disabled_at: at }, id, version });
  changes.resources.push({ action: 'UPDATE', kind: 'principal', id, name });
  return changes;
}
