import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity('request_budget')
export class RequestBudgetEntity {
  /** Id of a principal or a tenant. */
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'request_budget_pkey' })
  subject!: string;

  @Column('timestamptz', { name: 'window_start' })
  windowStart!: Date;

  @Column('bigint')
  budget!: number;

  /** Of this window, to all processes together. */
  @Column('bigint')
  leased!: number;

  /** What the newest lease came to, so that its statement can tell. */
  @Column('bigint', { name: 'last_lease' })
  lastLease!: number;
}
