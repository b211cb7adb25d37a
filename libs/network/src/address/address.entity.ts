import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { SubnetEntity } from '../subnet/subnet.entity.js';

/** An address that is given out; the key makes two owners of one address impossible. */
@Entity('address_allocation')
@Check('address_allocation_one_host', 'masklen(address) = 32')
@Index('address_allocation_owner', ['owner_id'])
export class AddressAllocationEntity {
  @ForeignKey(() => SubnetEntity, { name: 'address_allocation_subnet', deferrable: 'INITIALLY DEFERRED' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'address_allocation_pkey' })
  subnet_id!: string;

  @PrimaryColumn({ type: 'inet', primaryKeyConstraintName: 'address_allocation_pkey' })
  address!: string;

  /** The port or load balancer that has it, or the subnet itself. */
  @Column({ type: 'text', collation: 'C' })
  owner_id!: string;

  @Column({ type: 'text', collation: 'C' })
  tenant_id!: string;

  @Column({ type: 'text', collation: 'C' })
  project_id!: string;

  @Column('timestamptz', { default: () => 'now()' })
  created_at!: Date;
}
