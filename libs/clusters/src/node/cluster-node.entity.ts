import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('cluster_node')
@Check('cluster_node_role', `role IN ('CONTROL', 'WORKER')`)
@Check('cluster_node_pool_of_workers', `(role = 'CONTROL') = (pool_id IS NULL)`)
@Check('cluster_node_phase', `phase IN ('JOINING', 'JOINED', 'DRAINING', 'REMOVING')`)
@Check('cluster_node_health', `health IN ('UNKNOWN', 'READY', 'NOT_READY', 'UNREACHABLE', 'LOST')`)
@Index('cluster_node_machine', ['machine_id'], { unique: true })
@Index('cluster_node_of_cluster', ['cluster_id', 'id'])
@Index('cluster_node_of_pool', ['pool_id', 'id'], { where: '(pool_id IS NOT NULL)' })
export class ClusterNodeEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'cluster_node_pkey' })
  id!: string;

  @Column({ type: 'text', collation: 'C' })
  tenant_id!: string;

  @Column({ type: 'text', collation: 'C' })
  project_id!: string;

  /** The machine's, and by that the guest's host name. */
  @Column('text')
  name!: string;

  @ForeignKey('cluster', { name: 'cluster_node_cluster' })
  @Column({ type: 'text', collation: 'C' })
  cluster_id!: string;

  /** Null for control nodes. */
  @ForeignKey('node_pool', { name: 'cluster_node_pool' })
  @Column({ type: 'text', collation: 'C', nullable: true })
  pool_id!: string | null;

  @Column({ type: 'text', collation: 'C' })
  machine_id!: string;

  @Column('text')
  role!: string;

  @Column('text')
  phase!: string;

  @Column('text', { default: 'UNKNOWN' })
  health!: string;

  @Column('text', { default: 'NOT_OBSERVED' })
  health_reason!: string;

  @Column('timestamptz', { default: () => 'now()' })
  health_since!: Date;
}
