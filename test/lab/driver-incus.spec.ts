import { randomUUID } from 'node:crypto';
import { Database } from '#database';
import { incusDriverFactory, type IncusOptions } from '#driver-incus';
import type { Driver, FenceResult } from '#drivers';
import { driverConformance, type ConformanceSubject } from '#drivers/conformance';
import { testDatabase } from '#testing';
import { INCUS_SOCKET } from '../../apps/lab/src/host/host.js';
import { findMachine, pathOn } from '../../apps/lab/src/host/namespace.js';
import { killHost, partitionHost, startHost } from '../../apps/lab/src/hosts.js';
import { POOL, PROFILE, TINY_IMAGE } from '../../apps/lab/src/layout.js';
import { FaultyIncus } from '../support/faulty-incus.js';
import { Lab, until } from '../support/lab.js';

/** The one that is asked; the others are what things are made on, and what dies. */
const ASKED = 'h3';
const TEST_TIMEOUT_MS = 240_000;
/** Incus calls a member offline after 20 s without a heartbeat, and sends one every 10 s. */
const PATIENCE_MS = 60_000;

async function setup(): Promise<ConformanceSubject> {
  const lab = await Lab.find();
  const incus = await lab.incus(ASKED);
  await lab.settled(incus);
  const muon = await testDatabase();
  const database = await Database.open({ url: muon.url, rooms: [], poolSize: 2 });
  const faulty = await FaultyIncus.before(pathOn(await lab.machine(ASKED), INCUS_SOCKET));
  const host = (name: string) => ({ folder: lab.folder, name, note: () => undefined });
  const cutOff = new Set<string>();
  /** Reaches a host's switch for power over the cables that are pulled when it is cut off. */
  const fence = async (name: string): Promise<FenceResult> => {
    if (cutOff.has(name)) return 'UNKNOWN';
    await killHost(host(name));
    return (await findMachine(lab.folder.path, name)) === undefined ? 'PROVEN_OFF' : 'UNKNOWN';
  };
  const connect = async (options: IncusOptions = {}): Promise<Driver> =>
    incusDriverFactory({ fence }).connect({
      backendId: `backend_${randomUUID()}`,
      installationId: 'installation_conformance',
      endpoint: `unix:${faulty.socketPath}`,
      secret: null,
      // What Incus sets for the limits of containers' disks is seen here; what each disk gets of it depends on the pool.
      options: { profiles: [PROFILE], hosts: { h1: { cpu: 2, memoryMib: 4096 } }, watchIntervalMs: 1000, capabilities: { iopsLimit: true }, ...options },
    });
  const driver = await connect();
  return {
    driver,
    hostNames: ['h1', 'h2'],
    poolName: POOL,
    imageReference: TINY_IMAGE,
    patienceMs: PATIENCE_MS,
    hooks: {
      insideUnitOfWork: async (work) => database.transaction(async () => work()),
      connectAgain: async () => connect(),
      connectWithout: async (capability) => connect({ capabilities: { [capability]: false } }),
      loseNextAnswer: async (method) => faulty.add(method, { kind: 'LOST_ANSWER' }),
      hangNext: async (method) => faulty.add(method, { kind: 'HANG' }),
      delayNextEffect: async (method, delayMs) => faulty.add(method, { kind: 'LATE', delayMs }),
      killHost: async (name) => killHost(host(name)),
      cutOffHost: async (name) => {
        cutOff.add(name);
        await partitionHost(host(name));
      },
      returnHost: async (name) => {
        cutOff.delete(name);
        await startHost(host(name));
        await lab.settled(incus);
        // Online is what the cluster has heard; that it answers is something else.
        await until(`An answer of ${name}`, PATIENCE_MS, async () => incus.cluster.resources({ target: name, timeoutMs: 1000 }).catch(() => undefined));
      },
    },
    async teardown() {
      await driver.close();
      await faulty.close();
      incus.close();
      await database.close();
      await muon.drop();
    },
  };
}

driverConformance('incus, on the lab', setup, {
  timeoutMs: TEST_TIMEOUT_MS,
  lacks: ['the backend does not offer "network"'],
});
