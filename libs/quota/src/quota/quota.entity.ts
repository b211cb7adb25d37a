import { Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

/** A scope's quota as a whole: its version rises when limits change, and the events of such changes name it. */
@Entity('quota')
@Index('quota_of_scope', ['scopeId'], { unique: true })
export class QuotaEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'quota_pkey' })
  id!: string;

  @ForeignKey('scope', { name: 'quota_scope' })
  @Column({ name: 'scope_id', type: 'text', collation: 'C' })
  scopeId!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C' })
  tenantId!: string;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;
}
