import { Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('custom_role')
@Index('custom_role_name', ['tenantId', 'name'], { unique: true })
export class CustomRoleEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'custom_role_pkey' })
  id!: string;

  @ForeignKey('scope', { name: 'custom_role_tenant' })
  @Column({ name: 'tenant_id', type: 'text', collation: 'C' })
  tenantId!: string;

  /** Always null: a custom role belongs to the whole tenant. */
  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  @Column('text')
  name!: string;

  @Column('text')
  description!: string;

  /** Actions by kind. */
  @Column('jsonb')
  permissions!: unknown;
}
