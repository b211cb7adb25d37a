import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';
import { AddressAllocationEntity } from '../address/address.entity.js';
import { NetworkEntity } from '../network/network.entity.js';
import { PortEntity } from '../port/port.entity.js';

@Entity('load_balancer')
@Check('load_balancer_lifecycle', `lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')`)
@Index('load_balancer_name', ['project_id', 'name'], { unique: true })
@Index('load_balancer_in_network', ['id', 'network_id'], { unique: true })
@Index('load_balancer_network_id', ['network_id'])
@Index('load_balancer_backend', ['backend_id', 'id'])
@Index('load_balancer_tenant', ['tenant_id'])
@Index('load_balancer_owner', ['owner_id'])
@ForeignKey(() => AddressAllocationEntity, ['subnet_id', 'address'], ['subnet_id', 'address'], {
  name: 'load_balancer_address',
  deferrable: 'INITIALLY DEFERRED',
})
export class LoadBalancerEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'load_balancer_pkey' })
  id!: string;

  @Column({ type: 'text', collation: 'C' })
  tenant_id!: string;

  @Column({ type: 'text', collation: 'C' })
  project_id!: string;

  @Column('text')
  name!: string;

  @ForeignKey(() => NetworkEntity, { name: 'load_balancer_network', deferrable: 'INITIALLY DEFERRED' })
  @Column({ type: 'text', collation: 'C' })
  network_id!: string;

  @Column({ type: 'text', collation: 'C', nullable: true })
  subnet_id!: string | null;

  @Column('inet', { nullable: true })
  address!: string | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  owner_id!: string | null;

  @Column({ type: 'text', collation: 'C' })
  backend_id!: string;

  @Column('text', { default: 'CREATING' })
  lifecycle!: string;

  @Column('bigint', { default: 1 })
  desired_revision!: number;

  @Column('bigint', { default: 0 })
  realised_revision!: number;

  @Column('jsonb', { nullable: true })
  failure!: object | null;
}

@Entity('load_balancer_listener')
@Check('load_balancer_listener_port', 'port BETWEEN 1 AND 65535')
@Check('load_balancer_listener_member_port', 'member_port BETWEEN 1 AND 65535')
export class LoadBalancerListenerEntity {
  @ForeignKey(() => LoadBalancerEntity, { name: 'load_balancer_listener_owner', onDelete: 'CASCADE' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'load_balancer_listener_pkey' })
  load_balancer_id!: string;

  @PrimaryColumn({ type: 'integer', primaryKeyConstraintName: 'load_balancer_listener_pkey' })
  port!: number;

  @Column('integer')
  member_port!: number;
}

@Entity('load_balancer_member')
@Index('load_balancer_member_port_id', ['port_id'])
export class LoadBalancerMemberEntity {
  @ForeignKey(() => LoadBalancerEntity, { name: 'load_balancer_member_owner', onDelete: 'CASCADE' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'load_balancer_member_pkey' })
  load_balancer_id!: string;

  @ForeignKey(() => PortEntity, { name: 'load_balancer_member_port', onDelete: 'CASCADE' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'load_balancer_member_pkey' })
  port_id!: string;
}
