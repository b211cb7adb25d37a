import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { RowTimes } from '#database';
import { PortEntity } from '../port/port.entity.js';

@Entity('security_group')
@Check('security_group_lifecycle', `lifecycle IN ('PRESENT', 'DELETING')`)
@Index('security_group_name', ['project_id', 'name'], { unique: true })
@Index('security_group_tenant', ['tenant_id'])
export class SecurityGroupEntity extends RowTimes {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'security_group_pkey' })
  id!: string;

  @Column({ type: 'text', collation: 'C' })
  tenant_id!: string;

  @Column({ type: 'text', collation: 'C' })
  project_id!: string;

  @Column('text')
  name!: string;

  @Column('text', { default: '' })
  description!: string;

  @Column('jsonb', { default: [] })
  rules!: object;

  @Column('text', { default: 'PRESENT' })
  lifecycle!: string;

  @Column('bigint', { default: 1 })
  desired_revision!: number;
}

/** A backend that has it, or shall have it, because a port there is or was in it. */
@Entity('security_group_backend')
@Index('security_group_backend_backend', ['backend_id'])
export class SecurityGroupBackendEntity {
  @ForeignKey(() => SecurityGroupEntity, { name: 'security_group_backend_group', onDelete: 'CASCADE' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'security_group_backend_pkey' })
  security_group_id!: string;

  @ForeignKey('backend', { name: 'security_group_backend_known', onDelete: 'CASCADE' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'security_group_backend_pkey' })
  backend_id!: string;

  @Column('bigint', { default: 0 })
  realised_revision!: number;
}

/** That the rules of one name another, which therefore stays. */
@Entity('security_group_reference')
@Index('security_group_reference_referenced_id', ['referenced_id'])
export class SecurityGroupReferenceEntity {
  @ForeignKey(() => SecurityGroupEntity, { name: 'security_group_reference_group', onDelete: 'CASCADE', deferrable: 'INITIALLY DEFERRED' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'security_group_reference_pkey' })
  security_group_id!: string;

  @ForeignKey(() => SecurityGroupEntity, { name: 'security_group_reference_referenced', deferrable: 'INITIALLY DEFERRED' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'security_group_reference_pkey' })
  referenced_id!: string;
}

@Entity('port_security_group')
@Index('port_security_group_group_id', ['security_group_id', 'port_id'])
export class PortSecurityGroupEntity {
  @ForeignKey(() => PortEntity, { name: 'port_security_group_port', onDelete: 'CASCADE', deferrable: 'INITIALLY DEFERRED' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'port_security_group_pkey' })
  port_id!: string;

  @ForeignKey(() => SecurityGroupEntity, { name: 'port_security_group_group' })
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'port_security_group_pkey' })
  security_group_id!: string;
}
