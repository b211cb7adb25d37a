import type { ObservedNetworkPart, Outcome } from '#drivers';
import type { Monitor } from '#ovsdb';
import type { CallTime, Store } from '../backend.js';
import { readExternalNetwork, readFloatingIp, readProviderRouter, readRouter } from '../edge-input.js';
import { readFirewall, readSecurityGroup } from '../firewall/input.js';
import { readLoadBalancer, readNetwork, readPort } from '../input.js';
import type { Southbound } from '../schema/southbound.js';
import { ExternalNetworks } from './external-networks.js';
import { Firewalls } from './firewalls.js';
import { FloatingIps } from './floating-ips.js';
import { LoadBalancers } from './load-balancers.js';
import { Networks } from './networks.js';
import { Ports } from './ports.js';
import { ProviderRouters } from './provider-routers.js';
import { Routers } from './routers.js';
import { SecurityGroups } from './security-groups.js';

export type PartKind = ObservedNetworkPart['kind'];

interface Part {
  ensure(time: CallTime, specification: never): Promise<Outcome<void>>;
  remove(time: CallTime, id: string): Promise<Outcome<void>>;
}

/** All kinds of parts in one store. */
export class Parts {
  readonly #byKind: Readonly<Record<PartKind, { part: Part; read: (specification: never) => unknown }>>;

  /**
   * @param southbound shows all chassis
   * @param tiers whether rules of access have tiers
   */
  constructor(store: Store, southbound: Monitor<Southbound>, tiers: boolean) {
    this.#byKind = {
      NETWORK: { part: new Networks(store), read: readNetwork },
      PORT: { part: new Ports(store, southbound), read: readPort },
      LOAD_BALANCER: { part: new LoadBalancers(store), read: readLoadBalancer },
      EXTERNAL_NETWORK: { part: new ExternalNetworks(store), read: readExternalNetwork },
      PROVIDER_ROUTER: { part: new ProviderRouters(store, southbound), read: readProviderRouter },
      ROUTER: { part: new Routers(store, southbound), read: readRouter },
      FLOATING_IP: { part: new FloatingIps(store, southbound), read: readFloatingIp },
      SECURITY_GROUP: { part: new SecurityGroups(store, tiers), read: readSecurityGroup },
      FIREWALL: { part: new Firewalls(store, tiers), read: readFirewall },
    };
  }

  /** @param specification of a part of that kind, as it came in. @throws INVALID_INPUT naming the field */
  async ensure(time: CallTime, kind: PartKind, specification: object): Promise<Outcome<void>> {
    const { part, read } = this.#byKind[kind];
    return part.ensure(time, read(specification as never) as never);
  }

  async remove(time: CallTime, kind: PartKind, id: string): Promise<Outcome<void>> {
    return this.#byKind[kind].part.remove(time, id);
  }
}
