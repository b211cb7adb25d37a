import type { DriverCall } from './call.js';

export interface ObservedHost {
  /** The backend's own name. */
  hostName: string;
  alive: boolean;
  /** 0 where the backend cannot tell at this moment. */
  cpu: number;
  memoryMib: number;
  /** What the host is good for, as `ssd` or `gpu-a100`: lower-case words with hyphens. */
  traits: string[];
  pools: { name: string; capacityGib: number; usedGib: number; shared: boolean }[];
}

export interface HostLoad {
  hostName: string;
  /** Percent of the host's processors in use, 0 to 100. */
  cpuPercent: number;
  memoryUsedMib: number;
}

/** Only PROVEN_OFF lets machines be started elsewhere: killed and cut off look alike from afar. */
export const FenceResult = { PROVEN_OFF: 'PROVEN_OFF', UNKNOWN: 'UNKNOWN' } as const;
export type FenceResult = (typeof FenceResult)[keyof typeof FenceResult];

export interface HostDriver {
  listHosts(call: DriverCall): Promise<ObservedHost[]>;
  readLoad(call: DriverCall): Promise<HostLoad[]>;
  /** Turns the host off and proves it, if the backend can. */
  fence(call: DriverCall, hostName: string): Promise<FenceResult>;
}
