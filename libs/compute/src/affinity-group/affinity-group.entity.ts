import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('affinity_group')
@Check('affinity_group_policy', `policy IN ('AFFINITY', 'ANTI_AFFINITY')`)
@Check('affinity_group_strength', `strength IN ('REQUIRE', 'PREFER')`)
@Check('affinity_group_scope', `scope IN ('HOST', 'RACK', 'ZONE')`)
@Index('affinity_group_name', ['projectId', 'name'], { unique: true })
export class AffinityGroupEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'affinity_group_pkey' })
  id!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C' })
  tenantId!: string;

  @Column({ name: 'project_id', type: 'text', collation: 'C' })
  projectId!: string;

  @Column('text')
  name!: string;

  @Column('text')
  policy!: string;

  @Column('text')
  strength!: string;

  @Column('text')
  scope!: string;

  @Column({ name: 'owner_id', type: 'text', collation: 'C', nullable: true })
  ownerId!: string | null;
}
