import { Field, ID, ObjectType, registerEnumType } from '@nestjs/graphql';
import { DateTime, Node } from '#graphql';
import { placeOfRow } from '../access/access.js';
import type { PrincipalRow, TokenRow } from './principal.sql.js';

export const PrincipalKind = { USER: 'USER', SERVICE_ACCOUNT: 'SERVICE_ACCOUNT' } as const;
export type PrincipalKind = (typeof PrincipalKind)[keyof typeof PrincipalKind];
registerEnumType(PrincipalKind, {
  name: 'PrincipalKind',
  description: 'What kind of caller.',
  valuesMap: { USER: { description: 'A person.' }, SERVICE_ACCOUNT: { description: 'A program.' } },
});

@ObjectType({ implements: () => [Node], description: 'Somebody who may call: a person or a program.' })
export class Principal extends Node {
  @Field(() => String, { description: 'Unique among principals of its kind and scope that were made here; people of an issuer may share one.' })
  readonly name!: string;

  @Field(() => PrincipalKind, { description: 'A person or a program.' })
  readonly kind!: PrincipalKind;

  @Field(() => ID, { description: 'The system, tenant or project that it belongs to.' })
  readonly scopeId!: string;

  @Field(() => ID, { nullable: true, description: 'The issuer that signs it in; null for those that were made here.' })
  readonly issuerId!: string | null;

  @Field(() => String, { nullable: true, description: 'Its address, as the issuer says.' })
  readonly email!: string | null;

  @Field(() => DateTime, { nullable: true, description: 'Since when it may not call any more; null while it may.' })
  readonly disabledAt!: Date | null;

  @Field(() => DateTime, { description: 'When it was made.' })
  readonly createdAt!: Date;
}

@ObjectType({ description: 'A token that acts as a principal. Its text was shown once, when it was made.' })
export class ApiToken {
  @Field(() => ID, { description: 'Its id, with which it is revoked.' })
  readonly id!: string;

  @Field(() => String, { description: 'Unique among the tokens of its principal.' })
  readonly name!: string;

  @Field(() => DateTime, { description: 'When it was made.' })
  readonly createdAt!: Date;

  @Field(() => DateTime, { nullable: true, description: 'Until when it holds; null when it does not expire.' })
  readonly expiresAt!: Date | null;

  @Field(() => DateTime, { nullable: true, description: 'Since when it does not hold any more; null while it does.' })
  readonly revokedAt!: Date | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was last used, to a minute; null when it never was.' })
  readonly lastUsedAt!: Date | null;
}

export function toPrincipal(row: PrincipalRow): Principal {
  const { id, name, kind, email } = row;
  return { id, home: placeOfRow(row), name, kind, email, scopeId: row.scope_id, issuerId: row.issuer_id, disabledAt: row.disabled_at, createdAt: row.created_at };
}

export function toApiToken(row: TokenRow): ApiToken {
  const { id, name } = row;
  return { id, name, createdAt: row.created_at, expiresAt: row.expires_at, revokedAt: row.revoked_at, lastUsedAt: row.last_used_at };
}
