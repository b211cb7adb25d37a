import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isAlive, serverAccount } from './account.js';
import { chooseDataDirectory, startEmbeddedPostgres, type EmbeddedPostgres } from './embedded-postgres.js';

let folder: string;
let running: EmbeddedPostgres[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muon-embedded-spec-'));
  await chmod(folder, 0o755);
});

afterEach(async () => {
  await Promise.all(running.map(async (server) => server.stop()));
  running = [];
  await rm(folder, { recursive: true, force: true });
});

async function start(dataDirectory = folder): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDirectory });
  running.push(server);
  return server;
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function isOver(pid: number): Promise<boolean> {
  for (let waited = 0; waited < 10_000; waited += 50) {
    if (!isAlive(pid)) return true;
    await new Promise((done) => setTimeout(done, 50));
  }
  return false;
}

const postgresFolder = (): string => join(folder, 'postgres');
const lockFile = (): string => join(postgresFolder(), 'cluster', 'data', 'postmaster.pid');

test('data, password and port survive a restart', async () => {
  const first = await start();
  await first.createDatabase('muon');
  await first.createDatabase('muon');
  await query(first.url('muon'), 'CREATE TABLE zone AS SELECT 7 AS number');
  await first.stop();
  await expect(query(first.url('muon'), 'SELECT 1')).rejects.toThrow('ECONNREFUSED');

  const second = await start();
  expect(second.url('muon')).toBe(first.url('muon'));
  expect(await query(second.url('muon'), 'SELECT number FROM zone')).toEqual([{ number: 7 }]);
});

test('it listens on the loopback only, asks for the password, and knows transaction_timeout', async () => {
  const server = await start();
  const settings = await query(server.url('postgres'), `SELECT current_setting('listen_addresses') AS listens,
    current_setting('unix_socket_directories') AS sockets, current_setting('fsync') AS fsync,
    current_setting('transaction_timeout') AS limit`);
  expect(settings).toEqual([{ listens: '127.0.0.1', sockets: '', fsync: 'on', limit: '0' }]);
  const wrong = Object.assign(new URL(server.url('postgres')), { password: 'wrong' });
  await expect(query(wrong.href, 'SELECT 1')).rejects.toThrow('password authentication failed');
});

test('a database is cloned from a template and dropped under its users', async () => {
  const server = await start();
  await server.createDatabase('original');
  await query(server.url('original'), 'CREATE TABLE zone AS SELECT 7 AS number');
  await server.createDatabase('copy', 'original');
  const user = new pg.Client({ connectionString: server.url('copy') });
  const ended: string[] = [];
  user.on('error', (error) => ended.push(error.message));
  await user.connect();
  expect((await user.query('SELECT number FROM zone')).rows).toEqual([{ number: 7 }]);
  await server.dropDatabase('copy');
  await expect.poll(() => ended.join()).toContain('terminat');
});

test('a second start on the same data names the process that has it, and does not disturb it', async () => {
  const first = await start();
  await expect(startEmbeddedPostgres({ dataDirectory: folder })).rejects.toThrow(
    `PostgreSQL already runs on this data folder, as process ${first.pid}`,
  );
  expect(await query(first.url('postgres'), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

test('two first starts at the same moment make one cluster and one server', async () => {
  const outcomes = await Promise.allSettled([start(), start()]);
  const failed = outcomes.filter((outcome) => outcome.status === 'rejected');
  expect(failed).toHaveLength(1);
  expect(String(failed[0]?.reason)).toContain('already runs on this data folder');
  expect(await readdir(postgresFolder())).not.toContainEqual(expect.stringContaining('.new-'));
});

describe('after a crash', () => {
  test('a killed server leaves its lock file, and the next one recovers what was committed', async () => {
    const first = await start();
    await query(first.url('postgres'), 'CREATE TABLE zone AS SELECT 7 AS number');
    process.kill(first.pid, 'SIGKILL');
    expect(await isOver(first.pid)).toBe(true);
    expect(existsSync(lockFile())).toBe(true);

    const second = await start();
    expect(await query(second.url('postgres'), 'SELECT number FROM zone')).toEqual([{ number: 7 }]);
    expect(await readFile(join(postgresFolder(), 'server.log'), 'utf8')).toContain('automatic recovery in progress');
  });

  test('a lock file that names a process of somebody else by now is no obstacle', async () => {
    await (await start()).stop();
    const stranger = spawn('sleep', ['60'], { ...serverAccount(), cwd: '/' });
    await once(stranger, 'spawn');
    try {
      await writeFile(lockFile(), `${stranger.pid}\n${join(postgresFolder(), 'cluster', 'data')}\n1\n1\n\n\n\n\n`);
      const server = await start();
      expect(await query(server.url('postgres'), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      expect(stranger.exitCode).toBeNull();
    } finally {
      stranger.kill();
    }
  });

  test('what an interrupted creation left is removed', async () => {
    const gone = spawn('true');
    await once(gone, 'exit');
    const leftover = join(postgresFolder(), `cluster.new-${gone.pid}-0a1b2c3d`);
    await mkdir(leftover, { recursive: true });
    await start();
    expect(existsSync(leftover)).toBe(false);
  });

  // The server must not outlive tests or a demo that somebody killed.
  test.each([
    ['lasting', false],
    ['ephemeral', true],
  ])('a %s server ends when its parent is killed', async (_name, ephemeral) => {
    const module = fileURLToPath(new URL('./embedded-postgres.ts', import.meta.url));
    const program = `
      import { runnerImport } from 'vite';
      const { module } = await runnerImport(${JSON.stringify(module)}, { configFile: false });
      const server = await module.startEmbeddedPostgres(${JSON.stringify({ dataDirectory: folder, ephemeral })});
      console.log(server.pid);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(parent, 'exit');
    const pid = Number(String((await once(parent.stdout, 'data'))[0]));
    expect(isAlive(pid)).toBe(true);
    parent.kill('SIGKILL');
    expect((await exited)[1]).toBe('SIGKILL');
    expect(await isOver(pid)).toBe(true);
    expect(existsSync(lockFile())).toBe(false);
  });
});

test('a port that is taken meanwhile is replaced', async () => {
  const first = await start();
  await first.stop();
  const other = createServer().listen(first.port, '127.0.0.1');
  await once(other, 'listening');
  try {
    const second = await start();
    expect(second.port).not.toBe(first.port);
    expect(await query(second.url('postgres'), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  } finally {
    other.close();
  }
});

test('a server that does not start says why', async () => {
  const attempt = startEmbeddedPostgres({ dataDirectory: folder, settings: { shared_buffers: 'plenty' } });
  await expect(attempt).rejects.toThrow(/did not start[^]*invalid value for parameter "shared_buffers": "plenty"/);
});

test('an ephemeral server leaves nothing behind', async () => {
  const server = await startEmbeddedPostgres({});
  expect(await query(server.url('postgres'), `SELECT current_setting('fsync') AS fsync`)).toEqual([{ fsync: 'off' }]);
  expect(existsSync(server.dataDirectory)).toBe(true);
  await server.stop();
  expect(existsSync(server.dataDirectory)).toBe(false);

  const failing = startEmbeddedPostgres({ dataDirectory: folder, ephemeral: true, settings: { shared_buffers: 'plenty' } });
  await expect(failing).rejects.toThrow('did not start');
  expect(await readdir(folder)).toEqual([]);
});

describe.runIf(process.getuid?.() === 0)('as root', () => {
  test('the server and its files belong to an account that exists nowhere', async () => {
    const server = await start();
    const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
    const uid = serverAccount()?.uid;
    expect(/^Uid:\s+(\d+)/m.exec(status)?.[1]).toBe(String(uid));
    expect(/^Groups:(.*)$/m.exec(status)?.[1]?.trim()).toBe('');
    expect((await stat(join(postgresFolder(), 'cluster', 'data', 'PG_VERSION'))).uid).toBe(uid);
    expect(await readFile('/etc/passwd', 'utf8')).not.toContain(`:${uid}:`);
  });

  test('a folder that only root may enter is refused, and another one is proposed, always the same', async () => {
    await chmod(folder, 0o700);
    const inside = join(folder, 'project', '.muon');
    await expect(startEmbeddedPostgres({ dataDirectory: inside })).rejects.toThrow('cannot reach');
    const proposed = chooseDataDirectory(inside);
    expect(proposed).toMatch(/^\/var\/lib\/muon-[0-9a-f]{12}$/);
    expect(chooseDataDirectory(inside)).toBe(proposed);
    expect(chooseDataDirectory(join(folder, 'other', '.muon'))).not.toBe(proposed);
    await chmod(folder, 0o755);
    expect(chooseDataDirectory(inside)).toBe(inside);
  });
});
