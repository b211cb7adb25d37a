import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('cluster_version')
@Check('cluster_version_kind', `kind IN ('KUBERNETES', 'SWARM', 'MESOS')`)
@Check('cluster_version_state', `state IN ('ACTIVE', 'PENDING_DELETE')`)
@Index('cluster_version_name', ['name'], { unique: true })
export class ClusterVersionEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'cluster_version_pkey' })
  id!: string;

  @Column({ type: 'text', collation: 'C', nullable: true })
  tenant_id!: string | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  project_id!: string | null;

  @Column('text')
  name!: string;

  @Column('text')
  kind!: string;

  /** The product's own version, as `1.34.2`. */
  @Column('text')
  release!: string;

  @Column({ type: 'text', collation: 'C' })
  image_id!: string;

  @Column('text', { default: 'ACTIVE' })
  state!: string;
}
