import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** What one resource holds of one key: there while, and only while, the counters count it. It is the open metering record too. */
@Entity('quota_charge')
@Check('quota_charge_amount', '(amount > 0)')
@Index('quota_charge_of_tenant', ['tenantId', 'resourceKey', 'projectId', 'resourceId'])
export class QuotaChargeEntity {
  @PrimaryColumn({ name: 'resource_id', type: 'text', collation: 'C', primaryKeyConstraintName: 'quota_charge_pkey' })
  resourceId!: string;

  @PrimaryColumn({ name: 'resource_key', type: 'text', collation: 'C', primaryKeyConstraintName: 'quota_charge_pkey' })
  resourceKey!: string;

  @Column('text', { name: 'resource_kind' })
  resourceKind!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C' })
  tenantId!: string;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  /** Empty when the resource is in no zone: then only the counter for all zones holds it. */
  @Column({ name: 'zone_id', type: 'text', collation: 'C', default: '' })
  zoneId!: string;

  @Column('bigint')
  amount!: number;

  /** The id of the metering record that it becomes when the amount changes or goes. */
  @Column({ name: 'metering_id', type: 'text', collation: 'C' })
  meteringId!: string;

  /** Since when it holds this amount. */
  @Column('timestamptz', { name: 'charged_at', default: () => 'now()' })
  chargedAt!: Date;
}
