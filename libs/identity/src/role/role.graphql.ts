import { Field, ID, InputType, ObjectType, registerEnumType } from '@nestjs/graphql';
import { Long, Node } from '#graphql';
import { placeOfRow } from '../access/access.js';
import { RESOURCE_KINDS, type ResourceKind } from '../access/resource-kind.js';
import { Action, Role, type Permissions } from '../access/role.js';
import type { CustomRoleRow } from './custom-role.sql.js';

registerEnumType(Action, {
  name: 'Action',
  description: 'What can be done to a thing of any kind.',
  valuesMap: {
    READ: { description: 'See it.' },
    LIST_CHILDREN: { description: 'List what belongs to it.' },
    CREATE_CHILD: { description: 'Make one of its kind.' },
    MODIFY: { description: 'Change it.' },
    DELETE: { description: 'Delete it.' },
  },
});
registerEnumType(Role, {
  name: 'Role',
  description: 'A set of rights on a scope and all below it.',
  valuesMap: {
    OWNER: { description: 'May do everything there, and say who else may.' },
    CONTRIBUTOR: { description: 'Makes, changes and deletes resources; not scopes, quotas, nor who may do what.' },
    LIMITED_CONTRIBUTOR: { description: 'The same for machines, disks and clusters, on networks that are there.' },
    VIEWER: { description: 'Sees everything but the audit log and tokens.' },
  },
});

const enumName = (kind: ResourceKind): string => kind.toUpperCase().replaceAll(' ', '_');

/** The kinds under names that GraphQL allows. */
export const ResourceKindType = Object.fromEntries(RESOURCE_KINDS.map((kind) => [enumName(kind), kind])) as Record<string, ResourceKind>;
registerEnumType(ResourceKindType, {
  name: 'ResourceKind',
  description: 'A kind of thing that rights are held on.',
  valuesMap: Object.fromEntries(RESOURCE_KINDS.map((kind) => [enumName(kind), { description: `As in "this ${kind}".` }])),
});

@ObjectType({ description: 'What a role allows on one kind of thing.' })
export class Permission {
  @Field(() => ResourceKindType, { description: 'The kind.' })
  readonly kind!: ResourceKind;

  @Field(() => [Action], { description: 'What may be done to such things.' })
  readonly actions!: readonly Action[];
}

@InputType({ description: 'What a role is to allow on one kind of thing.' })
export class PermissionInput {
  @Field(() => ResourceKindType, { description: 'The kind.' })
  readonly kind!: ResourceKind;

  @Field(() => [Action], { description: 'What may be done to such things. To make them is CREATE_CHILD.' })
  readonly actions!: Action[];
}

@ObjectType({ implements: () => [Node], description: 'A role that a tenant has made of its own.' })
export class CustomRole extends Node {
  @Field(() => String, { description: 'Unique in its tenant.' })
  readonly name!: string;

  @Field(() => ID, { description: 'The tenant inside of which it can be held.' })
  readonly tenantId!: string;

  @Field(() => String, { description: 'What it is for.' })
  readonly description!: string;

  @Field(() => [Permission], { description: 'What it allows. Whoever holds it may also read the scope that it is held on.' })
  readonly permissions!: Permission[];

  @Field(() => Long, { description: 'Rises with every change.' })
  readonly version!: number;
}

export function toPermissions(permissions: Permissions): Permission[] {
  return RESOURCE_KINDS.flatMap((kind) => (permissions[kind] === undefined ? [] : [{ kind, actions: permissions[kind] }]));
}

export function toCustomRole(row: CustomRoleRow): CustomRole {
  const { id, name, description, version } = row;
  return { id, home: placeOfRow(row), name, description, tenantId: row.tenant_id, permissions: toPermissions(row.permissions), version };
}
