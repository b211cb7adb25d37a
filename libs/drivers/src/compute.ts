import type { DriverCall, Outcome, Ownership } from './call.js';

export const PowerState = { RUNNING: 'RUNNING', STOPPED: 'STOPPED', SUSPENDED: 'SUSPENDED', UNKNOWN: 'UNKNOWN' } as const;
export type PowerState = (typeof PowerState)[keyof typeof PowerState];

/** A network card of a machine, bound to a port that the network driver has realised. */
export interface MachineInterface {
  portId: string;
  networkId: string;
  macAddress: string;
  ipAddress: string;
}

/** What a machine shall be. Its name in the backend derives from `machineId`. */
export interface MachineSpecification {
  machineId: string;
  /** The guest's host name. */
  hostname: string;
  ownership: Ownership;
  /** The backend's own name of the host that Muon chose. */
  hostName: string;
  imageReference: string;
  cpu: number;
  memoryMib: number;
  interfaces: MachineInterface[];
  /** Root disk first; each was made by the storage driver. */
  diskIds: string[];
  /** cloud-init user data (https://cloudinit.readthedocs.io), with no secret in it. */
  userData: string;
}

/** A machine as the backend shows it. */
export interface ObservedMachine {
  machineId: string;
  /** Empty, as its size is 0, where its host is away and the backend tells no more than that it has it. */
  installationId: string;
  hostName: string;
  power: PowerState;
  cpu: number;
  memoryMib: number;
  portIds: string[];
  diskIds: string[];
  /** Guest address as the backend sees it, when it does. */
  ipAddress: string | null;
}

/**
 * A script that the guest's wrapper runs at most once under its run id, keeping status and output in the guest for a week
 * after it has ended; later it may be forgotten, and would run again. One that was cut off, by a power cut or because its
 * time was over, has ended with exit code 137.
 */
export interface GuestRun {
  /** At most 200 letters, digits, hyphens and underscores. */
  runId: string;
  machineId: string;
  /** `/bin/sh` text, at most 64 KiB. */
  script: string;
  /** Given on standard input and never kept: secrets travel here. */
  standardInput?: string;
  /**
   * Names of the lines `name=value` that the script writes to standard output when it succeeds. A backend that runs scripts
   * need not know them; one that only pretends to makes up the values.
   */
  answers?: readonly string[];
  timeoutSeconds: number;
  /** It only looks, as a readiness check does, so an hour is enough to keep it. The same for all who ask for the run. */
  brief?: boolean;
}

export interface GuestRunResult {
  exitCode: number;
  /** At most 64 KiB each. */
  standardOutput: string;
  standardError: string;
}

/**
 * Every call may be repeated and then answers as if it had been made once. Unknown ids are NOT_FOUND unless said otherwise;
 * what a machine's power state does not allow is INVALID_STATE; a machine whose host is away is UNAVAILABLE, except that
 * it can still be looked at, with power UNKNOWN.
 */
export interface ComputeDriver {
  /** Makes the machine, stopped. A machine of this id with another specification is a BACKEND_FAILED conflict. */
  createMachine(call: DriverCall, specification: MachineSpecification): Promise<Outcome<ObservedMachine>>;
  startMachine(call: DriverCall, machineId: string): Promise<Outcome<void>>;
  /** `force` cuts the power; otherwise the guest is asked first. Stopping a stopped machine succeeds. */
  stopMachine(call: DriverCall, machineId: string, force: boolean): Promise<Outcome<void>>;
  suspendMachine(call: DriverCall, machineId: string): Promise<Outcome<void>>;
  resumeMachine(call: DriverCall, machineId: string): Promise<Outcome<void>>;
  /** Of what runs; a repeat is told from another restart by its idempotency key. */
  restartMachine(call: DriverCall, machineId: string): Promise<Outcome<void>>;
  /** Only while stopped. */
  resizeMachine(call: DriverCall, machineId: string, size: { cpu: number; memoryMib: number }): Promise<Outcome<void>>;
  /** Moves a stopped machine, with its local disks, to another host of the backend. */
  moveMachine(call: DriverCall, machineId: string, hostName: string): Promise<Outcome<void>>;
  /**
   * Ensures that it is absent: waits for or cancels pending work on that id, deletes, and is DONE only when it is gone
   * and nothing pending can bring it back. An unknown id is DONE. Its disks stay, free again.
   */
  deleteMachine(call: DriverCall, machineId: string): Promise<Outcome<void>>;
  /** A disk that is attached to another machine is INVALID_STATE. */
  attachDisk(call: DriverCall, machineId: string, diskId: string): Promise<Outcome<void>>;
  /** A disk that is not attached to it is DONE. */
  detachDisk(call: DriverCall, machineId: string, diskId: string): Promise<Outcome<void>>;
  /** Starts the run, or finds it under its id; PENDING until the guest has ended it. Another script under its id is BACKEND_FAILED. */
  runInGuest(call: DriverCall, run: GuestRun): Promise<Outcome<GuestRunResult>>;
  /** The last lines of the machine's console. */
  readConsole(call: DriverCall, machineId: string): Promise<string>;
  /** undefined when the backend has none of that id. */
  getMachine(call: DriverCall, machineId: string): Promise<ObservedMachine | undefined>;
  /** All machines that carry any installation's mark, a page at a time; may lag behind by a few seconds. */
  listMachines(call: DriverCall, after: string | null, limit: number): Promise<ObservedMachine[]>;
}
