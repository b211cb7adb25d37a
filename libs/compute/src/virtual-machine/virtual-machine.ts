import { defineId, type ErrorRecord, type Id } from '#core';

export const virtualMachineId = defineId('vm');
export type VirtualMachineId = Id<'vm'>;

/** What machines and their disks are called on tombstones. */
export const MACHINE_OBJECT = 'machine';
export const DISK_OBJECT = 'disk';

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

export const DriftCode = {
  /** The backend does not have the machine any more. */
  MACHINE_MISSING: 'MACHINE_MISSING',
  /** The backend has it on another host than Muon has placed it on. */
  ON_ANOTHER_HOST: 'ON_ANOTHER_HOST',
  /** The backend has it in another size: a resize that was taken back has come late. It is put right while it is stopped. */
  SIZE_DIFFERS: 'SIZE_DIFFERS',
  /** The backend has it with other disks: a call that was given up has come late, or somebody else has changed it. They are put right. */
  DISKS_DIFFER: 'DISKS_DIFFER',
} as const;
export type DriftCode = (typeof DriftCode)[keyof typeof DriftCode];

/** How the machine that the backend has differs from its row. */
export interface MachineDrift {
  code: DriftCode;
  /** ISO time since when it is seen so. */
  since: string;
  /** The backend's name of the other host; for operators. */
  hostName?: string;
  /** Attached by their rows, and not in the backend. */
  missingDiskIds?: string[];
  /** Attached in the backend, and not by their rows. */
  surplusDiskIds?: string[];
}

export const MachineRecovery = {
  /** It waits for its host, and runs again when that returns. */
  NONE: 'NONE',
  /** When its host is proven to be off it is made anew elsewhere, of its image: what was on its root disk is lost. */
  RECREATE: 'RECREATE',
} as const;
export type MachineRecovery = (typeof MachineRecovery)[keyof typeof MachineRecovery];

/** What keeps a machine from being made anew though its host does not answer and its policy says so. */
export interface RecoveryBlock {
  /** HOST_NOT_PROVEN_OFF, SHALL_NOT_RUN, DATA_DISKS, FAILED_LATELY, or the code of the error that it met, as INSUFFICIENT_CAPACITY. */
  code: string;
  message: string;
  /** ISO time since when. */
  since: string;
}

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
  recovery: MachineRecovery;
  metadata: Record<string, string>;
  /** The network of its first port; null of machines that older versions made. */
  network_id: string | null;
  /** Those that it was asked for with; its port may have joined and left others since. */
  security_group_ids: string[];
  /** The zones that it may be in; empty of machines that older versions made. */
  zone_ids: string[];
  /** Of the datastores that its root disk may be on; null for any. */
  datastore_kind: string | null;
  /** What its root disk was to keep to. */
  storage_policy_id: string | null;
  zone_id: string;
  rack_id: string | null;
  host_id: string;
  backend_id: string;
  /** What its backend calls it: its id, and another one since it was made anew. */
  instance_id: string;
  /** What the backend calls the one that an operation is making in its place. */
  successor_id: string | null;
  recovery_block: RecoveryBlock | null;
  lifecycle: Lifecycle;
  observed_power: Power | 'UNKNOWN';
  observed_at: Date | null;
  observed_reason: string | null;
  failure: ErrorRecord | null;
  drift: MachineDrift | null;
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
  type: 'READY' | 'HOST_REACHABLE' | 'IN_PLACE' | 'RECOVERY';
  status: 'TRUE' | 'FALSE' | 'UNKNOWN';
  reason: string;
  message: string;
  since: Date | null;
}

const DRIFT_MESSAGES: Record<DriftCode, string> = {
  MACHINE_MISSING: 'The backend does not have the machine any more; an operator must bring it back, or it is deleted.',
  ON_ANOTHER_HOST: 'It is on another host than the one that it was placed on; an operator must move it back.',
  SIZE_DIFFERS: 'It has another size than it shall have; it gets the right one the next time that it is stopped.',
  DISKS_DIFFER: 'It has other disks than it shall have; those that it lacks are attached again, and those that it shall not have are detached.',
};

/**
 * Conditions with reasons from a closed list: CREATING, DELETING, CREATE_FAILED, AS_DESIRED, POWER_DIFFERS, HOST_SILENT,
 * HOST_ANSWERS, AS_PLACED, PREPARED, BEING_RECREATED, and what `DriftCode` and `RecoveryBlock` name. RECOVERY is told of those
 * that are to be made anew.
 */
export function machineConditions(row: VirtualMachineRow): Condition[] {
  const always = [readyCondition(row), hostCondition(row), placeCondition(row)];
  return row.recovery === MachineRecovery.NONE ? always : [...always, recoveryCondition(row)];
}

function recoveryCondition({ recovery_block: block, successor_id: successorId }: VirtualMachineRow): Condition {
  const type = 'RECOVERY' as const;
  if (successorId !== null) {
    return { type, status: 'TRUE', reason: 'BEING_RECREATED', message: 'Its host is proven to be off: it is being made anew elsewhere.', since: null };
  }
  if (block !== null) return { type, status: 'FALSE', reason: block.code, message: block.message, since: new Date(block.since) };
  const message = 'When its host is proven to be off it is made anew elsewhere, of its image; what was on its root disk is lost then.';
  return { type, status: 'TRUE', reason: 'PREPARED', message, since: null };
}

function hostCondition(row: VirtualMachineRow): Condition {
  const since = row.observed_at;
  if (row.observed_power === 'UNKNOWN' && row.lifecycle === 'PRESENT' && row.drift?.code !== 'MACHINE_MISSING') {
    const message = row.observed_reason ?? 'Its host does not answer.';
    return { type: 'HOST_REACHABLE', status: 'UNKNOWN', reason: 'HOST_SILENT', message, since };
  }
  return { type: 'HOST_REACHABLE', status: 'TRUE', reason: 'HOST_ANSWERS', message: 'Its host answers.', since };
}

function placeCondition({ drift }: VirtualMachineRow): Condition {
  if (drift === null) return { type: 'IN_PLACE', status: 'TRUE', reason: 'AS_PLACED', message: 'It is where it was placed.', since: null };
  const { code, since } = drift;
  return { type: 'IN_PLACE', status: 'FALSE', reason: code, message: DRIFT_MESSAGES[code], since: new Date(since) };
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
  if (row.drift?.code === 'MACHINE_MISSING') {
    const { code, since: missing } = row.drift;
    return { type: 'READY', status: 'FALSE', reason: code, message: DRIFT_MESSAGES[code], since: new Date(missing) };
  }
  if (state === 'UNKNOWN') {
    return { type: 'READY', status: 'UNKNOWN', reason: 'HOST_SILENT', message: row.observed_reason ?? 'Its host does not answer.', since };
  }
  if (state !== row.desired_power) {
    const message = `It shall be ${row.desired_power.toLowerCase()} and is ${row.observed_power.toLowerCase()}.`;
    return { type: 'READY', status: 'FALSE', reason: 'POWER_DIFFERS', message, since };
  }
  return { type: 'READY', status: 'TRUE', reason: 'AS_DESIRED', message: `It is ${state.toLowerCase()}, as desired.`, since };
}
