import type { Logger } from '#core';
import { applyRows, ChangeSetApplier, Database, ROWS } from '#database';
import { EventFeed } from '#events';
import { Authenticator, CommandRunner, PrincipalService } from '#identity';
import { registerScopeSections } from '#scopes';
import { KeyRing, SecretService } from '#secrets';
import type { Configuration } from './configuration.js';
import { allRooms } from './rooms.js';

/**
 * All rooms of one process, put together by hand: what needs what is read here, top to bottom, and a missing part is a
 * type error. The api hands the parts to Nest, the worker uses them as they are.
 */
export interface House {
  readonly log: Logger;
  readonly database: Database;
  readonly feed: EventFeed;
  readonly authenticator: Authenticator;
  /** Everything that resolvers may ask for, by class. */
  readonly services: readonly object[];
  close(): Promise<void>;
}

export async function openHouse(configuration: Configuration, log: Logger, applicationName: string): Promise<House> {
  const keys = KeyRing.parse(configuration.MUON_SECRET_KEYS);
  const database = await Database.open({
    url: configuration.MUON_DATABASE_URL,
    rooms: allRooms,
    poolSize: configuration.MUON_POOL_SIZE,
    applicationName,
  });
  const applier = new ChangeSetApplier();
  applier.register(ROWS, applyRows);
  registerScopeSections(applier);
  const secrets = new SecretService(keys);
  const feed = new EventFeed(database, log);
  const authenticator = new Authenticator(database);
  const commands = new CommandRunner(database, applier, log);
  const principals = new PrincipalService(commands);
  return {
    log,
    database,
    feed,
    authenticator,
    services: [database, feed, secrets, authenticator, commands, principals],
    async close() {
      await feed.close();
      await database.close();
    },
  };
}
