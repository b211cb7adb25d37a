import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('network')
@Check('network_lifecycle', `lifecycle IN ('CREATING', 'PRESENT', 'PENDING_DELETE', 'DELETING', 'FAILED')`)
@Index('network_name', ['project_id', 'name'], { unique: true })
@Index('network_tenant', ['tenant_id'])
export class NetworkEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'network_pkey' })
  id!: string;

  @Column({ type: 'text', collation: 'C' })
  tenant_id!: string;

  @Column({ type: 'text', collation: 'C' })
  project_id!: string;

  @Column('text')
  name!: string;

  @Column('text', { default: '' })
  description!: string;

  @Column('text', { default: 'CREATING' })
  lifecycle!: string;

  @Column('bigint', { default: 1 })
  desired_revision!: number;

  @Column('jsonb', { nullable: true })
  failure!: object | null;
}

/** A backend that the network spans, and what that backend was last known to have. */
@Entity('network_backend')
@Index('network_backend_backend', ['backend_id'])
export class NetworkBackendEntity {
  @ForeignKey(() => NetworkEntity, { name: 'network_backend_network', deferrable: 'INITIALLY DEFERRED' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'network_backend_pkey' })
  network_id!: string;

  @ForeignKey('backend', { name: 'network_backend_known' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'network_backend_pkey' })
  backend_id!: string;

  @Column('bigint', { default: 0 })
  realised_revision!: number;
}
