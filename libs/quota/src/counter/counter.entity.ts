import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';

/**
 * What one scope may use and uses of one key, in one zone or in all (`zone_id` empty). A project's limit is carved out of
 * its tenant's; a project's counter counts its own use whether it is carved or not.
 */
@Entity('quota_counter')
@Check('quota_counter_limit', '(limit_amount >= 0)')
@Check('quota_counter_used', '(used_amount >= 0)')
@Index('quota_counter_of_tenant', ['tenantId', 'resourceKey', 'zoneId'])
export class QuotaCounterEntity {
  @ForeignKey('scope', { name: 'quota_counter_scope' })
  @PrimaryColumn({ name: 'scope_id', type: 'text', collation: 'C', primaryKeyConstraintName: 'quota_counter_pkey' })
  scopeId!: string;

  @PrimaryColumn({ name: 'resource_key', type: 'text', collation: 'C', primaryKeyConstraintName: 'quota_counter_pkey' })
  resourceKey!: string;

  @PrimaryColumn({ name: 'zone_id', type: 'text', collation: 'C', default: '', primaryKeyConstraintName: 'quota_counter_pkey' })
  zoneId!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C' })
  tenantId!: string;

  /** Null for the tenant's own counter. */
  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  /** Null: unlimited at a tenant, not carved at a project. */
  @Column('bigint', { name: 'limit_amount', nullable: true })
  limitAmount!: number | null;

  /** A tenant's: the limits of projects that carve, the use of those that do not, and what has no project. */
  @Column('bigint', { name: 'used_amount', default: 0 })
  usedAmount!: number;
}
