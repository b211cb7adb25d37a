/**
 * Starts what was built as a stranger would, waits until the API answers, and ends it. Catches what tests on the sources
 * cannot: circular imports and missing providers show only when the compiled modules are loaded for real.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, chmodSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ANSWER_DEADLINE_MS = 60_000;
const END_DEADLINE_MS = 20_000;

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

async function answers(port) {
  const response = await fetch(`http://127.0.0.1:${port}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: '{ __typename }' }),
    signal: AbortSignal.timeout(5_000),
  });
  const body = await response.json();
  return body.data !== undefined || Array.isArray(body.errors);
}

async function main() {
  const start = Date.now();
  const data = mkdtempSync(join(tmpdir(), 'muon-boot-'));
  // As root, the database runs as somebody else and must be able to enter.
  chmodSync(data, 0o755);
  const port = await freePort();
  const app = spawn(process.execPath, ['dist/apps/standalone/src/main.js', '--data', data, '--port', String(port)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [app.stdout, app.stderr]) stream.on('data', (chunk) => (output += chunk));
  /** @type {string | undefined} */
  let outcome;
  const ended = new Promise((resolve) => {
    app.once('exit', (code, signal) => {
      outcome = signal ?? `exit code ${code}`;
      resolve();
    });
  });
  try {
    while (!(await answers(port).catch(() => false))) {
      if (outcome !== undefined) throw new Error(`The application ended with ${outcome} before it answered.\n${output}`);
      if (Date.now() - start > ANSWER_DEADLINE_MS) throw new Error(`The application does not answer.\n${output}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    console.log(`The application answered after ${((Date.now() - start) / 1000).toFixed(1)} s.`);
    app.kill('SIGTERM');
    const late = setTimeout(() => app.kill('SIGKILL'), END_DEADLINE_MS);
    await ended;
    clearTimeout(late);
    if (outcome === 'SIGKILL') throw new Error(`The application does not end when asked to.\n${output}`);
  } finally {
    app.kill('SIGKILL');
    await ended;
    rmSync(data, { recursive: true, force: true });
  }
}

await main();
