import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** One encrypted value: its data key, wrapped by the key `key_id`, and what that data key encrypts. */
@Entity('secret')
@Index('secret_owner', ['owner_id'])
@Index('secret_key', ['key_id', 'id'])
@Check('secret_scope', 'tenant_id IS NOT NULL OR project_id IS NULL')
@Check('secret_purpose_length', 'length(purpose) BETWEEN 1 AND 100')
@Check('secret_ciphertext_size', 'octet_length(ciphertext) BETWEEN 30 AND 66000')
export class SecretEntity {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'secret_pkey' })
  id!: string;

  @Column({ type: 'text', collation: 'C' })
  owner_id!: string;

  @Column({ type: 'text', collation: 'C', nullable: true })
  tenant_id!: string | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  project_id!: string | null;

  @Column({ type: 'text' })
  purpose!: string;

  @Column({ type: 'text', collation: 'C' })
  key_id!: string;

  @Column({ type: 'bytea' })
  wrapped_key!: Buffer;

  @Column({ type: 'bytea' })
  ciphertext!: Buffer;

  @Column({ type: 'timestamptz', default: () => 'now()' })
  created_at!: Date;

  /** When the data key was last wrapped anew; null until the first time. */
  @Column({ type: 'timestamptz', nullable: true })
  rotated_at!: Date | null;
}
