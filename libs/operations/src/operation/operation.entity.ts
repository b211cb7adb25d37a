import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';
import type { ErrorRecord, JsonObject, JsonValue } from '#core';
import type { Blocker, FanOutRecord } from './operation.js';

/** Rows are written by the statements of this room; the entities keep the migration honest. */
@Entity('operation')
@Check(
  'operation_state',
  `state IN ('QUEUED', 'RUNNING', 'WAITING', 'UNDOING', 'SUCCEEDED', 'FAILED', 'CANCELLED', 'STUCK')`,
)
@Check('operation_origin', `origin IN ('USER', 'RECONCILER', 'SYSTEM')`)
@Check('operation_direction', `direction IN ('FORWARD', 'UNDO')`)
@Check('operation_ended', `(state IN ('SUCCEEDED', 'FAILED', 'CANCELLED')) = (ended_at IS NOT NULL)`)
@Check('operation_ended_rests', 'ended_at IS NULL OR (wake_at IS NULL AND lease_owner IS NULL AND pending_children = 0)')
@Check('operation_lease', '(lease_owner IS NULL) = (lease_until IS NULL) AND (lease_owner IS NULL OR wake_at IS NOT NULL)')
@Check('operation_pending_children', 'pending_children >= 0')
@Check('operation_scope', 'tenant_id IS NOT NULL OR project_id IS NULL')
@Check(
  'operation_family',
  '(parent_id IS NULL) = (parent_step IS NULL) AND (parent_id IS NULL) = (parent_attempt IS NULL) AND (parent_id IS NOT NULL OR root_id = id)',
)
// Its expressions are in the migration only.
@Index('operation_ready', { synchronize: false })
@Index('operation_held', ['tenant_id', 'backend_id'], { where: 'lease_owner IS NOT NULL' })
@Index('operation_unfinished', ['handler'], { where: 'ended_at IS NULL' })
@Index('operation_signal', ['wake_signal'], { where: 'wake_signal IS NOT NULL' })
@Index('operation_parent', ['parent_id', 'parent_attempt', 'parent_step'], { where: 'parent_id IS NOT NULL' })
@Index('operation_resource', ['resource_id', 'id'])
@Index('operation_tenant', ['tenant_id', 'id'])
@Index('operation_project', ['project_id', 'id'])
@Index('operation_history', ['kind', 'ended_at'], { where: `state = 'SUCCEEDED'` })
export class OperationEntity {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'operation_pkey' })
  id!: string;

  @Column({ type: 'text', collation: 'C' })
  kind!: string;

  @Column('integer')
  kind_version!: number;

  /** Kind, version and a digest of the step names: what a worker must serve to claim it. */
  @Column({ type: 'text', collation: 'C' })
  handler!: string;

  @Column({ type: 'text', collation: 'C' })
  resource_kind!: string;

  @Column({ type: 'text', collation: 'C' })
  resource_id!: string;

  @Column({ type: 'text', collation: 'C', nullable: true })
  tenant_id!: string | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  project_id!: string | null;

  @Column({ type: 'text', collation: 'C' })
  root_id!: string;

  @Column({ type: 'text', collation: 'C', nullable: true })
  parent_id!: string | null;

  /** The parent's step and attempt that this is a child of. */
  @Column('integer', { nullable: true })
  parent_step!: number | null;

  @Column('integer', { nullable: true })
  parent_attempt!: number | null;

  /** The succeeded sibling that this operation takes back. */
  @Column({ type: 'text', collation: 'C', nullable: true })
  compensates_id!: string | null;

  @Column('text', { default: 'USER' })
  origin!: string;

  @Column({ type: 'text', collation: 'C', nullable: true })
  principal_id!: string | null;

  @Column('text', { nullable: true })
  request_id!: string | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  backend_id!: string | null;

  @Column('jsonb')
  input!: JsonObject;

  @Column('text', { array: true })
  step_names!: string[];

  @Column('integer', { nullable: true })
  pivot_index!: number | null;

  @Column('text', { default: 'QUEUED' })
  state!: string;

  @Column('integer', { default: 1 })
  attempt!: number;

  @Column('text', { default: 'FORWARD' })
  direction!: string;

  /** The step that is run (or undone) now; the number of steps when all are done, -1 when all are undone. */
  @Column('integer', { default: 0 })
  step_index!: number;

  @Column('integer', { default: 0 })
  steps_done!: number;

  @Column('boolean', { default: false })
  pivot_passed!: boolean;

  @Column('timestamptz', { nullable: true })
  cancel_requested_at!: Date | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  cancel_requested_by!: string | null;

  /** 0: has begun, or is a child of what has; goes before 1: a root that has not. */
  @Column('smallint', { default: 1 })
  turn!: number;

  /** When a worker shall look at it; null while it waits for children, for a lock or for an operator, and at the end. */
  @Column('timestamptz', { nullable: true })
  wake_at!: Date | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  wake_signal!: string | null;

  @Column('bigint')
  deadline_ms!: number;

  @Column('timestamptz', { nullable: true })
  deadline_at!: Date | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  lease_owner!: string | null;

  @Column('timestamptz', { nullable: true })
  lease_until!: Date | null;

  @Column('bigint', { default: 0 })
  fence!: number;

  @Column('integer', { default: 0 })
  pending_children!: number;

  @Column('jsonb', { nullable: true })
  fan_out!: FanOutRecord | null;

  @Column('jsonb', { nullable: true })
  blocker!: Blocker | null;

  @Column('jsonb', { nullable: true })
  error!: ErrorRecord | null;

  @Column('jsonb', { default: () => `'[]'` })
  not_restored!: JsonValue;

  @Column('jsonb', { nullable: true })
  abandonment!: JsonObject | null;

  @Column('timestamptz', { default: () => 'now()' })
  queued_at!: Date;

  @Column('timestamptz', { nullable: true })
  started_at!: Date | null;

  @Column('timestamptz', { nullable: true })
  ended_at!: Date | null;

  @Column('bigint', { default: 1 })
  revision!: number;

  @Column('timestamptz', { default: () => 'now()' })
  created_at!: Date;

  @Column('timestamptz', { default: () => 'now()' })
  updated_at!: Date;
}

/** A step of an attempt, from its first start on. */
@Entity('operation_step')
@Check('operation_step_state', `state IN ('STARTED', 'DONE', 'FAILED', 'UNDONE')`)
export class OperationStepEntity {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'operation_step_pkey' })
  operation_id!: string;

  @PrimaryColumn('integer', { primaryKeyConstraintName: 'operation_step_pkey' })
  attempt!: number;

  @PrimaryColumn('integer', { primaryKeyConstraintName: 'operation_step_pkey' })
  index!: number;

  @Column('text')
  name!: string;

  @Column('text')
  state!: string;

  @Column('integer', { default: 0 })
  tries!: number;

  @Column('jsonb', { nullable: true })
  memo!: JsonValue | null;

  @Column('jsonb', { nullable: true })
  output!: JsonValue | null;

  @Column('jsonb', { nullable: true })
  error!: ErrorRecord | null;

  @Column('timestamptz', { default: () => 'now()' })
  started_at!: Date;

  /** When the present run, or the undo, was first started. */
  @Column('timestamptz', { nullable: true })
  since!: Date | null;

  @Column('timestamptz', { nullable: true })
  ended_at!: Date | null;
}

/** How an earlier attempt of a retried operation ended. */
@Entity('operation_attempt')
export class OperationAttemptEntity {
  @PrimaryColumn({ type: 'text', collation: 'C', primaryKeyConstraintName: 'operation_attempt_pkey' })
  operation_id!: string;

  @PrimaryColumn('integer', { primaryKeyConstraintName: 'operation_attempt_pkey' })
  attempt!: number;

  @Column('text')
  state!: string;

  @Column('jsonb', { nullable: true })
  error!: ErrorRecord | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  principal_id!: string | null;

  @Column('timestamptz')
  queued_at!: Date;

  @Column('timestamptz', { nullable: true })
  started_at!: Date | null;

  @Column('timestamptz')
  ended_at!: Date;
}
