import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('cluster')
@Check('cluster_kind', `kind IN ('KUBERNETES', 'SWARM', 'MESOS')`)
@Check('cluster_control_count', 'control_count IN (1, 3, 5)')
@Check('cluster_lifecycle', `lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')`)
@Index('cluster_name', ['project_id', 'name'], { unique: true })
@Index('cluster_of_project', ['project_id', 'createdAt', 'id'])
@Index('cluster_of_tenant', ['tenant_id', 'createdAt', 'id'])
@Index('cluster_of_version', ['version_id'])
@Index('cluster_expiry', ['expires_at'], { where: '(expires_at IS NOT NULL)' })
export class ClusterEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'cluster_pkey' })
  id!: string;

  @Column({ type: 'text', collation: 'C' })
  tenant_id!: string;

  @Column({ type: 'text', collation: 'C' })
  project_id!: string;

  @Column('text')
  name!: string;

  @Column('text')
  kind!: string;

  @ForeignKey('cluster_version', { name: 'cluster_version_used' })
  @Column({ type: 'text', collation: 'C' })
  version_id!: string;

  @Column({ type: 'text', collation: 'C', nullable: true })
  network_id!: string | null;

  /** The network was made with the cluster and goes with it. */
  @Column('boolean')
  owns_network!: boolean;

  @Column({ type: 'text', collation: 'C', nullable: true })
  external_network_id!: string | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  load_balancer_id!: string | null;

  @Column('integer')
  control_count!: number;

  @Column({ type: 'text', collation: 'C' })
  control_flavor_id!: string;

  @Column('text', { array: true, default: [] })
  control_zone_ids!: string[];

  @Column({ type: 'text', collation: 'C', nullable: true })
  control_group_id!: string | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  worker_group_id!: string | null;

  @Column('timestamptz', { nullable: true })
  expires_at!: Date | null;

  @Column('text')
  lifecycle!: string;

  @Column({ type: 'text', collation: 'C', nullable: true })
  pki_secret!: string | null;

  /** The token by which nodes join, while an operation adds some. */
  @Column({ type: 'text', collation: 'C', nullable: true })
  join_secret!: string | null;

  @Column('jsonb', { nullable: true })
  failure!: object | null;

  @Column('jsonb', { default: [] })
  conditions!: object[];
}

/** What changes with every look at a cluster; nobody watches it. */
@Entity('cluster_observation')
@Index('cluster_observation_turn', ['observed_at', 'cluster_id'])
export class ClusterObservationEntity {
  @ForeignKey(() => ClusterEntity, { name: 'cluster_observation_cluster', onDelete: 'CASCADE' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'cluster_observation_pkey' })
  cluster_id!: string;

  @Column('timestamptz', { default: '-infinity' })
  observed_at!: Date;

  /** By node id: what has been seen of it and has not held for long enough yet. */
  @Column('jsonb', { default: {} })
  suspects!: object;

  @Column('integer', { default: 0 })
  heal_failures!: number;

  @Column('timestamptz', { nullable: true })
  heal_not_before!: Date | null;

  @Column('jsonb', { nullable: true })
  heal_error!: object | null;
}
