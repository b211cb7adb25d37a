import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('principal')
@Check('principal_kind', `kind IN ('USER', 'SERVICE_ACCOUNT')`)
@Check('principal_of_issuer', '(issuer_id IS NULL) = (subject IS NULL)')
@Index('principal_name', ['scopeId', 'kind', 'name'], { unique: true, where: '(issuer_id IS NULL)' })
@Index('principal_of_scope', ['scopeId', 'name'])
@Index('principal_subject', ['issuerId', 'subject'], { unique: true, where: '(issuer_id IS NOT NULL)' })
export class PrincipalEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'principal_pkey' })
  id!: string;

  @Column('text')
  kind!: string;

  @ForeignKey('scope', { name: 'principal_scope' })
  @Column({ name: 'scope_id', type: 'text', collation: 'C' })
  scopeId!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C', nullable: true })
  tenantId!: string | null;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  @Column('text')
  name!: string;

  @Column('timestamptz', { name: 'disabled_at', nullable: true })
  disabledAt!: Date | null;

  /** Who vouches for it; null for those that were made here. */
  @ForeignKey('issuer', { name: 'principal_issuer' })
  @Column({ name: 'issuer_id', type: 'text', collation: 'C', nullable: true })
  issuerId!: string | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  subject!: string | null;

  @Column('text', { nullable: true })
  email!: string | null;

  @Column('text', { name: 'claimed_groups', array: true, nullable: true })
  claimedGroups!: string[] | null;

  /** Of the claims that were taken over last, so that signing in writes only what has changed. */
  @Column('text', { name: 'claims_digest', nullable: true })
  claimsDigest!: string | null;

  /** When the token that they came from was issued: an older one changes nothing. */
  @Column('timestamptz', { name: 'claims_at', nullable: true })
  claimsAt!: Date | null;
}

@Entity('role_binding')
@Check('role_binding_role', `role IN ('OWNER', 'CONTRIBUTOR', 'LIMITED_CONTRIBUTOR', 'VIEWER')`)
@Check('role_binding_one_role', 'num_nonnulls(role, custom_role_id) = 1')
@Check('role_binding_subject', 'num_nonnulls(principal_id, group_id) = 1')
@Index('role_binding_once', ['principalId', 'scopeId', 'role'], { unique: true })
@Index('role_binding_of_group_once', ['groupId', 'scopeId', 'role'], { unique: true })
@Index('role_binding_custom_once', ['principalId', 'scopeId', 'customRoleId'], { unique: true })
@Index('role_binding_of_group_custom_once', ['groupId', 'scopeId', 'customRoleId'], { unique: true })
@Index('role_binding_of_custom_role', ['customRoleId'])
@Index('role_binding_of_scope', ['scopeId'])
export class RoleBindingEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'role_binding_pkey' })
  id!: string;

  @ForeignKey('principal', { name: 'role_binding_principal', onDelete: 'CASCADE' })
  @Column({ name: 'principal_id', type: 'text', collation: 'C', nullable: true })
  principalId!: string | null;

  @ForeignKey('principal_group', { name: 'role_binding_group', onDelete: 'CASCADE' })
  @Column({ name: 'group_id', type: 'text', collation: 'C', nullable: true })
  groupId!: string | null;

  @ForeignKey('scope', { name: 'role_binding_scope' })
  @Column({ name: 'scope_id', type: 'text', collation: 'C' })
  scopeId!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C', nullable: true })
  tenantId!: string | null;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  @Column('text', { nullable: true })
  role!: string | null;

  @ForeignKey('custom_role', { name: 'role_binding_custom_role' })
  @Column({ name: 'custom_role_id', type: 'text', collation: 'C', nullable: true })
  customRoleId!: string | null;
}

@Entity('api_token')
@Index('api_token_name', ['principalId', 'name'], { unique: true })
export class ApiTokenEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'api_token_pkey' })
  id!: string;

  @ForeignKey('principal', { name: 'api_token_principal', onDelete: 'CASCADE' })
  @Column({ name: 'principal_id', type: 'text', collation: 'C' })
  principalId!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C', nullable: true })
  tenantId!: string | null;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  @Column('text')
  name!: string;

  @Column('text', { name: 'secret_hash' })
  secretHash!: string;

  @Column('timestamptz', { name: 'expires_at', nullable: true })
  expiresAt!: Date | null;

  @Column('timestamptz', { name: 'revoked_at', nullable: true })
  revokedAt!: Date | null;

  @Column('timestamptz', { name: 'last_used_at', nullable: true })
  lastUsedAt!: Date | null;
}
