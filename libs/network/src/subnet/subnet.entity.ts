import { Check, Column, Entity, Exclusion, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';
import { NetworkEntity } from '../network/network.entity.js';

@Entity('subnet')
@Check('subnet_lifecycle', `lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')`)
@Check('subnet_cidr_size', 'family(cidr) = 4 AND masklen(cidr) BETWEEN 16 AND 29')
@Check('subnet_gateway_inside', 'gateway << cidr')
@Exclusion('subnet_overlap', 'USING gist (project_id WITH =, cidr inet_ops WITH &&)')
@Index('subnet_name', ['network_id', 'name'], { unique: true })
@Index('subnet_tenant', ['tenant_id'])
// By its name: that entity knows this one.
@ForeignKey('AddressAllocationEntity', ['id', 'health_check_address'], ['subnet_id', 'address'], {
  name: 'subnet_health_check_address',
  deferrable: 'INITIALLY DEFERRED',
})
export class SubnetEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'subnet_pkey' })
  id!: string;

  @Column({ type: 'text', collation: 'C' })
  tenant_id!: string;

  @Column({ type: 'text', collation: 'C' })
  project_id!: string;

  @Column('text')
  name!: string;

  @ForeignKey(() => NetworkEntity, { name: 'subnet_network', deferrable: 'INITIALLY DEFERRED' })
  @Column({ type: 'text', collation: 'C' })
  network_id!: string;

  @Column('cidr')
  cidr!: string;

  @Column('inet')
  gateway!: string;

  @Column('jsonb')
  pools!: object;

  @Column('inet', { nullable: true })
  health_check_address!: string | null;

  @Column('text', { default: 'CREATING' })
  lifecycle!: string;

  @Column('jsonb', { nullable: true })
  failure!: object | null;
}
