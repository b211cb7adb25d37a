import { spawn } from 'node:child_process';

const OUTPUT_LINES = 40;

/**
 * Runs a program quietly; when it fails or takes too long, throws an error with the end of what it printed.
 * @param {{ command: string, programArguments: string[], cwd: string, env?: Record<string, string | undefined>, deadlineMs: number, purpose: string }} options
 */
export async function run({ command, programArguments, cwd, env = process.env, deadlineMs, purpose }) {
  const child = spawn(command, programArguments, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), 5_000).unref();
  }, deadlineMs);
  const outcome = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(code === 0 ? undefined : `it ended with ${signal ?? `exit code ${code}`}`));
  });
  clearTimeout(timer);
  if (outcome === undefined && !late) return output;
  const reason = late ? `it took longer than ${Math.round(deadlineMs / 60_000)} minutes` : outcome;
  const tail = output.trim().split('\n').slice(-OUTPUT_LINES).join('\n');
  throw new Error(`${purpose} failed: ${reason}.${tail === '' ? '' : `\n${tail}`}`);
}

export const secondsSince = (start) => `${((Date.now() - start) / 1000).toFixed(1)} s`;
