import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/**
 * Who may change a resource; belongs to the root operation until that ends, or to a child that holds it by itself: that is then
 * named as the root of the lock.
 */
@Entity('resource_lock')
@Index('resource_lock_root', ['root_operation_id'])
@Index('resource_lock_successor', ['successor_operation_id'], { where: 'successor_operation_id IS NOT NULL' })
export class ResourceLockEntity {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'resource_lock_pkey' })
  resource_id!: string;

  @Column({ type: 'text', collation: 'C' })
  operation_id!: string;

  @Column({ type: 'text', collation: 'C' })
  root_operation_id!: string;

  /** The delete that runs next. */
  @Column({ type: 'text', collation: 'C', nullable: true })
  successor_operation_id!: string | null;

  @Column('timestamptz', { default: () => 'now()' })
  created_at!: Date;
}
