import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The specs that need the programs are skipped, and shown as skipped, where they are missing; CI makes sure they are there. */
export const ovsdbIsMissing = ['ovsdb-server', 'ovsdb-tool', 'ovsdb-client', 'ovs-appctl'].some((program) => spawnSync(program, ['--version']).status !== 0);

/** A small database with a column of every kind. */
export const PLAY_SCHEMA = {
  name: 'Play',
  version: '1.0.0',
  tables: {
    Thing: {
      isRoot: true,
      indexes: [['name']],
      columns: {
        name: { type: 'string' },
        size: { type: 'integer' },
        weight: { type: 'real' },
        live: { type: 'boolean' },
        note: { type: { key: 'string', min: 0, max: 1 } },
        tags: { type: { key: 'string', min: 0, max: 'unlimited' } },
        counts: { type: { key: 'string', value: 'integer', min: 0, max: 'unlimited' } },
        parts: { type: { key: { type: 'uuid', refTable: 'Part', refType: 'strong' }, min: 0, max: 'unlimited' } },
        friend: { type: { key: { type: 'uuid', refTable: 'Thing', refType: 'weak' }, min: 0, max: 1 } },
      },
    },
    Part: { columns: { label: { type: 'string' } } },
  },
};

/** The same for TypeScript. */
export interface Play {
  Thing: {
    name: string;
    size: number | bigint;
    weight: number;
    live: boolean;
    note: string | null;
    tags: ReadonlySet<string>;
    counts: ReadonlyMap<string, number>;
    parts: ReadonlySet<string>;
    friend: string | null;
  };
  Part: { label: string };
}

export interface TestServer {
  readonly folder: string;
  /** `unix:…` */
  readonly unix: string;
  /** `tcp:127.0.0.1:…` */
  readonly tcp: string;
  readonly process: ChildProcess;
  /** Asks the running server by its control socket, as in `control('ovsdb-server/reconnect')`. */
  control(...command: string[]): string;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** The same database on the same port. */
  start(): Promise<void>;
  /** Kills it and removes its files. */
  remove(): Promise<void>;
}

export interface TestServerOptions {
  /** Makes the database at that path; a standalone one of {@link PLAY_SCHEMA}, when absent. */
  readonly create?: (path: string) => Promise<void>;
  /** More options of ovsdb-server(1). */
  readonly options?: readonly string[];
}

export const run = (program: string, ...parameters: string[]): string => execFileSync(program, parameters, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

export async function writeSchema(folder: string, schema: object = PLAY_SCHEMA): Promise<string> {
  const path = join(folder, 'schema.json');
  await writeFile(path, JSON.stringify(schema));
  return path;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** A real ovsdb-server in a folder of its own, without root and without a daemon. */
export async function startServer({ create, options = [] }: TestServerOptions = {}): Promise<TestServer> {
  const folder = await mkdtemp(join(tmpdir(), 'ovsdb-'));
  const database = join(folder, 'play.db');
  if (create === undefined) run('ovsdb-tool', 'create', database, await writeSchema(folder));
  else await create(database);
  const port = await freePort();
  let child = await launch();

  async function launch(): Promise<ChildProcess> {
    const parameters = [`--remote=punix:${folder}/s`, `--remote=ptcp:${port}:127.0.0.1`, `--unixctl=${folder}/c`, '--no-chdir', ...options, database];
    const started = spawn('ovsdb-server', parameters, { env: { ...process.env, OVS_RUNDIR: folder, OVS_LOGDIR: folder }, stdio: ['ignore', 'ignore', 'pipe'] });
    // It says its version when it listens.
    let log = '';
    for await (const chunk of started.stderr as AsyncIterable<Buffer>) {
      log += chunk.toString();
      if (log.includes('ovsdb-server (Open vSwitch)')) break;
    }
    if (!log.includes('ovsdb-server (Open vSwitch)')) throw new Error(`ovsdb-server did not start: ${log}`);
    return started;
  }

  async function kill(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  return {
    folder,
    unix: `unix:${folder}/s`,
    tcp: `tcp:127.0.0.1:${port}`,
    get process() {
      return child;
    },
    control: (...command) => run('ovs-appctl', '-t', `${folder}/c`, ...command),
    kill,
    async start() {
      child = await launch();
    },
    async remove() {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
