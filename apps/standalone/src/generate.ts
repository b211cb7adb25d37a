import { writeFile } from 'node:fs/promises';
import { createLogger } from '#core';
import { declaredStatements } from '#database';
import { startEmbeddedPostgres } from '#database/embedded';
import { generateKeyLine } from '#secrets';
import { startApi } from '../../api/src/api.js';
import { driversOf } from '../../composition/src/backends.js';
import { configurationFrom } from '../../composition/src/configuration.js';
import { openHouse, queueBackend } from '../../composition/src/house.js';
import { migrateDatabase } from '../../composition/src/migrate.js';

/**
 * Writes what is derived from the code and committed: the GraphQL schema and the text of every SQL statement. A review
 * shows what of them has changed, and CI that nobody forgot.
 */
const log = createLogger('generate', 'error');
const postgres = await startEmbeddedPostgres({ ephemeral: true });
try {
  await postgres.createDatabase('generate');
  const configuration = configurationFrom({ MUON_DATABASE_URL: postgres.url('generate'), MUON_SECRET_KEYS: generateKeyLine('generate-1') });
  await migrateDatabase(configuration.MUON_DATABASE_URL, queueBackend(configuration), log);
  const house = await openHouse({ configuration, log, applicationName: 'muon generate', drivers: driversOf(configuration, log) });
  const api = await startApi(house, { host: '127.0.0.1', port: 0, trustedProxies: [], graphiql: false, schemaFile: 'docs/schema.graphql' });
  await api.close();
  await house.close();
} finally {
  await postgres.stop();
}

const names = [...declaredStatements().keys()].sort();
const texts = names.map((name) => `-- ${name}\n${(declaredStatements().get(name)?.text ?? '').replaceAll(/^ +/gm, '')};\n`);
await writeFile('docs/statements.sql', `-- Every statement that Muon prepares, by name. Written by \`npm run generate\`.\n\n${texts.join('\n')}`);
console.log(`Wrote the schema and ${names.length} statements.`);
