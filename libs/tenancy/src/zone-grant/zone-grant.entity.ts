import { Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

/** That a tenant may use a zone. */
@Entity('zone_grant')
@Index('zone_grant_once', ['tenantId', 'zoneId'], { unique: true })
@Index('zone_grant_of_zone', ['zoneId'])
export class ZoneGrantEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'zone_grant_pkey' })
  id!: string;

  @ForeignKey('tenant', { name: 'zone_grant_tenant' })
  @Column({ name: 'tenant_id', type: 'text', collation: 'C' })
  tenantId!: string;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  @ForeignKey('zone', { name: 'zone_grant_zone', onDelete: 'CASCADE' })
  @Column({ name: 'zone_id', type: 'text', collation: 'C' })
  zoneId!: string;
}
