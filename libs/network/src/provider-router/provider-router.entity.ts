import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';
import { ExternalAddressEntity } from '../external-network/external-network.entity.js';

@Entity('provider_router')
@Check('provider_router_lifecycle', `lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')`)
@Check('provider_router_transit_inside', 'transit_address << transit_cidr')
@Index('provider_router_name', ['name'], { unique: true })
@Index('provider_router_of_backend', ['backend_id', 'id'])
@Index('provider_router_of_external_network', ['external_network_id', 'external_address'])
@ForeignKey(() => ExternalAddressEntity, ['external_network_id', 'external_address'], ['external_network_id', 'address'], {
  name: 'provider_router_external_address',
  deferrable: 'INITIALLY DEFERRED',
})
export class ProviderRouterEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'provider_router_pkey' })
  id!: string;

  @Column({ type: 'text', collation: 'C', nullable: true })
  tenant_id!: string | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  project_id!: string | null;

  @Column('text')
  name!: string;

  @Column('text', { default: '' })
  description!: string;

  @Column({ type: 'text', collation: 'C' })
  backend_id!: string;

  @Column({ type: 'text', collation: 'C' })
  external_network_id!: string;

  @Column('inet')
  external_address!: string;

  @Column('cidr')
  transit_cidr!: string;

  @Column('inet')
  transit_address!: string;

  /** What the backend was last told. */
  @Column('text', { array: true, default: '{}' })
  gateway_hosts!: string[];

  @Column('text', { default: 'CREATING' })
  lifecycle!: string;

  @Column('bigint', { default: 1 })
  desired_revision!: number;

  @Column('bigint', { default: 0 })
  realised_revision!: number;

  @Column('jsonb', { nullable: true })
  failure!: object | null;
}

/**
 * An address of a transit block that is given out; the key makes two owners of one address impossible. A floating IP's goes
 * by a trigger when that leads nowhere any more, also because its target has gone.
 */
@Entity('transit_address')
@Check('transit_address_one_host', 'masklen(address) = 32')
@Index('transit_address_owner', ['owner_id'], { unique: true })
export class TransitAddressEntity {
  @ForeignKey(() => ProviderRouterEntity, { name: 'transit_address_provider_router' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'transit_address_pkey' })
  provider_router_id!: string;

  @PrimaryColumn({ type: 'inet', primaryKeyConstraintName: 'transit_address_pkey' })
  address!: string;

  /** The router or floating IP that has it. */
  @Column({ type: 'text', collation: 'C' })
  owner_id!: string;

  @Column({ type: 'text', collation: 'C' })
  tenant_id!: string;

  @Column({ type: 'text', collation: 'C' })
  project_id!: string;

  @Column('timestamptz', { default: () => 'now()' })
  created_at!: Date;
}
