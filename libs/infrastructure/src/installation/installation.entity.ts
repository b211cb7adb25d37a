import { Check, Column, Entity, PrimaryColumn } from 'typeorm';

@Entity('installation')
@Check('installation_one_row', 'singleton')
export class InstallationEntity {
  @PrimaryColumn('boolean', { default: true, primaryKeyConstraintName: 'installation_pkey' })
  singleton!: boolean;

  @Column({ type: 'text', collation: 'C' })
  id!: string;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt!: Date;
}
