import { describe } from 'vitest';
import { Database } from '#database';
import type { Driver, NetworkDriver } from '#drivers';
import { driverConformance, type ConformanceSubject } from '#drivers/conformance';
import { Proxy } from '#ovsdb/testing';
import { testDatabase } from '#testing';
import { openOvnNetwork, type OvnNetworkDriver } from './index.js';
import { damage, loss } from './testing/damages.js';
import { disturbed } from './testing/disturbed-network.js';
import { INSTALLATION, optionsOf } from './testing/fixtures.js';
import { ovnIsMissing, TestOvn } from './testing/ovn.js';
import { TestHost } from './testing/test-host.js';

type Network = Pick<OvnNetworkDriver, keyof NetworkDriver | 'tend' | 'watch' | typeof Symbol.asyncDispose>;

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
  iopsLimit: false,
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

async function setup(): Promise<ConformanceSubject> {
  const ovn = await TestOvn.start();
  const muon = await testDatabase();
  const database = await Database.open({ url: muon.url, rooms: [], poolSize: 2 });
  const hosts = new Map<string, TestHost>();
  for (const name of ['host-1', 'host-2']) hosts.set(name, await TestHost.start(ovn.southbound.unix, name));
  const hostOf = (name: string): TestHost => hosts.get(name) as TestHost;
  const link = await Proxy.to(ovn.northbound.unix);
  const opened = await openOvnNetwork(optionsOf(ovn, { northbound: [link.endpoint] }));
  const { network, loseNextAnswer, hangNext } = disturbed(opened, link);

  return {
    driver: alone(network),
    installationId: INSTALLATION,
    hostNames: ['host-1', 'host-2'],
    poolName: 'none',
    imageReference: 'none',
    patienceMs: 10_000,
    hooks: {
      insideUnitOfWork: async (work) => database.transaction(async () => work()),
      loseNextAnswer: async (method) => loseNextAnswer(method),
      hangNext: async (method) => hangNext(method),
      connectHost: async (name, physicalNetwork, connected) => hostOf(name).map(connected ? `other:br-lan,${physicalNetwork}:br-ex` : 'other:br-lan'),
      killHost: async (name) => hostOf(name).kill(),
      returnHost: async (name) => hostOf(name).revive(),
      damagePart: async (part) => ovn.write(damage(part)),
      losePart: async ({ id }) => ovn.write(loss(id)),
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
