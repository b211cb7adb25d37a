import { readdir, readFile, readlink } from 'node:fs/promises';

export interface Process {
  /** As the machine counts, and as it counts itself in its own pid name space. */
  pid: number;
  ownPid: number;
  /** Kept apart from others by this: `pid:[4026532…]`. */
  pidNamespace: string;
  program: string;
  arguments: readonly string[];
}

/** All that run now, kernel threads left out. */
export async function listProcesses(): Promise<Process[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map(async (pid) => readProcess(pid)));
  return found.filter((one) => one !== undefined);
}

/** Undefined when it has just ended. */
async function readProcess(pid: number): Promise<Process | undefined> {
  try {
    const [commandLine, status, pidNamespace] = await Promise.all([
      readFile(`/proc/${pid}/cmdline`, 'utf8'),
      readFile(`/proc/${pid}/status`, 'utf8'),
      readlink(`/proc/${pid}/ns/pid`),
    ]);
    if (commandLine === '') return undefined;
    const ownPid = Number(/^NSpid:.*?(\d+)$/m.exec(status)?.[1] ?? pid);
    const program = /^Name:\t(.*)$/m.exec(status)?.[1] ?? '';
    return { pid, ownPid, pidNamespace, program, arguments: commandLine.replace(/\0$/, '').split('\0') };
  } catch {
    return undefined;
  }
}
