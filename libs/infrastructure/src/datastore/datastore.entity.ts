import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('datastore')
@Check('datastore_overcommit', 'overcommit BETWEEN 0.1 AND 100')
@Check('datastore_state', `state IN ('ACTIVE', 'SUSPENDED', 'PENDING_DELETE')`)
@Check('datastore_capacity_gib', 'capacity_gib >= 0')
@Check('datastore_failures_to_tolerate', 'failures_to_tolerate BETWEEN 0 AND 3')
@Check('datastore_failure_domain', `failure_domain IN ('DISK', 'HOST', 'RACK', 'ZONE')`)
@Check('datastore_redundancy_method', `redundancy_method IN ('MIRRORING', 'ERASURE_CODING')`)
@Check(
  'datastore_redundancy',
  '(failures_to_tolerate > 0) = (failure_domain IS NOT NULL) AND (failures_to_tolerate > 0) = (redundancy_method IS NOT NULL)',
)
@Index('datastore_name', ['hostId', 'name'], { unique: true })
@Index('datastore_shared_name', ['backendId', 'name'], { unique: true, where: '(host_id IS NULL)' })
@Index('datastore_of_backend', ['backendId'])
@Index('datastore_of_zone', ['zoneId'])
export class DatastoreEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'datastore_pkey' })
  id!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C', nullable: true })
  tenantId!: string | null;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  @ForeignKey('backend', { name: 'datastore_backend' })
  @Column({ name: 'backend_id', type: 'text', collation: 'C' })
  backendId!: string;

  @ForeignKey('zone', { name: 'datastore_zone' })
  @Column({ name: 'zone_id', type: 'text', collation: 'C', nullable: true })
  zoneId!: string | null;

  @ForeignKey('host', { name: 'datastore_host' })
  @Column({ name: 'host_id', type: 'text', collation: 'C', nullable: true })
  hostId!: string | null;

  @Column('text')
  name!: string;

  @Column('text', { default: 'standard' })
  kind!: string;

  @Column('double precision', { default: 1 })
  overcommit!: number;

  @Column('text', { default: 'ACTIVE' })
  state!: string;

  @Column('bigint', { name: 'capacity_gib' })
  capacityGib!: number;

  /** Guarantees, as the operator says them. */
  @Column('integer', { name: 'failures_to_tolerate', default: 0 })
  failuresToTolerate!: number;

  @Column('text', { name: 'failure_domain', nullable: true })
  failureDomain!: string | null;

  @Column('text', { name: 'redundancy_method', nullable: true })
  redundancyMethod!: string | null;

  @Column('boolean', { name: 'is_encrypted', default: false })
  isEncrypted!: boolean;

  /** Seen of the backend. */
  @Column('boolean', { name: 'limits_iops', default: false })
  limitsIops!: boolean;
}

/** What a pool is seen to hold, apart from the row that is watched. */
@Entity('datastore_heartbeat')
export class DatastoreHeartbeatEntity {
  @ForeignKey('datastore', { name: 'datastore_heartbeat_datastore', onDelete: 'CASCADE' })
  @PrimaryColumn({ name: 'datastore_id', type: 'text', collation: 'C', primaryKeyConstraintName: 'datastore_heartbeat_pkey' })
  datastoreId!: string;

  @Column('bigint', { name: 'used_gib' })
  usedGib!: number;

  @Column('timestamptz', { name: 'observed_at', default: () => 'now()' })
  observedAt!: Date;
}
