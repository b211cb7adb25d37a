import { allInOrder } from '#core';
import { FenceResult, type DriverCall, type HostDriver, type HostLoad, type ObservedHost } from '#drivers';
import type { ClusterMember, StoragePool } from '#incus';
import type { IncusBackend } from './backend.js';
import type { Budget } from './budget.js';
import { isShared } from './disk.js';
import { gib, mib } from './sizes.js';

/**
 * Turns a host off by other means than Incus, as its management controller, and says what is proven. UNKNOWN whenever
 * that cannot be reached, either.
 */
export type Fence = (hostName: string, signal: AbortSignal) => Promise<FenceResult>;

interface Size {
  cpu: number;
  memoryMib: number;
}

/** Members of the cluster. That Incus does not reach one proves nothing: `fence` is for the one that is injected. */
export class IncusHosts implements HostDriver {
  /** As they were last seen, for members that cannot be asked. */
  private readonly sizes = new Map<string, Size>();

  constructor(
    private readonly backend: IncusBackend,
    private readonly fenceHost: Fence,
  ) {}

  async listHosts(call: DriverCall): Promise<ObservedHost[]> {
    return this.backend.ask(call, 'listHosts', [], async (budget) => {
      const { cluster, storagePools } = this.backend.client;
      const [members, pools] = await Promise.all([cluster.list(budget.list), storagePools.list(budget.list)]);
      return allInOrder(members.map(async (member) => this.observe(member, pools, budget)));
    });
  }

  async readLoad(call: DriverCall): Promise<HostLoad[]> {
    return this.backend.ask(call, 'readLoad', [], async (budget) => {
      const members = (await this.backend.client.cluster.list(budget.list)).filter(isOnline);
      const loads = await Promise.all(members.map(async ({ server_name: name }) => this.load(name, budget)));
      return loads.flat();
    });
  }

  async fence(call: DriverCall, hostName: string): Promise<FenceResult> {
    return this.backend.ask(call, 'fence', ['fence'], async (budget) => {
      const members = await this.backend.client.cluster.list(budget.list);
      if (!members.some((member) => member.server_name === hostName)) throw this.backend.missing('host', hostName);
      return this.fenceHost(hostName, budget.signal);
    });
  }

  private async observe(member: ClusterMember, pools: StoragePool[], budget: Budget): Promise<ObservedHost> {
    const { server_name: hostName } = member;
    // One that has just died still counts as online for a while, and does not answer; and for a while after the cluster has
    // elected a leader, who has heard of nobody yet, one that answers counts as offline.
    const [size, found] = await Promise.all([
      this.size(member, budget).catch(() => undefined),
      isOnline(member) ? Promise.all(pools.map(async (pool) => this.pool(pool, hostName, budget))) : [],
    ]);
    const { cpu, memoryMib, traits = [] } = this.backend.settings.hosts[hostName] ?? {};
    const known = size ?? this.sizes.get(hostName) ?? { cpu: 0, memoryMib: 0 };
    const alive = isOnline(member) || size !== undefined;
    return { hostName, alive, cpu: cpu ?? known.cpu, memoryMib: memoryMib ?? known.memoryMib, traits, pools: found.flat() };
  }

  private async size({ server_name: target }: ClusterMember, budget: Budget): Promise<Size> {
    const { cpu, memory } = await this.backend.client.cluster.resources({ ...budget.look, target });
    const size = { cpu: cpu.total, memoryMib: mib(memory.total) };
    this.sizes.set(target, size);
    return size;
  }

  /** Nothing where the member has no such pool, or one that is broken. */
  private async pool(pool: StoragePool, target: string, budget: Budget): Promise<ObservedHost['pools']> {
    if (pool.locations !== null && !pool.locations.includes(target)) return [];
    try {
      const { space } = await this.backend.client.storagePools.state(pool.name, { ...budget.look, target });
      return [{ name: pool.name, capacityGib: gib(space.total), usedGib: gib(space.used), shared: isShared(pool) }];
    } catch {
      return [];
    }
  }

  /** Nothing of who does not answer. */
  private async load(hostName: string, budget: Budget): Promise<HostLoad[]> {
    const hardware = await this.backend.client.cluster.resources({ ...budget.look, target: hostName }).catch(() => undefined);
    if (hardware === undefined) return [];
    const { cpu, memory, load } = hardware;
    const cpuPercent = Math.min(100, Math.round((load.Average1Min / Math.max(1, cpu.total)) * 100));
    // Incus has taken off what serves as cache.
    return [{ hostName, cpuPercent, memoryUsedMib: mib(memory.used) }];
  }
}

/** Evacuated members answer, and take nothing new. */
const isOnline = ({ status }: ClusterMember): boolean => status === 'Online' || status === 'Evacuated';
