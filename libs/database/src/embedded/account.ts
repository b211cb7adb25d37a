import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Whom a child process runs as. */
export interface Account {
  uid: number;
  gid: number;
}

/**
 * PostgreSQL refuses to run as root, and we create no accounts. The server itself needs none: any number will do, and
 * this one lies in a range that no allocation scheme hands out, so nothing else on the machine owns its files.
 */
const SERVER_ACCOUNT: Account = { uid: 60_654, gid: 60_654 };

/** The account that the server runs as and owns its files with; undefined means ours. */
export function serverAccount(): Account | undefined {
  return process.getuid?.() === 0 ? SERVER_ACCOUNT : undefined;
}

/**
 * The account that creates a cluster: `initdb`, unlike the server, insists on a name for its uid. As root we borrow one
 * that exists for these seconds (the files are handed over to the server's account afterwards).
 */
export function creatorAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .map(([name, , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }))
    .filter(({ uid }) => uid > 0);
  const found = accounts.find(({ name }) => name === 'nobody') ?? accounts[0];
  if (found === undefined) {
    throw new Error(
      'PostgreSQL cannot be set up as root here: its initdb needs an unprivileged account, and /etc/passwd has none ' +
        '("nobody" would do). Run Muon as an ordinary user instead.',
    );
  }
  return { uid: found.uid, gid: found.gid };
}

/** Whether that account may pass through the directory, or through its nearest ancestor that exists. */
export function canReach(directory: string, account: Account): boolean {
  let existing = directory;
  while (!existsSync(existing)) existing = dirname(existing);
  // Asking the kernel as that user is the only check that knows mode bits, access lists and mount options alike.
  const { status, error } = spawnSync('/bin/sh', ['-c', 'test -x "$1"', 'sh', existing], { ...account, cwd: '/' });
  if (error !== undefined) throw new Error(`A process cannot be started as uid ${account.uid}: ${error.message}`);
  return status === 0;
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
