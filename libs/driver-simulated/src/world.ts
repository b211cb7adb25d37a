import { notFound } from '#core';
import { DiskHealth, type ObservedNetworkPart, type PowerState } from '#drivers';
import type { FaultScript, FaultState } from './fault.js';
import { Simulation } from './simulation.js';
import * as sql from './world.sql.js';

export const SimulatedHostState = {
  ALIVE: 'ALIVE',
  /** Killed: its machines have stopped, and fencing it proves so. */
  DEAD: 'DEAD',
  /** Cut off: its machines run on, and nobody can tell. */
  PARTITIONED: 'PARTITIONED',
} as const;
export type SimulatedHostState = (typeof SimulatedHostState)[keyof typeof SimulatedHostState];

export interface NewHosts {
  /** Hosts are named `<prefix>-1` and so on; those that exist already stay as they are. */
  prefix: string;
  count: number;
  cpu: number;
  memoryMib: number;
  traits?: string[];
  /** A shared pool is one for all hosts that name it; another is each host's own. */
  pools?: { name: string; capacityGib: number; shared?: boolean }[];
  rack?: string;
}

export interface WorldCounts {
  hosts: number;
  machines: number;
  runningMachines: number;
  disks: number;
  snapshots: number;
  networks: number;
  ports: number;
  loadBalancers: number;
  externalNetworks: number;
  providerRouters: number;
  routers: number;
  floatingIps: number;
  guestRuns: number;
  /** What has been accepted, or is on its way, and has not taken effect yet. */
  pendingWork: number;
}

/** One thing that a backend holds for an installation: what a check for orphans compares with Muon's rows. */
export interface WorldObject {
  kind: 'MACHINE' | 'DISK' | 'SNAPSHOT' | ObservedNetworkPart['kind'];
  id: string;
  installationId: string;
  tenantId: string;
  projectId: string;
}

/** A part of the realised network, with what the backend was told of it. */
export interface NetworkPartDetail {
  kind: ObservedNetworkPart['kind'];
  id: string;
  tenantId: string;
  revision: number;
  specification: Record<string, unknown>;
}

export interface MachineDetail {
  machineId: string;
  hostname: string;
  hostName: string;
  imageReference: string;
  cpu: number;
  memoryMib: number;
  /** What it truly is, even on a host that cannot be reached. */
  power: PowerState;
  bootCount: number;
  portIds: string[];
  diskIds: string[];
  userData: string;
}

export interface HostUsage {
  hostName: string;
  rack: string;
  state: SimulatedHostState;
  cpu: number;
  memoryMib: number;
  machines: number;
  /** Of all its machines, running or not. */
  cpuUsed: number;
  memoryUsedMib: number;
}

export interface GuestRunRecord {
  runId: string;
  script: string;
  exitCode: number;
}

export interface GuestResponse {
  /** A POSIX regular expression that the script matches. The response that was added last goes first. */
  pattern: string;
  machineId?: string;
  exitCode?: number;
  /** May hold `{{machineId}}`, `{{hostname}}`, `{{ipAddress}}` and `{{runId}}`. */
  standardOutput?: string;
  standardError?: string;
}

const DEFAULT_DELAY_MS = 500;
const MAX_INT4 = 2_147_483_647;

/**
 * The other side of a simulated backend: builds its datacenter, breaks it, and looks at what there truly is. For tests,
 * the demo and standalone; Muon's own rooms see a backend through its driver only.
 */
export class SimulatedWorld {
  private constructor(
    private readonly simulation: Simulation,
    readonly backendId: string,
  ) {}

  /** @param url of the simulation's database, as in the backend's endpoint */
  static async open(url: string, backendId: string): Promise<SimulatedWorld> {
    return new SimulatedWorld(await Simulation.open(url, 2), backendId);
  }

  /** @returns their names, in order */
  async createHosts(hosts: NewHosts): Promise<string[]> {
    const pools = (hosts.pools ?? []).map((pool) => ({ ...pool, shared: pool.shared ?? false }));
    const complete = { ...hosts, traits: hosts.traits ?? [], rack: hosts.rack ?? '', pools };
    const rows = await this.simulation.rows(sql.createHosts, this.backendId, JSON.stringify(complete));
    return rows.map((row) => row.name);
  }

  /** Kills a host, cuts it off, or lets it return. @throws NOT_FOUND */
  async setHost(name: string, state: SimulatedHostState): Promise<void> {
    await this.settle();
    const [row] = await this.simulation.rows(sql.setHost, this.backendId, name, state);
    if (row?.known !== true) throw notFound('simulated host', name);
  }

  /** Takes the bridge that leads to a network outside away from a host, or gives it back: at first each has all. @throws NOT_FOUND */
  async connectHost(name: string, physicalNetwork: string, connected: boolean): Promise<void> {
    const [row] = await this.simulation.rows(sql.connectHost, this.backendId, name, physicalNetwork, connected);
    if (row?.known !== true) throw notFound('simulated host', name);
  }

  /** @throws NOT_FOUND */
  async setPoolHealth(name: string, health: DiskHealth): Promise<void> {
    const rows = await this.simulation.rows(sql.setPoolHealth, this.backendId, name, health);
    if (rows.length === 0) throw notFound('simulated pool', name);
  }

  /** Makes a part of a network another one than it was made, behind everybody's back. @throws NOT_FOUND */
  async damagePart(id: string): Promise<void> {
    await this.settle();
    const [row] = await this.simulation.rows(sql.damagePart, this.backendId, id);
    if (row?.known !== true) throw notFound('simulated part of a network', id);
  }

  /** Takes a part of a network away, behind everybody's back. @throws NOT_FOUND */
  async losePart(id: string): Promise<void> {
    await this.settle();
    const [row] = await this.simulation.rows(sql.losePart, this.backendId, id);
    if (row?.known !== true) throw notFound('simulated part of a network', id);
  }

  /** Every process that uses the backend meets it from now on. Of several that match a call, the oldest acts. */
  async addFault(fault: FaultScript): Promise<number> {
    await this.settle();
    const times = Math.min(fault.times ?? 1, MAX_INT4);
    const complete = { uncancellable: false, nth: 1, delayMs: DEFAULT_DELAY_MS, ...fault, times };
    const [row] = await this.simulation.rows(sql.addFault, this.backendId, JSON.stringify(complete));
    return row?.id ?? 0;
  }

  async clearFaults(): Promise<void> {
    await this.simulation.rows(sql.clearFaults, this.backendId);
  }

  /** Which faults there are and how often they acted, so that a test can tell that its fault was met. */
  async faults(): Promise<FaultState[]> {
    return this.simulation.rows(sql.listFaults, this.backendId);
  }

  /** What scripts that run in guests answer; without one they succeed silently. */
  async onGuestRun(response: GuestResponse): Promise<void> {
    const { pattern, machineId = null, exitCode = 0, standardOutput = '', standardError = '' } = response;
    await this.simulation.rows(sql.addGuestResponse, this.backendId, pattern, machineId, exitCode, standardOutput, standardError);
  }

  async guestRuns(machineId: string): Promise<GuestRunRecord[]> {
    return this.simulation.rows(sql.listGuestRuns, this.backendId, machineId);
  }

  async counts(): Promise<WorldCounts> {
    await this.settle();
    const [row] = await this.simulation.rows(sql.countWorld, this.backendId);
    if (row === undefined) throw new Error('counting the simulated world gave no row');
    return row;
  }

  /** Everything that the backend holds, of every installation. */
  async objects(): Promise<WorldObject[]> {
    await this.settle();
    return this.simulation.rows(sql.listObjects, this.backendId);
  }

  async machine(machineId: string): Promise<MachineDetail | undefined> {
    await this.settle();
    return (await this.simulation.rows(sql.getMachineDetail, this.backendId, machineId))[0];
  }

  /** Networks, ports, load balancers, routers and floating addresses of a tenant, as the backend has them. */
  async networkParts(tenantId: string): Promise<NetworkPartDetail[]> {
    await this.settle();
    return this.simulation.rows(sql.listNetworkParts, this.backendId, tenantId);
  }

  async hostUsage(): Promise<HostUsage[]> {
    await this.settle();
    return this.simulation.rows(sql.readHostUsage, this.backendId);
  }

  /** Lets everything that is pending or on its way take effect now, in its order, instead of waiting for its time. */
  async landPending(): Promise<void> {
    await this.simulation.rows(sql.landWork, this.backendId);
    await this.settle();
  }

  /** Removes everything of this backend, its hosts and faults too. */
  async reset(): Promise<void> {
    await this.simulation.rows(sql.resetWorld, this.backendId);
  }

  async close(): Promise<void> {
    await this.simulation.close();
  }

  private async settle(): Promise<void> {
    await this.simulation.settle(this.backendId);
  }
}
