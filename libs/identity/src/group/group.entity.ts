import { Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('principal_group')
@Index('principal_group_name', ['scopeId', 'name'], { unique: true, where: '(issuer IS NULL)' })
@Index('principal_group_claim', ['scopeId', 'issuer', 'name'], { unique: true, where: '(issuer IS NOT NULL)' })
export class PrincipalGroupEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'principal_group_pkey' })
  id!: string;

  @ForeignKey('scope', { name: 'principal_group_scope' })
  @Column({ name: 'scope_id', type: 'text', collation: 'C' })
  scopeId!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C', nullable: true })
  tenantId!: string | null;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  /** Whose claims say who belongs to it; null for a group that is kept by hand. */
  @Column('text', { nullable: true })
  issuer!: string | null;

  @Column('text')
  name!: string;
}

@Entity('group_membership')
@Index('group_membership_of_principal', ['principalId'])
export class GroupMembershipEntity {
  @ForeignKey('principal_group', { name: 'group_membership_group', onDelete: 'CASCADE' })
  @PrimaryColumn({ name: 'group_id', type: 'text', collation: 'C', primaryKeyConstraintName: 'group_membership_pkey' })
  groupId!: string;

  @ForeignKey('principal', { name: 'group_membership_principal', onDelete: 'CASCADE' })
  @PrimaryColumn({ name: 'principal_id', type: 'text', collation: 'C', primaryKeyConstraintName: 'group_membership_pkey' })
  principalId!: string;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;
}
