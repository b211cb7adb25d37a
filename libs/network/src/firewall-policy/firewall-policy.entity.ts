import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';

@Entity('firewall_policy')
@Check('firewall_policy_lifecycle', `lifecycle IN ('CREATING', 'PRESENT', 'DELETING', 'FAILED')`)
@Check('firewall_policy_scope', 'scope_project_id IS NULL OR scope_tenant_id IS NOT NULL')
@Index('firewall_policy_name', ['name'], { unique: true })
@Index('firewall_policy_position', ['position'], { unique: true })
@Index('firewall_policy_scope_tenant', ['scope_tenant_id'])
export class FirewallPolicyEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'firewall_policy_pkey' })
  id!: string;

  /** Null, like the project: it is the system's, whomever it is about. */
  @Column({ type: 'text', collation: 'C', nullable: true })
  tenant_id!: string | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  project_id!: string | null;

  @Column('text')
  name!: string;

  @Column('text', { default: '' })
  description!: string;

  @Column('jsonb', { default: [] })
  rules!: object;

  @Column('integer')
  position!: number;

  @Column({ type: 'text', collation: 'C', nullable: true })
  scope_tenant_id!: string | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  scope_project_id!: string | null;

  @Column('text', { default: 'CREATING' })
  lifecycle!: string;

  @Column('jsonb', { nullable: true })
  failure!: object | null;
}

/** One row, from which versions of all policies together are drawn: one at a time, so that a later one has all that earlier ones have. */
@Entity('firewall')
@Check('firewall_one_row', 'singleton')
export class FirewallEntity {
  @PrimaryColumn('boolean', { default: true, primaryKeyConstraintName: 'firewall_pkey' })
  singleton!: boolean;

  @Column('bigint', { default: 0 })
  last_revision!: number;
}

/** Since which version the policies about a tenant's ports, or with '' about everybody's, are as they are. */
@Entity('firewall_scope')
export class FirewallScopeEntity {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'firewall_scope_pkey' })
  tenant_id!: string;

  @Column('bigint')
  changed_revision!: number;

  @Column('timestamptz', { default: () => 'now()' })
  changed_at!: Date;
}

/** What a backend was last known to have. */
@Entity('firewall_backend')
export class FirewallBackendEntity {
  @ForeignKey('backend', { name: 'firewall_backend_known', onDelete: 'CASCADE' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'firewall_backend_pkey' })
  backend_id!: string;

  @Column('bigint', { default: 0 })
  realised_revision!: number;
}
