import { sleep, toMuonError, type Logger, type MuonError } from '#core';
import type { Database } from '#database';
import type { Driver, DriverCall, HostLoad, ObservedHost } from '#drivers';
import { findBackends } from '../backend/backend.sql.js';
import type { BackendRow } from '../backend/backend.js';
import type { DriverRegistry } from '../driver/driver-registry.js';
import type { HostStateNews } from '../host/host-state-listener.js';
import { hostState } from '../host/host.js';
import { findHosts } from '../host/host.sql.js';
import {
  claimFence,
  findHostsToFence,
  findLiveBackends,
  recordBackendSilent,
  recordBackendUp,
  recordBeat,
  recordFence,
  recordPools,
  type Beat,
  type ChangedHost,
  type PoolBeat,
  type SilentHosts,
} from './heartbeat.sql.js';

export interface HeartbeatOptions {
  /** How long a host or backend may be silent before it counts as down. */
  silentAfterMs?: number;
  /** Not looked at for longer than this, a host counts as silent only from the next look on. */
  gapAfterMs?: number;
  /** How often in a row a host that was down must be seen before it gets machines again. */
  beatsToReturn?: number;
  /** How long until a host that could not be proven off is asked about again. */
  fenceAgainAfterMs?: number;
  /** No run waits longer for a slow backend; its answer is recorded when it comes. */
  patienceMs?: number;
}

const DEFAULTS = { silentAfterMs: 30_000, beatsToReturn: 3, fenceAgainAfterMs: 60_000, patienceMs: 5000 };
const MAX_CALL_MS = 20_000;
const FENCES_A_RUN = 20;
/** More hosts down than this at once, and more than half of all: then it is rather the network or the backend that is sick. */
const FENCE_BRAKE = 3;

interface SeenBackend {
  backend: BackendRow;
  driver: Driver;
  call: DriverCall;
}

/** Looks at every backend's hosts: what they are, how loaded they are, whether they live; and fences those that do not. */
export class Heartbeat {
  private readonly options: Required<HeartbeatOptions>;
  private readonly looks = new Map<string, Promise<void>>();
  private readonly fences = new Map<string, Promise<void>>();

  constructor(
    private readonly database: Database,
    private readonly drivers: DriverRegistry,
    private readonly news: HostStateNews,
    private readonly log: Logger,
    options: HeartbeatOptions = {},
  ) {
    const { silentAfterMs = DEFAULTS.silentAfterMs } = options;
    this.options = { ...DEFAULTS, gapAfterMs: Math.max(silentAfterMs, DEFAULTS.silentAfterMs), ...options };
  }

  /** One look at all backends, side by side: a slow one keeps nobody waiting but itself, and fences keep no look waiting. */
  async run(signal: AbortSignal): Promise<void> {
    for (const { id } of await this.database.rows(findLiveBackends)) {
      void this.once(this.looks, id, async () => {
        const seen = await this.look(id, signal);
        if (seen !== undefined) void this.once(this.fences, id, async () => this.fence(seen));
      });
    }
    await Promise.race([this.untilIdle(), sleep(this.options.patienceMs, signal)]);
  }

  /** One look at one backend, recorded when it returns, and the fences that follow from it. */
  async lookAt(backendId: string, signal: AbortSignal): Promise<void> {
    const seen = await this.look(backendId, signal);
    if (seen !== undefined) await this.once(this.fences, backendId, async () => this.fence(seen));
  }

  /** Nothing when one is under way for this backend. */
  private async once(underWay: Map<string, Promise<void>>, backendId: string, work: () => Promise<void>): Promise<void> {
    let running = underWay.get(backendId);
    if (running === undefined) {
      running = work()
        .catch((error: unknown) => {
          this.log.error({ err: toMuonError(error), backend: backendId }, 'a heartbeat could not be recorded');
        })
        .finally(() => underWay.delete(backendId));
      underWay.set(backendId, running);
    }
    return running;
  }

  private async untilIdle(): Promise<void> {
    await Promise.all(this.looks.values());
    await Promise.all(this.fences.values());
  }

  /** @returns what was seen, if the backend has answered */
  private async look(backendId: string, signal: AbortSignal): Promise<SeenBackend | undefined> {
    const [backend] = await this.database.rows(findBackends, [backendId]);
    if (backend === undefined) return undefined;
    const call: DriverCall = {
      idempotencyKey: `heartbeat/${backend.id}`,
      timeoutMs: Math.min(MAX_CALL_MS, backend.call_timeout_ms),
      signal,
    };
    try {
      const driver = await this.drivers.driver(backend.id);
      const hosts = await driver.hosts.listHosts(call);
      const load = await this.loadOf(driver, call, backend);
      await this.record(backend, driver, hosts, load);
      return { backend, driver, call };
    } catch (error) {
      const failure = toMuonError(error);
      if (failure.code === 'CANCELLED' || signal.aborted) return undefined;
      if (failure.code === 'INTERNAL') throw failure;
      await this.silence(backend, failure);
      return undefined;
    }
  }

  /** Without their load hosts are alive all the same. */
  private async loadOf(driver: Driver, call: DriverCall, backend: BackendRow): Promise<Map<string, HostLoad>> {
    try {
      return new Map((await driver.hosts.readLoad(call)).map((load) => [load.hostName, load]));
    } catch (error) {
      this.log.warn({ err: toMuonError(error), backend: backend.id }, 'the load of the hosts could not be read');
      return new Map();
    }
  }

  private async record(
    backend: BackendRow,
    driver: Driver,
    hosts: readonly ObservedHost[],
    load: ReadonlyMap<string, HostLoad>,
  ): Promise<void> {
    const beats = JSON.stringify(hosts.map((host) => beatOf(host, load.get(host.hostName))));
    const pools = JSON.stringify(poolBeats(hosts));
    const { silentAfterMs, beatsToReturn, gapAfterMs } = this.options;
    const changed = await this.database.transaction(async (transaction) => {
      await transaction.execute(recordBackendUp, backend.id, JSON.stringify(driver.capabilities));
      const rows = await transaction.rows(recordBeat, backend.id, beats, silentAfterMs, beatsToReturn, gapAfterMs);
      await transaction.execute(recordPools, backend.id, pools);
      return rows;
    });
    await this.tell(changed);
  }

  private async silence(backend: BackendRow, failure: MuonError): Promise<void> {
    const { silentAfterMs } = this.options;
    const changed = await this.database.transaction(async (transaction) =>
      transaction.rows(recordBackendSilent, backend.id, failure.message.slice(0, 1000), silentAfterMs),
    );
    this.log.warn({ backend: backend.id, code: failure.code, reason: failure.message }, 'a backend does not answer');
    await this.tell(changed);
  }

  /** One host after the other, each by what the last look has shown of it: looks go on meanwhile. */
  private async fence({ backend, driver, call }: SeenBackend): Promise<void> {
    const { fenceAgainAfterMs, silentAfterMs } = this.options;
    for (const host of await this.database.rows(findHostsToFence, backend.id, fenceAgainAfterMs, FENCES_A_RUN, silentAfterMs)) {
      if (call.signal.aborted) return;
      const [silent] = await this.database.transaction(async (transaction) =>
        transaction.rows(claimFence, backend.id, fenceAgainAfterMs, host.id, silentAfterMs),
      );
      if (silent === undefined) continue;
      const { result, reason } = isBraked(silent)
        ? { result: 'UNKNOWN', reason: `${silent.down} of ${silent.total} hosts are silent at once: none is turned off without an operator.` }
        : await this.askFence(driver, call, host.name);
      await this.tell(await this.database.transaction(async (transaction) => transaction.rows(recordFence, host.id, result, reason)));
    }
  }

  private async askFence(driver: Driver, call: DriverCall, hostName: string): Promise<{ result: string; reason: string }> {
    if (!driver.capabilities.fence) {
      return { result: 'UNKNOWN', reason: 'Its backend cannot turn hosts off; an operator can attest that it is off.' };
    }
    try {
      const result = await driver.hosts.fence({ ...call, idempotencyKey: `fence/${hostName}` }, hostName);
      const reason = result === 'PROVEN_OFF' ? 'Its backend has proven that it is off.' : 'Its backend cannot tell whether it is off.';
      return { result, reason };
    } catch (error) {
      return { result: 'UNKNOWN', reason: `Its backend did not answer to the fence: ${toMuonError(error).message}`.slice(0, 1000) };
    }
  }

  private async tell(changed: readonly ChangedHost[]): Promise<void> {
    if (changed.length === 0) return;
    const before = new Map(changed.map((host) => [host.id, hostState(host)]));
    const rows = await this.database.rows(findHosts, [...before.keys()]);
    await this.news.tell(
      rows.map((host) => ({ host, before: before.get(host.id) ?? hostState(host), after: hostState(host) })),
    );
  }
}

const isBraked = ({ down, total }: SilentHosts): boolean => down > FENCE_BRAKE && down * 2 > total;

function beatOf(host: ObservedHost, load: HostLoad | undefined): Beat {
  return {
    name: host.hostName,
    alive: host.alive,
    cpu: host.cpu,
    memory_mib: host.memoryMib,
    traits: host.traits,
    cpu_percent: load?.cpuPercent ?? null,
    memory_used_mib: load?.memoryUsedMib ?? null,
  };
}

/** A shared pool is shown by every host that reaches it, and counted once. */
function poolBeats(hosts: readonly ObservedHost[]): PoolBeat[] {
  const beats = new Map<string, PoolBeat>();
  for (const host of hosts) {
    for (const pool of host.pools) {
      const owner = pool.shared ? null : host.hostName;
      const key = JSON.stringify([owner, pool.name]);
      beats.set(key, { host: owner, name: pool.name, capacity_gib: pool.capacityGib, used_gib: pool.usedGib });
    }
  }
  return [...beats.values()];
}
