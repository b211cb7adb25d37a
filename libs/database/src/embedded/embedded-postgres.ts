import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import { appendFile, chmod, chown, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import pg from 'pg';
import { canReach, serverAccount } from './account.js';
import { postgresPrograms, SHARED_DIRECTORY } from './binaries.js';
import { openCluster, SUPERUSER, type Cluster } from './cluster.js';
import { supervise, type Supervised } from './supervisor.js';

/**
 * A PostgreSQL of our own, from the programs that npm installed: for standalone and for tests. Needs no account, no
 * package of the system and no network beyond 127.0.0.1.
 */
export interface EmbeddedPostgres {
  readonly port: number;
  readonly dataDirectory: string;
  readonly pid: number;
  url(databaseName: string): string;
  /** Does nothing when the database exists already. */
  createDatabase(name: string, template?: string): Promise<void>;
  /** Ends the sessions in it, too. */
  dropDatabase(name: string): Promise<void>;
  stop(): Promise<void>;
}

export type PostgresSettings = Record<string, string | number | boolean>;

export interface EmbeddedPostgresOptions {
  /** Created when missing. Without one the server gets a folder below the temporary directory, and is ephemeral. */
  dataDirectory?: string;
  /** Server settings, by their PostgreSQL names. */
  settings?: PostgresSettings;
  /** Safe against nothing, and gone with the process: fast for tests. */
  ephemeral?: boolean;
}

const START_DEADLINE_MS = 120_000;
const POLL_MS = 20;
const LARGE_LOG_BYTES = 10 * 1024 * 1024;
const DUPLICATE_DATABASE = '42P04';

const DEFAULT_SETTINGS: PostgresSettings = { timezone: 'UTC', log_timezone: 'UTC', max_connections: 200, jit: false };
const EPHEMERAL_SETTINGS: PostgresSettings = {
  fsync: false,
  synchronous_commit: false,
  full_page_writes: false,
  wal_level: 'minimal',
  max_wal_senders: 0,
};

/**
 * The preferred folder, or as root, when the server's unprivileged account cannot reach that (below /root, mode 700), a
 * folder of this project under /var/lib.
 */
export function chooseDataDirectory(preferred: string): string {
  const directory = resolve(preferred);
  const account = serverAccount();
  if (account === undefined || canReach(directory, account)) return directory;
  return join(SHARED_DIRECTORY, `muon-${createHash('sha256').update(directory).digest('hex').slice(0, 12)}`);
}

/** @throws Error that says why the server did not start, with the end of its log. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const account = serverAccount();
  const ephemeral = options.ephemeral ?? options.dataDirectory === undefined;
  const dataDirectory = resolve(options.dataDirectory ?? (await temporaryDirectory()));
  if (account !== undefined && !canReach(dataDirectory, account)) {
    throw new Error(
      `PostgreSQL runs as uid ${account.uid} here, because you are root, and that uid cannot reach ${dataDirectory}. ` +
        'Choose a data folder outside of directories that only root may enter.',
    );
  }
  const programs = await postgresPrograms(account);
  const cluster = await openCluster(dataDirectory, programs, ephemeral);
  const settings = { ...DEFAULT_SETTINGS, ...(ephemeral ? EPHEMERAL_SETTINGS : {}), ...options.settings };
  // A folder that was named may hold more than ours.
  const disposable = options.dataDirectory === undefined ? dataDirectory : cluster.folder;
  const removeAfterwards = ephemeral ? disposable : undefined;
  const starter = new Starter(cluster, programs, settings, removeAfterwards);
  const { server, port } = await starter.start().catch(async (error: unknown) => {
    if (removeAfterwards !== undefined) await rm(removeAfterwards, { recursive: true, force: true });
    throw error;
  });
  return new RunningPostgres(cluster, server, port, dataDirectory, removeAfterwards);
}

async function temporaryDirectory(): Promise<string> {
  const account = serverAccount();
  const parent = account === undefined || canReach(tmpdir(), account) ? tmpdir() : '/tmp';
  const folder = await mkdtemp(join(parent, 'muon-postgres-'));
  if (account !== undefined) {
    // The server's own, so that its supervisor can remove it, and 711 like the folders of a lasting one.
    await chown(folder, account.uid, account.gid);
    await chmod(folder, 0o711);
  }
  return folder;
}

class RunningPostgres implements EmbeddedPostgres {
  readonly pid: number;

  constructor(
    private readonly cluster: Cluster,
    private readonly server: Supervised,
    readonly port: number,
    readonly dataDirectory: string,
    private readonly removeAfterwards: string | undefined,
  ) {
    this.pid = server.pid;
  }

  url(databaseName: string): string {
    const { password } = this.cluster;
    return `postgres://${SUPERUSER}:${password}@127.0.0.1:${this.port}/${encodeURIComponent(databaseName)}`;
  }

  async createDatabase(name: string, template?: string): Promise<void> {
    const from = template === undefined ? '' : ` TEMPLATE ${pg.escapeIdentifier(template)}`;
    await this.administer(`CREATE DATABASE ${pg.escapeIdentifier(name)}${from}`).catch((error: { code?: string }) => {
      if (error.code !== DUPLICATE_DATABASE) throw error;
    });
  }

  async dropDatabase(name: string): Promise<void> {
    await this.administer(`DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`);
  }

  async stop(): Promise<void> {
    await this.server.stop();
    if (this.removeAfterwards !== undefined) await rm(this.removeAfterwards, { recursive: true, force: true });
  }

  private async administer(sql: string): Promise<void> {
    const client = new pg.Client({ connectionString: this.url('postgres') });
    await client.connect();
    try {
      await client.query(sql);
    } finally {
      await client.end();
    }
  }
}

/** Starting is a small negotiation: the port may be taken, and traces of a crashed predecessor may be in the way. */
class Starter {
  private readonly deadline = Date.now() + START_DEADLINE_MS;
  private readonly portFile: string;

  constructor(
    private readonly cluster: Cluster,
    private readonly programs: string,
    private readonly settings: PostgresSettings,
    private readonly removeAfterwards: string | undefined,
  ) {
    this.portFile = join(cluster.folder, 'port');
  }

  async start(): Promise<{ server: Supervised; port: number }> {
    await this.putLargeLogAside();
    for (;;) {
      const port = await this.choosePort();
      const logStart = await sizeOf(this.cluster.log);
      const server = await this.launch(port);
      if (await this.becomesReady(server)) {
        await writeFile(this.portFile, `${port}\n`);
        return { server, port };
      }
      await server.stop();
      const log = (await readFile(this.cluster.log, 'utf8')).slice(logStart);
      if (Date.now() > this.deadline || !(await this.mayTryAgain(log))) throw await this.failure(log);
    }
  }

  private async launch(port: number): Promise<Supervised> {
    const settings = {
      ...this.settings,
      port,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
    };
    return supervise({
      command: [
        join(this.programs, 'postgres'),
        '-D',
        this.cluster.data,
        ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${String(value)}`]),
      ],
      account: serverAccount(),
      log: this.cluster.log,
      removeAfterwards: this.removeAfterwards,
    });
  }

  /** PostgreSQL writes its state into the eighth line of its lock file, which is what its own tools wait for. */
  private async becomesReady(server: Supervised): Promise<boolean> {
    while (!server.hasEnded() && Date.now() < this.deadline) {
      const lines = await this.lockFile();
      if (Number(lines[0]) === server.pid && lines[7]?.trim() === 'ready') return true;
      await Promise.race([server.ended, new Promise((done) => setTimeout(done, POLL_MS))]);
    }
    return false;
  }

  private async lockFile(): Promise<string[]> {
    return (await readFile(join(this.cluster.data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');
  }

  private async mayTryAgain(log: string): Promise<boolean> {
    // Somebody took the port between our look and the server's start; the next round chooses another.
    if (log.includes('could not create any TCP/IP sockets')) return true;
    // The last sessions of a killed server are still ending.
    if (log.includes('pre-existing shared memory block')) {
      await new Promise((done) => setTimeout(done, 200));
      return true;
    }
    if (!log.includes('lock file "postmaster.pid" already exists')) return false;
    const holder = Number((await this.lockFile())[0]);
    // A process id that was given to another program since, as happens when a container starts anew. PostgreSQL cannot
    // tell when that program is ours as well.
    const program = await readFile(`/proc/${holder}/comm`, 'utf8').catch(() => 'postgres');
    if (program.trim() === 'postgres') return false;
    await rm(join(this.cluster.data, 'postmaster.pid'));
    return true;
  }

  private async failure(log: string): Promise<Error> {
    if (log.includes('lock file "postmaster.pid" already exists')) {
      const holder = (await this.lockFile())[0];
      return new Error(
        `PostgreSQL already runs on this data folder, as process ${holder}: ${this.cluster.folder}. ` +
          'Stop the Muon it belongs to, or choose another data folder.',
      );
    }
    const tail = log.trim().split('\n').slice(-20).join('\n');
    return new Error(`PostgreSQL did not start (${this.cluster.folder}). The end of its log:\n${tail}`);
  }

  /** The same as last time where it is free, so that clients and bookmarks stay right across restarts. */
  private async choosePort(): Promise<number> {
    const last = Number(await readFile(this.portFile, 'utf8').catch(() => '0'));
    if (last > 0 && (await listenOnce(last)) !== undefined) return last;
    const free = await listenOnce(0);
    if (free === undefined) throw new Error('No free port was found on 127.0.0.1.');
    return free;
  }

  private async putLargeLogAside(): Promise<void> {
    if ((await sizeOf(this.cluster.log)) > LARGE_LOG_BYTES) await rename(this.cluster.log, `${this.cluster.log}.1`);
    // Created by us, so that it can be read after a start that did not get as far as writing.
    await appendFile(this.cluster.log, '', { mode: 0o600 });
    const account = serverAccount();
    if (account !== undefined) await chown(this.cluster.log, account.uid, account.gid);
  }
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}

/** The port that was free, undefined when it is taken. */
async function listenOnce(port: number): Promise<number | undefined> {
  return new Promise((done) => {
    const probe = createServer();
    probe.once('error', () => done(undefined));
    probe.listen(port, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => done(typeof address === 'object' ? address?.port : undefined));
    });
  });
}
