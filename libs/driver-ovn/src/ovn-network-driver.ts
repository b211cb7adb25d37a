import type { Logger } from '#core';
import type {
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
import { toDriverError } from './errors.js';
import { readExternalNetwork, readFloatingIp, readProviderRouter, readRouter } from './edge-input.js';
import { readFirewall, readSecurityGroup } from './firewall/input.js';
import { readLoadBalancer, readNetwork, readPort } from './input.js';
import { readOptions, type OvnNetworkOptions } from './options.js';
import { ExternalNetworks } from './part/external-networks.js';
import { Firewalls } from './part/firewalls.js';
import { FloatingIps } from './part/floating-ips.js';
import { LoadBalancers } from './part/load-balancers.js';
import { Networks } from './part/networks.js';
import { Ports } from './part/ports.js';
import { ProviderRouters } from './part/provider-routers.js';
import { Routers } from './part/routers.js';
import { SecurityGroups } from './part/security-groups.js';
import { PARTS_REQUEST, PartsList } from './parts-list.js';
import { Realisation } from './realise/realisation.js';
import type { Northbound } from './schema/northbound.js';
import type { Southbound } from './schema/southbound.js';

/** What differs between the releases of OVN that we meet; a lack is no error. */
export interface OvnCapabilities {
  /** Rules of access in tiers (`ACL.tier`, OVN 23.06 and later). */
  readonly aclTier: boolean;
}

/** The network of a backend, on OVN: what is desired is in the northbound database, with its revision, and nowhere else. */
export class OvnNetworkDriver implements NetworkDriver, AsyncDisposable {
  readonly #networks: Networks;
  readonly #ports: Ports;
  readonly #loadBalancers: LoadBalancers;
  readonly #externalNetworks: ExternalNetworks;
  readonly #providerRouters: ProviderRouters;
  readonly #routers: Routers;
  readonly #floatingIps: FloatingIps;
  readonly #securityGroups: SecurityGroups;
  readonly #firewalls: Firewalls;
  readonly #list: PartsList;
  readonly #realisation: Realisation;

  private constructor(
    private readonly backend: OvnBackend,
    readonly capabilities: OvnCapabilities,
    private readonly parts: Monitor<Northbound>,
    chassis: Monitor<Southbound>,
    private readonly log: Logger | undefined,
  ) {
    this.#networks = new Networks(backend);
    this.#ports = new Ports(backend);
    this.#loadBalancers = new LoadBalancers(backend);
    this.#externalNetworks = new ExternalNetworks(backend);
    this.#providerRouters = new ProviderRouters(backend, chassis);
    this.#routers = new Routers(backend, chassis);
    this.#floatingIps = new FloatingIps(backend);
    this.#securityGroups = new SecurityGroups(backend, capabilities.aclTier);
    this.#firewalls = new Firewalls(backend, capabilities.aclTier);
    this.#list = new PartsList(parts);
    this.#realisation = new Realisation(backend, chassis);
  }

  /** @throws INVALID_INPUT naming the option, UNAVAILABLE or TIMEOUT when a database cannot be reached */
  static async open(options: OvnNetworkOptions, log?: Logger): Promise<OvnNetworkDriver> {
    const backend = new OvnBackend(readOptions(options), log);
    try {
      const within = { timeoutMs: backend.settings.connectTimeoutMs };
      const [schema, parts, chassis] = await Promise.all([
        backend.northbound.schema(within),
        backend.northbound.monitor(PARTS_REQUEST, within),
        backend.southbound.monitor(
          { SB_Global: { columns: ['nb_cfg'] }, Chassis: { columns: ['name', 'hostname'] }, Chassis_Private: { columns: ['name', 'nb_cfg'] } },
          within,
        ),
      ]);
      const capabilities = { aclTier: schema.tables.get('ACL')?.columns.has('tier') === true };
      return new OvnNetworkDriver(backend, capabilities, parts, chassis, log);
    } catch (error) {
      await backend.close();
      throw toDriverError(backend.id, error);
    }
  }

  async ensureNetwork(call: DriverCall, network: NetworkSpecification): Promise<Outcome<void>> {
    return this.backend.work(call, 'ensureNetwork', async (time) => this.#networks.ensure(time, readNetwork(network)));
  }

  async removeNetwork(call: DriverCall, networkId: string): Promise<Outcome<void>> {
    return this.backend.work(call, 'removeNetwork', async (time) => this.#networks.remove(time, networkId));
  }

  async ensurePort(call: DriverCall, port: PortSpecification): Promise<Outcome<void>> {
    return this.backend.work(call, 'ensurePort', async (time) => this.#ports.ensure(time, readPort(port)));
  }

  async removePort(call: DriverCall, portId: string): Promise<Outcome<void>> {
    return this.backend.work(call, 'removePort', async (time) => this.#ports.remove(time, portId));
  }

  async ensureLoadBalancer(call: DriverCall, loadBalancer: LoadBalancerSpecification): Promise<Outcome<void>> {
    return this.backend.work(call, 'ensureLoadBalancer', async (time) => this.#loadBalancers.ensure(time, readLoadBalancer(loadBalancer)));
  }

  async removeLoadBalancer(call: DriverCall, loadBalancerId: string): Promise<Outcome<void>> {
    return this.backend.work(call, 'removeLoadBalancer', async (time) => this.#loadBalancers.remove(time, loadBalancerId));
  }

  async ensureExternalNetwork(call: DriverCall, externalNetwork: ExternalNetworkSpecification): Promise<Outcome<void>> {
    return this.backend.work(call, 'ensureExternalNetwork', async (time) => this.#externalNetworks.ensure(time, readExternalNetwork(externalNetwork)));
  }

  async removeExternalNetwork(call: DriverCall, externalNetworkId: string): Promise<Outcome<void>> {
    return this.backend.work(call, 'removeExternalNetwork', async (time) => this.#externalNetworks.remove(time, externalNetworkId));
  }

  async ensureProviderRouter(call: DriverCall, providerRouter: ProviderRouterSpecification): Promise<Outcome<void>> {
    return this.backend.work(call, 'ensureProviderRouter', async (time) => this.#providerRouters.ensure(time, readProviderRouter(providerRouter)));
  }

  async removeProviderRouter(call: DriverCall, providerRouterId: string): Promise<Outcome<void>> {
    return this.backend.work(call, 'removeProviderRouter', async (time) => this.#providerRouters.remove(time, providerRouterId));
  }

  async ensureRouter(call: DriverCall, router: RouterSpecification): Promise<Outcome<void>> {
    return this.backend.work(call, 'ensureRouter', async (time) => this.#routers.ensure(time, readRouter(router)));
  }

  async removeRouter(call: DriverCall, routerId: string): Promise<Outcome<void>> {
    return this.backend.work(call, 'removeRouter', async (time) => this.#routers.remove(time, routerId));
  }

  async ensureFloatingIp(call: DriverCall, floatingIp: FloatingIpSpecification): Promise<Outcome<void>> {
    return this.backend.work(call, 'ensureFloatingIp', async (time) => this.#floatingIps.ensure(time, readFloatingIp(floatingIp)));
  }

  async removeFloatingIp(call: DriverCall, floatingIpId: string): Promise<Outcome<void>> {
    return this.backend.work(call, 'removeFloatingIp', async (time) => this.#floatingIps.remove(time, floatingIpId));
  }

  async ensureSecurityGroup(call: DriverCall, group: SecurityGroupSpecification): Promise<Outcome<void>> {
    return this.backend.work(call, 'ensureSecurityGroup', async (time) => this.#securityGroups.ensure(time, readSecurityGroup(group)));
  }

  async removeSecurityGroup(call: DriverCall, securityGroupId: string): Promise<Outcome<void>> {
    return this.backend.work(call, 'removeSecurityGroup', async (time) => this.#securityGroups.remove(time, securityGroupId));
  }

  async ensureFirewall(call: DriverCall, firewall: FirewallSpecification): Promise<Outcome<void>> {
    return this.backend.work(call, 'ensureFirewall', async (time) => this.#firewalls.ensure(time, readFirewall(firewall)));
  }

  async removeFirewall(call: DriverCall, firewallId: string): Promise<Outcome<void>> {
    return this.backend.work(call, 'removeFirewall', async (time) => this.#firewalls.remove(time, firewallId));
  }

  async realised(call: DriverCall, partId: string): Promise<Outcome<{ pendingHostNames: string[] }>> {
    return this.backend.work(call, 'realised', async (time) => this.#realisation.realised(time, partId));
  }

  async listParts(call: DriverCall, after: string | null, limit: number): Promise<ObservedNetworkPart[]> {
    return this.backend.work(call, 'listParts', async (time) => {
      await this.parts.until((parts) => (parts.isCurrent ? true : undefined), time.options());
      return this.#list.page(after, limit);
    });
  }

  /** Binds ports on the hosts that the option `switches` names, until the signal aborts. */
  async tend(signal: AbortSignal): Promise<void> {
    await new PortBinder(this.backend.settings, this.parts, this.log).run(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.backend.close();
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
