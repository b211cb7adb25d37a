import { aborted, allInOrder } from '#core';
import type { BackendConnection, BackendEvent, Capabilities, Driver, DriverFactory, NetworkDriver } from '#drivers';
import { IncusClient } from '#incus';
import { IncusBackend } from './backend.js';
import { Catalog } from './catalog.js';
import { IncusCompute } from './compute.js';
import { IncusHosts, type Fence } from './hosts.js';
import { offeredNetwork } from './offered-network.js';
import { readEndpoints, readNetworkSecret, readOptions, type IncusOptions, type IncusSettings } from './options.js';
import { IncusStorage } from './storage.js';
import { Watch } from './watch.js';

/** A network that was opened for a backend, what it hints at, and what somebody has to do for it all the time. */
export interface OpenedNetwork extends NetworkDriver, AsyncDisposable, Pick<Driver, 'watch' | 'tend'> {}

/** What an Incus cluster does not bring itself. */
export interface IncusCompanions {
  /**
   * Opens the network of a backend whose option `network` is given; other backends offer none. Closed with the driver.
   * @param options the backend's option `network`, as it was entered
   * @param secret the part `network` of the backend's secret
   */
  openNetwork?: (connection: BackendConnection, options: Record<string, unknown>, secret: unknown) => Promise<OpenedNetwork>;
  /** Without one the backend does not offer to fence. */
  fence?: Fence;
}

class IncusDriver implements Driver {
  readonly compute: IncusCompute;
  readonly storage: IncusStorage;
  readonly hosts: IncusHosts;
  readonly network: NetworkDriver;
  private readonly closing = new AbortController();
  private readonly watches = new Set<Promise<void>>();

  constructor(
    private readonly backend: IncusBackend,
    fence: Fence,
    private readonly opened: OpenedNetwork | undefined,
  ) {
    const catalog = new Catalog(backend);
    this.compute = new IncusCompute(backend, catalog);
    this.storage = new IncusStorage(backend, catalog);
    this.hosts = new IncusHosts(backend, fence);
    this.network = offeredNetwork(backend, opened);
  }

  get capabilities(): Capabilities {
    return this.backend.capabilities;
  }

  async watch(onEvent: (event: BackendEvent) => void, signal: AbortSignal): Promise<void> {
    const ended = new AbortController();
    const ending = AbortSignal.any([signal, this.closing.signal, ended.signal]);
    const watches = [new Watch(this.backend, onEvent, ending).run(), ...(this.opened === undefined ? [] : [this.opened.watch(onEvent, ending)])];
    // With one that fails both begin anew: hints of one half alone would look as if nothing happened in the other.
    const both = watches.map(async (watch) => watch.finally(() => ended.abort()));
    await this.follow(allInOrder(both).then(() => undefined));
  }

  async tend(signal: AbortSignal): Promise<void> {
    const ending = AbortSignal.any([signal, this.closing.signal]);
    if (this.opened !== undefined) return this.follow(this.opened.tend(ending));
    await aborted(ending);
  }

  /** What runs for long ends before the driver is closed. */
  private async follow(work: Promise<void>): Promise<void> {
    this.watches.add(work);
    try {
      await work;
    } finally {
      this.watches.delete(work);
    }
  }

  async close(): Promise<void> {
    this.closing.abort();
    await Promise.allSettled(this.watches);
    await this.opened?.[Symbol.asyncDispose]();
    this.backend.client.close();
  }
}

/**
 * Backends of kind `incus`: an Incus cluster (6.0 LTS). `endpoint` is any member's `https://host:8443` with the cluster's
 * certificate in the options, other members beside it, and a client certificate as the secret, or `unix:/path` of a member's
 * socket.
 * @param defaults for all backends of this process; a backend row's options go before them
 */
export function incusDriverFactory(companions: IncusCompanions = {}, defaults: IncusOptions = {}): DriverFactory {
  return {
    kind: 'incus',
    async connect(connection: BackendConnection): Promise<Driver> {
      const settings = readOptions(connection, defaults);
      const endpoints = readEndpoints(connection, settings);
      const hasNetwork = settings.capabilities.network && settings.network !== undefined;
      const network = hasNetwork ? await companions.openNetwork?.(connection, settings.network ?? {}, readNetworkSecret(connection)) : undefined;
      const client = new IncusClient({ endpoints, project: settings.project });
      const backend = new IncusBackend(connection.backendId, settings, capabilitiesOf(settings, { fence: companions.fence, network }), client);
      return new IncusDriver(backend, companions.fence ?? (async () => 'UNKNOWN'), network);
    },
  };
}

function capabilitiesOf(
  { capabilities, instanceType }: IncusSettings,
  given: { fence: Fence | undefined; network: OpenedNetwork | undefined },
): Capabilities {
  const network = given.network !== undefined;
  return {
    ...capabilities,
    iopsLimit: capabilities.iopsLimit ?? instanceType === 'virtual-machine',
    network,
    loadBalancer: network && capabilities.loadBalancer,
    router: network && capabilities.router,
    firewall: network && capabilities.firewall,
    fence: capabilities.fence && given.fence !== undefined,
  };
}
