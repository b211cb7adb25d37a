import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where Debian's postgresql package puts it besides the path. */
const DEBIAN_FOLDERS = '/usr/lib/postgresql';
const PACKAGE = 'postgresql-contrib';
const RUN_DEADLINE_MS = 300_000;

export interface PgbenchRun {
  clients: number;
  /** One of both: how long, or how many transactions of each client. */
  seconds?: number;
  transactions?: number;
  variables?: Record<string, number>;
}

export interface PgbenchResult {
  perSecond: number;
  /** Of each transaction, in ms; only of runs by number of transactions. */
  latencies: number[];
  /** Transactions done. */
  count: number;
}

/** PostgreSQL's own load generator, with scripts of ours: the floor of everything that writes. */
export class Pgbench {
  private constructor(private readonly program: string) {}

  /**
   * @returns undefined when it is not there; as root on a Debian its package is installed first
   */
  static async find(): Promise<Pgbench | undefined> {
    const found = await Pgbench.look();
    if (found !== undefined || process.getuid?.() !== 0 || !(await runs('apt-get', ['--version']))) return found;
    console.log(`Installing the Debian package ${PACKAGE}, which brings pgbench.`);
    // RUNLEVEL keeps the server that comes with it from being started.
    const environment = { RUNLEVEL: '1', DEBIAN_FRONTEND: 'noninteractive' };
    await runs('apt-get', ['update', '-qq'], environment);
    await runs('apt-get', ['install', '-qq', '-y', '--no-install-recommends', PACKAGE], environment);
    return Pgbench.look();
  }

  private static async look(): Promise<Pgbench | undefined> {
    const versions = await readdir(DEBIAN_FOLDERS).catch(() => []);
    const candidates = ['pgbench', ...versions.toSorted((one, other) => Number(other) - Number(one)).map((version) => join(DEBIAN_FOLDERS, version, 'bin', 'pgbench'))];
    for (const program of candidates) if (await runs(program, ['--version'])) return new Pgbench(program);
    return undefined;
  }

  /** Each transaction is one of the scripts, by lot. @throws when one of them fails */
  async run(databaseUrl: string, scripts: readonly string[], options: PgbenchRun): Promise<PgbenchResult> {
    const folder = await mkdtemp(join(tmpdir(), 'muon-pgbench-'));
    try {
      const files = scripts.map((_, index) => join(folder, `script-${index}.sql`));
      await Promise.all(files.map((file, index) => writeFile(file, scripts[index] ?? '')));
      const output = await execute(this.program, [
        '--no-vacuum',
        `--client=${options.clients}`,
        `--jobs=${Math.min(2, options.clients)}`,
        ...(options.seconds === undefined
          ? ['--transactions', String(options.transactions ?? 1), '--log', `--log-prefix=${join(folder, 'log')}`, '--protocol', 'simple']
          : ['--time', String(options.seconds), '--protocol', 'prepared']),
        ...Object.entries(options.variables ?? {}).map(([name, value]) => `--define=${name}=${value}`),
        ...files.map((file) => `--file=${file}`),
        databaseUrl,
      ]);
      const perSecond = Number(/tps = ([\d.]+) \(without initial/.exec(output)?.[1] ?? Number.NaN);
      const count = Number(/actually processed: (\d+)/.exec(output)?.[1] ?? Number.NaN);
      return { perSecond, count, latencies: await latenciesIn(folder) };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  static readonly missing = `pgbench is missing: its floors are left out. Install the Debian package ${PACKAGE} (as root, apt-get install ${PACKAGE}).`;
}

async function latenciesIn(folder: string): Promise<number[]> {
  const logs = (await readdir(folder)).filter((name) => name.startsWith('log'));
  const texts = await Promise.all(logs.map((name) => readFile(join(folder, name), 'utf8')));
  // client, transaction, microseconds, …
  return texts.flatMap((text) => text.trim().split('\n').map((line) => Number(line.split(' ')[2]) / 1000));
}

async function execute(program: string, programArguments: string[], environment: Record<string, string> = {}): Promise<string> {
  const child = spawn(program, programArguments, { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'], timeout: RUN_DEADLINE_MS });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${program} ended with ${code}:\n${output.slice(0, 2000)}`);
  return output;
}

async function runs(program: string, programArguments: string[], environment: Record<string, string> = {}): Promise<boolean> {
  return execute(program, programArguments, environment).then(
    () => true,
    () => false,
  );
}
