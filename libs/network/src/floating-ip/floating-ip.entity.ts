import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';
import { ExternalAddressEntity } from '../external-network/external-network.entity.js';
import { LoadBalancerEntity } from '../load-balancer/load-balancer.entity.js';
import { PortEntity } from '../port/port.entity.js';
import { RouterNetworkEntity } from '../router/router.entity.js';

@Entity('floating_ip')
@Check('floating_ip_lifecycle', `lifecycle IN ('PRESENT', 'DELETING')`)
@Check('floating_ip_one_target', 'port_id IS NULL OR load_balancer_id IS NULL')
@Check('floating_ip_target_network', '(network_id IS NULL) = (port_id IS NULL AND load_balancer_id IS NULL)')
@Index('floating_ip_name', ['project_id', 'name'], { unique: true })
@Index('floating_ip_of_port', ['port_id'], { unique: true })
@Index('floating_ip_of_load_balancer', ['load_balancer_id'], { unique: true })
@Index('floating_ip_tenant', ['tenant_id'])
@Index('floating_ip_owner', ['owner_id'])
@Index('floating_ip_of_network', ['network_id', 'external_network_id'])
@Index('floating_ip_of_address', ['external_network_id', 'address'])
@ForeignKey(() => ExternalAddressEntity, ['external_network_id', 'address', 'id'], ['external_network_id', 'address', 'owner_id'], {
  name: 'floating_ip_address',
  deferrable: 'INITIALLY DEFERRED',
})
@ForeignKey(() => PortEntity, ['port_id', 'network_id'], ['id', 'network_id'], {
  name: 'floating_ip_port',
  onDelete: 'SET NULL',
  deferrable: 'INITIALLY DEFERRED',
})
@ForeignKey(() => LoadBalancerEntity, ['load_balancer_id', 'network_id'], ['id', 'network_id'], {
  name: 'floating_ip_load_balancer',
  onDelete: 'SET NULL',
  deferrable: 'INITIALLY DEFERRED',
})
@ForeignKey(() => RouterNetworkEntity, ['network_id', 'external_network_id'], ['network_id', 'external_network_id'], { name: 'floating_ip_uplink' })
export class FloatingIpEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'floating_ip_pkey' })
  id!: string;

  @Column({ type: 'text', collation: 'C' })
  tenant_id!: string;

  @Column({ type: 'text', collation: 'C' })
  project_id!: string;

  @Column('text')
  name!: string;

  @Column({ type: 'text', collation: 'C', nullable: true })
  owner_id!: string | null;

  @Column({ type: 'text', collation: 'C' })
  external_network_id!: string;

  @Column('inet')
  address!: string;

  /** Of what it leads to, which takes this along when it goes. */
  @Column({ type: 'text', collation: 'C', nullable: true })
  network_id!: string | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  port_id!: string | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  load_balancer_id!: string | null;

  @Column('text', { default: 'PRESENT' })
  lifecycle!: string;

  @Column('bigint', { default: 1 })
  desired_revision!: number;

  @Column('bigint', { default: 0 })
  realised_revision!: number;
}
