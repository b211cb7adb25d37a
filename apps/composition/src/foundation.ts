import type { Logger } from '#core';
import { ChangeSetApplier, Database, registerRowSections } from '#database';
import type { DriverFactory } from '#drivers';
import { EventFeed } from '#events';
import { Authenticator, CommandRunner, FailedAttempts, IssuerKeys, registerIdentitySections, RequestBudgets, SystemPause, TokenSignIn, TokenVerifier, type IssuerPolicy } from '#identity';
import { DriverRegistry } from '#infrastructure';
import { registerComputeSections } from '#compute';
import { registerNetworkSections } from '#network';
import { OperationRegistry, registerOperationSections, WorkQueue, type QueueBackend } from '#operations';
import { registerPlacementSections } from '#placement';
import { QuotaLedger, registerQuotaSections } from '#quota';
import { registerScopeSections } from '#scopes';
import { KeyRing, refuseKeyProblems, SecretService } from '#secrets';
import { registerStorageSections } from '#storage';
import type { Configuration } from './configuration.js';
import { allRooms } from './rooms.js';

export interface HouseParts {
  configuration: Configuration;
  log: Logger;
  /** Shown by PostgreSQL for this process's connections. */
  applicationName: string;
  /** Named here and nowhere below: the backends that this deployment can drive. */
  drivers: readonly DriverFactory[];
  /** How long an undo waits before it looks again for late effects; the rooms' own default without it. */
  settleMs?: number;
  /** How soon the house notices by itself; the rooms' own defaults, made for large datacenters, without it. */
  attention?: Attention;
}

export interface Attention {
  heartbeatEveryMs: number;
  /** How long a host may be silent before it counts as down. */
  silentAfterMs: number;
  /** How often each cluster is looked at. */
  clustersEveryMs: number;
}

/** What the rooms' services are built on. */
export interface Foundation {
  readonly log: Logger;
  readonly database: Database;
  readonly secrets: SecretService;
  readonly queue: WorkQueue;
  readonly applier: ChangeSetApplier;
  readonly registry: OperationRegistry;
  readonly ledger: QuotaLedger;
  readonly drivers: DriverRegistry;
  readonly feed: EventFeed;
  readonly authenticator: Authenticator;
  readonly budgets: RequestBudgets;
  readonly pause: SystemPause;
  readonly commands: CommandRunner;
  close(): Promise<void>;
}

/** Opens the database and the queue, and teaches the change sets all sections. */
export async function layFoundation(parts: HouseParts): Promise<Foundation> {
  const { configuration, log } = parts;
  const keys = KeyRing.parse(configuration.MUON_SECRET_KEYS);
  const database = await Database.open({
    url: configuration.MUON_DATABASE_URL,
    rooms: allRooms,
    poolSize: configuration.MUON_POOL_SIZE,
    applicationName: parts.applicationName,
  });
  try {
    const secrets = new SecretService(keys);
    refuseKeyProblems(await secrets.checkKeys(database));
    const queue = await WorkQueue.open({ database, backend: queueBackend(configuration), log });
    const registry = new OperationRegistry();
    const ledger = new QuotaLedger();
    const applier = sections(registry, ledger, queue);
    const drivers = new DriverRegistry(database, secrets, log);
    for (const factory of parts.drivers) drivers.register(factory);
    const feed = new EventFeed(database, log);
    const pause = new SystemPause(database);
    const commands = new CommandRunner(database, applier, log, pause);
    const authenticator = new Authenticator(database, {
      signIn: new TokenSignIn(database, new TokenVerifier(database, new IssuerKeys({ policy: issuerPolicy(configuration), log }))),
      attempts: new FailedAttempts(configuration.MUON_FAILED_SIGN_INS),
    });
    const budgets = new RequestBudgets(database, {
      principal: configuration.MUON_PRINCIPAL_BUDGET,
      tenant: configuration.MUON_TENANT_BUDGET,
    });
    const close = async (): Promise<void> => {
      await feed.close();
      await queue.close();
      await drivers.close();
      await database.close();
    };
    return { log, database, secrets, queue, applier, registry, ledger, drivers, feed, authenticator, budgets, pause, commands, close };
  } catch (error) {
    await database.close();
    throw error;
  }
}

function sections(registry: OperationRegistry, ledger: QuotaLedger, queue: WorkQueue): ChangeSetApplier {
  const applier = new ChangeSetApplier();
  registerRowSections(applier);
  registerScopeSections(applier);
  registerIdentitySections(applier);
  registerQuotaSections(applier, ledger);
  registerPlacementSections(applier);
  registerOperationSections(applier, { registry, bell: queue });
  registerNetworkSections(applier);
  registerStorageSections(applier);
  registerComputeSections(applier);
  return applier;
}

/** What the operator lets issuers be. */
export function issuerPolicy(configuration: Configuration): IssuerPolicy {
  return {
    loopbackHttp: configuration.MUON_ISSUER_LOOPBACK_HTTP,
    privateNetworks: configuration.MUON_ISSUER_PRIVATE_NETWORKS,
  };
}

export function queueBackend(configuration: Configuration): QueueBackend {
  const url = configuration.MUON_REDIS_URL;
  return url === undefined ? { kind: 'postgres' } : { kind: 'redis', url };
}
