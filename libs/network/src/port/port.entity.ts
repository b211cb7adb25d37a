import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';
import { AddressAllocationEntity } from '../address/address.entity.js';
import { NetworkEntity } from '../network/network.entity.js';

@Entity('port')
@Check('port_lifecycle', `lifecycle IN ('PRESENT', 'DELETING')`)
@Index('port_mac_address', ['network_id', 'mac_address'], { unique: true })
@Index('port_in_network', ['id', 'network_id'], { unique: true })
@Index('port_owner', ['owner_id'])
@Index('port_backend', ['backend_id', 'id'])
@Index('port_project', ['project_id'])
@Index('port_tenant', ['tenant_id'])
@Index('port_subnet', ['subnet_id', 'address'])
@ForeignKey(() => AddressAllocationEntity, ['subnet_id', 'address'], ['subnet_id', 'address'], {
  name: 'port_address',
  deferrable: 'INITIALLY DEFERRED',
})
export class PortEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'port_pkey' })
  id!: string;

  @Column({ type: 'text', collation: 'C' })
  tenant_id!: string;

  @Column({ type: 'text', collation: 'C' })
  project_id!: string;

  @Column('text')
  name!: string;

  @ForeignKey(() => NetworkEntity, { name: 'port_network', deferrable: 'INITIALLY DEFERRED' })
  @Column({ type: 'text', collation: 'C' })
  network_id!: string;

  @Column({ type: 'text', collation: 'C' })
  subnet_id!: string;

  @Column('macaddr')
  mac_address!: string;

  @Column('inet')
  address!: string;

  @Column({ type: 'text', collation: 'C' })
  owner_id!: string;

  @Column({ type: 'text', collation: 'C' })
  backend_id!: string;

  @Column({ type: 'text', collation: 'C' })
  host_id!: string;

  @Column('text', { default: 'PRESENT' })
  lifecycle!: string;

  @Column('bigint', { default: 1 })
  desired_revision!: number;

  @Column('bigint', { default: 0 })
  realised_revision!: number;
}
