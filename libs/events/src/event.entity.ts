import { Check, Column, Entity, Index, PrimaryColumn, PrimaryGeneratedColumn } from 'typeorm';

@Entity('event')
@Index('event_order', ['transactionId', 'sequence'])
@Index('event_at', ['at'])
export class EventEntity {
  @PrimaryGeneratedColumn('identity', {
    name: 'sequence',
    type: 'bigint',
    generatedIdentity: 'ALWAYS',
    primaryKeyConstraintName: 'event_pkey',
  })
  sequence!: number;

  @Column('bigint', { name: 'transaction_id' })
  transactionId!: number;

  @Column('text')
  kind!: string;

  @Column({ type: 'text', name: 'resource_id', collation: 'C' })
  resourceId!: string;

  @Column({ type: 'text', name: 'tenant_id', collation: 'C', nullable: true })
  tenantId!: string | null;

  @Column({ type: 'text', name: 'project_id', collation: 'C', nullable: true })
  projectId!: string | null;

  @Column('text')
  change!: string;

  @Column('bigint')
  revision!: number;

  @Column('timestamptz', { default: () => 'now()' })
  at!: Date;
}

@Entity('event_log')
@Check('event_log_one_row', '(id = 1)')
export class EventLogEntity {
  @PrimaryColumn('smallint', { default: 1, primaryKeyConstraintName: 'event_log_pkey' })
  id!: number;

  @Column('text')
  epoch!: string;

  @Column('text', { name: 'system_identifier' })
  systemIdentifier!: string;

  @Column('bigint', { name: 'pruned_transaction_id', default: 0 })
  prunedTransactionId!: number;
}
