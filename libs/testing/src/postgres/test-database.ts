import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { testServerUrl } from './server.js';

export interface TestDatabase {
  name: string;
  url: string;
  drop(): Promise<void>;
}

export interface TestDatabaseOptions {
  /** What `templateDatabase` returned; without it the database is empty. */
  template?: string;
}

/** A database of the test file's own, on the server of the run. */
export async function testDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const name = `test_${process.pid}_${randomBytes(6).toString('hex')}`;
  const from = options.template === undefined ? '' : ` TEMPLATE ${pg.escapeIdentifier(options.template)}`;
  await administer(async (client) => {
    await client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}${from}`);
  });
  return {
    name,
    url: testServerUrl(name),
    async drop() {
      await administer(async (client) => {
        await client.query(`DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`);
      });
    },
  };
}

/**
 * Prepares a database once per run, however many test files ask for it at the same time, and returns its name for
 * `testDatabase({ template })`. What `prepare` opened it must close: a template in use cannot be copied.
 */
export async function templateDatabase(name: string, prepare: (url: string) => Promise<void>): Promise<string> {
  const template = `template_${name}`;
  const quoted = pg.escapeIdentifier(template);
  await administer(async (client) => {
    // Held by this session: should we die, the next one starts anew.
    await client.query(`SELECT pg_advisory_lock(hashtextextended($1, 0))`, [template]);
    const found = await client.query(`SELECT 1 FROM pg_database WHERE datname = $1 AND datistemplate`, [template]);
    if (found.rowCount !== 0) return;
    await client.query(`DROP DATABASE IF EXISTS ${quoted} WITH (FORCE)`);
    await client.query(`CREATE DATABASE ${quoted}`);
    await prepare(testServerUrl(template));
    await client.query(`ALTER DATABASE ${quoted} IS_TEMPLATE true ALLOW_CONNECTIONS false`);
  });
  return template;
}

async function administer(work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: testServerUrl('postgres') });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
