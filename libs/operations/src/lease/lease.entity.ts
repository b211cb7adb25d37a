import { Column, Entity, PrimaryColumn } from 'typeorm';

/** Who runs a reconciler or holds a keeper's target now, by PostgreSQL's clock. */
@Entity('lease')
export class LeaseEntity {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'lease_pkey' })
  name!: string;

  @Column({ type: 'text', collation: 'C', nullable: true })
  owner!: string | null;

  /** Rises with each taking; what is written in its name can be checked against it. */
  @Column('bigint', { default: 0 })
  fence!: number;

  @Column('timestamptz', { nullable: true })
  until!: Date | null;

  /** Not to be taken before. */
  @Column('timestamptz', { default: () => 'now()' })
  due_at!: Date;

  /** In a row, since the last success. */
  @Column('integer', { default: 0 })
  failures!: number;
}
