import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** A backend object that must not exist any more: the orphan sweep deletes only what has one (DESIGN §4). */
@Entity('tombstone')
@Index('tombstone_unsettled', ['backend_id', 'created_at'], { where: 'settled_at IS NULL' })
export class TombstoneEntity {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'tombstone_pkey' })
  backend_id!: string;

  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'tombstone_pkey' })
  object_kind!: string;

  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'tombstone_pkey' })
  object_id!: string;

  @Column('text')
  reason!: string;

  @Column('timestamptz', { default: () => 'now()' })
  created_at!: Date;

  /** When the backend was last seen without the object. */
  @Column('timestamptz', { nullable: true })
  settled_at!: Date | null;

  /** The operation of the sweep that is deleting the object: until it has ended, nothing of that id is made again. */
  @Column({ type: 'text', collation: 'C', nullable: true })
  sweep_operation_id!: string | null;
}
