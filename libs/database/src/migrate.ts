import type { Database } from './database.js';
import { statement } from './statement.js';

const takeMigrationLock = statement('migrate.lock', `SELECT pg_advisory_lock(hashtext('muon.migrate'))`);
const freeMigrationLock = statement('migrate.unlock', `SELECT pg_advisory_unlock(hashtext('muon.migrate'))`);

/**
 * Applies what is missing, each migration in its own transaction. Several processes may call it at once: an advisory
 * lock lets one work while the others wait and then find nothing to do.
 * @returns the names of the migrations that were applied
 */
export async function migrate(database: Database): Promise<string[]> {
  const runner = database.dataSource.createQueryRunner();
  try {
    await runner.query('SET statement_timeout = 0; SET lock_timeout = 0; SET transaction_timeout = 0');
    await runner.query(takeMigrationLock.text);
    const applied = await database.dataSource.runMigrations({ transaction: 'each' });
    return applied.map((migration) => migration.name);
  } finally {
    await runner.query(freeMigrationLock.text).catch(() => undefined);
    await runner.query('RESET statement_timeout; RESET lock_timeout; RESET transaction_timeout').catch(() => undefined);
    await runner.release();
  }
}

/** Names of migrations that this program has and the database has not. */
export async function pendingMigrations(database: Database): Promise<boolean> {
  return database.dataSource.showMigrations();
}

/**
 * The statements that would make the database equal to the entities; empty when they agree. A test keeps it empty, so
 * that hand-written migrations and entities cannot drift apart.
 */
export async function schemaDrift(database: Database): Promise<string[]> {
  const log = await database.dataSource.driver.createSchemaBuilder().log();
  return log.upQueries.map((query) => query.query);
}
