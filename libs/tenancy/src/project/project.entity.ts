import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

/** What a project is beside its scope, which has its name and state. */
@Entity('project')
@Check('project_itself', '(project_id = id)')
@Index('project_of_tenant', ['tenantId'])
export class ProjectEntity extends RowTimes {
  @ForeignKey('scope', { name: 'project_scope' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'project_pkey' })
  id!: string;

  @ForeignKey('tenant', { name: 'project_tenant' })
  @Column({ name: 'tenant_id', type: 'text', collation: 'C' })
  tenantId!: string;

  @Column({ name: 'project_id', type: 'text', collation: 'C' })
  projectId!: string;

  @Column('text', { name: 'display_name', default: '' })
  displayName!: string;

  @Column({ name: 'deletion_operation_id', type: 'text', collation: 'C', nullable: true })
  deletionOperationId!: string | null;
}
