import type { Capabilities } from '../capabilities.js';
import type { Driver } from '../driver.js';
import type { MachineSpecification } from '../compute.js';
import type { ObservedNetworkPart } from '../network.js';

/** The contracts of a driver. */
export const CONTRACTS = ['compute', 'storage', 'network', 'hosts'] as const;
export type Contract = (typeof CONTRACTS)[number];

/** What a driver room brings so that its driver can be examined: a running backend and what may be used there. */
export interface ConformanceSubject {
  /** Where only some contracts are examined, the others are not touched. */
  driver: Driver;
  /** Whose everything is that the examination makes, where the driver goes by that. */
  installationId?: string;
  /** Hosts of the backend, by its own names, all alive; with two of them moves are examined too. */
  hostNames: readonly [string, ...string[]];
  /** A pool that all of them reach, or that each of them has. */
  poolName: string;
  imageReference: string;
  /** How long a call may stay PENDING, a listing stale and a hint away, in milliseconds. */
  patienceMs: number;
  /** What each machine needs here beside the usual, as interfaces on ports that another driver has made. */
  machine?: Partial<MachineSpecification>;
  hooks: ConformanceHooks;
  teardown(): Promise<void>;
}

/** What only some backends let a test do to them. What is missing is skipped, and the report says so. */
export interface ConformanceHooks {
  /** Opens a unit of work of libs/database around the work. */
  insideUnitOfWork?(work: () => Promise<void>): Promise<void>;
  /** A second connection to the same backend, as from another process. */
  connectAgain?(): Promise<Driver>;
  /** A connection whose backend lacks one capability. */
  connectWithout?(capability: keyof Capabilities): Promise<Driver>;
  /** The next call of this method takes effect, and its answer is lost. */
  loseNextAnswer?(method: string): Promise<void>;
  /** The next call of this method gets no answer. */
  hangNext?(method: string): Promise<void>;
  /** The next call of this method times out and takes effect about this much later, unless something stops it. */
  delayNextEffect?(method: string, milliseconds: number): Promise<void>;
  /** Takes the bridge that leads to this network outside away from a host, or gives it back. */
  connectHost?(hostName: string, physicalNetwork: string, connected: boolean): Promise<void>;
  killHost?(hostName: string): Promise<void>;
  /** Nobody can reach it, but its machines run on. */
  cutOffHost?(hostName: string): Promise<void>;
  returnHost?(hostName: string): Promise<void>;
  /** Changes something that this part of the network consists of, or takes it away, as somebody would by hand. */
  damagePart?(part: ObservedNetworkPart): Promise<void>;
  /** Where the network says that a port's machine is, from the network itself. */
  boundHost?(portId: string): Promise<string | undefined>;
  /** Takes the part itself away. */
  losePart?(part: ObservedNetworkPart): Promise<void>;
}
