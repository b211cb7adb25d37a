import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, lchown, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { creatorAccount, isAlive, serverAccount, type Account } from './account.js';

export const SUPERUSER = 'postgres';

/** The files of one embedded PostgreSQL. */
export interface Cluster {
  /** Everything below belongs to this server. */
  folder: string;
  /** What PostgreSQL calls its data directory. */
  data: string;
  log: string;
  password: string;
}

/** Finds the cluster below the data directory, or creates it. */
export async function openCluster(dataDirectory: string, programs: string, ephemeral: boolean): Promise<Cluster> {
  const account = serverAccount();
  const folder = join(dataDirectory, 'postgres');
  await makeReachable(folder, account);
  const cluster = join(folder, 'cluster');
  if ((await readPassword(cluster)) === undefined) await createCluster(folder, cluster, programs, account, ephemeral);
  const password = await readPassword(cluster);
  if (password === undefined) throw new Error(`The folder holds no PostgreSQL cluster of ours: ${cluster}`);
  return { folder, data: join(cluster, 'data'), log: join(folder, 'server.log'), password };
}

async function readPassword(cluster: string): Promise<string | undefined> {
  return readFile(join(cluster, 'password'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

/** The folder is the server's own; what had to be created above it only lets the server's account pass. */
async function makeReachable(folder: string, account: Account | undefined): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (account === undefined) return;
  if (first !== undefined) {
    for (let created = dirname(folder); created.length >= first.length; created = dirname(created)) {
      await chmod(created, 0o755);
    }
  }
  // 711, because the account that creates the cluster is another one and must pass too.
  await chmod(folder, 0o711);
  await chown(folder, account.uid, account.gid);
}

/** In a folder beside, renamed when complete: an interrupted creation leaves nothing that looks like a cluster. */
async function createCluster(
  folder: string,
  cluster: string,
  programs: string,
  account: Account | undefined,
  ephemeral: boolean,
): Promise<void> {
  await removeAbandoned(folder);
  const building = `${cluster}.new-${process.pid}-${randomBytes(4).toString('hex')}`;
  const creator = creatorAccount();
  const passwordFile = join(building, 'password');
  await mkdir(building, { mode: 0o700 });
  try {
    await writeFile(passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600 });
    await handOver(building, creator);
    await run(join(programs, 'initdb'), initdbArguments(join(building, 'data'), passwordFile, ephemeral), creator);
    await handOver(building, account);
    await rename(building, cluster);
  } catch (error) {
    await rm(building, { recursive: true, force: true });
    // Another process was faster; its cluster is as good as ours.
    if ((await readPassword(cluster)) === undefined) throw error;
  }
}

function initdbArguments(data: string, passwordFile: string, ephemeral: boolean): string[] {
  return [
    `--pgdata=${data}`,
    `--username=${SUPERUSER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    // The same order of text on every machine, whatever locales it has.
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    // The password is 24 random bytes: many rounds of hashing would only make each connection slower.
    '--set=scram_iterations=1',
    ...(ephemeral ? ['--no-sync'] : []),
  ];
}

async function removeAbandoned(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const owner = /^cluster\.new-(\d+)-/.exec(name)?.[1];
    if (owner !== undefined && !isAlive(Number(owner))) await rm(join(folder, name), { recursive: true, force: true });
  }
}

async function handOver(folder: string, account: Account | undefined): Promise<void> {
  if (account === undefined) return;
  await chown(folder, account.uid, account.gid);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    await lchown(join(entry.parentPath, entry.name), account.uid, account.gid);
  }
}

async function run(program: string, programArguments: string[], account: Account | undefined): Promise<void> {
  const child = spawn(program, programArguments, {
    ...account,
    cwd: '/',
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (status !== 0) throw new Error(`The PostgreSQL cluster could not be created:\n${output.trim().slice(-2_000)}`);
}
