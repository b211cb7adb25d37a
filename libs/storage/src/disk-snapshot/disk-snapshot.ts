import { defineId, type ErrorRecord, type Id } from '#core';

export const diskSnapshotId = defineId('dsn');
export type DiskSnapshotId = Id<'dsn'>;

export const DiskSnapshotState = { CREATING: 'CREATING', AVAILABLE: 'AVAILABLE', DELETING: 'DELETING', FAILED: 'FAILED' } as const;
export type DiskSnapshotState = (typeof DiskSnapshotState)[keyof typeof DiskSnapshotState];

/** What was on a disk at one time, kept beside it in its pool; it goes with the disk. */
export interface DiskSnapshotRow {
  id: string;
  tenant_id: string;
  project_id: string;
  disk_id: string;
  name: string;
  size_gib: number;
  lifecycle: 'CREATING' | 'PRESENT' | 'DELETING' | 'FAILED';
  taken_at: Date | null;
  failure: ErrorRecord | null;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

export const diskSnapshotState = ({ lifecycle }: Pick<DiskSnapshotRow, 'lifecycle'>): DiskSnapshotState =>
  lifecycle === 'PRESENT' ? DiskSnapshotState.AVAILABLE : lifecycle;
