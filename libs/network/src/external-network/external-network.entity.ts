import { Check, Column, Entity, Exclusion, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('external_network')
@Check('external_network_lifecycle', `lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')`)
@Check('external_network_vlan', 'vlan BETWEEN 1 AND 4094')
@Check('external_network_gateway_inside', 'gateway << cidr')
@Exclusion('external_network_overlap', 'USING gist (backend_id WITH =, physical_network WITH =, cidr inet_ops WITH &&)')
@Index('external_network_name', ['name'], { unique: true })
@Index('external_network_of_backend', ['backend_id', 'id'])
export class ExternalNetworkEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'external_network_pkey' })
  id!: string;

  @Column({ type: 'text', collation: 'C', nullable: true })
  tenant_id!: string | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  project_id!: string | null;

  @Column('text')
  name!: string;

  @Column('text', { default: '' })
  description!: string;

  @ForeignKey('backend', { name: 'external_network_backend' })
  @Column({ type: 'text', collation: 'C' })
  backend_id!: string;

  @Column('text')
  physical_network!: string;

  @Column('integer', { nullable: true })
  vlan!: number | null;

  @Column('cidr')
  cidr!: string;

  @Column('inet')
  gateway!: string;

  @Column('jsonb')
  pools!: object;

  @Column('text', { default: 'CREATING' })
  lifecycle!: string;

  @Column('bigint', { default: 1 })
  desired_revision!: number;

  @Column('bigint', { default: 0 })
  realised_revision!: number;

  @Column('text', { array: true, nullable: true })
  connected_hosts!: string[] | null;

  @Column('jsonb', { nullable: true })
  failure!: object | null;
}

/** An address of an external network that is given out; the key makes two owners of one address impossible. */
@Entity('external_address')
@Check('external_address_one_host', 'masklen(address) = 32')
@Index('external_address_owner', ['owner_id'], { unique: true })
@Index('external_address_of_owner', ['external_network_id', 'address', 'owner_id'], { unique: true })
export class ExternalAddressEntity {
  @ForeignKey(() => ExternalNetworkEntity, { name: 'external_address_network' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'external_address_pkey' })
  external_network_id!: string;

  @PrimaryColumn({ type: 'inet', primaryKeyConstraintName: 'external_address_pkey' })
  address!: string;

  /** The router, floating IP or provider's router that has it, or `heldAddress` of a router that has just given it up. */
  @Column({ type: 'text', collation: 'C' })
  owner_id!: string;

  /** Null of a provider's router. */
  @Column({ type: 'text', collation: 'C', nullable: true })
  tenant_id!: string | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  project_id!: string | null;

  @Column('timestamptz', { default: () => 'now()' })
  created_at!: Date;
}
