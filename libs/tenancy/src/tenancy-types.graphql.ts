import { Field, ID, ObjectType, registerEnumType } from '@nestjs/graphql';
import { connectionOf, DateTime, loader, Long, Node, type GraphqlContext } from '#graphql';
import { placeOfRow } from '#identity';
import { accessOf } from '#identity/api';
import type { Reader } from '#database';
import { ScopeState } from '#scopes';
import { projectState, type ProjectRow } from './project/project.js';
import { findProjects } from './project/project.sql.js';
import type { TenantRow } from './tenant/tenant.js';
import { findTenants } from './tenant/tenant.sql.js';

registerEnumType(ScopeState, {
  name: 'ScopeState',
  description: 'What may be done in a tenant or project.',
  valuesMap: {
    ACTIVE: { description: 'Everything.' },
    SUSPENDED: { description: 'Nothing new can be made or changed in it; what runs goes on, and deleting is possible.' },
    DELETING: { description: 'It is being taken away with all that is in it.' },
  },
});

const ListOrder = { NAME: 'NAME', NEWEST: 'NEWEST', OLDEST: 'OLDEST' } as const;
type ListOrder = (typeof ListOrder)[keyof typeof ListOrder];
const ORDERS = {
  NAME: { description: 'By name.' },
  NEWEST: { description: 'What was made last comes first.' },
  OLDEST: { description: 'What was made first comes first.' },
};
export const TenantOrder = { ...ListOrder };
export type TenantOrder = ListOrder;
export const ProjectOrder = { ...ListOrder };
export type ProjectOrder = ListOrder;
registerEnumType(TenantOrder, { name: 'TenantOrder', description: 'The order of a list of tenants.', valuesMap: ORDERS });
registerEnumType(ProjectOrder, { name: 'ProjectOrder', description: 'The order of a list of projects.', valuesMap: ORDERS });

@ObjectType({ implements: () => [Node], description: 'A customer: everything that belongs together, is limited together and is kept apart from others.' })
export class Tenant extends Node {
  @Field(() => String, { description: 'Unique among tenants.' })
  readonly name!: string;

  @Field(() => String, { description: 'For people; may be empty.' })
  readonly displayName!: string;

  @Field(() => ScopeState, { description: 'What may be done in it.' })
  readonly state!: ScopeState;

  @Field(() => Boolean, { description: 'Whether it may use every zone there is and will be.' })
  readonly allZones!: boolean;

  @Field(() => Long, { description: 'Rises when somebody changes it; give it as `expectedVersion`.' })
  readonly version!: number;

  @Field(() => Long, { description: 'Rises with any change; events carry it.' })
  readonly revision!: number;

  @Field(() => DateTime, { description: 'When it was made.' })
  readonly createdAt!: Date;
}

@ObjectType({ implements: () => [Node], description: 'A part of a tenant, with resources, owners and limits of its own.' })
export class Project extends Node {
  @Field(() => String, { description: 'Unique in its tenant.' })
  readonly name!: string;

  @Field(() => String, { description: 'For people; may be empty.' })
  readonly displayName!: string;

  @Field(() => ID, { description: 'Its tenant.' })
  readonly tenantId!: string;

  @Field(() => ScopeState, { description: 'What may be done in it; not more than in its tenant.' })
  readonly state!: ScopeState;

  @Field(() => Long, { description: 'Rises when somebody changes it; give it as `expectedVersion`.' })
  readonly version!: number;

  @Field(() => Long, { description: 'Rises with any change; events carry it.' })
  readonly revision!: number;

  @Field(() => DateTime, { description: 'When it was made.' })
  readonly createdAt!: Date;
}

@ObjectType({ description: 'A zone that a tenant may use.' })
export class UsableZone {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => String, { description: 'Its name; requests may name it by this or by its id.' })
  readonly name!: string;

  @Field(() => String, { description: 'For people.' })
  readonly description!: string;
}

@ObjectType({ description: 'Who owns a tenant.' })
export class TenantOwner {
  @Field(() => ID, { description: 'The principal.' })
  readonly principalId!: string;

  @Field(() => String, { description: 'The principal’s name.' })
  readonly name!: string;
}

export const TenantConnection = connectionOf(Tenant);
export const ProjectConnection = connectionOf(Project);

export function toTenant(row: TenantRow): Tenant {
  return {
    id: row.id,
    home: placeOfRow(row),
    name: row.name,
    displayName: row.display_name,
    state: row.state,
    allZones: row.all_zones,
    version: row.version,
    revision: row.revision,
    createdAt: row.created_at,
  };
}

export function toProject(row: ProjectRow): Project {
  return {
    id: row.id,
    home: placeOfRow(row),
    name: row.name,
    displayName: row.display_name,
    tenantId: row.tenant_id,
    state: projectState(row),
    version: row.version,
    revision: row.revision,
    createdAt: row.created_at,
  };
}

/** Of these tenants, those that the caller may see. */
export async function loadTenants(reader: Reader, context: GraphqlContext, ids: readonly string[]): Promise<Map<string, Tenant>> {
  const access = accessOf(context);
  const rows = await reader.rows(findTenants, [...ids]);
  return new Map(rows.filter((row) => access.sees('tenant', { tenantId: row.id, projectId: null })).map((row) => [row.id, toTenant(row)]));
}

/** Of these projects, those that the caller may see. */
export async function loadProjects(reader: Reader, context: GraphqlContext, ids: readonly string[]): Promise<Map<string, Project>> {
  const access = accessOf(context);
  const rows = await reader.rows(findProjects, [...ids]);
  return new Map(rows.filter((row) => access.sees('project', { tenantId: row.tenant_id, projectId: row.id })).map((row) => [row.id, toProject(row)]));
}

/** One tenant, looked up with all others that the request asks for; null when the caller may not see it. */
export async function loadTenant(reader: Reader, context: GraphqlContext, id: unknown): Promise<Tenant | null> {
  if (typeof id !== 'string') return null;
  return (await loader<string, Tenant>(context, 'tenant', (ids) => loadTenants(reader, context, ids)).load(id)) ?? null;
}

/** One project, looked up with all others that the request asks for; null when the caller may not see it. */
export async function loadProject(reader: Reader, context: GraphqlContext, id: unknown): Promise<Project | null> {
  if (typeof id !== 'string') return null;
  return (await loader<string, Project>(context, 'project', (ids) => loadProjects(reader, context, ids)).load(id)) ?? null;
}
