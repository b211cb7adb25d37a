import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';

/** What one machine takes of a host. While it moves it has two: where it is and where it goes. */
@Entity('host_claim')
@Check('host_claim_cpu', 'cpu >= 0')
@Check('host_claim_memory', 'memory_mib >= 0')
@Index('host_claim_of_host', ['hostId'])
export class HostClaimEntity {
  @PrimaryColumn({ name: 'resource_id', type: 'text', collation: 'C', primaryKeyConstraintName: 'host_claim_pkey' })
  resourceId!: string;

  @ForeignKey('host_capacity', { name: 'host_claim_host' })
  @PrimaryColumn({ name: 'host_id', type: 'text', collation: 'C', primaryKeyConstraintName: 'host_claim_pkey' })
  hostId!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C' })
  tenantId!: string;

  @Column({ name: 'project_id', type: 'text', collation: 'C' })
  projectId!: string;

  @Column('bigint')
  cpu!: number;

  @Column('bigint', { name: 'memory_mib' })
  memoryMib!: number;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;
}

/** What one disk takes of a datastore. */
@Entity('datastore_claim')
@Check('datastore_claim_gib', 'gib >= 0')
@Index('datastore_claim_of_datastore', ['datastoreId'])
export class DatastoreClaimEntity {
  @PrimaryColumn({ name: 'resource_id', type: 'text', collation: 'C', primaryKeyConstraintName: 'datastore_claim_pkey' })
  resourceId!: string;

  @ForeignKey('datastore_capacity', { name: 'datastore_claim_datastore' })
  @PrimaryColumn({ name: 'datastore_id', type: 'text', collation: 'C', primaryKeyConstraintName: 'datastore_claim_pkey' })
  datastoreId!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C' })
  tenantId!: string;

  @Column({ name: 'project_id', type: 'text', collation: 'C' })
  projectId!: string;

  @Column('bigint')
  gib!: number;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;
}
