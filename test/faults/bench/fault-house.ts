import { createHash } from 'node:crypto';
import { createLogger, type Logger } from '#core';
import { Database } from '#database';
import { simulatedDriverFactory } from '#driver-simulated';
import type { Access } from '#identity';
import { OperationEngine, OperationService } from '#operations';
import { generateKeyLine } from '#secrets';
import { systemAccess, templateDatabase, testDatabase } from '#testing';
import { configurationFrom } from '../../../apps/composition/src/configuration.js';
import { openHouse, type House } from '../../../apps/composition/src/house.js';
import { migrateDatabase } from '../../../apps/composition/src/migrate.js';
import { allRooms } from '../../../apps/composition/src/rooms.js';
import { FaultControl } from './control.js';
import { Lane } from './lane.js';
import { CallRecorder } from './recording-driver.js';

type Constructor<Service> = abstract new (...parameters: never[]) => Service;

/** The lease of the design: a dead worker's operation is free again after it. */
const LEASE_MS = 250;
const SETTLE_MS = 20;
const WORKERS = 2;
/** How many operations are put to the test at once, each on a backend of its own. */
const LANES = 6;

/** The whole house as an app composes it, with two workers that die when they are told to. */
export class FaultHouse {
  private readonly free: Lane[] = [];
  private readonly waiting: ((lane: Lane) => void)[] = [];
  private readonly lanes: Lane[] = [];

  private constructor(
    readonly house: House,
    readonly simulationUrl: string,
    readonly recorder: CallRecorder,
    readonly control: FaultControl,
    readonly access: Access,
    readonly log: Logger,
    private readonly stop: () => Promise<void>,
  ) {}

  static async open(options: { lanes?: number } = {}): Promise<FaultHouse> {
    const [database, simulation] = await Promise.all([houseDatabase(), testDatabase()]);
    const configuration = configurationFrom({
      MUON_DATABASE_URL: database.url,
      MUON_SECRET_KEYS: generateKeyLine('k1'),
      MUON_POOL_SIZE: '24',
    });
    const log = createLogger('faults', process.env.MUON_FAULTS_LOG === undefined ? 'silent' : 'warn');
    const recorder = new CallRecorder();
    const control = new FaultControl();
    const drivers = [recorder.wrap(simulatedDriverFactory({ poolSize: 3 }))];
    const house = await openHouse({ configuration, log, applicationName: 'faults', drivers, settleMs: SETTLE_MS });
    const leases = await Database.open({ url: database.url, rooms: [], poolSize: 2, applicationName: 'faults leases' });
    const engines = Array.from({ length: WORKERS }, () => {
      const { registry, applier, queue } = house;
      return new OperationEngine({
        database: house.database,
        leaseDatabase: leases,
        registry,
        applier,
        bell: queue,
        log,
        hooks: control.hooks,
        leaseMs: LEASE_MS,
        sweepEveryMs: 40,
        backendLimit: 32,
        retry: { baseMs: 10, maxMs: 100 },
      });
    });
    for (const engine of engines) engine.start();
    const stop = async (): Promise<void> => {
      await Promise.all(engines.map((engine) => engine.drain(2000)));
      await leases.close();
      await house.close();
      await Promise.all([database.drop(), simulation.drop()]);
    };
    const made = new FaultHouse(house, simulation.url, recorder, control, systemAccess(), log, stop);
    for (let number = 1; number <= (options.lanes ?? LANES); number += 1) made.lanes.push(await Lane.open(made, number));
    made.free.push(...made.lanes);
    return made;
  }

  get database(): Database {
    return this.house.database;
  }

  get operations(): OperationService {
    return this.service(OperationService);
  }

  /** One of the services that the house offers to resolvers. */
  service<Service extends object>(type: Constructor<Service>): Service {
    const found = this.house.services.find((each) => each instanceof type);
    if (found === undefined) throw new Error(`the house offers no ${type.name}`);
    return found as Service;
  }

  /** Runs the work on a backend that nobody else uses meanwhile. */
  async onLane<Result>(work: (lane: Lane) => Promise<Result>): Promise<Result> {
    const lane = this.free.pop() ?? (await new Promise<Lane>((resolve) => this.waiting.push(resolve)));
    try {
      return await work(lane);
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.free.push(lane);
      else next(lane);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.lanes.map((lane) => lane.close()));
    await this.stop();
  }
}

/** A migrated database, with the queue in it, copied from a template. */
async function houseDatabase(): ReturnType<typeof testDatabase> {
  const migrations = allRooms.flatMap((room) => room.migrations.map((each) => each.name + String(each.prototype.up)));
  const digest = createHash('sha256').update(migrations.join('\n')).digest('hex').slice(0, 16);
  const template = await templateDatabase(`faults_${digest}`, (url) =>
    migrateDatabase(url, { kind: 'postgres' }, createLogger('faults', 'silent')),
  );
  return testDatabase({ template });
}
