import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { notFound, parseInput, type JsonObject } from '#core';
import { ChangeSet, Database, ROWS, versionConflict, type Reader } from '#database';
import { Action, CommandRunner, createToken, SYSTEM_PLACE, type Access, type CommandOptions, type CommandResult } from '#identity';
import { requireActive, SCOPES, ScopeState } from '#scopes';
import { ScopeContentsRegistry } from '../going/scope-contents.js';
import { planGoing } from '../going/plan-going.js';
import { findZoneGrants, resolveZones, zoneGrantId } from '../zone-grant/zone-grant.js';
import { onboardTenantInput, planOnboarding, type OnboardTenantInput } from './onboarding.js';
import { displayNameSchema, versionSchema, zoneReferencesSchema, type TenantRow } from './tenant.js';
import { findTenantByName, findTenants } from './tenant.sql.js';

export const updateTenantInput = z.strictObject({
  id: z.string().max(100),
  displayName: displayNameSchema.optional(),
  /** Names or ids; null for all there are and will be; left out to leave them. */
  zones: zoneReferencesSchema.nullable().optional(),
  expectedVersion: versionSchema,
});
export const tenantTargetInput = z.strictObject({ id: z.string().max(100), expectedVersion: versionSchema });
export type UpdateTenantInput = z.input<typeof updateTenantInput>;
export type TenantTargetInput = z.input<typeof tenantTargetInput>;

type TenantPlanner = (reader: Reader, tenant: TenantRow) => Promise<ChangeSet>;

/** Tenants: made in one step, suspended, and taken away with proof. All of it is the system's owners' to do. */
@Injectable()
export class TenantService {
  constructor(
    private readonly database: Database,
    private readonly commands: CommandRunner,
    private readonly contents: ScopeContentsRegistry,
  ) {}

  /**
   * A tenant with quota, owners, zones and first project, all or nothing. The result has `id`, `projectId`, `ownerIds`
   * and `tokenId`.
   * @returns the token's text, which is kept nowhere: null when none was asked for, of a dry run (whose plan makes none
   *   either), and when an idempotency key repeats an earlier request
   */
  async onboard(
    access: Access,
    raw: OnboardTenantInput,
    options: CommandOptions = {},
  ): Promise<CommandResult & { ownerToken: string | null }> {
    const input = parseInput(onboardTenantInput, raw);
    const token = input.ownerToken && options.dryRun !== true ? createToken() : undefined;
    const place = { ...SYSTEM_PLACE };
    const outcome = await this.commands.run(
      { access, name: 'onboardTenant', input: input as unknown as JsonObject, place, ...options },
      async (reader) => {
        access.requireSystem(Action.CREATE_CHILD, 'tenant');
        const changes = await planOnboarding(reader, input, token);
        if (options.dryRun === true && input.ownerToken) {
          changes.reasons.push({ subject: 'token', message: 'no token is made by applying a plan: make one afterwards' });
        }
        if (typeof changes.result.id === 'string') place.tenantId = changes.result.id;
        return changes;
      },
    );
    return { ...outcome, ownerToken: outcome.replayed ? null : (token?.text ?? null) };
  }

  /** Changes what people read, and which zones the tenant may use; what it has in others stays. */
  async update(access: Access, raw: UpdateTenantInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(updateTenantInput, raw);
    return this.change(access, 'updateTenant', Action.MODIFY, input, options, async (reader, tenant) => {
      refuseGoing(tenant);
      const changes = new ChangeSet().add(SCOPES, { scopeId: tenant.id, need: 'EXISTING' });
      const set: Record<string, unknown> = {};
      if (input.displayName !== undefined) set.display_name = input.displayName;
      if (input.zones !== undefined) {
        set.all_zones = input.zones === null;
        await this.replaceZones(reader, changes, tenant, input.zones ?? []);
      }
      return changes.add(ROWS, { table: 'tenant', update: set, id: tenant.id, version: tenant.version });
    });
  }

  /** Nothing new can be made or changed in it until it is resumed; deleting stays possible, what runs goes on. */
  async suspend(access: Access, raw: TenantTargetInput, options: CommandOptions = {}): Promise<CommandResult> {
    return this.setState(access, 'suspendTenant', raw, ScopeState.SUSPENDED, options);
  }

  async resume(access: Access, raw: TenantTargetInput, options: CommandOptions = {}): Promise<CommandResult> {
    return this.setState(access, 'resumeTenant', raw, ScopeState.ACTIVE, options);
  }

  /**
   * Takes the tenant away with all that is in it. A dry run lists what goes, in which order. The result has `id` and
   * `operationId`.
   */
  async offboard(access: Access, raw: TenantTargetInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(tenantTargetInput, raw);
    return this.change(access, 'offboardTenant', Action.DELETE, input, options, (reader, tenant) =>
      planGoing(reader, this.contents, {
        table: 'tenant',
        row: tenant,
        scope: { tenantId: tenant.id, projectId: null },
      }),
    );
  }

  /** @throws NOT_FOUND */
  async byName(access: Access, name: string): Promise<TenantRow> {
    const row = await this.database.first(findTenantByName, name);
    return visibleTenant(access, Action.READ, row, name, 'name');
  }

  /** Those of the ids that the caller may see. */
  async find(access: Access, ids: readonly string[]): Promise<Map<string, TenantRow>> {
    const rows = await this.database.rows(findTenants, [...ids]);
    return new Map(rows.filter((row) => access.can(Action.READ, 'tenant', placeOf(row))).map((row) => [row.id, row]));
  }

  private async setState(
    access: Access,
    name: string,
    raw: TenantTargetInput,
    state: ScopeState,
    options: CommandOptions,
  ): Promise<CommandResult> {
    const input = parseInput(tenantTargetInput, raw);
    return this.change(access, name, Action.MODIFY, input, options, async (_reader, tenant) => {
      refuseGoing(tenant);
      if (tenant.state === state) return new ChangeSet();
      return new ChangeSet()
        .add(SCOPES, { scopeId: tenant.id, version: tenant.scope_version, state })
        .add(ROWS, { table: 'tenant', update: {}, id: tenant.id, version: tenant.version });
    });
  }

  private async change(
    access: Access,
    name: string,
    action: Action,
    input: { id: string; expectedVersion?: number | null | undefined },
    options: CommandOptions,
    plan: TenantPlanner,
  ): Promise<CommandResult> {
    const place = { ...SYSTEM_PLACE };
    return this.commands.run({ access, name, input: input as unknown as JsonObject, place, ...options }, async (reader) => {
      const [row] = await reader.rows(findTenants, [input.id]);
      const tenant = visibleTenant(access, Action.READ, row, input.id, 'input.id');
      Object.assign(place, placeOf(tenant));
      // Above the tenant's own owners: they could lift their own suspension.
      access.requireSystem(action, 'tenant');
      if (input.expectedVersion != null && input.expectedVersion !== tenant.version) {
        throw versionConflict('tenant', { id: tenant.id, version: input.expectedVersion });
      }
      const changes = await plan(reader, tenant);
      if (changes.resources.length === 0) changes.resources.push({ action: 'UPDATE', kind: 'tenant', id: tenant.id, name: tenant.name });
      changes.result = { ...changes.result, id: tenant.id };
      return changes;
    });
  }

  private async replaceZones(reader: Reader, changes: ChangeSet, tenant: TenantRow, references: readonly string[]): Promise<void> {
    const wanted = new Set((await resolveZones(reader, references, 'input.zones')).map((zone) => zone.id));
    const granted = await reader.rows(findZoneGrants, tenant.id);
    for (const grant of granted) {
      if (!wanted.delete(grant.zone_id)) changes.add(ROWS, { table: 'zone_grant', remove: true, id: grant.id, version: grant.version });
    }
    for (const zone of wanted) {
      changes.add(ROWS, { table: 'zone_grant', insert: { id: zoneGrantId.create(), tenant_id: tenant.id, project_id: null, zone_id: zone } });
    }
  }
}

const placeOf = (tenant: Pick<TenantRow, 'id'>): { tenantId: string; projectId: null } => ({ tenantId: tenant.id, projectId: null });

function visibleTenant(access: Access, action: Action, row: TenantRow | undefined, reference: string, field: string): TenantRow {
  access.require(action, 'tenant', row === undefined ? undefined : placeOf(row), reference, field);
  if (row === undefined) throw notFound('tenant', reference, field);
  return row;
}

function refuseGoing(tenant: TenantRow): void {
  if (tenant.state === ScopeState.DELETING) requireActive({ id: tenant.id, kind: 'TENANT', name: tenant.name, state: tenant.state });
}
