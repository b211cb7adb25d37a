import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('zone')
@Check('zone_state', `state IN ('ACTIVE', 'PENDING_DELETE')`)
@Index('zone_name', ['name'], { unique: true })
export class ZoneEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'zone_pkey' })
  id!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C', nullable: true })
  tenantId!: string | null;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  @Column('text')
  name!: string;

  @Column('text', { default: '' })
  description!: string;

  @Column('text', { default: 'ACTIVE' })
  state!: string;
}
