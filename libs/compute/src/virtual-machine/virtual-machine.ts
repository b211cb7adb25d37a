import { defineId, type ErrorRecord, type Id } from '#core';

export const virtualMachineId = defineId('vm');
export type VirtualMachineId = Id<'vm'>;

export const Power = { RUNNING: 'RUNNING', STOPPED: 'STOPPED', SUSPENDED: 'SUSPENDED' } as const;
export type Power = (typeof Power)[keyof typeof Power];

export const Lifecycle = {
  /** Admitted: its rows, charges and claims exist; an operation is making it real. */
  CREATING: 'CREATING',
  PRESENT: 'PRESENT',
  DELETING: 'DELETING',
  /** It was never made, or was taken back: it holds no infrastructure and no quota; its name stays until it is deleted. */
  FAILED: 'FAILED',
} as const;
export type Lifecycle = (typeof Lifecycle)[keyof typeof Lifecycle];

export const MachineState = {
  CREATING: 'CREATING',
  RUNNING: 'RUNNING',
  STARTING: 'STARTING',
  STOPPED: 'STOPPED',
  STOPPING: 'STOPPING',
  SUSPENDED: 'SUSPENDED',
  SUSPENDING: 'SUSPENDING',
  /** Its host does not answer: it may run or not. */
  UNKNOWN: 'UNKNOWN',
  DELETING: 'DELETING',
  FAILED: 'FAILED',
} as const;
export type MachineState = (typeof MachineState)[keyof typeof MachineState];

export interface VirtualMachineRow {
  id: string;
  tenant_id: string;
  project_id: string;
  name: string;
  owner_id: string | null;
  flavor_id: string;
  image_id: string;
  affinity_group_id: string | null;
  cpu: number;
  memory_mib: number;
  desired_power: Power;
  recovery: 'NONE' | 'RECREATE';
  user_data: string;
  metadata: Record<string, string>;
  zone_id: string;
  rack_id: string | null;
  host_id: string;
  backend_id: string;
  lifecycle: Lifecycle;
  observed_power: Power | 'UNKNOWN';
  observed_at: Date | null;
  observed_reason: string | null;
  failure: ErrorRecord | null;
  version: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
}

const UNDER_WAY: Record<Power, MachineState> = { RUNNING: 'STARTING', STOPPED: 'STOPPING', SUSPENDED: 'SUSPENDING' };

/** The one place where a machine's state is derived from what is wanted and what is seen. */
export function machineState(row: Pick<VirtualMachineRow, 'lifecycle' | 'desired_power' | 'observed_power'>): MachineState {
  if (row.lifecycle !== Lifecycle.PRESENT) return row.lifecycle;
  if (row.observed_power === 'UNKNOWN' || row.observed_power === row.desired_power) return row.observed_power;
  return UNDER_WAY[row.desired_power];
}

/** What rows in these states have in their columns, as `lifecycle/desired/observed`: for filters in SQL. */
export function rowsInStates(states: readonly MachineState[]): string[] {
  const all = Object.values(Lifecycle).flatMap((lifecycle) =>
    Object.values(Power).flatMap((desired_power) =>
      [...Object.values(Power), 'UNKNOWN' as const].map((observed_power) => ({ lifecycle, desired_power, observed_power })),
    ),
  );
  return all
    .filter((row) => states.includes(machineState(row)))
    .map((row) => `${row.lifecycle}/${row.desired_power}/${row.observed_power}`);
}

export interface Condition {
  type: 'READY' | 'HOST_REACHABLE';
  status: 'TRUE' | 'FALSE' | 'UNKNOWN';
  reason: string;
  message: string;
  since: Date | null;
}

/** Conditions with reasons from a closed list: CREATING, DELETING, CREATE_FAILED, AS_DESIRED, POWER_DIFFERS, HOST_SILENT. */
export function machineConditions(row: VirtualMachineRow): Condition[] {
  const since = row.observed_at;
  const reachable: Condition =
    row.observed_power === 'UNKNOWN' && row.lifecycle === 'PRESENT'
      ? { type: 'HOST_REACHABLE', status: 'UNKNOWN', reason: 'HOST_SILENT', message: row.observed_reason ?? 'The host does not answer.', since }
      : { type: 'HOST_REACHABLE', status: 'TRUE', reason: 'HOST_ANSWERS', message: 'The host answers.', since };
  return [readyCondition(row), reachable];
}

function readyCondition(row: VirtualMachineRow): Condition {
  const state = machineState(row);
  const since = row.observed_at;
  if (row.lifecycle === 'FAILED') {
    return { type: 'READY', status: 'FALSE', reason: 'CREATE_FAILED', message: row.failure?.message ?? 'It could not be made.', since: row.updated_at };
  }
  if (row.lifecycle !== 'PRESENT') {
    return { type: 'READY', status: 'FALSE', reason: row.lifecycle, message: 'An operation is under way.', since: row.created_at };
  }
  if (state === 'UNKNOWN') return { type: 'READY', status: 'UNKNOWN', reason: 'HOST_SILENT', message: 'The host does not answer.', since };
  if (state !== row.desired_power) {
    const message = `It shall be ${row.desired_power.toLowerCase()} and is ${row.observed_power.toLowerCase()}.`;
    return { type: 'READY', status: 'FALSE', reason: 'POWER_DIFFERS', message, since };
  }
  return { type: 'READY', status: 'TRUE', reason: 'AS_DESIRED', message: `It is ${state.toLowerCase()}, as desired.`, since };
}

