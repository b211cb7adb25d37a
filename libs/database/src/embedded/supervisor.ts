import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { isAlive, type Account } from './account.js';

/**
 * Starts the server and stands between it and us, so that it cannot outlive us: however we end, the pipe to the
 * supervisor closes, and then it stops the server. A shell, because it costs a megabyte and needs no file that the
 * server's account might be unable to read. It prints the server's process id.
 */
const SCRIPT = `
log=$1 remove=$2
shift 2
exec 3<&0
"$@" 3<&- </dev/null >>"$log" 2>&1 &
server=$!
echo "$server"
exec >/dev/null
( while read -r line; do :; done <&3; kill -INT "$server" ) &
watcher=$!
wait "$server"
status=$?
kill "$watcher"
[ "$status" -ne 0 ] || [ -z "$remove" ] || rm -rf "$remove"
exit "$status"
`;

export interface SupervisedOptions {
  command: [program: string, ...programArguments: string[]];
  account: Account | undefined;
  log: string;
  /** Removed when the server was stopped, even if we are not there any more. */
  removeAfterwards: string | undefined;
}

export interface Supervised {
  /** Of the server, not of the supervisor. */
  pid: number;
  /** Settles when the server and its supervisor have ended. */
  ended: Promise<void>;
  hasEnded(): boolean;
  stop(): Promise<void>;
}

const STOP_DEADLINE_MS = 30_000;
const QUIT_DEADLINE_MS = 5_000;

export async function supervise(options: SupervisedOptions): Promise<Supervised> {
  const { command, account, log, removeAfterwards } = options;
  const child = spawn('/bin/sh', ['-c', SCRIPT, 'sh', log, removeAfterwards ?? '', ...command], {
    ...account,
    cwd: '/',
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
    stdio: ['pipe', 'pipe', 'ignore'],
    // A session of its own: Ctrl-C in the terminal is ours to answer, the server must still be there while we close.
    detached: true,
  });
  child.stdin.on('error', () => undefined);
  let isOver = false;
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => {
      isOver = true;
      resolve();
    });
  });
  const firstOutput = once(child.stdout, 'data');
  await once(child, 'spawn');
  const [chunk] = (await Promise.race([firstOutput, ended.then(() => [''])])) as [Buffer | string];
  const pid = Number(chunk.toString().trim());
  if (!(pid > 0)) throw new Error('The supervisor of the PostgreSQL server ended before it started the server.');

  async function stop(): Promise<void> {
    child.stdin.end();
    if (await within(ended, STOP_DEADLINE_MS)) return;
    for (const signal of ['SIGQUIT', 'SIGKILL'] as const) {
      if (isAlive(pid)) process.kill(pid, signal);
      if (await within(ended, QUIT_DEADLINE_MS)) return;
    }
    throw new Error(`The PostgreSQL server (process ${pid}) does not end.`);
  }
  return { pid, ended, hasEnded: () => isOver, stop };
}

async function within(promise: Promise<void>, milliseconds: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), milliseconds);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
