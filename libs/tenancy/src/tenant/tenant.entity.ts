import { Check, Column, Entity, ForeignKey, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

/** What a tenant is beside its scope, which has its name and state. */
@Entity('tenant')
@Check('tenant_itself', '((tenant_id = id) AND (project_id IS NULL))')
export class TenantEntity extends RowTimes {
  @ForeignKey('scope', { name: 'tenant_scope' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'tenant_pkey' })
  id!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C' })
  tenantId!: string;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  @Column('text', { name: 'display_name', default: '' })
  displayName!: string;

  /** May use every zone there is and will be; else those that are granted. */
  @Column('boolean', { name: 'all_zones', default: true })
  allZones!: boolean;

  /** The operation that takes it away; null while none does. */
  @Column({ name: 'deletion_operation_id', type: 'text', collation: 'C', nullable: true })
  deletionOperationId!: string | null;
}
