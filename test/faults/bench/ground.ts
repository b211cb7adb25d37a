import type { Logger } from '#core';
import type { FaultScript, FaultState, MachineDetail, NetworkPartDetail, SimulatedHostState, WorldObject } from '#driver-simulated';
import type { DriverFactory } from '#drivers';
import type { FaultHouse } from './fault-house.js';

/** The other side of a backend: lets calls to it go wrong, and tells what there truly is. */
export interface World {
  /** Of several that match a call, the oldest acts. */
  addFault(fault: FaultScript): Promise<number>;
  faults(): Promise<FaultState[]>;
  clearFaults(): Promise<void>;
  /** Lets everything that is on its way take effect now. */
  landPending(): Promise<void>;
  objects(): Promise<WorldObject[]>;
  machine(machineId: string): Promise<Pick<MachineDetail, 'cpu' | 'memoryMib' | 'power' | 'hostName'> | undefined>;
  networkParts(tenantId: string): Promise<NetworkPartDetail[]>;
  /** Lets a host fail and come back; left out where hosts are real. */
  setHost?(hostName: string, state: SimulatedHostState): Promise<void>;
  /** What is not as it must be where only this kind of backend has something to look at; each text is a violation. */
  remarks?(tenantId: string): Promise<string[]>;
}

export interface Hosts {
  zoneId: string;
  hostIds: readonly string[];
  hostNames: readonly string[];
}

/** Names of flavors and of an image that everybody may use. */
export interface Catalogue {
  readonly flavors: { readonly small: string; readonly large: string };
  readonly image: string;
  /** Where the hosts' cables lead; without it, wherever a test says. */
  readonly outside?: { readonly physicalNetwork: string; readonly vlan: number };
}

/** A backend for one operation at a time. */
export interface Site {
  readonly backendId: string;
  readonly world: World;
  /** A zone with hosts; what stood there before is in nobody's way. */
  hosts(name: string, sharedStorage: boolean): Promise<Hosts>;
  close(): Promise<void>;
}

/** Where operations are put to the test. */
export interface Ground {
  readonly catalogue: Catalogue;
  /** The lease of operations; a dead worker's operation is free again after it. */
  readonly leaseMs: number;
  /** After which a call that hangs is given up. */
  readonly callTimeoutMs: number;
  /** How many operations work on one backend at once. */
  readonly backendLimit: number;
  /** Far longer than any run takes when nothing else runs: only what does not move comes to it. */
  readonly patienceMs: number;
  drivers(log: Logger): readonly DriverFactory[];
  openSite(bench: FaultHouse, number: number): Promise<Site>;
  close(): Promise<void>;
}
