import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { invalidInput, notFound, parseInput, type JsonObject } from '#core';
import { ChangeSet, Database, ROWS, versionConflict, type Reader } from '#database';
import { Action, CommandRunner, type Access, type CommandOptions, type CommandResult, type Place } from '#identity';
import { planLimitChanges, quotaId, quotaLinesSchema } from '#quota';
import { findScopeByName, projectId, requireActive, SCOPES, ScopeState } from '#scopes';
import { planGoing } from '../going/plan-going.js';
import { ScopeContentsRegistry } from '../going/scope-contents.js';
import { addProjectRows, withFields } from '../tenant/onboarding.js';
import { displayNameSchema, nameTaken, newScopeShape, versionSchema, type TenantRow } from '../tenant/tenant.js';
import { findTenants } from '../tenant/tenant.sql.js';
import { projectState, type ProjectRow } from './project.js';
import { findProjects, findProjectsByName } from './project.sql.js';

export const createProjectInput = z.strictObject({
  tenantId: z.string().max(100),
  ...newScopeShape,
  /** Carved out of the tenant's. */
  quota: quotaLinesSchema.default([]),
});
export const updateProjectInput = z.strictObject({
  id: z.string().max(100),
  displayName: displayNameSchema,
  expectedVersion: versionSchema,
});
export const projectTargetInput = z.strictObject({ id: z.string().max(100), expectedVersion: versionSchema });
export type CreateProjectInput = z.input<typeof createProjectInput>;
export type UpdateProjectInput = z.input<typeof updateProjectInput>;
export type ProjectTargetInput = z.input<typeof projectTargetInput>;

type ProjectPlanner = (reader: Reader, project: ProjectRow) => Promise<ChangeSet>;

/** Projects: made, suspended and taken away by their tenant's owners. */
@Injectable()
export class ProjectService {
  constructor(
    private readonly database: Database,
    private readonly commands: CommandRunner,
    private readonly contents: ScopeContentsRegistry,
  ) {}

  /** The result's `id` is the project's. */
  async create(access: Access, raw: CreateProjectInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createProjectInput, raw);
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name: 'createProject', input: input as unknown as JsonObject, place, ...options }, async (reader) => {
      const tenant = await requireTenant(reader, access, input.tenantId);
      const id = projectId.create();
      Object.assign(place, { tenantId: tenant.id, projectId: id });
      requireActive({ id: tenant.id, kind: 'TENANT', name: tenant.name, state: tenant.state });
      const changes = await planLimitChanges(reader, [
        {
          scopeId: id,
          scopeName: input.name,
          tenantId: tenant.id,
          tenantName: tenant.name,
          projectId: id,
          quotaId: quotaId.create(),
          expectedVersion: null,
          replace: false,
          lines: withFields(input.quota, 'input.quota'),
        },
      ]);
      if ((await reader.first(findScopeByName, tenant.id, input.name)) !== undefined) {
        changes.problems.push(nameTaken('project name', 'input.name').toRecord());
      }
      changes.add(SCOPES, { scopeId: tenant.id, need: 'ACTIVE' });
      addProjectRows(changes, tenant.id, { ...input, id });
      changes.result = { id };
      return changes;
    });
  }

  async update(access: Access, raw: UpdateProjectInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(updateProjectInput, raw);
    return this.change(access, 'updateProject', Action.MODIFY, input, options, async (_reader, project) => {
      requireActive(stateOf(project));
      return new ChangeSet()
        .add(SCOPES, { scopeId: project.id, need: 'ACTIVE' })
        .add(ROWS, { table: 'project', update: { display_name: input.displayName }, id: project.id, version: project.version });
    });
  }

  /** Nothing new can be made or changed in it until it is resumed; deleting stays possible, what runs goes on. */
  async suspend(access: Access, raw: ProjectTargetInput, options: CommandOptions = {}): Promise<CommandResult> {
    return this.setState(access, 'suspendProject', raw, ScopeState.SUSPENDED, options);
  }

  async resume(access: Access, raw: ProjectTargetInput, options: CommandOptions = {}): Promise<CommandResult> {
    return this.setState(access, 'resumeProject', raw, ScopeState.ACTIVE, options);
  }

  /**
   * Takes the project away with all that is in it. A dry run lists what goes, in which order. The result has `id` and
   * `operationId`.
   */
  async delete(access: Access, raw: ProjectTargetInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(projectTargetInput, raw);
    return this.change(access, 'deleteProject', Action.DELETE, input, options, async (reader, project) => {
      // With its tenant it goes anyway.
      if (project.tenant_state === ScopeState.DELETING) requireActive(tenantStateOf(project));
      return planGoing(reader, this.contents, {
        table: 'project',
        row: project,
        scope: { tenantId: project.tenant_id, projectId: project.id },
      });
    });
  }

  /** @throws NOT_FOUND; INVALID_INPUT without a tenant when the caller may see several projects of that name */
  async byName(access: Access, name: string, tenantId: string | null = null): Promise<ProjectRow> {
    const [row, another] = await this.database.rows(findProjectsByName, ...access.filter('project'), name, tenantId);
    if (another !== undefined) throw invalidInput('tenantId', `Several projects are named "${name}": say of which tenant.`);
    return visibleProject(access, Action.READ, row, name, 'name');
  }

  /** Those of the ids that the caller may see. */
  async find(access: Access, ids: readonly string[]): Promise<Map<string, ProjectRow>> {
    const rows = await this.database.rows(findProjects, [...ids]);
    return new Map(rows.filter((row) => access.can(Action.READ, 'project', placeOf(row))).map((row) => [row.id, row]));
  }

  private async setState(
    access: Access,
    name: string,
    raw: ProjectTargetInput,
    state: ScopeState,
    options: CommandOptions,
  ): Promise<CommandResult> {
    const input = parseInput(projectTargetInput, raw);
    return this.change(access, name, Action.MODIFY, input, options, async (_reader, project) => {
      requireActive(tenantStateOf(project));
      if (project.state === ScopeState.DELETING) requireActive(stateOf(project));
      if (project.state === state) return new ChangeSet();
      return new ChangeSet()
        .add(SCOPES, { scopeId: project.tenant_id, need: 'ACTIVE' }, { scopeId: project.id, version: project.scope_version, state })
        .add(ROWS, { table: 'project', update: {}, id: project.id, version: project.version });
    });
  }

  private async change(
    access: Access,
    name: string,
    action: Action,
    input: { id: string; expectedVersion?: number | null | undefined },
    options: CommandOptions,
    plan: ProjectPlanner,
  ): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name, input: input as unknown as JsonObject, place, ...options }, async (reader) => {
      const [row] = await reader.rows(findProjects, [input.id]);
      const project = visibleProject(access, action, row, input.id, 'input.id');
      Object.assign(place, placeOf(project));
      if (input.expectedVersion != null && input.expectedVersion !== project.version) {
        throw versionConflict('project', { id: project.id, version: input.expectedVersion });
      }
      const changes = await plan(reader, project);
      if (changes.resources.length === 0) changes.resources.push({ action: 'UPDATE', kind: 'project', id: project.id, name: project.name });
      changes.result = { ...changes.result, id: project.id };
      return changes;
    });
  }
}

async function requireTenant(reader: Reader, access: Access, id: string): Promise<TenantRow> {
  const [row] = await reader.rows(findTenants, [id]);
  const place = row === undefined ? undefined : { tenantId: row.id, projectId: null };
  access.requireChild('project', 'tenant', place, id, 'input.tenantId');
  if (row === undefined) throw notFound('tenant', id, 'input.tenantId');
  return row;
}

const placeOf = (project: ProjectRow): Place => ({ tenantId: project.tenant_id, projectId: project.id });

function visibleProject(access: Access, action: Action, row: ProjectRow | undefined, reference: string, field: string): ProjectRow {
  access.require(action, 'project', row === undefined ? undefined : placeOf(row), reference, field);
  if (row === undefined) throw notFound('project', reference, field);
  return row;
}

function tenantStateOf(project: ProjectRow): Parameters<typeof requireActive>[0] {
  return { id: project.tenant_id, kind: 'TENANT', name: project.tenant_name, state: project.tenant_state };
}

function stateOf(project: ProjectRow): Parameters<typeof requireActive>[0] {
  return project.state === projectState(project)
    ? { id: project.id, kind: 'PROJECT', name: project.name, state: project.state }
    : tenantStateOf(project);
}
