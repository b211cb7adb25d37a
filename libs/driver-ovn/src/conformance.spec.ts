import { describe } from 'vitest';
import { Database } from '#database';
import type { Driver, DriverCall, NetworkDriver, ObservedNetworkPart } from '#drivers';
import { driverConformance, type ConformanceSubject } from '#drivers/conformance';
import type { Transaction } from '#ovsdb';
import { Proxy } from '#ovsdb/testing';
import { testDatabase } from '#testing';
import { openOvnNetwork, type OvnNetworkDriver } from './index.js';
import { carries } from './marks.js';
import { rowUuid } from './names.js';
import type { Northbound } from './schema/northbound.js';
import { INSTALLATION, optionsOf } from './testing/fixtures.js';
import { ovnIsMissing, TestOvn } from './testing/ovn.js';
import { TestHost } from './testing/test-host.js';

type Network = Pick<OvnNetworkDriver, keyof NetworkDriver | 'tend' | 'watch' | typeof Symbol.asyncDispose>;

/** Short, and yet enough for a transaction. */
const LOST_AFTER_MS = 500;

/** What a network alone can be asked. */
const CAPABILITIES = {
  compute: false,
  network: true,
  storage: false,
  suspend: false,
  resize: false,
  moveStopped: false,
  snapshot: false,
  guestRun: false,
  fence: false,
  loadBalancer: true,
  kubernetesNodes: false,
  router: true,
  firewall: true,
};

function alone(network: Network): Driver {
  const other = (): never => {
    throw new Error('the examination of a network touches another contract');
  };
  return {
    capabilities: CAPABILITIES,
    network,
    get compute() {
      return other();
    },
    get storage() {
      return other();
    },
    get hosts() {
      return other();
    },
    watch: async (onEvent, signal) => network.watch(onEvent, signal),
    tend: async (signal) => network.tend(signal),
    close: async () => network[Symbol.asyncDispose](),
  };
}

type Damage = (transaction: Transaction<Northbound>) => unknown;

/** What somebody may do to a part by hand. */
const DAMAGES: Record<ObservedNetworkPart['kind'], (id: string) => Damage> = {
  NETWORK: (id) => (transaction) => transaction.mutate('DHCP_Options', [carries({ NETWORK: id })], [['options', 'delete', ['router']]]),
  PORT: (id) => (transaction) => transaction.update('Logical_Switch_Port', [['name', '==', id]], { addresses: ['unknown'] }),
  LOAD_BALANCER: (id) => (transaction) => transaction.update('Load_Balancer', [['name', '==', id]], { vips: {} }),
  EXTERNAL_NETWORK: (id) => (transaction) => transaction.mutate('Logical_Switch', [['name', '==', id]], [['ports', 'delete', [rowUuid('Logical_Switch_Port', `${id}-outside`)]]]),
  PROVIDER_ROUTER: (id) => (transaction) => transaction.update('Logical_Router', [['name', '==', id]], { nat: [] }),
  ROUTER: (id) => (transaction) => transaction.update('Logical_Router', [['name', '==', id]], { static_routes: [] }),
  FLOATING_IP: (id) => (transaction) => transaction.update('NAT', [['_uuid', '==', rowUuid('NAT', id)]], { external_ip: '198.51.100.99' }),
  SECURITY_GROUP: (id) => (transaction) => transaction.update('ACL', [carries({ ID: id }), ['action', '==', 'drop']], { action: 'allow' }),
  FIREWALL: () => (transaction) => transaction.update('Port_Group', [carries({ KIND: 'FIREWALL_SCOPE' })], { acls: [] }),
};

/** Begins to disturb. @returns what ends it */
type Disturbance = () => () => void;

/** The next call of a method can be disturbed for as long as it takes, which is not long then. */
function disturbable(network: Network): { network: Network; disturb: (method: string, by: Disturbance) => void } {
  const disturbances = new Map<PropertyKey, Disturbance>();
  const proxy = new globalThis.Proxy(network, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return async (call: DriverCall, ...rest: unknown[]): Promise<unknown> => {
        const begin = disturbances.get(name);
        if (begin === undefined) return Reflect.apply(member, target, [call, ...rest]) as Promise<unknown>;
        disturbances.delete(name);
        const end = begin();
        try {
          const shortened = { ...call, timeoutMs: Math.min(call.timeoutMs, LOST_AFTER_MS) };
          return await (Reflect.apply(member, target, [shortened, ...rest]) as Promise<unknown>);
        } finally {
          end();
        }
      };
    },
  });
  return { network: proxy, disturb: (method, by) => disturbances.set(method, by) };
}

async function setup(): Promise<ConformanceSubject> {
  const ovn = await TestOvn.start();
  const muon = await testDatabase();
  const database = await Database.open({ url: muon.url, rooms: [], poolSize: 2 });
  const hosts = new Map<string, TestHost>();
  for (const name of ['host-1', 'host-2']) hosts.set(name, await TestHost.start(ovn.southbound.unix, name));
  const hostOf = (name: string): TestHost => hosts.get(name) as TestHost;
  const link = await Proxy.to(ovn.northbound.unix);
  const opened = await openOvnNetwork(optionsOf(ovn, { northbound: [link.endpoint] }));
  const { network, disturb } = disturbable(opened);
  const forward = (): void => {
    link.fromClient = () => 'forward';
    link.fromServer = () => 'forward';
  };

  return {
    driver: alone(network),
    installationId: INSTALLATION,
    hostNames: ['host-1', 'host-2'],
    poolName: 'none',
    imageReference: 'none',
    patienceMs: 10_000,
    hooks: {
      insideUnitOfWork: async (work) => database.transaction(async () => work()),
      loseNextAnswer: async (method) =>
        disturb(method, () => {
          // What is read is answered; of what is written, and of what is read after that, no answer comes.
          let answers = 0;
          link.fromServer = (message) => {
            if ('method' in message) return 'forward';
            answers += 1;
            return answers > 1 ? 'drop' : 'forward';
          };
          return forward;
        }),
      hangNext: async (method) =>
        disturb(method, () => {
          link.fromClient = (message) => (message['method'] === 'transact' ? 'drop' : 'forward');
          return forward;
        }),
      connectHost: async (name, physicalNetwork, connected) => hostOf(name).map(connected ? `other:br-lan,${physicalNetwork}:br-ex` : 'other:br-lan'),
      killHost: async (name) => hostOf(name).kill(),
      returnHost: async (name) => hostOf(name).revive(),
      damagePart: async ({ kind, id }) => ovn.write(DAMAGES[kind](id)),
      losePart: async ({ id }) => ovn.write((transaction) => transaction.mutate('Logical_Switch', [], [['ports', 'delete', [rowUuid('Logical_Switch_Port', id)]]])),
    },
    async teardown() {
      await opened[Symbol.asyncDispose]();
      await link.close();
      for (const host of hosts.values()) await host[Symbol.asyncDispose]();
      await ovn[Symbol.asyncDispose]();
      await database.close();
      await muon.drop();
    },
  };
}

describe.skipIf(ovnIsMissing)('the network on OVN', () => {
  driverConformance('OVN, network only', setup, {
    contracts: ['network'],
    lacks: [
      'its contract is not examined',
      'the backend does not offer "compute"',
      'the backend does not offer "storage"',
      // Its capabilities are those of the backend that it is a part of.
      'the set-up offers no "connectWithout"',
    ],
  });
});
