import type { Logger } from '#core';
import type {
  BackendEvent,
  DriverCall,
  ExternalNetworkSpecification,
  FirewallSpecification,
  FloatingIpSpecification,
  LoadBalancerSpecification,
  NetworkDriver,
  NetworkSpecification,
  ObservedNetworkPart,
  Outcome,
  PortSpecification,
  ProviderRouterSpecification,
  RouterSpecification,
  SecurityGroupSpecification,
} from '#drivers';
import type { Monitor } from '#ovsdb';
import { OvnBackend } from './backend.js';
import { PortBinder } from './bind/port-binder.js';
import { DriftWatch } from './drift-watch.js';
import { toDriverError } from './errors.js';
import { Intact } from './intact.js';
import { readOptions, type OvnNetworkOptions } from './options.js';
import { Parts, type PartKind } from './part/parts.js';
import { PartsList } from './parts-list.js';
import { Realisation } from './realise/realisation.js';
import { Removals } from './removals.js';
import { ReplicaStore, replicaRequest, southboundRequest } from './replica.js';
import type { Northbound } from './schema/northbound.js';
import type { Southbound } from './schema/southbound.js';

/** What differs between the releases of OVN that we meet; a lack is no error. */
export interface OvnCapabilities {
  /** Rules of access in tiers (`ACL.tier`, OVN 23.06 and later). */
  readonly aclTier: boolean;
}

/** The network of a backend, on OVN: what is desired is in the northbound database, with its revision, and nowhere else. */
export class OvnNetworkDriver implements NetworkDriver, AsyncDisposable {
  readonly #parts: Parts;
  readonly #intact: Intact;
  readonly #list: PartsList;
  readonly #removals = new Removals();
  readonly #realisation: Realisation;

  private constructor(
    private readonly backend: OvnBackend,
    readonly capabilities: OvnCapabilities,
    private readonly replica: Monitor<Northbound>,
    chassis: Monitor<Southbound>,
    private readonly log: Logger | undefined,
  ) {
    const { id, settings } = backend;
    this.#parts = new Parts(backend, chassis, capabilities.aclTier);
    this.#intact = new Intact(new Parts(new ReplicaStore(id, settings, replica), chassis, capabilities.aclTier), settings.installationId);
    this.#list = new PartsList(replica, this.#intact);
    this.#realisation = new Realisation(backend, replica, chassis);
  }

  /** @throws INVALID_INPUT naming the option, UNAVAILABLE or TIMEOUT when a database cannot be reached */
  static async open(options: OvnNetworkOptions, log?: Logger): Promise<OvnNetworkDriver> {
    const backend = new OvnBackend(readOptions(options), log);
    try {
      const within = { timeoutMs: backend.settings.connectTimeoutMs };
      const schema = await backend.northbound.schema(within);
      const [replica, chassis] = await Promise.all([
        backend.northbound.monitor(replicaRequest(schema, backend.settings.installationId), within),
        backend.southbound.monitor(southboundRequest(backend.settings.installationId), within),
      ]);
      const capabilities = { aclTier: schema.tables.get('ACL')?.columns.has('tier') === true };
      return new OvnNetworkDriver(backend, capabilities, replica, chassis, log);
    } catch (error) {
      await backend.close();
      throw toDriverError(backend.id, error);
    }
  }

  async ensureNetwork(call: DriverCall, network: NetworkSpecification): Promise<Outcome<void>> {
    return this.#ensure(call, 'ensureNetwork', 'NETWORK', network);
  }

  async removeNetwork(call: DriverCall, networkId: string): Promise<Outcome<void>> {
    return this.#remove(call, 'removeNetwork', 'NETWORK', networkId);
  }

  async ensurePort(call: DriverCall, port: PortSpecification): Promise<Outcome<void>> {
    return this.#ensure(call, 'ensurePort', 'PORT', port);
  }

  async removePort(call: DriverCall, portId: string): Promise<Outcome<void>> {
    return this.#remove(call, 'removePort', 'PORT', portId);
  }

  async ensureLoadBalancer(call: DriverCall, loadBalancer: LoadBalancerSpecification): Promise<Outcome<void>> {
    return this.#ensure(call, 'ensureLoadBalancer', 'LOAD_BALANCER', loadBalancer);
  }

  async removeLoadBalancer(call: DriverCall, loadBalancerId: string): Promise<Outcome<void>> {
    return this.#remove(call, 'removeLoadBalancer', 'LOAD_BALANCER', loadBalancerId);
  }

  async ensureExternalNetwork(call: DriverCall, externalNetwork: ExternalNetworkSpecification): Promise<Outcome<void>> {
    return this.#ensure(call, 'ensureExternalNetwork', 'EXTERNAL_NETWORK', externalNetwork);
  }

  async removeExternalNetwork(call: DriverCall, externalNetworkId: string): Promise<Outcome<void>> {
    return this.#remove(call, 'removeExternalNetwork', 'EXTERNAL_NETWORK', externalNetworkId);
  }

  async ensureProviderRouter(call: DriverCall, providerRouter: ProviderRouterSpecification): Promise<Outcome<void>> {
    return this.#ensure(call, 'ensureProviderRouter', 'PROVIDER_ROUTER', providerRouter);
  }

  async removeProviderRouter(call: DriverCall, providerRouterId: string): Promise<Outcome<void>> {
    return this.#remove(call, 'removeProviderRouter', 'PROVIDER_ROUTER', providerRouterId);
  }

  async ensureRouter(call: DriverCall, router: RouterSpecification): Promise<Outcome<void>> {
    return this.#ensure(call, 'ensureRouter', 'ROUTER', router);
  }

  async removeRouter(call: DriverCall, routerId: string): Promise<Outcome<void>> {
    return this.#remove(call, 'removeRouter', 'ROUTER', routerId);
  }

  async ensureFloatingIp(call: DriverCall, floatingIp: FloatingIpSpecification): Promise<Outcome<void>> {
    return this.#ensure(call, 'ensureFloatingIp', 'FLOATING_IP', floatingIp);
  }

  async removeFloatingIp(call: DriverCall, floatingIpId: string): Promise<Outcome<void>> {
    return this.#remove(call, 'removeFloatingIp', 'FLOATING_IP', floatingIpId);
  }

  async ensureSecurityGroup(call: DriverCall, group: SecurityGroupSpecification): Promise<Outcome<void>> {
    return this.#ensure(call, 'ensureSecurityGroup', 'SECURITY_GROUP', group);
  }

  async removeSecurityGroup(call: DriverCall, securityGroupId: string): Promise<Outcome<void>> {
    return this.#remove(call, 'removeSecurityGroup', 'SECURITY_GROUP', securityGroupId);
  }

  async ensureFirewall(call: DriverCall, firewall: FirewallSpecification): Promise<Outcome<void>> {
    return this.#ensure(call, 'ensureFirewall', 'FIREWALL', firewall);
  }

  async removeFirewall(call: DriverCall, firewallId: string): Promise<Outcome<void>> {
    return this.#remove(call, 'removeFirewall', 'FIREWALL', firewallId);
  }

  async realised(call: DriverCall, partId: string): Promise<Outcome<{ pendingHostNames: string[] }>> {
    return this.backend.work(call, 'realised', async (time) => this.#realisation.realised(time, call.idempotencyKey, partId));
  }

  async listParts(call: DriverCall, after: string | null, limit: number): Promise<ObservedNetworkPart[]> {
    return this.backend.work(call, 'listParts', async (time) => {
      await this.replica.until((replica) => (replica.isCurrent ? true : undefined), time.options());
      return this.#list.page(after, limit);
    });
  }

  /** Binds ports on the hosts that the option `switches` names, until the signal aborts. */
  async tend(signal: AbortSignal): Promise<void> {
    await new PortBinder(this.backend.settings, this.replica, this.log).run(signal);
  }

  /** Hints at parts that are no longer as they were made. */
  async watch(onEvent: (event: BackendEvent) => void, signal: AbortSignal): Promise<void> {
    const { replica, log } = this;
    const { installationId } = this.backend.settings;
    const parts = { replica, list: this.#list, intact: this.#intact, installationId, removals: this.#removals, onEvent, log };
    await new DriftWatch(parts).run(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.backend.close();
  }

  async #ensure(call: DriverCall, method: string, kind: PartKind, specification: object): Promise<Outcome<void>> {
    return this.backend.work(call, method, async (time) => this.#parts.ensure(time, kind, specification));
  }

  async #remove(call: DriverCall, method: string, kind: PartKind, id: string): Promise<Outcome<void>> {
    this.#removals.add(id);
    return this.backend.work(call, method, async (time) => this.#parts.remove(time, kind, id));
  }
}

/**
 * Opens the network of one backend, to be a part of its `Driver`: it keeps two connections and replicas of what it lists
 * and waits for, until it is disposed of. `capabilities` tells what this release of OVN offers.
 * @param log hears of what goes wrong outside of calls
 * @throws INVALID_INPUT naming the option, UNAVAILABLE or TIMEOUT when a database cannot be reached
 */
export async function openOvnNetwork(options: OvnNetworkOptions, log?: Logger): Promise<OvnNetworkDriver> {
  return OvnNetworkDriver.open(options, log);
}
