import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { typeidUnboxed } from 'typeid-js';
import { expect } from 'vitest';
import { createLogger } from '#core';
import { Database } from '#database';
import type { IncusOptions } from '#driver-incus';
import { damage, disturbed, loss, type Damage, type Northbound } from '#driver-ovn/testing';
import type { Driver } from '#drivers';
import { driverConformance, type ConformanceSubject } from '#drivers/conformance';
import { OvsdbClient, Transaction } from '#ovsdb';
import { Proxy } from '#ovsdb/testing';
import { testDatabase } from '#testing';
import { driversOf } from '../../apps/composition/src/backends.js';
import { INCUS_SOCKET } from '../../apps/lab/src/host/host.js';
import { pathOn } from '../../apps/lab/src/host/namespace.js';
import { killHost, partitionHost, startHost } from '../../apps/lab/src/hosts.js';
import { CONTROLLER, NORTHBOUND_PORT, OVSDB_PORT, POOL, PROFILE, SOUTHBOUND_PORT, TINY_IMAGE } from '../../apps/lab/src/layout.js';
import { builtProgram } from '../support/built.js';
import { FaultyIncus } from '../support/faulty-incus.js';
import { LabInventory } from '../support/lab-inventory.js';
import { Lab, until } from '../support/lab.js';

/** The driver that a deployment has for a backend of kind `incus` with a network: Incus and OVN joined as one. */

/** The one that is asked; the others are what things are made on, and what dies. */
const ASKED = 'h3';
const TEST_TIMEOUT_MS = 240_000;
const PATIENCE_MS = 60_000;
const NORTHBOUND = `tcp:${CONTROLLER.managementAddress}:${NORTHBOUND_PORT}`;
/** Reaches a host's switch for power over the cables that are pulled when it is cut off. */
const FENCE = 'folder=$1; shift; for host; do :; done; test ! -e "$folder/$host" && exec "$@"';

async function setup(): Promise<ConformanceSubject> {
  const lab = await Lab.find();
  const incus = await lab.incus(ASKED);
  await lab.settled(incus);
  const installationId = typeidUnboxed('installation');
  const inventory = new LabInventory(incus, lab.hosts, installationId);
  const muon = await testDatabase();
  const database = await Database.open({ url: muon.url, rooms: [], poolSize: 2 });
  const faulty = await FaultyIncus.before(pathOn(await lab.machine(ASKED), INCUS_SOCKET));
  const link = await Proxy.to(NORTHBOUND);
  const northbound = new OvsdbClient<Northbound>({ database: 'OVN_Northbound', endpoints: [NORTHBOUND] });
  const write = async (build: Damage): Promise<void> => {
    const transaction = new Transaction<Northbound>();
    build(transaction);
    await northbound.transact(transaction);
  };
  const host = (name: string) => ({ folder: lab.folder, name, note: () => undefined });
  const cutOff = await mkdtemp(join(tmpdir(), 'muon-cut-off-'));
  const fence = ['sh', '-c', FENCE, 'fence', cutOff, process.execPath, builtProgram('apps/lab/src/main.js'), '--state', lab.folder.path, 'host', 'kill'];
  const factory = driversOf({ MUON_FENCE_COMMAND: fence }, createLogger('driver-joined', 'silent')).find(({ kind }) => kind === 'incus');
  if (factory === undefined) throw new Error('no driver for backends of kind "incus"');
  const connect = async (options: IncusOptions = {}): Promise<Driver> =>
    factory.connect({
      backendId: typeidUnboxed('backend'),
      installationId,
      endpoint: `unix:${faulty.socketPath}`,
      secret: null,
      options: {
        profiles: [PROFILE],
        hosts: { h1: { cpu: 2, memoryMib: 4096 } },
        watchIntervalMs: 1000,
        network: {
          northbound: [link.endpoint],
          southbound: [`tcp:${CONTROLLER.managementAddress}:${SOUTHBOUND_PORT}`],
          switches: Object.fromEntries(lab.hosts.map(({ name, managementAddress }) => [name, `tcp:${managementAddress}:${OVSDB_PORT}`])),
        },
        ...options,
      },
    });
  const joined = await connect();
  const { network, loseNextAnswer, hangNext } = disturbed(joined.network, link);
  const isOfNetwork = (method: string): boolean => method in joined.network;
  return {
    driver: {
      capabilities: joined.capabilities,
      compute: joined.compute,
      storage: joined.storage,
      hosts: joined.hosts,
      network,
      watch: async (onEvent, signal) => joined.watch(onEvent, signal),
      tend: async (signal) => joined.tend(signal),
      close: async () => joined.close(),
    },
    installationId,
    hostNames: ['h1', 'h2'],
    poolName: POOL,
    imageReference: TINY_IMAGE,
    patienceMs: PATIENCE_MS,
    hooks: {
      insideUnitOfWork: async (work) => database.transaction(async () => work()),
      connectAgain: async () => connect(),
      connectWithout: async (capability) => connect({ capabilities: { [capability]: false } }),
      loseNextAnswer: async (method) => (isOfNetwork(method) ? loseNextAnswer(method) : faulty.add(method, { kind: 'LOST_ANSWER' })),
      hangNext: async (method) => (isOfNetwork(method) ? hangNext(method) : faulty.add(method, { kind: 'HANG' })),
      delayNextEffect: async (method, delayMs) => faulty.add(method, { kind: 'LATE', delayMs }),
      killHost: async (name) => killHost(host(name)),
      cutOffHost: async (name) => {
        await writeFile(join(cutOff, name), '');
        await partitionHost(host(name));
      },
      returnHost: async (name) => {
        await rm(join(cutOff, name), { force: true });
        await startHost(host(name));
        await lab.settled(incus);
        // Online is what the cluster has heard; that it answers is something else.
        await until(`An answer of ${name}`, PATIENCE_MS, async () => incus.cluster.resources({ target: name, timeoutMs: 1000 }).catch(() => undefined));
      },
      damagePart: async (part) => write(damage(part)),
      losePart: async ({ id }) => write(loss(id)),
      boundHost: async (portId) => lab.hostOfPort(portId),
      connectHost: async (name, physicalNetwork, connected) => {
        const mappings = connected ? ['set', 'open', '.', `external-ids:ovn-bridge-mappings="${physicalNetwork}:br-ex"`] : ['remove', 'open', '.', 'external-ids', 'ovn-bridge-mappings'];
        await lab.switchOf(name, ...mappings);
      },
    },
    async teardown() {
      await joined.close();
      const remains = await inventory.remains();
      await inventory.purge();
      await inventory.close();
      await northbound.close();
      await link.close();
      await faulty.close();
      incus.close();
      await rm(cutOff, { recursive: true });
      await database.close();
      await muon.drop();
      expect(remains, 'what is left in Incus and OVN').toEqual([]);
    },
  };
}

driverConformance('incus and OVN joined, on the lab', setup, { timeoutMs: TEST_TIMEOUT_MS, lacks: [], tags: ['lengthy'] });
