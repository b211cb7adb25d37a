import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createLogger, type LogLevel } from '#core';
import { chooseDataDirectory, startEmbeddedPostgres } from '#database/embedded';
import { bootstrapOwner, createToken } from '#identity';
import { keysFromFile } from '#secrets';
import { startApi } from '../../api/src/api.js';
import { driversOf } from '../../composition/src/backends.js';
import { configurationFrom } from '../../composition/src/configuration.js';
import { openHouse, queueBackend } from '../../composition/src/house.js';
import { migrateDatabase } from '../../composition/src/migrate.js';
import { startDevelopmentIssuer } from './issuer/development-issuer.js';
import { trustDevelopmentIssuer } from './issuer/trust.js';
import { startWorker } from '../../worker/src/worker.js';

const DRAIN_MS = 5000;
/** A handful of hosts on a laptop can be looked at all the time, and whoever tries Muon does not like to wait. */
const ATTENTION = { heartbeatEveryMs: 1000, silentAfterMs: 3000, clustersEveryMs: 2000 };

export interface StandaloneOptions {
  /** Where everything is kept between two runs. */
  dataDirectory: string;
  port: number;
  /** Of the development issuer; another one is taken when it is in use. */
  issuerPort: number;
  logLevel: LogLevel;
}

export interface Standalone {
  readonly url: string;
  /** Where people sign in, by picking one. */
  readonly issuerUrl: string;
  /** The system owner's, made at the first start. */
  readonly token: string;
  readonly dataDirectory: string;
  /** Where PostgreSQL keeps its files; elsewhere than the rest when its uid cannot reach that. */
  readonly databaseDirectory: string;
  /** Of the database that simulated backends live in. */
  readonly simulationUrl: string;
  close(): Promise<void>;
}

/** Everything in one process on one machine: PostgreSQL, api and worker. What it keeps survives a restart. */
export async function startStandalone(options: StandaloneOptions): Promise<Standalone> {
  const dataDirectory = resolve(options.dataDirectory);
  await mkdir(dataDirectory, { recursive: true });
  const log = createLogger('muon', options.logLevel);
  const postgres = await startEmbeddedPostgres({ dataDirectory: chooseDataDirectory(join(dataDirectory, 'postgres')) });
  try {
    await postgres.createDatabase('muon');
    await postgres.createDatabase('simulation');
    const keyFile = join(dataDirectory, 'secret-keys');
    await keysFromFile(keyFile);
    const token = await ownerToken(join(dataDirectory, 'owner-token'));
    const configuration = configurationFrom({
      ...process.env,
      MUON_DATABASE_URL: postgres.url('muon'),
      MUON_SECRET_KEYS_FILE: keyFile,
      MUON_HTTP_PORT: String(options.port),
      MUON_ISSUER_LOOPBACK_HTTP: 'true',
    });
    await migrateDatabase(configuration.MUON_DATABASE_URL, queueBackend(configuration), log);
    const house = await openHouse({
      configuration,
      log,
      applicationName: 'muon standalone',
      drivers: driversOf(configuration, log),
      // Who can turn real hosts off is no hastier than elsewhere.
      ...(configuration.MUON_FENCE_COMMAND === undefined ? { attention: ATTENTION } : {}),
    });
    await bootstrapOwner(house.database, token);
    const issuer = await startDevelopmentIssuer({ dataDirectory, port: options.issuerPort });
    const owner = await house.authenticator.authenticate(token, { requestId: 'standalone', address: null });
    await trustDevelopmentIssuer(house, owner, issuer.url);
    const worker = await startWorker(house, { configuration });
    const host = configuration.MUON_HTTP_HOST;
    // Whoever can open the page has the token: not so where others reach it.
    const graphiql = ['127.0.0.1', '::1', 'localhost'].includes(host) ? { token } : {};
    const api = await startApi(house, { host, port: options.port, trustedProxies: [], graphiql });
    return {
      url: api.url,
      issuerUrl: issuer.url,
      token,
      dataDirectory,
      databaseDirectory: postgres.dataDirectory,
      simulationUrl: postgres.url('simulation'),
      async close() {
        await api.close();
        await issuer.close();
        await worker.drain(DRAIN_MS);
        await house.close();
        await postgres.stop();
      },
    };
  } catch (error) {
    await postgres.stop();
    throw error;
  }
}

/** The first owner's token, kept in a file that only the owner of the process can read. */
async function ownerToken(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const { text } = createToken();
  await writeFile(file, `${text}\n`, { mode: 0o600, flag: 'wx' });
  await chmod(file, 0o600);
  return text;
}
