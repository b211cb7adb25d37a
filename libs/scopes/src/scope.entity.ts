import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('scope')
@Check('scope_kind', `kind IN ('SYSTEM', 'TENANT', 'PROJECT')`)
@Check('scope_state', `state IN ('ACTIVE', 'SUSPENDED', 'DELETING')`)
@Check('scope_chain', `(kind = 'SYSTEM' AND parent_id IS NULL AND tenant_id IS NULL AND project_id IS NULL)
  OR (kind = 'TENANT' AND parent_id IS NOT NULL AND tenant_id = id AND project_id IS NULL)
  OR (kind = 'PROJECT' AND parent_id = tenant_id AND project_id = id)`)
@Index('scope_name', ['parentId', 'name'], { unique: true })
@Index('scope_one_system', ['kind'], { unique: true, where: `(kind = 'SYSTEM'::text)` })
export class ScopeEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'scope_pkey' })
  id!: string;

  @Column('text')
  kind!: string;

  @ForeignKey(() => ScopeEntity, { name: 'scope_parent' })
  @Column({ type: 'text', name: 'parent_id', collation: 'C', nullable: true })
  parentId!: string | null;

  @Column({ type: 'text', name: 'tenant_id', collation: 'C', nullable: true })
  tenantId!: string | null;

  @Column({ type: 'text', name: 'project_id', collation: 'C', nullable: true })
  projectId!: string | null;

  @Column('text')
  name!: string;

  @Column('text', { default: 'ACTIVE' })
  state!: string;
}
