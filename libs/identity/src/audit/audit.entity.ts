import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

@Entity('audit_entry')
@Check('audit_entry_outcome', `outcome IN ('ACCEPTED', 'PLANNED', 'REFUSED')`)
@Check('audit_entry_operation_state', `operation_state IN ('SUCCEEDED', 'FAILED', 'CANCELLED')`)
@Index('audit_entry_open', ['operationId'], { where: '((operation_id IS NOT NULL) AND (ended_at IS NULL))' })
@Index('audit_entry_of_principal', ['principalId', 'tenantId', 'at'])
@Index('audit_entry_of_project', ['projectId', 'at', 'id'])
@Index('audit_entry_of_tenant', ['tenantId', 'at', 'id'])
@Index('audit_entry_of_resource', ['resourceId', 'at'])
@Index('audit_entry_at', ['at', 'id'])
export class AuditEntryEntity {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'audit_entry_pkey' })
  id!: string;

  @Column('timestamptz', { default: () => 'now()' })
  at!: Date;

  @Column({ name: 'principal_id', type: 'text', collation: 'C', nullable: true })
  principalId!: string | null;

  @Column({ name: 'token_id', type: 'text', collation: 'C', nullable: true })
  tokenId!: string | null;

  @Column('text', { nullable: true })
  address!: string | null;

  @Column('text', { name: 'request_id' })
  requestId!: string;

  @Column('text')
  command!: string;

  @Column('text')
  outcome!: string;

  @Column('text', { name: 'error_code', nullable: true })
  errorCode!: string | null;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C', nullable: true })
  tenantId!: string | null;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  @Column({ name: 'resource_id', type: 'text', collation: 'C', nullable: true })
  resourceId!: string | null;

  @Column({ name: 'operation_id', type: 'text', collation: 'C', nullable: true })
  operationId!: string | null;

  @Column('timestamptz', { name: 'ended_at', nullable: true })
  endedAt!: Date | null;

  @Column('text', { name: 'operation_state', nullable: true })
  operationState!: string | null;

  @Column('text', { name: 'operation_error_code', nullable: true })
  operationErrorCode!: string | null;

  @Column('jsonb')
  input!: unknown;
}
