import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

@Entity('idempotency_key')
@Index('idempotency_key_at', ['createdAt'])
export class IdempotencyKeyEntity {
  @PrimaryColumn({ name: 'principal_id', type: 'text', collation: 'C', primaryKeyConstraintName: 'idempotency_key_pkey' })
  principalId!: string;

  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'idempotency_key_pkey' })
  key!: string;

  @Column('text', { name: 'input_hash' })
  inputHash!: string;

  @Column('jsonb', { nullable: true })
  result!: unknown;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;
}

@Entity('plan')
@Index('plan_expiry', ['expiresAt'])
export class PlanEntity {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'plan_pkey' })
  id!: string;

  @Column({ name: 'principal_id', type: 'text', collation: 'C' })
  principalId!: string;

  @Column('text')
  command!: string;

  @Column('jsonb')
  input!: unknown;

  @Column('jsonb')
  changes!: unknown;

  @Column('jsonb')
  requirements!: unknown;

  @Column('text')
  snapshot!: string;

  @Column({ name: 'tenant_id', type: 'text', collation: 'C', nullable: true })
  tenantId!: string | null;

  @Column({ name: 'project_id', type: 'text', collation: 'C', nullable: true })
  projectId!: string | null;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'expires_at' })
  expiresAt!: Date;

  @Column('timestamptz', { name: 'applied_at', nullable: true })
  appliedAt!: Date | null;
}
