import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('storage_policy')
@Check('storage_policy_failures', 'failures_to_tolerate BETWEEN 0 AND 3')
@Check('storage_policy_failure_domain', `failure_domain IN ('DISK', 'HOST', 'RACK', 'ZONE')`)
@Check('storage_policy_tolerates', '(failures_to_tolerate > 0) = (failure_domain IS NOT NULL)')
@Check('storage_policy_redundancy_method', `redundancy_method IN ('MIRRORING', 'ERASURE_CODING')`)
@Check('storage_policy_iops_limit', 'iops_limit > 0')
@Check('storage_policy_state', `state IN ('ACTIVE', 'PENDING_DELETE')`)
@Index('storage_policy_name', ['name'], { unique: true })
@Index('storage_policy_default', ['isDefault'], { unique: true, where: 'is_default' })
export class StoragePolicyEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'storage_policy_pkey' })
  id!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C', nullable: true })
  tenantId!: string | null;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  @Column('text')
  name!: string;

  @Column('text', { default: '' })
  description!: string;

  @Column('integer', { name: 'failures_to_tolerate', default: 0 })
  failuresToTolerate!: number;

  @Column('text', { name: 'failure_domain', nullable: true })
  failureDomain!: string | null;

  @Column('text', { name: 'redundancy_method', nullable: true })
  redundancyMethod!: string | null;

  @Column('boolean', { name: 'needs_encryption', default: false })
  needsEncryption!: boolean;

  @Column('boolean', { name: 'needs_shared_access', default: false })
  needsSharedAccess!: boolean;

  @Column('text', { name: 'datastore_kinds', array: true, default: [] })
  datastoreKinds!: string[];

  @Column('integer', { name: 'iops_limit', nullable: true })
  iopsLimit!: number | null;

  @Column('jsonb', { default: {} })
  costs!: Record<string, number>;

  /** Of at most one: what disks have that name none. */
  @Column('boolean', { name: 'is_default', default: false })
  isDefault!: boolean;

  @Column('text', { default: 'ACTIVE' })
  state!: string;
}
