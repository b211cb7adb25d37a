import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('flavor')
@Check('flavor_cpu', 'cpu > 0')
@Check('flavor_memory', 'memory_mib > 0')
@Check('flavor_disk', 'disk_gib > 0')
@Check('flavor_state', `state IN ('ACTIVE', 'PENDING_DELETE')`)
@Index('flavor_name', ['name'], { unique: true })
@Index('flavor_of_storage_policy', ['storagePolicyId'], { where: '(storage_policy_id IS NOT NULL)' })
export class FlavorEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'flavor_pkey' })
  id!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C', nullable: true })
  tenantId!: string | null;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  @Column('text')
  name!: string;

  @Column('integer')
  cpu!: number;

  @Column('integer', { name: 'memory_mib' })
  memoryMib!: number;

  @Column('integer', { name: 'disk_gib' })
  diskGib!: number;

  @Column('jsonb')
  costs!: Record<string, number>;

  @Column('text', { default: 'ACTIVE' })
  state!: string;

  @ForeignKey('storage_policy', { name: 'flavor_storage_policy' })
  @Column({ name: 'storage_policy_id', type: 'text', collation: 'C', nullable: true })
  storagePolicyId!: string | null;
}
