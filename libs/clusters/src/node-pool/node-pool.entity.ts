import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('node_pool')
@Check('node_pool_count', 'count >= 0')
@Check('node_pool_lifecycle', `lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')`)
@Index('node_pool_name', ['cluster_id', 'name'], { unique: true })
export class NodePoolEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'node_pool_pkey' })
  id!: string;

  @Column({ type: 'text', collation: 'C' })
  tenant_id!: string;

  @Column({ type: 'text', collation: 'C' })
  project_id!: string;

  @Column('text')
  name!: string;

  @ForeignKey('cluster', { name: 'node_pool_cluster' })
  @Column({ type: 'text', collation: 'C' })
  cluster_id!: string;

  @Column({ type: 'text', collation: 'C' })
  flavor_id!: string;

  @Column('integer')
  count!: number;

  /** Empty: all zones that the tenant may use. */
  @Column('text', { array: true, default: [] })
  zone_ids!: string[];

  @Column('jsonb', { default: {} })
  labels!: Record<string, string>;

  @Column('text')
  lifecycle!: string;

  @Column('jsonb', { nullable: true })
  failure!: object | null;
}
