import { execFile, spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { Failure } from '../failure.js';

export interface RunOptions {
  timeoutMs?: number;
  /** Given to its standard input. */
  input?: string;
  /** Added to the little that every command is given. */
  environment?: Record<string, string>;
  cwd?: string;
}

const TIMEOUT_MS = 30_000;
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
const TOLD_LINES = 8;

/** Nothing of ours: settings of npm and of Node are not for daemons that outlive us. */
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', LC_ALL: 'C.UTF-8' };

/** A program that ended other than well. */
export class CommandFailure extends Failure {
  constructor(
    message: string,
    /** Null when it was ended by a signal, as when its time was over. */
    readonly exitCode: number | null,
    readonly stderr: string,
  ) {
    super(message);
  }
}

/**
 * Runs a program with its arguments as they are; no shell looks at them.
 * @returns its standard output
 * @throws CommandFailure with the end of what it said
 */
export async function run(program: string, programArguments: readonly string[], options: RunOptions = {}): Promise<string> {
  const { timeoutMs = TIMEOUT_MS, input = '', environment = {}, cwd = '/' } = options;
  return new Promise((resolve, reject) => {
    const settings = { cwd, env: { ...ENVIRONMENT, ...environment }, timeout: timeoutMs, killSignal: 'SIGKILL' as const, maxBuffer: MAX_OUTPUT_BYTES };
    const child = execFile(program, [...programArguments], settings, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const code = typeof error.code === 'number' ? error.code : null;
      const said = `${stdout}\n${stderr}`.trim().split('\n').slice(-TOLD_LINES).join('\n');
      const how = error.killed ? `was ended after ${timeoutMs} ms` : `ended with ${error.code ?? error.signal}`;
      reject(new CommandFailure(`${program} ${programArguments.slice(0, TOLD_LINES).join(' ')} ${how}\n${said}`, code, stderr));
    });
    // A program that reads nothing closes its end; its exit code tells what matters.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

/** Starts a program that outlives us, in a session of its own, with its outputs in a file. */
export async function launch(program: string, programArguments: readonly string[], log: string): Promise<void> {
  const file = await open(log, 'a');
  try {
    const child = spawn(program, programArguments, { cwd: '/', env: ENVIRONMENT, detached: true, stdio: ['ignore', file.fd, file.fd] });
    await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    child.unref();
  } finally {
    await file.close();
  }
}
