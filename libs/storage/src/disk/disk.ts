import { defineId, type ErrorRecord, type Id } from '#core';
import type { DiskHealth } from '#drivers';
import type { ComplianceState, PolicyRuleResult } from '../storage-policy/storage-policy.js';

export const diskId = defineId('dsk');
export type DiskId = Id<'dsk'>;

export const DiskState = {
  CREATING: 'CREATING',
  AVAILABLE: 'AVAILABLE',
  ATTACHING: 'ATTACHING',
  ATTACHED: 'ATTACHED',
  DETACHING: 'DETACHING',
  RESIZING: 'RESIZING',
  DELETING: 'DELETING',
  FAILED: 'FAILED',
} as const;
export type DiskState = (typeof DiskState)[keyof typeof DiskState];

export const DiskAttachment = { ATTACHING: 'ATTACHING', ATTACHED: 'ATTACHED', DETACHING: 'DETACHING' } as const;
export type DiskAttachment = (typeof DiskAttachment)[keyof typeof DiskAttachment];

/** A block device of a project. */
export interface DiskRow {
  id: string;
  tenant_id: string;
  project_id: string;
  name: string;
  size_gib: number;
  /** Reads and writes together in a second; null is unlimited. */
  iops_limit: number | null;
  image_reference: string | null;
  owner_id: string | null;
  position: number;
  attachment: DiskAttachment | null;
  datastore_id: string;
  backend_id: string;
  zone_id: string | null;
  host_id: string | null;
  /** Null when it keeps to none. */
  storage_policy_id: string | null;
  /** What each GiB takes of quota keys besides its own, by the policy that it was made with. */
  costs: Record<string, number>;
  lifecycle: 'CREATING' | 'PRESENT' | 'DELETING' | 'FAILED';
  realised_gib: number;
  realised_iops_limit: number | null;
  health: DiskHealth;
  observed_at: Date | null;
  /** How it keeps to its policy, each rule of that, and since when it is so; null before the first look, and without a policy. */
  compliance: ComplianceState | null;
  compliance_rules: PolicyRuleResult[] | null;
  compliance_since: Date | null;
  failure: ErrorRecord | null;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

/** Whether it was made of an image, with a machine: it is never attached or detached, and goes with the machine. */
export const isRootDisk = ({ image_reference: image }: Pick<DiskRow, 'image_reference'>): boolean => image !== null;

export function diskState(row: Pick<DiskRow, 'lifecycle' | 'owner_id' | 'attachment' | 'size_gib' | 'realised_gib'>): DiskState {
  if (row.lifecycle !== 'PRESENT') return row.lifecycle;
  if (row.realised_gib < row.size_gib) return DiskState.RESIZING;
  if (row.attachment !== null) return row.attachment;
  return row.owner_id === null ? DiskState.AVAILABLE : DiskState.ATTACHED;
}
