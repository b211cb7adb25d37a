import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('disk_snapshot')
@Check('disk_snapshot_lifecycle', `lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')`)
@Index('disk_snapshot_name', ['diskId', 'name'], { unique: true })
@Index('disk_snapshot_of_project', ['projectId', 'createdAt', 'id'])
@Index('disk_snapshot_of_tenant', ['tenantId'])
export class DiskSnapshotEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'disk_snapshot_pkey' })
  id!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C' })
  tenantId!: string;

  @Column({ name: 'project_id', type: 'text', collation: 'C' })
  projectId!: string;

  @ForeignKey('disk', { name: 'disk_snapshot_disk' })
  @Column({ name: 'disk_id', type: 'text', collation: 'C' })
  diskId!: string;

  @Column('text')
  name!: string;

  /** Of the disk when it was asked for. */
  @Column('integer', { name: 'size_gib' })
  sizeGib!: number;

  @Column('text')
  lifecycle!: string;

  @Column('timestamptz', { name: 'taken_at', nullable: true })
  takenAt!: Date | null;

  @Column('jsonb', { nullable: true })
  failure!: unknown;
}
