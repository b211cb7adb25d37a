import { createLogger } from '#core';
import { bootstrapOwner } from '#identity';
import { driversOf } from '../../composition/src/backends.js';
import { configurationFrom } from '../../composition/src/configuration.js';
import { Health } from '../../composition/src/health.js';
import { openHouse, queueBackend, type House } from '../../composition/src/house.js';
import { migrateDatabase } from '../../composition/src/migrate.js';
import { releaseStartUpMemory, untilStopped } from '../../composition/src/process.js';
import { serveHealth } from './health-server.js';
import { startWorker } from './worker.js';

const DRAIN_MS = 20_000;
const ROTATION_BATCH = 200;

const mode = process.argv[2] ?? 'run';
const configuration = configurationFrom(process.env);
const log = createLogger('muon-worker', configuration.MUON_LOG_LEVEL);

async function run(): Promise<void> {
  const house = await openHouse({ configuration, log, applicationName: 'muon worker', drivers: driversOf(configuration, log) });
  const health = new Health(house);
  const server = await serveHealth(health, configuration.MUON_HTTP_HOST, configuration.MUON_WORKER_PORT);
  const worker = await startWorker(house, { configuration });
  releaseStartUpMemory();
  log.info({ url: server.url, node: process.version, kinds: house.registry.handlers.length }, 'the worker is ready');
  await untilStopped(log);
  health.startDraining();
  await worker.drain(DRAIN_MS);
  await server.close();
  await house.close();
}

async function withHouse(name: string, work: (house: House) => Promise<void>): Promise<void> {
  const house = await openHouse({ configuration, log, applicationName: `muon ${name}`, drivers: driversOf(configuration, log) });
  try {
    await work(house);
  } finally {
    await house.close();
  }
}

/** Brings the schema up to date and makes the first owner, when a token for one is configured. */
async function migrate(): Promise<void> {
  await migrateDatabase(configuration.MUON_DATABASE_URL, queueBackend(configuration), log);
  if (configuration.MUON_BOOTSTRAP_TOKEN === undefined) return;
  const token = configuration.MUON_BOOTSTRAP_TOKEN;
  await withHouse('migrate', (house) => bootstrapOwner(house.database, token));
}

/** Brings every secret to the first of the configured keys; fails while another key is still needed. */
async function rotateSecrets(): Promise<void> {
  await withHouse('rotate-secrets', async ({ database, secrets }) => {
    const result = await secrets.rotate(database, ROTATION_BATCH);
    if (result.remaining.length === 0) {
      log.info(result, 'every secret is under the current key; the others may go');
      return;
    }
    log.error(result, 'secrets are left under other keys; run it again');
    process.exitCode = 1;
  });
}

/** After a backup was restored: ends what clients hold of the event stream, so that all of them read anew. */
async function restored(): Promise<void> {
  await withHouse('restored', ({ feed }) => feed.beginEpoch());
}

const MODES: Record<string, () => Promise<void>> = { run, migrate, 'rotate-secrets': rotateSecrets, restored };

const chosen = MODES[mode];
if (chosen !== undefined) await chosen();
else {
  console.error(`"${mode}" is no mode of the worker; there is: ${Object.keys(MODES).join(', ')}.`);
  process.exitCode = 2;
}
