import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('virtual_machine')
@Check('virtual_machine_desired_power', `desired_power IN ('RUNNING', 'STOPPED', 'SUSPENDED')`)
@Check('virtual_machine_recovery', `recovery IN ('NONE', 'RECREATE')`)
@Check('virtual_machine_node_recovery', `((owner_id IS NULL) OR (recovery = 'NONE'))`)
@Check('virtual_machine_lifecycle', `lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')`)
@Check('virtual_machine_observed_power', `observed_power IN ('RUNNING', 'STOPPED', 'SUSPENDED', 'UNKNOWN')`)
@Index('virtual_machine_name', ['projectId', 'name'], { unique: true })
@Index('virtual_machine_of_project', ['projectId', 'createdAt', 'id'])
@Index('virtual_machine_of_tenant', ['tenantId', 'createdAt', 'id'])
@Index('virtual_machine_of_host', ['hostId'])
@Index('virtual_machine_of_owner', ['ownerId'], { where: '(owner_id IS NOT NULL)' })
@Index('virtual_machine_of_flavor', ['flavorId'])
@Index('virtual_machine_of_image', ['imageId'])
@Index('virtual_machine_of_group', ['affinityGroupId'], { where: '(affinity_group_id IS NOT NULL)' })
@Index('virtual_machine_to_start', ['observedAt', 'id'], {
  where: `((lifecycle = 'PRESENT'::text) AND (desired_power = 'RUNNING'::text) AND (observed_power = 'STOPPED'::text))`,
})
@Index('virtual_machine_instance', ['backendId', 'instanceId'], { unique: true })
@Index('virtual_machine_successor', ['successorId'], { where: '(successor_id IS NOT NULL)' })
@Index('virtual_machine_to_recover', ['hostId'], { where: `(recovery = 'RECREATE'::text)` })
@Index('virtual_machine_plain_user_data', ['id'], { where: `(user_data <> ''::text)` })
@Index('virtual_machine_drift', ['backendId'], { where: '(drift IS NOT NULL)' })
@Index('virtual_machine_of_storage_policy', ['storagePolicyId'], { where: '(storage_policy_id IS NOT NULL)' })
export class VirtualMachineEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'virtual_machine_pkey' })
  id!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C' })
  tenantId!: string;

  @Column({ name: 'project_id', type: 'text', collation: 'C' })
  projectId!: string;

  @Column('text')
  name!: string;

  /** The cluster that the machine is a node of. */
  @Column({ name: 'owner_id', type: 'text', collation: 'C', nullable: true })
  ownerId!: string | null;

  @ForeignKey('flavor', { name: 'virtual_machine_flavor' })
  @Column({ name: 'flavor_id', type: 'text', collation: 'C' })
  flavorId!: string;

  @ForeignKey('image', { name: 'virtual_machine_image' })
  @Column({ name: 'image_id', type: 'text', collation: 'C' })
  imageId!: string;

  @ForeignKey('affinity_group', { name: 'virtual_machine_affinity_group' })
  @Column({ name: 'affinity_group_id', type: 'text', collation: 'C', nullable: true })
  affinityGroupId!: string | null;

  @Column('integer')
  cpu!: number;

  @Column('integer', { name: 'memory_mib' })
  memoryMib!: number;

  @Column('text', { name: 'desired_power' })
  desiredPower!: string;

  @Column('text', { default: 'NONE' })
  recovery!: string;

  /** Only of what older versions have made, until it is sealed. */
  @Column('text', { name: 'user_data', default: '' })
  userData!: string;

  /** The machine's sealed user data; null when it has none. */
  @Column({ name: 'user_data_secret', type: 'text', collation: 'C', nullable: true })
  userDataSecret!: string | null;

  @Column('jsonb', { default: {} })
  metadata!: Record<string, string>;

  /** Of the datastores that its root disk may be on; null for any. */
  @Column('text', { name: 'datastore_kind', nullable: true })
  datastoreKind!: string | null;

  /** Those that its first port was asked for with, like its network. */
  @Column({ name: 'security_group_ids', type: 'text', array: true, default: [] })
  securityGroupIds!: string[];

  /** The network of its first port, for when it is made again. */
  @Column({ name: 'network_id', type: 'text', collation: 'C', nullable: true })
  networkId!: string | null;

  /** Where it may be. */
  @Column('text', { name: 'zone_ids', array: true, default: [] })
  zoneIds!: string[];

  @Column({ name: 'zone_id', type: 'text', collation: 'C' })
  zoneId!: string;

  @Column({ name: 'rack_id', type: 'text', collation: 'C', nullable: true })
  rackId!: string | null;

  @Column({ name: 'host_id', type: 'text', collation: 'C' })
  hostId!: string;

  @Column({ name: 'backend_id', type: 'text', collation: 'C' })
  backendId!: string;

  /** What its backend calls it: its id, and another one since it was made anew. */
  @Column({ name: 'instance_id', type: 'text', collation: 'C' })
  instanceId!: string;

  /** What the backend calls the one that is being made in its place. */
  @Column({ name: 'successor_id', type: 'text', collation: 'C', nullable: true })
  successorId!: string | null;

  /** Why it is not made anew elsewhere, though its host does not answer and its policy says so. */
  @Column('jsonb', { name: 'recovery_block', nullable: true })
  recoveryBlock!: unknown;

  @Column('text')
  lifecycle!: string;

  @Column('text', { name: 'observed_power', default: 'UNKNOWN' })
  observedPower!: string;

  @Column('timestamptz', { name: 'observed_at', nullable: true })
  observedAt!: Date | null;

  @Column('text', { name: 'observed_reason', nullable: true })
  observedReason!: string | null;

  @Column('jsonb', { nullable: true })
  failure!: unknown;

  /** How the machine that the backend has differs from this one. */
  @Column('jsonb', { nullable: true })
  drift!: unknown;

  @ForeignKey('storage_policy', { name: 'virtual_machine_storage_policy' })
  @Column({ name: 'storage_policy_id', type: 'text', collation: 'C', nullable: true })
  storagePolicyId!: string | null;
}
