import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('backend')
@Check('backend_max_concurrent_calls', 'max_concurrent_calls BETWEEN 1 AND 1000')
@Check('backend_call_timeout', 'call_timeout_ms BETWEEN 100 AND 600000')
@Check('backend_state', `state IN ('ACTIVE', 'PENDING_DELETE')`)
@Check('backend_health', `health IN ('UNKNOWN', 'UP', 'DOWN')`)
@Index('backend_name', ['name'], { unique: true })
export class BackendEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'backend_pkey' })
  id!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C', nullable: true })
  tenantId!: string | null;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  @Column('text')
  name!: string;

  @Column('text')
  kind!: string;

  @Column('text')
  endpoint!: string;

  @Column({ name: 'secret_ref', type: 'text', collation: 'C', nullable: true })
  secretRef!: string | null;

  @Column('jsonb', { default: {} })
  options!: Record<string, unknown>;

  @Column('integer', { name: 'max_concurrent_calls', default: 16 })
  maxConcurrentCalls!: number;

  @Column('integer', { name: 'call_timeout_ms', default: 10_000 })
  callTimeoutMs!: number;

  @Column('text', { default: 'ACTIVE' })
  state!: string;

  @Column('jsonb', { default: {} })
  capabilities!: Record<string, boolean>;

  @Column('text', { default: 'UNKNOWN' })
  health!: string;

  @Column('timestamptz', { name: 'health_since', default: () => 'now()' })
  healthSince!: Date;

  @Column('text', { name: 'health_reason', nullable: true })
  healthReason!: string | null;
}

/** When it last answered, apart from the row that is watched. */
@Entity('backend_heartbeat')
export class BackendHeartbeatEntity {
  @ForeignKey('backend', { name: 'backend_heartbeat_backend', onDelete: 'CASCADE' })
  @PrimaryColumn({ name: 'backend_id', type: 'text', collation: 'C', primaryKeyConstraintName: 'backend_heartbeat_pkey' })
  backendId!: string;

  @Column('timestamptz', { name: 'last_seen_at', default: () => 'now()' })
  lastSeenAt!: Date;
}
