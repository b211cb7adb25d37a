import { once } from 'node:events';
import type { WebSocket } from 'ws';
import { IncusError } from '../connection/incus-error.js';
import type { Session } from '../connection/session.js';
import type { Operation } from '../operation/operation.js';

export interface Command {
  /** Program and arguments; no shell looks at them. */
  command: readonly string[];
  environment?: Record<string, string>;
  user?: number;
  group?: number;
  /** Working directory. */
  cwd?: string;
  /** Given to its standard input, which is then closed. */
  input?: string | Uint8Array;
  /** After it the command is killed. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Of each of the outputs; what is more is dropped. */
  limitBytes?: number;
}

export interface CommandResult {
  /** 127: not found, 128 + n: ended by signal n. */
  exitCode: number;
  stdout: string;
  stderr: string;
  /** There was more output than `limitBytes`. */
  truncated: boolean;
}

const TIMEOUT_MS = 60_000;
const LIMIT_BYTES = 1024 * 1024;
const ANSWER_MARGIN_MS = 5000;
const KILL_GRACE_MS = 2000;
const CONNECT_WITHIN_MS = 2500;
const SIGKILL = 9;
const CONTROL = 'control';

/**
 * Over web sockets. The command is killed when the time is over or the signal aborts; when the connection is lost, it
 * may go on.
 * @throws IncusError: TIMEOUT and CANCELLED after the kill; NOT_FOUND; REFUSED when the instance does not run
 */
export async function execute(session: Session, instance: string, command: Command): Promise<CommandResult> {
  const { timeoutMs = TIMEOUT_MS, limitBytes = LIMIT_BYTES, signal, input = '' } = command;
  const started = await session.change(request(instance, command, { 'wait-for-websocket': true, interactive: false }));
  const startedAt = Date.now();
  const { id, metadata } = started.operation as Operation;
  const secrets = metadata?.['fds'] as Record<'0' | '1' | '2' | typeof CONTROL, string>;
  const open = (secret: string): WebSocket =>
    // Who waits for the socket hears of an error, too; one that nobody waits for must not end the process.
    session.openWebSocket(['operations', id, 'websocket'], { secret }).on('error', () => undefined);
  const control = open(secrets.control);
  const all = [control];
  const timeout = AbortSignal.timeout(Math.ceil(timeoutMs));
  const given = signal === undefined ? timeout : AbortSignal.any([timeout, signal]);
  const end = (): void => all.forEach((socket) => socket.terminate());
  let grace: NodeJS.Timeout | undefined;
  const kill = (): void => {
    if (control.readyState === control.OPEN) control.send(JSON.stringify({ command: 'signal', signal: SIGKILL }));
    // Children of the command may keep its outputs open.
    grace ??= setTimeout(end, KILL_GRACE_MS);
  };
  given.addEventListener('abort', kill, { once: true });
  try {
    // Before the others: with those the command runs and may have ended, and Incus 6.0 dies of a socket that connects while its
    // operation ends.
    await opening(control);
    if (given.aborted) throw killed(timeout.aborted, command.command, timeoutMs);
    // Incus waits five seconds for the others, and then ends the operation: not to be met by them, either.
    if (Date.now() - startedAt > CONNECT_WITHIN_MS) throw lostConnection(new Error('it took too long to open'));
    const [stdin, stdout, stderr] = [open(secrets['0']), open(secrets['1']), open(secrets['2'])];
    all.push(stdin, stdout, stderr);
    const outputs = Promise.all([collect(stdout, limitBytes), collect(stderr, limitBytes)]);
    const opened = Promise.all([stdin, stdout, stderr].map(async (socket) => opening(socket)));
    const done = opened.then(async () => {
      if (given.aborted) kill();
      feed(stdin, input);
      return await Promise.all([started.wait({ timeoutMs: timeoutMs + ANSWER_MARGIN_MS }), outputs] as const);
    });
    // Should a socket not open, then nobody asks for the outputs any more.
    outputs.catch(() => undefined);
    const [ended, [said, complained]] = await done;
    if (given.aborted) throw killed(timeout.aborted, command.command, timeoutMs);
    return { exitCode: exitCodeOf(ended), stdout: said.text, stderr: complained.text, truncated: said.truncated || complained.truncated };
  } finally {
    given.removeEventListener('abort', kill);
    clearTimeout(grace);
    end();
  }
}

/**
 * Incus writes the outputs to files beside the instance; they are read and removed here. The command is not killed when
 * the time is over.
 * @throws IncusError: TIMEOUT with `outcomeUnknown` when it still runs, NOT_FOUND, REFUSED when the instance does not run,
 *   PROTOCOL when an output is larger than `limitBytes`
 */
export async function executeRecorded(session: Session, instance: string, command: Omit<Command, 'input'>): Promise<CommandResult> {
  const { timeoutMs = TIMEOUT_MS, limitBytes = LIMIT_BYTES, signal } = command;
  const started = await session.change(request(instance, command, { 'record-output': true, interactive: false }));
  const ended = await started.wait({ timeoutMs, ...(signal === undefined ? {} : { signal }) });
  const files = ended?.metadata?.['output'] as Record<'1' | '2', string> | undefined;
  const read = async (url: string | undefined): Promise<string> => {
    if (url === undefined) return '';
    const path = ['instances', instance, 'logs', 'exec-output', decodeURIComponent(url.split('?')[0]?.split('/').at(-1) ?? '')];
    const { body } = await session.raw({ method: 'GET', path, limitBytes });
    await session.change({ method: 'DELETE', path });
    return body.toString();
  };
  return { exitCode: exitCodeOf(ended), stdout: await read(files?.['1']), stderr: await read(files?.['2']), truncated: false };
}

function request(instance: string, { command, environment, user, group, cwd }: Omit<Command, 'input'>, flags: Record<string, boolean>) {
  return { method: 'POST' as const, path: ['instances', instance, 'exec'], json: { command, environment, user, group, cwd, ...flags } };
}

const exitCodeOf = (ended: Operation | undefined): number => Number(ended?.metadata?.['return'] ?? -1);

function killed(byTime: boolean, command: readonly string[], timeoutMs: number): IncusError {
  if (byTime) return new IncusError('TIMEOUT', `The command "${command[0]}" was killed after ${timeoutMs} ms.`);
  return new IncusError('CANCELLED', `The command "${command[0]}" was killed because its caller gave up.`);
}

async function opening(socket: WebSocket): Promise<void> {
  try {
    await once(socket, 'open');
  } catch (error) {
    throw lostConnection(error);
  }
}

/** An empty text frame is how both sides say that no more comes. */
function feed(stdin: WebSocket, input: string | Uint8Array): void {
  // As a binary frame, which a string would not be.
  if (input.length > 0) stdin.send(typeof input === 'string' ? Buffer.from(input) : input);
  stdin.send('');
}

async function collect(socket: WebSocket, limitBytes: number): Promise<{ text: string; truncated: boolean }> {
  const chunks: Buffer[] = [];
  let length = 0;
  let truncated = false;
  return new Promise((resolve, reject) => {
    const end = (): void => {
      resolve({ text: Buffer.concat(chunks).toString(), truncated });
      socket.close();
    };
    socket.on('message', (data: Buffer, isBinary) => {
      if (!isBinary && data.length === 0) return end();
      const kept = data.subarray(0, limitBytes - length);
      length += kept.length;
      if (kept.length < data.length) truncated = true;
      if (kept.length > 0) chunks.push(kept);
    });
    socket.once('close', end);
    socket.once('error', (error) => reject(lostConnection(error)));
  });
}

const lostConnection = (cause: unknown): IncusError =>
  new IncusError('UNAVAILABLE', `The connection to the command was lost: ${(cause as Error).message}`, { outcomeUnknown: true, cause });
