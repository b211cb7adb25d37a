import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

@Entity('audit_entry')
@Check('audit_entry_outcome', `outcome IN ('ACCEPTED', 'PLANNED', 'REFUSED')`)
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

  @Column('jsonb')
  input!: unknown;
}
