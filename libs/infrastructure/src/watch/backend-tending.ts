import type { Reader } from '#database';
import { defineKeeper, type Keeper } from '#operations';
import type { DriverRegistry } from '../driver/driver-registry.js';
import { findLiveBackends } from '../heartbeat/heartbeat.sql.js';

/** The keeper that does what a backend needs done all the time, at one place for each backend. */
export function backendTending(drivers: DriverRegistry): Keeper {
  return defineKeeper({
    name: 'backend-tending',
    targets: async (reader: Reader) => (await reader.rows(findLiveBackends)).map((backend) => backend.id),
    hold: async (backendId, { signal }) => (await drivers.driver(backendId)).tend(signal),
  });
}
