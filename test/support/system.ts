import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { SimulatedWorld } from '#driver-simulated';
import { createToken } from '#identity';
import { generateKeyLine } from '#secrets';
import { testDatabase, type TestDatabase } from '#testing';
import { builtProgram } from './built.js';
import { ApiClient } from './client.js';

export interface SystemOptions {
  apis?: number;
  workers?: number;
  /** Added to the environment of every process. */
  environment?: Record<string, string>;
}

/** One process of the system, as built. */
export class SystemProcess {
  readonly log: string[] = [];
  private readonly exited: Promise<unknown>;

  constructor(
    readonly name: string,
    readonly url: string,
    readonly child: ChildProcess,
  ) {
    this.exited = once(child, 'exit');
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.log.push(text));
    }
  }

  get isAlive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  async ready(deadlineMs = 60_000): Promise<void> {
    const deadline = Date.now() + deadlineMs;
    for (;;) {
      if (!this.isAlive) throw new Error(`${this.name} ended before it was ready:\n${this.log.join('')}`);
      const answer = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(2000) }).catch(() => undefined);
      if (answer?.status === 200) return;
      if (Date.now() > deadline) throw new Error(`${this.name} is not ready:\n${this.log.join('')}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** @returns the exit code or the signal that ended it */
  async stop(signal: NodeJS.Signals = 'SIGTERM', deadlineMs = 30_000): Promise<number | string | null> {
    if (this.isAlive) {
      this.child.kill(signal);
      const late = setTimeout(() => this.child.kill('SIGKILL'), deadlineMs);
      await this.exited;
      clearTimeout(late);
    }
    return this.child.exitCode ?? this.child.signalCode;
  }
}

/** The built programs as separate processes over one database: what a client meets in earnest. */
export interface System {
  readonly apis: SystemProcess[];
  readonly workers: SystemProcess[];
  /** Speaks to the first api as the owner of the system. */
  readonly owner: ApiClient;
  readonly databaseUrl: string;
  readonly simulationUrl: string;
  readonly environment: Record<string, string>;
  client(token: string | null, api?: number): ApiClient;
  startApi(): Promise<SystemProcess>;
  startWorker(): Promise<SystemProcess>;
  world(backendId: string): Promise<SimulatedWorld>;
  /** Everything that any process has logged. */
  logs(): string;
  close(): Promise<void>;
}

/** Files that run at the same time have a database each on the Redis of the run: they would hear each other's bells. */
function ownRedis(): Record<string, string> {
  const { MUON_REDIS_URL: url, VITEST_POOL_ID: number = '0' } = process.env;
  return url === undefined ? {} : { MUON_REDIS_URL: new URL(`/${number}`, url).href };
}

const program = (app: string): string => builtProgram(`apps/${app}/src/main.js`);

export async function startSystem(options: SystemOptions = {}): Promise<System> {
  const [database, simulation] = await Promise.all([testDatabase(), testDatabase()]);
  const token = createToken().text;
  const environment = {
    ...(process.env as Record<string, string>),
    MUON_DATABASE_URL: database.url,
    MUON_SECRET_KEYS: generateKeyLine('test-1'),
    MUON_LOG_LEVEL: 'info',
    MUON_POOL_SIZE: '10',
    ...ownRedis(),
    ...options.environment,
  };
  await migrate({ ...environment, MUON_BOOTSTRAP_TOKEN: token });
  const all: SystemProcess[] = [];
  const worlds: SimulatedWorld[] = [];
  const start = async (app: 'api' | 'worker', number: number): Promise<SystemProcess> => {
    const port = await freePort();
    const child = spawn(process.execPath, ['--enable-source-maps', program(app)], {
      env: { ...environment, [app === 'api' ? 'MUON_HTTP_PORT' : 'MUON_WORKER_PORT']: String(port) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const started = new SystemProcess(`${app} ${number}`, `http://127.0.0.1:${port}`, child);
    all.push(started);
    await started.ready();
    return started;
  };
  try {
    const apis = await Promise.all(Array.from({ length: options.apis ?? 1 }, (_, index) => start('api', index + 1)));
    const workers = await Promise.all(Array.from({ length: options.workers ?? 1 }, (_, index) => start('worker', index + 1)));
    const client = (as: string | null, api = 0): ApiClient => new ApiClient(apis[api]?.url ?? '', as);
    return {
      apis,
      workers,
      owner: client(token),
      databaseUrl: database.url,
      simulationUrl: simulation.url,
      environment,
      client,
      async startApi() {
        const api = await start('api', apis.length + 1);
        apis.push(api);
        return api;
      },
      async startWorker() {
        const worker = await start('worker', workers.length + 1);
        workers.push(worker);
        return worker;
      },
      async world(backendId) {
        const world = await SimulatedWorld.open(simulation.url, backendId);
        worlds.push(world);
        return world;
      },
      logs: () => all.map((each) => each.log.join('')).join('\n'),
      close: () => closeAll(all, worlds, [database, simulation]),
    };
  } catch (error) {
    await closeAll(all, worlds, [database, simulation]);
    throw error;
  }
}

async function closeAll(processes: SystemProcess[], worlds: SimulatedWorld[], databases: TestDatabase[]): Promise<void> {
  await Promise.all(processes.map((each) => each.stop()));
  await Promise.all(worlds.map((world) => world.close()));
  await Promise.all(databases.map((database) => database.drop()));
}

async function migrate(environment: Record<string, string>): Promise<void> {
  const { code, log } = await runMode('migrate', environment);
  if (code !== 0) throw new Error(`migrating failed:\n${log}`);
}

/** Runs the worker program in a mode that ends by itself. */
export async function runMode(mode: string, environment: Record<string, string>): Promise<{ code: number | null; log: string }> {
  const child = spawn(process.execPath, [program('worker'), mode], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  const running = new SystemProcess(mode, '', child);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, log: running.log.join('') };
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
