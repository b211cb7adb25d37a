import { ArgsType, Field, ID, ObjectType } from '@nestjs/graphql';
import { DateTime, Long, Node, PageArguments } from '#graphql';
import { placeOfRow } from '#identity';

/** What every resource of a project shows; where a type says more of a field, it has that field again. */
@ObjectType({ isAbstract: true })
export abstract class ProjectResource extends Node {
  @Field(() => String, { description: 'Unique in its project.' })
  readonly name!: string;

  @Field(() => ID, { description: 'The tenant that it belongs to.' })
  readonly tenantId!: string;

  @Field(() => ID, { description: 'The project that it belongs to.' })
  readonly projectId!: string;

  @Field(() => DateTime, { description: 'When it was asked for.' })
  readonly createdAt!: Date;

  @Field(() => DateTime, { description: 'When anything of it last changed.' })
  readonly updatedAt!: Date;

  @Field(() => Long, { description: 'Rises with every change of what is wanted.' })
  readonly version!: number;

  @Field(() => Long, { description: 'Rises with every change of it.' })
  readonly revision!: number;
}

interface ProjectResourceRow {
  id: string;
  tenant_id: string;
  project_id: string;
  name: string;
  created_at: Date;
  updated_at: Date;
  version: number;
  revision: number;
}

/** @returns that part of a resource, to which its type adds the rest */
export function toProjectResource(row: ProjectResourceRow): ProjectResource {
  return {
    id: row.id,
    home: placeOfRow(row),
    name: row.name,
    tenantId: row.tenant_id,
    projectId: row.project_id,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    version: row.version,
    revision: row.revision,
  };
}

/** By what lists of resources of projects are filtered. */
@ArgsType()
export class ProjectResourcesArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only those of this project.' })
  readonly projectId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only those of this tenant.' })
  readonly tenantId?: string | null;

  @Field(() => String, { nullable: true, description: 'Only those of this name.' })
  readonly name?: string | null;
}
