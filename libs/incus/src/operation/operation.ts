/** Codes of operations and instances (Incus `shared/api/status_code.go`); from 200 on it is an end. */
export const StatusCode = {
  CREATED: 100,
  STARTED: 101,
  STOPPED: 102,
  RUNNING: 103,
  CANCELLING: 104,
  PENDING: 105,
  STARTING: 106,
  STOPPING: 107,
  ABORTING: 108,
  FREEZING: 109,
  FROZEN: 110,
  THAWED: 111,
  /** Of an instance: its member does not answer. It may well be running. */
  ERROR: 112,
  READY: 113,
  SUCCESS: 200,
  FAILURE: 400,
  CANCELLED: 401,
} as const;
export type StatusCode = (typeof StatusCode)[keyof typeof StatusCode];

export const isFinal = (code: number): boolean => code >= StatusCode.SUCCESS;

/** A background operation (Incus `shared/api/operation.go`). */
export interface Operation {
  id: string;
  class: 'task' | 'websocket' | 'token';
  description: string;
  created_at: string;
  updated_at: string;
  status: string;
  status_code: StatusCode;
  resources: Record<string, string[]> | null;
  metadata: Record<string, unknown> | null;
  may_cancel: boolean;
  /** Empty unless it failed. */
  err: string;
  /** The member that runs it. */
  location: string;
}
