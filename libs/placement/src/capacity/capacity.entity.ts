import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';

/**
 * What the scheduler reads and claims change: one narrow row a host, kept by triggers equal to the host's own row,
 * except for the claimed columns, which are the sums of the host's claims.
 */
@Entity('host_capacity')
@Check('host_capacity_cpu_claimed', 'cpu_claimed >= 0')
@Check('host_capacity_memory_claimed', 'memory_claimed_mib >= 0')
@Index('host_capacity_of_zone', ['zoneId'])
export class HostCapacityEntity {
  @ForeignKey('host', { name: 'host_capacity_host', onDelete: 'CASCADE' })
  @PrimaryColumn({ name: 'host_id', type: 'text', collation: 'C', primaryKeyConstraintName: 'host_capacity_pkey' })
  hostId!: string;

  @Column('text', { name: 'host_name' })
  hostName!: string;

  @Column({ name: 'backend_id', type: 'text', collation: 'C' })
  backendId!: string;

  @Column({ name: 'zone_id', type: 'text', collation: 'C' })
  zoneId!: string;

  @Column({ name: 'rack_id', type: 'text', collation: 'C', nullable: true })
  rackId!: string | null;

  @Column('text')
  state!: string;

  @Column('text', { array: true, default: [] })
  traits!: string[];

  @Column('bigint', { name: 'cpu_limit' })
  cpuLimit!: number;

  @Column('bigint', { name: 'memory_limit_mib' })
  memoryLimitMib!: number;

  @Column('bigint', { name: 'cpu_claimed', default: 0 })
  cpuClaimed!: number;

  @Column('bigint', { name: 'memory_claimed_mib', default: 0 })
  memoryClaimedMib!: number;
}

@Entity('datastore_capacity')
@Check('datastore_capacity_claimed', 'claimed_gib >= 0')
@Index('datastore_capacity_of_host', ['hostId'])
@Index('datastore_capacity_offer', ['offer'])
@Index('datastore_capacity_shared', ['backendId'], { where: '(host_id IS NULL)' })
export class DatastoreCapacityEntity {
  @ForeignKey('datastore', { name: 'datastore_capacity_datastore', onDelete: 'CASCADE' })
  @PrimaryColumn({ name: 'datastore_id', type: 'text', collation: 'C', primaryKeyConstraintName: 'datastore_capacity_pkey' })
  datastoreId!: string;

  @Column({ name: 'backend_id', type: 'text', collation: 'C' })
  backendId!: string;

  @Column({ name: 'zone_id', type: 'text', collation: 'C', nullable: true })
  zoneId!: string | null;

  @Column({ name: 'host_id', type: 'text', collation: 'C', nullable: true })
  hostId!: string | null;

  @Column('text')
  kind!: string;

  @Column('text')
  state!: string;

  @Column('bigint', { name: 'limit_gib' })
  limitGib!: number;

  /** What it has to offer besides room, as text: equal for those that offer the same. */
  @Column('text')
  offer!: string;

  @Column('bigint', { name: 'claimed_gib', default: 0 })
  claimedGib!: number;
}
