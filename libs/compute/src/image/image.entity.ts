import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('image')
@Check('image_disk', 'minimum_disk_gib > 0')
@Check('image_state', `state IN ('ACTIVE', 'PENDING_DELETE')`)
@Index('image_name', ['projectId', 'name'], { unique: true })
@Index('image_shared_name', ['name'], { unique: true, where: '(project_id IS NULL)' })
export class ImageEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'image_pkey' })
  id!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C', nullable: true })
  tenantId!: string | null;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  @Column('text')
  name!: string;

  @Column('text')
  reference!: string;

  @Column('text', { name: 'operating_system' })
  operatingSystem!: string;

  @Column('integer', { name: 'minimum_disk_gib' })
  minimumDiskGib!: number;

  @Column('text', { default: 'ACTIVE' })
  state!: string;
}
