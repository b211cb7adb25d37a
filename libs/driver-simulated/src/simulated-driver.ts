import { aborted, sleep } from '#core';
import type { BackendConnection, BackendEvent, Capabilities, Driver, DriverFactory } from '#drivers';
import { SimulatedBackend } from './backend.js';
import { SimulatedCompute } from './compute.js';
import { SimulatedHosts } from './hosts.js';
import { SimulatedNetwork } from './network.js';
import { readOptions, simulationUrl, type SimulatedOptions } from './options.js';
import { Simulation } from './simulation.js';
import { eventsAfter, latestEvent } from './simulation.sql.js';
import { SimulatedStorage } from './storage.js';

/** While the simulation's database is away a watch asks less often. */
const WATCH_RETRY_MS = 1_000;

class SimulatedDriver implements Driver {
  readonly capabilities: Capabilities;
  readonly compute: SimulatedCompute;
  readonly network: SimulatedNetwork;
  readonly storage: SimulatedStorage;
  readonly hosts: SimulatedHosts;
  private readonly closing = new AbortController();

  constructor(private readonly backend: SimulatedBackend) {
    this.capabilities = backend.settings.capabilities;
    this.compute = new SimulatedCompute(backend);
    this.network = new SimulatedNetwork(backend);
    this.storage = new SimulatedStorage(backend);
    this.hosts = new SimulatedHosts(backend);
  }

  async watch(onEvent: (event: BackendEvent) => void, signal: AbortSignal): Promise<void> {
    const { simulation, backendId, settings } = this.backend;
    const ending = AbortSignal.any([signal, this.closing.signal]);
    let cursor: number | undefined;
    let pauseMs = 0;
    while (!ending.aborted) {
      await sleep(pauseMs, ending);
      if (ending.aborted) return;
      try {
        await simulation.settle(backendId, ending);
        if (cursor === undefined) {
          cursor = (await simulation.rows(latestEvent))[0]?.latest ?? 0;
        } else {
          const [found] = await simulation.rows(eventsAfter, backendId, cursor);
          cursor = found?.latest ?? cursor;
          if (!ending.aborted) found?.events.forEach(onEvent);
        }
        pauseMs = settings.watchIntervalMs;
      } catch {
        // Hints may be missed; whoever watches also looks from time to time.
        pauseMs = WATCH_RETRY_MS;
      }
    }
  }

  /** Nothing: a simulated datacenter looks after itself. */
  async tend(signal: AbortSignal): Promise<void> {
    const ending = AbortSignal.any([signal, this.closing.signal]);
    await aborted(ending);
  }

  async close(): Promise<void> {
    this.closing.abort();
    await this.backend.simulation.close();
  }
}

/**
 * Backends of kind `simulated`: a datacenter in a PostgreSQL database of its own, which outlives the processes that use
 * it and is shared by them. `endpoint` is that database's `postgres://` URL; several backends may share one.
 * @param defaults for all backends of this process; a backend row's options go before them
 */
export function simulatedDriverFactory(defaults: SimulatedOptions = {}): DriverFactory {
  return {
    kind: 'simulated',
    async connect(connection: BackendConnection): Promise<Driver> {
      const settings = readOptions(connection, defaults);
      const simulation = await Simulation.open(simulationUrl(connection.endpoint, connection.secret), settings.poolSize);
      return new SimulatedDriver(new SimulatedBackend(connection.backendId, settings, simulation));
    },
  };
}
