import { randomUUID } from 'node:crypto';
import { Database } from '#database';
import type { Driver } from '#drivers';
import { driverConformance, type ConformanceSubject } from '#drivers/conformance';
import { testDatabase } from '#testing';
import { simulatedDriverFactory, SimulatedWorld, type SimulatedOptions } from './index.js';

async function setup(options: SimulatedOptions): Promise<ConformanceSubject> {
  const simulation = await testDatabase();
  const muon = await testDatabase();
  const database = await Database.open({ url: muon.url, rooms: [], poolSize: 2 });
  const backendId = `backend_${randomUUID()}`;
  const connect = async (more: SimulatedOptions = {}): Promise<Driver> =>
    simulatedDriverFactory({ watchIntervalMs: 20 }).connect({
      backendId,
      installationId: 'installation_conformance',
      endpoint: simulation.url,
      secret: null,
      options: { ...options, ...more },
    });
  const world = await SimulatedWorld.open(simulation.url, backendId);
  await world.createHosts({ prefix: 'host', count: 3, cpu: 16, memoryMib: 65_536, pools: [{ name: 'local', capacityGib: 1000 }] });
  const driver = await connect();
  return {
    driver,
    hostNames: ['host-1', 'host-2'],
    poolName: 'local',
    imageReference: 'images:debian/13',
    patienceMs: 5_000,
    hooks: {
      insideUnitOfWork: async (work) => database.transaction(async () => work()),
      connectAgain: async () => connect(),
      connectWithout: async (capability) => connect({ capabilities: { [capability]: false } }),
      loseNextAnswer: async (method) => void (await world.addFault({ kind: 'LOST_ANSWER', method })),
      hangNext: async (method) => void (await world.addFault({ kind: 'HANG', method })),
      delayNextEffect: async (method, delayMs) => void (await world.addFault({ kind: 'LATE_EFFECT', method, delayMs })),
      connectHost: async (hostName, physicalNetwork, connected) => world.connectHost(hostName, physicalNetwork, connected),
      killHost: async (hostName) => world.setHost(hostName, 'DEAD'),
      cutOffHost: async (hostName) => world.setHost(hostName, 'PARTITIONED'),
      returnHost: async (hostName) => world.setHost(hostName, 'ALIVE'),
      damagePart: async ({ id }) => world.damagePart(id),
      losePart: async ({ id }) => world.losePart(id),
    },
    async teardown() {
      await driver.close();
      await world.close();
      await database.close();
      await simulation.drop();
      await muon.drop();
    },
  };
}

/** Its network knows of no hosts' switches. */
const lacks = ['the set-up offers no "boundHost"'];
driverConformance('simulated, at once', async () => setup({}), { lacks });
driverConformance('simulated, taking its time', async () => setup({ delayMs: { min: 1, max: 20 } }), { lacks });
