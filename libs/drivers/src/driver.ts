import type { Capabilities } from './capabilities.js';
import type { ComputeDriver } from './compute.js';
import type { HostDriver } from './host.js';
import type { NetworkDriver } from './network.js';
import type { StorageDriver } from './storage.js';

export interface BackendEvent {
  /** NETWORK is a part of the network that is gone, or no longer as it was made; changes by drivers themselves need no hint. */
  kind: 'MACHINE' | 'HOST' | 'DISK' | 'NETWORK';
  id: string;
}

/** How to reach one backend. The secret is opened by the caller and never logged. */
export interface BackendConnection {
  backendId: string;
  installationId: string;
  endpoint: string;
  secret: string | null;
  options: Record<string, unknown>;
}

/**
 * One open connection to one backend, shared by all callers in the process. Every call is refused with INTERNAL inside
 * an open unit of work. The rules of all contracts are examined by `#drivers/conformance`.
 */
export interface Driver {
  readonly capabilities: Capabilities;
  readonly compute: ComputeDriver;
  readonly network: NetworkDriver;
  readonly storage: StorageDriver;
  readonly hosts: HostDriver;
  /**
   * Calls back for changes until the signal aborts; a hint that shortens latency and may miss some, so whoever uses
   * it also looks from time to time. Resolves when the watch has ended.
   */
  watch(onEvent: (event: BackendEvent) => void, signal: AbortSignal): Promise<void>;
  /**
   * Does what somebody has to do for the backend all the time, as binding ports to the devices of machines that start,
   * until the signal aborts. One process at a time is asked to, and begins with a look at everything; two that overlap
   * for a while do no harm.
   */
  tend(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Makes drivers of one kind of backend; named only where an app is composed. */
export interface DriverFactory {
  /** The backend row's kind, as `simulated`. */
  readonly kind: string;
  /** @throws INVALID_INPUT when endpoint or options are not of this kind's shape. */
  connect(connection: BackendConnection): Promise<Driver>;
}
