import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { globSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

let data: string;
let port: number;
let started: ChildProcess[] = [];

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'muon-start-spec-'));
  await chmod(data, 0o755);
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  port = (probe.address() as { port: number }).port;
  probe.close();
});

afterEach(async () => {
  // The group, because npm and the shells between are in it too.
  for (const { pid } of started) killGroup(pid as number, 'SIGKILL');
  started = [];
  await expect.poll(processes, { timeout: 10_000 }).toEqual([]);
  await rm(data, { recursive: true, force: true });
});

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** What a terminal does: a process group that Ctrl-C reaches as a whole. */
async function start(): Promise<{ npm: ChildProcess; token: string; exit: Promise<unknown[]> }> {
  const npm = spawn('npm', ['start', '--', '--data', data, '--port', String(port)], { detached: true });
  started.push(npm);
  const exit = once(npm, 'exit');
  let output = '';
  for (const stream of [npm.stdout, npm.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await expect.poll(() => output, { timeout: 120_000 }).toContain('Muon is ready');
  return { npm, exit, token: /token +(\S+)/.exec(output)?.[1] ?? '' };
}

/** The command lines that name the data folder, and those of the database's own processes. */
function processes(): string[] {
  return globSync('/proc/[0-9]*/cmdline')
    .map((file) => {
      try {
        return readFileSync(file, 'utf8').replaceAll('\0', ' ').trim();
      } catch {
        return '';
      }
    })
    .filter((line) => line.includes(data));
}

async function viewer(token: string): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${port}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query: '{ __typename }' }),
  });
  return response.json();
}

test('Ctrl-C ends it in good order, and the next start has the same data', async () => {
  const first = await start();
  expect(await viewer(first.token)).toEqual({ data: { __typename: 'Query' } });
  killGroup(first.npm.pid as number, 'SIGINT');
  // 0 and not 130: npm hands the signal on a second time, and the application must not fall to that.
  expect(await first.exit).toEqual([0, null]);
  expect(processes()).toEqual([]);

  const second = await start();
  expect(second.token).toBe(first.token);
});

test('a signal to npm alone, as a service manager sends it, ends all', async () => {
  const { npm, exit } = await start();
  npm.kill('SIGTERM');
  expect(await exit).toEqual([0, null]);
  expect(processes()).toEqual([]);
});

test('nothing is left of it when it is killed', async () => {
  const { npm, exit } = await start();
  killGroup(npm.pid as number, 'SIGKILL');
  await exit;
  await expect.poll(processes, { timeout: 10_000 }).toEqual([]);
});
