import { createHash } from 'node:crypto';
import { createLogger, type Logger } from '#core';
import { ChangeSetApplier, Database, databaseRoom, migrate, type RoomSchema } from '#database';
import { Access, type Grant } from '#identity';
import { templateDatabase, testDatabase } from './postgres/test-database.js';

export interface RoomDatabase {
  readonly url: string;
  readonly database: Database;
  readonly applier: ChangeSetApplier;
  readonly log: Logger;
  /** Another process's view: a second pool on the same database. */
  another(): Promise<Database>;
  close(): Promise<void>;
}

/** A migrated database of the spec's own, copied from a template that the first spec with the same rooms prepares. */
export async function roomDatabase(
  rooms: readonly RoomSchema[],
  prepare?: (database: Database) => Promise<void>,
): Promise<RoomDatabase> {
  const all = [databaseRoom, ...rooms.filter((room) => room.name !== databaseRoom.name)];
  const names = all.flatMap((room) => room.migrations.map((migration) => migration.name + String(migration.prototype.up)));
  const digest = createHash('sha256').update(names.join('\n') + String(prepare)).digest('hex').slice(0, 16);
  const template = await templateDatabase(`rooms_${digest}`, async (url) => {
    const database = await Database.open({ url, rooms: all, poolSize: 4 });
    try {
      await migrate(database);
      await prepare?.(database);
    } finally {
      await database.close();
    }
  });
  const copy = await testDatabase({ template });
  const opened: Database[] = [];
  const open = async (): Promise<Database> => {
    const database = await Database.open({ url: copy.url, rooms: all, poolSize: 12 });
    opened.push(database);
    return database;
  };
  return {
    url: copy.url,
    database: await open(),
    applier: new ChangeSetApplier(),
    log: createLogger('test', 'silent'),
    another: open,
    async close() {
      await Promise.all(opened.map((database) => database.close()));
      await copy.drop();
    },
  };
}

/** Access with these grants, for specs that call services directly. */
export function accessWith(grants: readonly Grant[], principalId = 'pri_00000000000000000000000001'): Access {
  const principal = { id: principalId, kind: 'USER' as const, name: 'tester', tenantId: null };
  return new Access(principal, null, null, { requestId: 'test-request', address: null }, grants);
}

/** The owner of the whole system. */
export function systemAccess(): Access {
  return accessWith([{ role: 'OWNER', tenantId: null, projectId: null }]);
}
