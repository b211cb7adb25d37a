import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createLogger } from '#core';
import { chooseDataDirectory, startEmbeddedPostgres, type EmbeddedPostgres, type PostgresSettings } from '#database/embedded';
import { simulatedDriverFactory } from '#driver-simulated';
import { createToken } from '#identity';
import { generateKeyLine } from '#secrets';
import { configurationFrom } from '../../../apps/composition/src/configuration.js';
import { openHouse, type House } from '../../../apps/composition/src/house.js';
import { ApiClient } from '../../support/client.js';
import { SystemProcess } from '../../support/system.js';

/** As an installation would be run in earnest: every commit reaches the disk. */
const LASTING: PostgresSettings = {
  max_connections: 300,
  max_wal_size: '4GB',
  // Its own work would fall into one round and not into another.
  checkpoint_timeout: '30min',
  log_checkpoints: false,
};

/** A PostgreSQL with fsync on, in a folder of its own that goes with it. */
export async function startLastingPostgres(settings: PostgresSettings = {}): Promise<EmbeddedPostgres> {
  const folder = chooseDataDirectory(await mkdtemp(join(tmpdir(), 'muon-bench-')));
  const server = await startEmbeddedPostgres({ dataDirectory: folder, ephemeral: false, settings: { ...LASTING, ...settings } });
  return Object.assign(Object.create(server) as EmbeddedPostgres, {
    stop: async () => {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  });
}

export const program = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

const READY_LINE = /"url":"(http:\/\/[^"]+)"/;
const START_DEADLINE_MS = 60_000;

/** Starts a built program that logs its address when it is ready. */
export async function startProgram(name: string, path: string, environment: Record<string, string>, programArguments: string[] = []): Promise<SystemProcess> {
  const child = spawn(process.execPath, ['--enable-source-maps', program(path), ...programArguments], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  const url = await new Promise<string>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${name} is not ready:\n${log}`)), START_DEADLINE_MS);
    const listen = (chunk: Buffer): void => {
      log += chunk.toString();
      const found = READY_LINE.exec(log)?.[1];
      if (found !== undefined) resolve(found);
      if (found !== undefined) clearTimeout(late);
    };
    child.stdout.on('data', listen);
    child.stderr.on('data', listen);
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code} before it was ready:\n${log}`)));
  });
  return new SystemProcess(name, url, child);
}

/** One Muon: a database, and the built api and worker as processes of their own. */
export class Installation {
  readonly token = createToken().text;
  readonly apis: SystemProcess[] = [];
  readonly workers: SystemProcess[] = [];
  readonly environment: Record<string, string>;

  private constructor(
    readonly server: EmbeddedPostgres,
    readonly databaseName: string,
    environment: Record<string, string>,
  ) {
    this.environment = {
      ...(process.env as Record<string, string>),
      MUON_DATABASE_URL: server.url(databaseName),
      MUON_SECRET_KEYS: generateKeyLine('bench-1'),
      MUON_BOOTSTRAP_TOKEN: this.token,
      MUON_LOG_LEVEL: 'info',
      MUON_HTTP_PORT: '0',
      MUON_WORKER_PORT: '0',
      ...environment,
    };
  }

  /** Makes the database and brings it to the schema; nothing runs yet. */
  static async create(server: EmbeddedPostgres, name: string, environment: Record<string, string> = {}): Promise<Installation> {
    await server.createDatabase(name);
    const installation = new Installation(server, name, environment);
    const child = spawn(process.execPath, [program('apps/worker/src/main.js'), 'migrate'], { env: installation.environment, stdio: ['ignore', 'pipe', 'pipe'] });
    const migration = new SystemProcess('migrate', '', child);
    const [code] = (await once(child, 'exit')) as [number | null];
    if (code !== 0) throw new Error(`migrating failed:\n${migration.log.join('')}`);
    return installation;
  }

  get databaseUrl(): string {
    return this.server.url(this.databaseName);
  }

  /** Speaks to the first api as the owner of the system. */
  get owner(): ApiClient {
    return new ApiClient(this.api.url, this.token);
  }

  get api(): SystemProcess {
    const [api] = this.apis;
    if (api === undefined) throw new Error('no api runs');
    return api;
  }

  async startApi(): Promise<SystemProcess> {
    const api = await startProgram(`api ${this.apis.length + 1}`, 'apps/api/src/main.js', this.environment);
    this.apis.push(api);
    return api;
  }

  async startWorker(): Promise<SystemProcess> {
    const worker = await startProgram(`worker ${this.workers.length + 1}`, 'apps/worker/src/main.js', this.environment);
    this.workers.push(worker);
    return worker;
  }

  async stopWorkers(): Promise<void> {
    await Promise.all(this.workers.splice(0).map((worker) => worker.stop()));
  }

  async stop(): Promise<void> {
    await Promise.all([...this.apis.splice(0), ...this.workers.splice(0)].map((each) => each.stop()));
  }

  /** The same services in this process, for what is set up before anything is measured. */
  async openHouse(): Promise<House> {
    const configuration = configurationFrom(this.environment);
    return openHouse({ configuration, log: createLogger('bench', 'error'), applicationName: 'bench', drivers: [simulatedDriverFactory()] });
  }
}
