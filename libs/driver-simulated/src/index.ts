export { FaultKind, type FaultScript, type FaultState } from './fault.js';
export type { SimulatedOptions } from './options.js';
export { simulatedDriverFactory } from './simulated-driver.js';
export {
  SimulatedHostState,
  SimulatedWorld,
  type GuestResponse,
  type GuestRunRecord,
  type HostUsage,
  type MachineDetail,
  type NetworkPartDetail,
  type NewHosts,
  type WorldCounts,
  type WorldObject,
} from './world.js';
