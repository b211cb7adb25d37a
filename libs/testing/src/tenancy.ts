import { registerRowSections, type Database, type RoomSchema } from '#database';
import { eventsRoom } from '#events';
import { CommandRunner, identityRoom } from '#identity';
import { infrastructureRoom } from '#infrastructure';
import {
  OperationEngine,
  OperationRegistry,
  operationsRoom,
  OperationService,
  registerOperationSections,
  silentBell,
  type EngineOptions,
  type OperationKind,
} from '#operations';
import { QuotaLedger, quotaRoom, QuotaService, registerQuotaSections } from '#quota';
import { registerScopeSections, scopesRoom } from '#scopes';
import { secretsRoom } from '#secrets';
import { goingOperations, ProjectService, ScopeContentsRegistry, tenancyRoom, TenantService, zoneDirectory, type ScopeContents } from '#tenancy';
import { roomDatabase, type RoomDatabase } from './room-database.js';

/** Tenancy and what it leans on, composed as an app does, with an engine to be started. */
export interface TenancyBench extends RoomDatabase {
  readonly commands: CommandRunner;
  readonly ledger: QuotaLedger;
  readonly quota: QuotaService;
  readonly tenants: TenantService;
  readonly projects: ProjectService;
  readonly contents: ScopeContentsRegistry;
  readonly operations: OperationService;
  /** A worker with short times; `close` drains it. */
  startEngine(options?: Partial<EngineOptions>): OperationEngine;
}

export interface TenancyBenchOptions {
  rooms?: readonly RoomSchema[];
  kinds?: readonly OperationKind<unknown>[];
  contents?: readonly ScopeContents[];
  prepare?: (database: Database) => Promise<void>;
}

export async function tenancyBench(options: TenancyBenchOptions = {}): Promise<TenancyBench> {
  const below = [eventsRoom, scopesRoom, secretsRoom, identityRoom, quotaRoom, operationsRoom, infrastructureRoom, tenancyRoom];
  const room = await roomDatabase([...below, ...(options.rooms ?? [])], options.prepare);
  const { database, applier, log } = room;
  const contents = new ScopeContentsRegistry().register(...(options.contents ?? []));
  const registry = new OperationRegistry().register(...goingOperations({ contents, proofPatienceMs: 500 }), ...(options.kinds ?? []));
  const ledger = new QuotaLedger();
  registerRowSections(applier);
  registerScopeSections(applier);
  registerQuotaSections(applier, ledger);
  registerOperationSections(applier, { registry, bell: silentBell });
  const commands = new CommandRunner(database, applier, log);
  const engines: OperationEngine[] = [];
  return {
    ...room,
    commands,
    ledger,
    contents,
    quota: new QuotaService(database, commands, zoneDirectory),
    tenants: new TenantService(database, commands, contents),
    projects: new ProjectService(database, commands, contents),
    operations: new OperationService(database, applier, registry, silentBell),
    startEngine(engineOptions = {}) {
      const engine = new OperationEngine({
        database,
        registry,
        applier,
        bell: silentBell,
        log,
        leaseMs: 1000,
        sweepEveryMs: 50,
        retry: { baseMs: 10, maxMs: 50 },
        ...engineOptions,
      });
      engines.push(engine);
      engine.start();
      return engine;
    },
    async close() {
      await Promise.all(engines.map((engine) => engine.drain(100)));
      await room.close();
    },
  };
}
