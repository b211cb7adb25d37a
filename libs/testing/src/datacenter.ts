import { setTimeout as pause } from 'node:timers/promises';
import type { ErrorRecord } from '#core';
import { insertRows, registerRowSections, statement, type ChangeSetApplier, type Database, type RoomSchema } from '#database';
import type { SimulatedOptions, SimulatedWorld } from '#driver-simulated';
import type { CommandRunner } from '#identity';
import type { DriverRegistry } from '#infrastructure';
import type { EngineOptions, NotRestored, OperationEngine, OperationKind, OperationRegistry, OperationService, OperationState } from '#operations';
import type { QuotaLedger } from '#quota';
import type { SecretService } from '#secrets';
import { testDatabase } from './postgres/test-database.js';
import { roomDatabase, type RoomDatabase } from './room-database.js';

export interface DatacenterOptions {
  hosts?: number;
  cpu?: number;
  memoryMib?: number;
  /** Of each host's own pool `local`; 0 for none. */
  poolGib?: number;
  /** Of a pool `shared` that all hosts reach; none if not given. */
  sharedGib?: number;
  /** Of the simulated driver. */
  driver?: SimulatedOptions;
  /** Registers the sections of the rooms under test; those of scopes, identity, operations, quota and placement are there. */
  sections?: (applier: ChangeSetApplier) => void;
  /** The kinds of the rooms under test. */
  kinds?: (drivers: DriverRegistry, secrets: SecretService) => readonly OperationKind<unknown>[];
  engine?: Partial<EngineOptions>;
}

export interface EndedOperation {
  id: string;
  kind: string;
  state: OperationState;
  error: ErrorRecord | null;
  not_restored: NotRestored[];
  blocker: ErrorRecord | null;
}

/** One zone of simulated hosts, known to Muon, and a worker's engine that runs operations on them. */
export interface TestDatacenter {
  readonly zoneId: string;
  readonly backendId: string;
  readonly hostIds: readonly string[];
  /** The hosts' local pools, in the order of the hosts, then the shared one. */
  readonly datastoreIds: readonly string[];
  readonly world: SimulatedWorld;
  readonly drivers: DriverRegistry;
  readonly secrets: SecretService;
  readonly commands: CommandRunner;
  readonly ledger: QuotaLedger;
  readonly registry: OperationRegistry;
  readonly operations: OperationService;
  readonly engine: OperationEngine;
  /** Waits until the operation has ended or is STUCK; throws after `deadlineMs`. */
  ended(operationId: unknown, deadlineMs?: number): Promise<EndedOperation>;
  operation(operationId: unknown): Promise<EndedOperation>;
  close(): Promise<void>;
}

const readOperation = statement<EndedOperation, [id: string]>(
  'testing.operation',
  'SELECT id, kind, state, error, not_restored, blocker FROM operation WHERE id = $1',
);

/** A database of the rooms under test, with those below them that `testDatacenter` needs, and tenancy. */
export async function datacenterDatabase(rooms: readonly RoomSchema[]): Promise<RoomDatabase> {
  const { eventsRoom } = await import('#events');
  const { identityRoom } = await import('#identity');
  const { infrastructureRoom } = await import('#infrastructure');
  const { operationsRoom } = await import('#operations');
  const { placementRoom } = await import('#placement');
  const { quotaRoom } = await import('#quota');
  const { scopesRoom } = await import('#scopes');
  const { secretsRoom } = await import('#secrets');
  const { tenancyRoom } = await import('#tenancy');
  const below = [secretsRoom, eventsRoom, scopesRoom, identityRoom, quotaRoom, operationsRoom, infrastructureRoom, tenancyRoom, placementRoom];
  return roomDatabase([...below, ...rooms]);
}

/** Builds a datacenter for the specs of rooms above infrastructure, on a database as `datacenterDatabase` makes it. */
export async function testDatacenter(room: RoomDatabase, options: DatacenterOptions = {}): Promise<TestDatacenter> {
  // Loaded only by specs that build one, so that those of the lower rooms do not load the whole house.
  const { simulatedDriverFactory, SimulatedWorld } = await import('#driver-simulated');
  const { CommandRunner } = await import('#identity');
  const infrastructure = await import('#infrastructure');
  const { OperationEngine, OperationRegistry, OperationService, registerOperationSections, silentBell } = await import('#operations');
  const { registerPlacementSections } = await import('#placement');
  const { QuotaLedger, registerQuotaSections } = await import('#quota');
  const { registerScopeSections } = await import('#scopes');
  const { generateKeyLine, KeyRing, SecretService } = await import('#secrets');

  const { applier, database, log } = room;
  const simulation = await testDatabase();
  const made = await makeRows(database, simulation.url, options, infrastructure);
  const world = await SimulatedWorld.open(simulation.url, made.backendId);
  const { poolGib = 1000, sharedGib = 0 } = options;
  const pools = [
    { name: 'local', capacityGib: poolGib, shared: false },
    { name: 'shared', capacityGib: sharedGib, shared: true },
  ].filter((pool) => pool.capacityGib > 0);
  await world.createHosts({ prefix: 'host', count: made.hostIds.length, cpu: made.cpu, memoryMib: made.memoryMib, pools });

  const secrets = new SecretService(KeyRing.parse(generateKeyLine('k1')));
  const drivers = new infrastructure.DriverRegistry(database, secrets, log);
  drivers.register(simulatedDriverFactory(options.driver ?? {}));
  const ledger = new QuotaLedger();
  const registry = new OperationRegistry().register(...(options.kinds?.(drivers, secrets) ?? []));
  registerRowSections(applier);
  registerScopeSections(applier);
  registerQuotaSections(applier, ledger);
  registerPlacementSections(applier);
  registerOperationSections(applier, { registry, bell: silentBell });
  options.sections?.(applier);
  const engine = new OperationEngine({
    database,
    registry,
    applier,
    bell: silentBell,
    log,
    sweepEveryMs: 20,
    retry: { baseMs: 20, maxMs: 200 },
    callTimeoutMs: 1000,
    ...options.engine,
  });
  engine.start();

  const operation = async (id: unknown): Promise<EndedOperation> => {
    const row = await database.first(readOperation, String(id));
    if (row === undefined) throw new Error(`there is no operation ${String(id)}`);
    return row;
  };
  return {
    ...made,
    world,
    drivers,
    secrets,
    ledger,
    registry,
    engine,
    commands: new CommandRunner(database, applier, log),
    operations: new OperationService(database, applier, registry, silentBell),
    operation,
    async ended(id, deadlineMs = 15_000) {
      const deadline = Date.now() + deadlineMs;
      for (;;) {
        const row = await operation(id);
        if (['SUCCEEDED', 'FAILED', 'CANCELLED', 'STUCK'].includes(row.state)) return row;
        if (Date.now() > deadline) throw new Error(`operation is still ${JSON.stringify(row)} after ${deadlineMs} ms`);
        await pause(10);
      }
    },
    async close() {
      await engine.drain(2000);
      await drivers.close();
      await world.close();
      await simulation.drop();
    },
  };
}

type Infrastructure = typeof import('#infrastructure');

async function makeRows(database: Database, endpoint: string, options: DatacenterOptions, ids: Infrastructure) {
  const { hosts = 3, cpu = 64, memoryMib = 262_144, poolGib = 1000, sharedGib = 0 } = options;
  const zoneId: string = ids.zoneId.create();
  const backendId: string = ids.backendId.create();
  const capabilities = { compute: true, network: true, storage: true, snapshot: true, iopsLimit: true, suspend: true, resize: true, moveStopped: true, guestRun: true, loadBalancer: true, kubernetesNodes: true, router: true, firewall: true };
  const hostIds: string[] = [];
  const datastoreIds: string[] = [];
  const numbers = Array.from({ length: hosts }, (_, index) => index + 1);
  await database.transaction(async (transaction) => {
    await insertRows(transaction, 'zone', [{ id: zoneId, name: `zone-${zoneId.slice(-8)}` }]);
    await insertRows(transaction, 'backend', [
      { id: backendId, name: `backend-${backendId.slice(-8)}`, kind: 'simulated', endpoint, capabilities, health: 'UP' },
    ]);
    const hostRows = numbers.map((number) => {
      const id = ids.hostId.create();
      hostIds.push(id);
      return { id, backend_id: backendId, zone_id: zoneId, name: `host-${number}`, cpu, memory_mib: memoryMib, health: 'UP' };
    });
    await insertRows(transaction, 'host', hostRows);
    const common = { backend_id: backendId, zone_id: zoneId, limits_iops: capabilities.iopsLimit };
    const local = hostIds.map((host_id) => ({ ...common, host_id, name: 'local', capacity_gib: poolGib }));
    const shared = { ...common, host_id: null, name: 'shared', capacity_gib: sharedGib };
    const datastoreRows = [...local, shared].filter((row) => row.capacity_gib > 0).map((row) => ({ ...row, id: ids.datastoreId.create() }));
    datastoreIds.push(...datastoreRows.map((row) => row.id));
    await insertRows(transaction, 'datastore', datastoreRows);
  });
  return { zoneId, backendId, hostIds, datastoreIds, cpu, memoryMib };
}
