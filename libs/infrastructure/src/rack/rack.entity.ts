import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('rack')
@Check('rack_state', `state IN ('ACTIVE', 'PENDING_DELETE')`)
@Index('rack_name', ['zoneId', 'name'], { unique: true })
export class RackEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'rack_pkey' })
  id!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C', nullable: true })
  tenantId!: string | null;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  @ForeignKey('zone', { name: 'rack_zone' })
  @Column({ name: 'zone_id', type: 'text', collation: 'C' })
  zoneId!: string;

  @Column('text')
  name!: string;

  @Column('text', { default: 'ACTIVE' })
  state!: string;
}
