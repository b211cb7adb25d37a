import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

/**
 * That a resource held an amount from then to then. While it holds it, the charge itself is the record, so open records
 * sum to what is used by construction; closed ones are kept when the tenant has gone.
 */
@Entity('metering_record')
@Check('metering_record_amount', '(amount > 0)')
@Check('metering_record_span', '(to_at >= from_at)')
@Index('metering_record_of_tenant', ['tenantId', 'fromAt', 'id'])
export class MeteringRecordEntity {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'metering_record_pkey' })
  id!: string;

  @Column({ name: 'resource_id', type: 'text', collation: 'C' })
  resourceId!: string;

  @Column('text', { name: 'resource_kind' })
  resourceKind!: string;

  @Column({ name: 'resource_key', type: 'text', collation: 'C' })
  resourceKey!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C' })
  tenantId!: string;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  @Column({ name: 'zone_id', type: 'text', collation: 'C', default: '' })
  zoneId!: string;

  @Column('bigint')
  amount!: number;

  @Column('timestamptz', { name: 'from_at' })
  fromAt!: Date;

  @Column('timestamptz', { name: 'to_at' })
  toAt!: Date;
}
