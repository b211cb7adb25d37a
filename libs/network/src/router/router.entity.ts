import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';
import { ExternalAddressEntity } from '../external-network/external-network.entity.js';
import { NetworkEntity } from '../network/network.entity.js';
import { TransitAddressEntity } from '../provider-router/provider-router.entity.js';

@Entity('router')
@Check('router_lifecycle', `lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')`)
@Check(
  'router_uplink',
  `(external_network_id IS NULL AND external_address IS NULL) OR (external_network_id IS NOT NULL AND (external_address IS NOT NULL OR lifecycle IN ('FAILED', 'DELETING')))`,
)
@Check(
  'router_provider_uplink',
  `(provider_router_id IS NULL AND transit_address IS NULL) OR (provider_router_id IS NOT NULL AND (transit_address IS NOT NULL OR lifecycle IN ('FAILED', 'DELETING')))`,
)
@Check('router_one_uplink', 'external_network_id IS NULL OR provider_router_id IS NULL')
@Index('router_name', ['project_id', 'name'], { unique: true })
@Index('router_tenant', ['tenant_id'])
@Index('router_owner', ['owner_id'])
@Index('router_of_backend', ['backend_id', 'id'])
@Index('router_of_external_network', ['external_network_id', 'external_address'])
@Index('router_of_provider_router', ['provider_router_id', 'transit_address'])
@ForeignKey(() => ExternalAddressEntity, ['external_network_id', 'external_address', 'id'], ['external_network_id', 'address', 'owner_id'], {
  name: 'router_external_address',
  deferrable: 'INITIALLY DEFERRED',
})
@ForeignKey(() => TransitAddressEntity, ['provider_router_id', 'transit_address'], ['provider_router_id', 'address'], {
  name: 'router_transit_address',
  deferrable: 'INITIALLY DEFERRED',
})
export class RouterEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'router_pkey' })
  id!: string;

  @Column({ type: 'text', collation: 'C' })
  tenant_id!: string;

  @Column({ type: 'text', collation: 'C' })
  project_id!: string;

  @Column('text')
  name!: string;

  @Column('text', { default: '' })
  description!: string;

  @Column({ type: 'text', collation: 'C', nullable: true })
  owner_id!: string | null;

  @ForeignKey('backend', { name: 'router_backend' })
  @Column({ type: 'text', collation: 'C' })
  backend_id!: string;

  @Column({ type: 'text', collation: 'C', nullable: true })
  external_network_id!: string | null;

  @Column('inet', { nullable: true })
  external_address!: string | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  provider_router_id!: string | null;

  @Column('inet', { nullable: true })
  transit_address!: string | null;

  @Column('boolean', { default: false })
  source_nat!: boolean;

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

/** A network on a router; the key makes two routers of one network impossible. */
@Entity('router_network')
@Check('router_network_link', 'link BETWEEN 0 AND 63')
@Index('router_network_links', ['router_id', 'link'], { unique: true })
@Index('router_network_uplink', ['network_id', 'external_network_id'], { unique: true })
export class RouterNetworkEntity {
  @ForeignKey(() => NetworkEntity, { name: 'router_network_network', deferrable: 'INITIALLY DEFERRED' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'router_network_pkey' })
  network_id!: string;

  @ForeignKey(() => RouterEntity, { name: 'router_network_router', deferrable: 'INITIALLY DEFERRED' })
  @Column({ type: 'text', collation: 'C' })
  router_id!: string;

  @Column('integer')
  link!: number;

  /** Where the router leads to, itself or by a provider's router: floating IPs refer to both together, so that neither goes while they need it. */
  @Column({ type: 'text', collation: 'C', nullable: true })
  external_network_id!: string | null;
}
