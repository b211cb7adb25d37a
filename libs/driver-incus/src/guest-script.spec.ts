import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
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
  brief?: boolean;
  full?: boolean;
}

async function ask({ id = 'run_1', script, input = '', seconds = 30, brief = false, full = false }: Ask): Promise<{ stdout: string; stderr: string }> {
  const argumentsOfShell = ['-c', WRAPPER, 'muon-guest-run', id, `hash of ${script}`, String(seconds), script, SUPERVISOR, brief ? 'BRIEF' : 'KEPT'];
  // A limit of no bytes for each file is to those who write what a full disk is.
  const shell = full ? ['-c', 'trap "" XFSZ; ulimit -f 0; exec /bin/sh "$@"', 'sh', ...argumentsOfShell] : argumentsOfShell;
  const child = spawn('/bin/sh', shell, { env: { ...process.env, MUON_RUNS: runs } });
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
  const argumentsOfShell = ['-c', WRAPPER, 'muon-guest-run', 'run_1', `hash of ${run.script}`, '30', run.script, SUPERVISOR, 'KEPT'];
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

/** As if what is in it had ended so long ago. */
async function aged(folder: string, minutes: number): Promise<void> {
  const then = new Date(Date.now() - minutes * 60_000);
  await utimes(folder, then, then);
}
const idsIn = async (folder: string): Promise<string[]> => (await readdir(folder)).filter((name) => !name.startsWith('.')).sort();

test('what nobody asks for any more goes when others begin: brief runs after an hour, others after a week', async () => {
  const brief = join(runs, '.brief');
  for (const id of ['old', 'young']) await ended({ id, script: 'true', brief: true });
  for (const id of ['old', 'young', 'cut-off']) await ended({ id, script: 'true' });
  await rm(join(runs, 'cut-off', 'status'));
  await aged(join(brief, 'old'), 63);
  await aged(join(brief, 'young'), 57);
  await aged(join(runs, 'old'), 7 * 24 * 60 + 3);
  await aged(join(runs, 'cut-off'), 7 * 24 * 60 + 3);
  await aged(join(runs, 'young'), 7 * 24 * 60 - 3);
  // Who only asks clears nothing away.
  expect(await ask({ id: 'old', script: 'true' })).toMatchObject({ stdout: 'DONE 0\n' });
  expect(await ended({ id: 'new', script: 'echo out; echo error >&2' })).toEqual({ stdout: 'DONE 0\nout\n', stderr: 'error\n' });
  expect(await idsIn(runs)).toEqual(['new', 'young']);
  expect(await idsIn(brief)).toEqual(['young']);
});

test('a run that goes on is never cleared away, however old it is', async () => {
  const run = { id: 'running', script: `while [ ! -e "${runs}/.go" ]; do sleep 0.05; done; echo whole`, brief: true };
  expect((await ask(run)).stdout).toBe('PENDING\n');
  await expect.poll(async () => readFile(join(runs, '.brief', 'running', 'output'), 'utf8').catch(() => undefined)).toBe('');
  await aged(join(runs, '.brief', 'running'), 1000);
  await ended({ id: 'other', script: 'true' });
  await mkdir(join(runs, '.go'));
  expect((await ended(run)).stdout).toBe('DONE 0\nwhole\n');
});

test('so many old runs as there may be are cleared away a few at a time', async () => {
  for (let number = 0; number < 45; number += 1) {
    const folder = join(runs, `left_${number}`);
    await mkdir(folder);
    await aged(folder, 8 * 24 * 60);
  }
  const left: number[] = [];
  for (const id of ['run_1', 'run_2', 'run_3']) {
    await ended({ id, script: 'true' });
    left.push((await idsIn(runs)).filter((name) => name.startsWith('left_')).length);
  }
  expect(left).toEqual([25, 5, 0]);
});

test('a run of which only its folder is left begins with the next who asks after a minute, and once', async () => {
  const run = { script: `echo once >>"${runs}/.count"` };
  const folder = join(runs, 'run_1');
  await mkdir(folder);
  // Whoever has made it may be about to begin.
  expect((await ask(run)).stdout).toBe('PENDING\n');
  // As a power cut leaves what was not on the disk yet.
  for (const file of ['owner', 'hash', 'script']) await writeFile(join(folder, file), '');
  await aged(folder, 3);
  const answers = await Promise.all(Array.from({ length: 8 }, async () => ended(run)));
  expect(new Set(answers.map(({ stdout }) => stdout))).toEqual(new Set(['DONE 0\n']));
  expect(await readFile(join(runs, '.count'), 'utf8')).toBe('once\n');
});

test.each(['pid', 'status'])('a run whose %s was lost with the power had begun: it is told as lost, and not run again', async (emptied) => {
  const run = { script: `echo began >>"${runs}/.count"` };
  await ended(run);
  const folder = join(runs, 'run_1');
  for (const file of new Set([emptied, 'status'])) await writeFile(join(folder, file), '');
  await aged(folder, 3);
  expect((await ended(run)).stdout).toBe('LOST\n');
  expect(await readFile(join(runs, '.count'), 'utf8')).toBe('began\n');
});

test('nothing begins in a guest whose disk is full, which is told, and the run begins when there is room', async () => {
  const run = { script: `echo once >>"${runs}/.count"` };
  expect((await ask({ ...run, full: true })).stdout).toBe('FULL\n');
  await expect(readFile(join(runs, '.count'))).rejects.toThrow('ENOENT');
  await aged(join(runs, 'run_1'), 3);
  expect((await ask({ ...run, full: true })).stdout).toBe('FULL\n');
  expect((await ended(run)).stdout).toBe('DONE 0\n');
  expect(await readFile(join(runs, '.count'), 'utf8')).toBe('once\n');
  await rm(runs, { recursive: true });
  await writeFile(runs, 'no folder can be made here');
  expect((await ask(run)).stdout).toBe('FULL\n');
});
