import { createLogger } from '#core';
import { simulatedDriverFactory } from '#driver-simulated';
import { bootstrapOwner } from '#identity';
import { configurationFrom } from '../../composition/src/configuration.js';
import { Health } from '../../composition/src/health.js';
import { openHouse, queueBackend } from '../../composition/src/house.js';
import { migrateDatabase } from '../../composition/src/migrate.js';
import { untilStopped } from '../../composition/src/process.js';
import { serveHealth } from './health-server.js';
import { startWorker } from './worker.js';

const DRAIN_MS = 20_000;

const mode = process.argv[2] ?? 'run';
const configuration = configurationFrom(process.env);
const log = createLogger('muon-worker', configuration.MUON_LOG_LEVEL);

async function run(): Promise<void> {
  const house = await openHouse({ configuration, log, applicationName: 'muon worker', drivers: [simulatedDriverFactory()] });
  const health = new Health(house);
  const server = await serveHealth(health, configuration.MUON_HTTP_HOST, configuration.MUON_WORKER_PORT);
  const worker = await startWorker(house, { configuration });
  log.info({ url: server.url, node: process.version, kinds: house.registry.handlers.length }, 'the worker is ready');
  await untilStopped(log);
  health.startDraining();
  await worker.drain(DRAIN_MS);
  await server.close();
  await house.close();
}

/** Brings the schema up to date and makes the first owner, when a token for one is configured. */
async function migrate(): Promise<void> {
  await migrateDatabase(configuration.MUON_DATABASE_URL, queueBackend(configuration), log);
  if (configuration.MUON_BOOTSTRAP_TOKEN === undefined) return;
  const house = await openHouse({ configuration, log, applicationName: 'muon migrate', drivers: [simulatedDriverFactory()] });
  await bootstrapOwner(house.database, configuration.MUON_BOOTSTRAP_TOKEN);
  await house.close();
}

if (mode === 'migrate') await migrate();
else if (mode === 'run') await run();
else {
  console.error(`"${mode}" is no mode of the worker; there is: run, migrate.`);
  process.exitCode = 2;
}
