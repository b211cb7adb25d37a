import { createHash } from 'node:crypto';
import { createLogger, type Logger } from '#core';
import { Database } from '#database';
import type { Access } from '#identity';
import { OperationEngine, OperationService } from '#operations';
import { generateKeyLine } from '#secrets';
import { systemAccess, templateDatabase, testDatabase, type TestDatabase } from '#testing';
import { configurationFrom } from '../../../apps/composition/src/configuration.js';
import { openHouse, type House } from '../../../apps/composition/src/house.js';
import { migrateDatabase } from '../../../apps/composition/src/migrate.js';
import { allRooms } from '../../../apps/composition/src/rooms.js';
import { FaultControl } from './control.js';
import type { Ground } from './ground.js';
import { Lane } from './lane.js';
import { CallRecorder } from './recording-driver.js';
import { SimulatedGround } from './simulated-ground.js';

type Constructor<Service> = abstract new (...parameters: never[]) => Service;

const SETTLE_MS = 20;
const WORKERS = 2;
/** How many operations are put to the test at once, each on a backend of its own. */
const LANES = 6;

/** A house whose database and workers are somebody else's: processes of their own. */
export interface Elsewhere {
  environment: Record<string, string>;
  simulationUrl: string;
}

/** The whole house as an app composes it, with two workers that die when they are told to. */
export class FaultHouse {
  private readonly free: Lane[] = [];
  private readonly waiting: ((lane: Lane) => void)[] = [];
  private readonly lanes: Lane[] = [];

  private constructor(
    readonly house: House,
    readonly ground: Ground,
    readonly recorder: CallRecorder,
    readonly control: FaultControl,
    readonly access: Access,
    readonly log: Logger,
    private readonly stop: () => Promise<void>,
  ) {}

  /** A database and workers of its own, in this process. */
  static async open(options: { lanes?: number; ground?: Ground } = {}): Promise<FaultHouse> {
    const [database, ground] = await Promise.all([houseDatabase(), options.ground ?? simulatedGround()]);
    const environment = { MUON_DATABASE_URL: database.url, MUON_SECRET_KEYS: generateKeyLine('k1'), MUON_POOL_SIZE: '24' };
    const control = new FaultControl();
    const made = await FaultHouse.compose(environment, ground, control, async (house, log) => {
      const stopWorkers = await startWorkers(house, { database, ground, control, log });
      return async () => {
        await stopWorkers();
        await house.close();
        await Promise.all([database.drop(), ground.close()]);
      };
    });
    await made.openLanes(options.lanes ?? LANES);
    return made;
  }

  /** The services only, on the database of processes that are killed in earnest. */
  static async beside({ environment, simulationUrl }: Elsewhere, lanes: number): Promise<FaultHouse> {
    const made = await FaultHouse.compose(environment, new SimulatedGround(simulationUrl), new FaultControl(), async (house) => () => house.close());
    await made.openLanes(lanes);
    return made;
  }

  private static async compose(
    environment: Record<string, string>,
    ground: Ground,
    control: FaultControl,
    start: (house: House, log: Logger) => Promise<() => Promise<void>>,
  ): Promise<FaultHouse> {
    const log = createLogger('faults', process.env.MUON_FAULTS_LOG === undefined ? 'silent' : 'warn');
    const recorder = new CallRecorder();
    const drivers = ground.drivers(log).map((factory) => recorder.wrap(factory));
    const configuration = configurationFrom(environment);
    const house = await openHouse({ configuration, log, applicationName: 'faults', drivers, settleMs: SETTLE_MS });
    return new FaultHouse(house, ground, recorder, control, systemAccess(), log, await start(house, log));
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

  /** The same with several at once, which must be free. */
  async onLanes<Result>(count: number, work: (lanes: readonly Lane[]) => Promise<Result>): Promise<Result> {
    const taken = this.free.splice(0, count);
    if (taken.length < count) throw new Error(`only ${taken.length} of ${count} lanes are free`);
    try {
      return await work(taken);
    } finally {
      this.free.push(...taken);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.lanes.map((lane) => lane.close()));
    await this.stop();
  }

  private async openLanes(count: number): Promise<void> {
    for (let number = 1; number <= count; number += 1) this.lanes.push(await Lane.open(this, number));
    this.free.push(...this.lanes);
  }
}

interface Surroundings {
  database: TestDatabase;
  ground: Ground;
  control: FaultControl;
  log: Logger;
}

async function startWorkers(house: House, { database, ground, control, log }: Surroundings): Promise<() => Promise<void>> {
  const leases = await Database.open({ url: database.url, rooms: [], poolSize: 2, applicationName: 'faults leases' });
  const { registry, applier, queue } = house;
  const engines = Array.from(
    { length: WORKERS },
    () =>
      new OperationEngine({
        database: house.database,
        leaseDatabase: leases,
        registry,
        applier,
        bell: queue,
        log,
        hooks: control.hooks,
        leaseMs: ground.leaseMs,
        callTimeoutMs: ground.callTimeoutMs,
        sweepEveryMs: 40,
        backendLimit: ground.backendLimit,
        retry: { baseMs: 10, maxMs: 100 },
      }),
  );
  for (const engine of engines) engine.start();
  return async () => {
    await Promise.all(engines.map((engine) => engine.drain(2000)));
    await leases.close();
  };
}

async function simulatedGround(): Promise<Ground> {
  const simulation = await testDatabase();
  return new SimulatedGround(simulation.url, () => simulation.drop());
}

/** A migrated database, with the queue in it, copied from a template. */
async function houseDatabase(): Promise<TestDatabase> {
  const migrations = allRooms.flatMap((room) => room.migrations.map((each) => each.name + String(each.prototype.up)));
  const digest = createHash('sha256').update(migrations.join('\n')).digest('hex').slice(0, 16);
  const template = await templateDatabase(`faults_${digest}`, (url) =>
    migrateDatabase(url, { kind: 'postgres' }, createLogger('faults', 'silent')),
  );
  return testDatabase({ template });
}
