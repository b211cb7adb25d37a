import type { Logger } from '#core';
import { Database, migrate } from '#database';
import { migrateQueue, type QueueBackend } from '#operations';
import { allRooms } from './rooms.js';

/** Brings the database to this program's schema; several processes may call it at once. */
export async function migrateDatabase(url: string, queue: QueueBackend, log: Logger): Promise<void> {
  const database = await Database.open({ url, rooms: allRooms, poolSize: 4, applicationName: 'muon migrate' });
  try {
    const applied = await migrate(database);
    await migrateQueue(database, queue, log);
    log.info({ applied }, applied.length === 0 ? 'the schema is up to date' : 'the schema was brought up to date');
  } finally {
    await database.close();
  }
}
