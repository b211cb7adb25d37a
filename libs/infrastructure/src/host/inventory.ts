import type { DriverCall, ObservedHost } from '#drivers';
import type { BackendRow } from '../backend/backend.js';
import type { DriverRegistry } from '../driver/driver-registry.js';

/** What a call outside of any operation gets. */
export function callOf(backend: BackendRow, purpose: string, signal: AbortSignal = new AbortController().signal): DriverCall {
  return { idempotencyKey: `${purpose}/${backend.id}`, timeoutMs: backend.call_timeout_ms, signal };
}

/** A backend's hosts by their names. */
export type Inventory = ReadonlyMap<string, ObservedHost>;

/** The backend's hosts as it reports them now. */
export async function readInventory(drivers: DriverRegistry, backend: BackendRow): Promise<Inventory> {
  const driver = await drivers.driver(backend.id);
  const observed = await driver.hosts.listHosts(callOf(backend, 'inventory'));
  return new Map(observed.map((host) => [host.hostName, host]));
}
