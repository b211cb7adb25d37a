import { Column, Entity, ForeignKey, PrimaryColumn } from 'typeorm';

/** One row while the system is paused, none while it is not. */
@Entity('system_pause')
export class SystemPauseEntity {
  @ForeignKey('scope', { name: 'system_pause_scope' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'system_pause_pkey' })
  id!: string;

  @Column('boolean')
  mutations!: boolean;

  @Column('boolean')
  operations!: boolean;

  @Column('text')
  message!: string;

  @Column('timestamptz', { default: () => 'now()' })
  since!: Date;

  @Column('bigint', { default: 1 })
  version!: number;
}
