import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('host')
@Check('host_intent', `intent IN ('ENABLED', 'SUSPENDED', 'MAINTENANCE')`)
@Check('host_cpu_overcommit', 'cpu_overcommit BETWEEN 0.1 AND 100')
@Check('host_memory_overcommit', 'memory_overcommit BETWEEN 0.1 AND 10')
@Check('host_cpu', 'cpu >= 0')
@Check('host_memory', 'memory_mib >= 0')
@Check('host_health', `health IN ('UNKNOWN', 'UP', 'DOWN')`)
@Check('host_fence', `fence IN ('NONE', 'UNKNOWN', 'PROVEN_OFF')`)
@Check('host_fence_source', `fence_source IN ('BACKEND', 'OPERATOR')`)
@Index('host_name', ['backendId', 'name'], { unique: true })
@Index('host_of_zone', ['zoneId', 'name'])
@Index('host_of_rack', ['rackId'])
@Index('host_not_up', ['backendId', 'health'], { where: `(health <> 'UP'::text)` })
@Index('host_network_behind', ['networkBehindSince'], { where: '(network_behind_since IS NOT NULL)' })
export class HostEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'host_pkey' })
  id!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C', nullable: true })
  tenantId!: string | null;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  @ForeignKey('backend', { name: 'host_backend' })
  @Column({ name: 'backend_id', type: 'text', collation: 'C' })
  backendId!: string;

  @ForeignKey('zone', { name: 'host_zone' })
  @Column({ name: 'zone_id', type: 'text', collation: 'C' })
  zoneId!: string;

  @ForeignKey('rack', { name: 'host_rack' })
  @Column({ name: 'rack_id', type: 'text', collation: 'C', nullable: true })
  rackId!: string | null;

  @Column('text')
  name!: string;

  @Column('text', { default: 'ENABLED' })
  intent!: string;

  @Column('text', { name: 'intent_reason', nullable: true })
  intentReason!: string | null;

  @Column('double precision', { name: 'cpu_overcommit', default: 16 })
  cpuOvercommit!: number;

  @Column('double precision', { name: 'memory_overcommit', default: 1 })
  memoryOvercommit!: number;

  @Column('text', { array: true, default: [] })
  labels!: string[];

  @Column('integer')
  cpu!: number;

  @Column('integer', { name: 'memory_mib' })
  memoryMib!: number;

  @Column('text', { array: true, default: [] })
  traits!: string[];

  @Column('text', { default: 'UNKNOWN' })
  health!: string;

  @Column('timestamptz', { name: 'health_since', default: () => 'now()' })
  healthSince!: Date;

  @Column('text', { name: 'health_reason', nullable: true })
  healthReason!: string | null;

  @Column('boolean', { default: false })
  vacant!: boolean;

  @Column('text', { default: 'NONE' })
  fence!: string;

  @Column('text', { name: 'fence_source', nullable: true })
  fenceSource!: string | null;

  @Column('timestamptz', { name: 'fence_since', nullable: true })
  fenceSince!: Date | null;

  @Column('text', { name: 'fence_reason', nullable: true })
  fenceReason!: string | null;

  @Column('timestamptz', { name: 'network_behind_since', nullable: true })
  networkBehindSince!: Date | null;

  @Column('text', { name: 'network_behind_reason', nullable: true })
  networkBehindReason!: string | null;

  @Column('bigint', { name: 'network_tellings', default: 0 })
  networkTellings!: number;
}

/** What changes with every beat lives apart from what is claimed and watched. */
@Entity('host_heartbeat')
export class HostHeartbeatEntity {
  @ForeignKey('host', { name: 'host_heartbeat_host', onDelete: 'CASCADE' })
  @PrimaryColumn({ name: 'host_id', type: 'text', collation: 'C', primaryKeyConstraintName: 'host_heartbeat_pkey' })
  hostId!: string;

  @Column('timestamptz', { name: 'last_seen_at', nullable: true })
  lastSeenAt!: Date | null;

  @Column('timestamptz', { name: 'silent_since', nullable: true })
  silentSince!: Date | null;

  @Column('integer', { default: 0 })
  beats!: number;

  @Column('integer', { default: 0 })
  misses!: number;

  @Column('double precision', { name: 'cpu_percent', nullable: true })
  cpuPercent!: number | null;

  @Column('bigint', { name: 'memory_used_mib', nullable: true })
  memoryUsedMib!: number | null;

  @Column('timestamptz', { name: 'fence_asked_at', nullable: true })
  fenceAskedAt!: Date | null;

  @Column('timestamptz', { name: 'observed_at', default: () => 'now()' })
  observedAt!: Date;
}
