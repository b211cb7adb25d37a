import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SUPERVISOR, WRAPPER } from './guest-script.js';

let runs: string;

beforeEach(async () => (runs = await mkdtemp(join(tmpdir(), 'muon-guest-'))));
afterEach(async () => rm(runs, { recursive: true, force: true }));

interface Ask {
  id?: string;
  script: string;
  input?: string;
  seconds?: number;
}

async function ask({ id = 'run_1', script, input = '', seconds = 30 }: Ask): Promise<{ stdout: string; stderr: string }> {
  const argumentsOfShell = ['-c', WRAPPER, 'muon-guest-run', id, `hash of ${script}`, String(seconds), script, SUPERVISOR];
  const child = spawn('/bin/sh', argumentsOfShell, { env: { ...process.env, MUON_RUNS: runs } });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  // A script that ends without reading its input leaves nobody to write to.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  await new Promise((resolve) => child.once('close', resolve));
  return { stdout, stderr };
}

async function ended(run: Ask): Promise<{ stdout: string; stderr: string }> {
  for (;;) {
    const answer = await ask(run);
    if (answer.stdout !== 'PENDING\n') return answer;
  }
}

test('a script runs once, and its outputs and exit code are told ever after', async () => {
  const run = { script: 'cat /proc/sys/kernel/random/uuid; echo failing >&2; exit 7' };
  const first = await ended(run);
  expect(first).toEqual({ stdout: expect.stringMatching(/^DONE 7\n[0-9a-f-]{36}\n$/) as unknown, stderr: 'failing\n' });
  expect(await ask(run)).toEqual(first);
});

test('a script that is soon over is told by whoever has begun it', async () => {
  expect(await ask({ script: 'sleep 0.3; echo soon' })).toEqual({ stdout: 'DONE 0\nsoon\n', stderr: '' });
});

test('of many who ask at once one starts it', async () => {
  const run = { script: `echo once >>"${runs}/count"` };
  await Promise.all(Array.from({ length: 8 }, async () => ended(run)));
  expect(await readFile(join(runs, 'count'), 'utf8')).toBe('once\n');
});

test('another script under its id is a conflict and does not run', async () => {
  await ended({ script: 'true' });
  expect((await ask({ script: `touch "${runs}/ran"` })).stdout).toBe('CONFLICT\n');
  await expect(readFile(join(runs, 'ran'))).rejects.toThrow('ENOENT');
});

test('standard input reaches the script and stays in no file', async () => {
  const run = { script: 'wc -c', input: 'secret with a line end\n\n' };
  expect((await ended(run)).stdout.trim()).toBe('DONE 0\n24');
  for (const file of ['script', 'hash', 'output', 'error', 'status', 'owner', 'pid']) {
    expect(await readFile(join(runs, 'run_1', file), 'utf8'), file).not.toContain('secret');
  }
});

test('a script is killed with what it has started when its time is over', async () => {
  const { stdout } = await ended({ script: 'sleep 600 & echo $!; sleep 600', seconds: 1 });
  const [status, child] = stdout.split('\n');
  expect(status).toBe('DONE 137');
  // What remains of it, if anything, is a zombie, as soon as the kernel has come to it.
  const state = async (): Promise<string> => readFile(`/proc/${child}/stat`, 'utf8').catch(() => '0 (gone) Z');
  await expect.poll(state, { timeout: 10_000 }).toMatch(/\) Z/);
});

test('a run that was cut off is told as lost, and not run again', async () => {
  const run = { script: `echo began >>"${runs}/count"; sleep 600` };
  expect((await ask(run)).stdout).toBe('PENDING\n');
  while ((await readFile(join(runs, 'count'), 'utf8').catch(() => '')) === '') expect((await ask(run)).stdout).toBe('PENDING\n');
  const supervisor = Number(await readFile(join(runs, 'run_1', 'pid'), 'utf8'));
  const sessionOf = async (pid: number) => (await readFile(`/proc/${pid}/stat`, 'utf8')).split(' ')[5];
  expect(await sessionOf(supervisor)).toBe(String(supervisor));
  process.kill(supervisor, 'SIGKILL');
  expect((await ended(run)).stdout).toBe('LOST\n');
  expect(await readFile(join(runs, 'count'), 'utf8')).toBe('began\n');
});

test('a run that was cut off while its input was on its way begins with the next who asks, and once', async () => {
  const run = { script: `cat >>"${runs}/count"`, input: 'once\n' };
  const argumentsOfShell = ['-c', WRAPPER, 'muon-guest-run', 'run_1', `hash of ${run.script}`, '30', run.script, SUPERVISOR];
  const cutOff = spawn('/bin/sh', argumentsOfShell, { env: { ...process.env, MUON_RUNS: runs } });
  while ((await readFile(join(runs, 'run_1', 'script'), 'utf8').catch(() => '')) === '') expect(cutOff.exitCode).toBeNull();
  // While it waits, nobody else begins.
  expect((await ask(run)).stdout).toBe('PENDING\n');
  cutOff.kill('SIGKILL');
  await new Promise((resolve) => cutOff.once('exit', resolve));
  const answers = await Promise.all(Array.from({ length: 8 }, async () => ended(run)));
  expect(new Set(answers.map(({ stdout }) => stdout))).toEqual(new Set(['DONE 0\n']));
  expect(await readFile(join(runs, 'count'), 'utf8')).toBe('once\n');
});

test('at most 64 KiB of each output are told', async () => {
  const { stdout, stderr } = await ended({ script: 'head -c 100000 /dev/zero; head -c 100000 /dev/zero >&2' });
  expect([stdout.length, stderr.length]).toEqual(['DONE 0\n'.length + 65_536, 65_536]);
});
