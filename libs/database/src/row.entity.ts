import { Column } from 'typeorm';

/** The bookkeeping columns of every resource's row; `revision` and `updated_at` are kept by the trigger `muon_touch_row`. */
export abstract class RowTimes {
  @Column('bigint', { default: 1 })
  version!: number;

  @Column('bigint', { default: 1 })
  revision!: number;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;

  @Column('timestamptz', { name: 'updated_at', default: () => 'now()' })
  updatedAt!: Date;
}
