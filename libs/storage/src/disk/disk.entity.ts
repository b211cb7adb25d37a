import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('disk')
@Check('disk_size', 'size_gib > 0')
@Check('disk_iops_limit', 'iops_limit > 0')
@Check('disk_lifecycle', `lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')`)
@Check('disk_attachment', `attachment IN ('ATTACHING', 'ATTACHED', 'DETACHING')`)
@Check('disk_attached', '((attachment IS NOT NULL) = ((owner_id IS NOT NULL) AND (image_reference IS NULL)))')
@Check('disk_health', `health IN ('HEALTHY', 'DEGRADED', 'REBUILDING', 'BLOCKED', 'UNAVAILABLE', 'UNKNOWN')`)
@Check(
  'disk_compliance',
  `compliance IN ('COMPLIANT', 'REDUCED_WAITING', 'REDUCED_REBUILDING', 'REDUCED_BLOCKED', 'RECONFIGURING', 'NONCOMPLIANT', 'UNAVAILABLE', 'UNKNOWN')`,
)
@Index('disk_name', ['projectId', 'name'], { unique: true, where: '(image_reference IS NULL)' })
@Index('disk_of_owner', ['ownerId'], { where: '(owner_id IS NOT NULL)' })
@Index('disk_of_backend', ['backendId', 'id'])
@Index('disk_of_tenant', ['tenantId'])
@Index('disk_of_storage_policy', ['storagePolicyId'], { where: '(storage_policy_id IS NOT NULL)' })
export class DiskEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'disk_pkey' })
  id!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C' })
  tenantId!: string;

  @Column({ name: 'project_id', type: 'text', collation: 'C' })
  projectId!: string;

  @Column('text')
  name!: string;

  @Column('integer', { name: 'size_gib' })
  sizeGib!: number;

  /** Reads and writes together in a second; null is unlimited. */
  @Column('integer', { name: 'iops_limit', nullable: true })
  iopsLimit!: number | null;

  @Column('text', { name: 'image_reference', nullable: true })
  imageReference!: string | null;

  /** The machine that it is attached to, and goes with when it is that machine's root disk. */
  @Column({ name: 'owner_id', type: 'text', collation: 'C', nullable: true })
  ownerId!: string | null;

  /** Of those that a machine has: 0 is the root disk. */
  @Column('integer', { default: 0 })
  position!: number;

  /** How far it is with its machine; null for root disks, which are made with theirs, and for those that no machine has. */
  @Column('text', { nullable: true })
  attachment!: string | null;

  @Column({ name: 'datastore_id', type: 'text', collation: 'C' })
  datastoreId!: string;

  @Column({ name: 'backend_id', type: 'text', collation: 'C' })
  backendId!: string;

  @Column({ name: 'zone_id', type: 'text', collation: 'C', nullable: true })
  zoneId!: string | null;

  /** Where a local pool holds it; null on a shared one. */
  @Column({ name: 'host_id', type: 'text', collation: 'C', nullable: true })
  hostId!: string | null;

  @ForeignKey('storage_policy', { name: 'disk_storage_policy' })
  @Column({ name: 'storage_policy_id', type: 'text', collation: 'C', nullable: true })
  storagePolicyId!: string | null;

  @Column('jsonb', { default: {} })
  costs!: Record<string, number>;

  @Column('text')
  lifecycle!: string;

  /** The size that the backend was last known to have; 0 for nothing. */
  @Column('integer', { name: 'realised_gib', default: 0 })
  realisedGib!: number;

  /** The limit that the backend was last known to hold it to. */
  @Column('integer', { name: 'realised_iops_limit', nullable: true })
  realisedIopsLimit!: number | null;

  @Column('text', { default: 'UNKNOWN' })
  health!: string;

  @Column('timestamptz', { name: 'observed_at', nullable: true })
  observedAt!: Date | null;

  @Column('text', { nullable: true })
  compliance!: string | null;

  @Column('jsonb', { name: 'compliance_rules', nullable: true })
  complianceRules!: unknown;

  @Column('timestamptz', { name: 'compliance_since', nullable: true })
  complianceSince!: Date | null;

  @Column('jsonb', { nullable: true })
  failure!: unknown;
}
