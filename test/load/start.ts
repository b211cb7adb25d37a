import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chooseDataDirectory } from '#database/embedded';
import { program } from './support/installation.js';
import { interleaved, median } from './support/numbers.js';
import { valueAtMost, type Report } from './support/report.js';

const ROUNDS = 5;
const GOAL_SECONDS = 3;
const DEADLINE_MS = 120_000;
const BARE = `import('fastify').then(({ fastify }) => fastify().listen({ port: 0 })).then(() => console.log('ready'))`;

/** From the command to the moment at which standalone says that it is ready. */
export async function measureStart(report: Report): Promise<void> {
  const folder = chooseDataDirectory(await mkdtemp(join(tmpdir(), 'muon-start-')));
  try {
    const standalone = (): Promise<number> => secondsUntil(/is ready/, [program('apps/standalone/src/main.js'), '--data', folder, '--port', '0']);
    const first = await standalone();
    const [starts = [], floors = []] = await interleaved(ROUNDS, [standalone, () => secondsUntil(/ready/, ['--eval', BARE])]);
    const against = { floor: median(floors), against: 'bare Fastify' };
    report.add(
      { measure: 'start of standalone on its data', value: median(starts), unit: 's', ...against, goal: valueAtMost(GOAL_SECONDS) },
      { measure: '… the very first, which makes the database', value: first, unit: 's', ...against },
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function secondsUntil(ready: RegExp, programArguments: string[]): Promise<number> {
  const start = performance.now();
  const child = spawn(process.execPath, programArguments, { stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    await saying(child, ready);
    return (performance.now() - start) / 1000;
  } finally {
    child.kill('SIGTERM');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
}

function saying(child: ChildProcess, text: RegExp): Promise<void> {
  let output = '';
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`it did not start:\n${output}`)), DEADLINE_MS);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (chunk: string) => {
        output += chunk;
        if (!text.test(output)) return;
        clearTimeout(late);
        resolve();
      });
    }
    child.once('exit', (code) => reject(new Error(`it ended with ${code}:\n${output}`)));
  });
}
