import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('issuer')
@Check('issuer_place', 'project_id IS NULL AND (tenant_id IS NULL OR tenant_id = scope_id)')
@Index('issuer_name', ['scopeId', 'name'], { unique: true })
@Index('issuer_audience', ['url', 'audience'], { unique: true, where: '(enabled AND (tenant_id IS NOT NULL))' })
@Index('issuer_audience_of_system', ['url', 'audience'], { unique: true, where: '(enabled AND (tenant_id IS NULL))' })
export class IssuerEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'issuer_pkey' })
  id!: string;

  @ForeignKey('scope', { name: 'issuer_scope' })
  @Column({ name: 'scope_id', type: 'text', collation: 'C' })
  scopeId!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C', nullable: true })
  tenantId!: string | null;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  @Column('text')
  name!: string;

  @Column({ type: 'text', collation: 'C' })
  url!: string;

  @Column({ type: 'text', collation: 'C' })
  audience!: string;

  @Column('text', { name: 'jwks_uri', nullable: true })
  jwksUri!: string | null;

  @Column('text', { name: 'client_id', nullable: true })
  clientId!: string | null;

  @Column('text', { name: 'subject_claim' })
  subjectClaim!: string;

  @Column('text', { name: 'name_claim' })
  nameClaim!: string;

  @Column('text', { name: 'groups_claim', nullable: true })
  groupsClaim!: string | null;

  @Column('text', { array: true })
  algorithms!: string[];

  @Column('boolean', { default: true })
  enabled!: boolean;
}
