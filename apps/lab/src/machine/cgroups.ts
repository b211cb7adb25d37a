import { readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from './until.js';

const ROOT = '/sys/fs/cgroup';
/** Containers' groups begin so; a host that is killed has no time to remove them. */
const OF_CONTAINERS = /^lxc\.(payload|monitor|pivot)(\.|$)/;
const MAX_DEPTH = 8;
const REMOVAL_TIMEOUT_MS = 10_000;

/** Groups of containers, wherever they are in the hierarchies. */
export async function containerGroups(folder = ROOT, depth = 0): Promise<string[]> {
  if (depth > MAX_DEPTH) return [];
  const found: string[] = [];
  for (const name of await foldersIn(folder)) {
    const path = join(folder, name);
    if (OF_CONTAINERS.test(name)) found.push(path);
    else found.push(...(await containerGroups(path, depth + 1)));
  }
  return found;
}

/** Removes what was not there before the lab was. Where a process is in them, they are another's: nothing of ours runs any more. */
export async function removeContainerGroups(before: readonly string[]): Promise<void> {
  await until('Removing the control groups of the lab', REMOVAL_TIMEOUT_MS, async () => {
    let left = 0;
    for (const path of await containerGroups()) {
      if (before.includes(path) || (await isUsed(path))) continue;
      left += 1;
      await removeTree(path);
    }
    return left === 0 ? true : undefined;
  });
}

/** Of version 1 and 2: what says that a group is frozen, and what thaws it. */
const FREEZERS = [
  { file: 'freezer.state', frozen: 'FROZEN', thawed: 'THAWED' },
  { file: 'cgroup.freeze', frozen: '1', thawed: '0' },
];
/** SIGKILL, among the signals that a process has not taken yet. */
const KILLED = 0x100n;

/** Thaws containers whose processes were killed while they were suspended: till then they do not end. */
export async function thawDying(): Promise<void> {
  for (const path of await containerGroups()) {
    for (const { file, frozen, thawed } of FREEZERS) {
      const state = await readFile(join(path, file), 'utf8').catch(() => '');
      if (state.trim() !== frozen) continue;
      const pids = (await readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => '')).split('\n').filter((pid) => pid !== '');
      const dying = await Promise.all(pids.map(isDying));
      if (dying.includes(true)) await writeFile(join(path, file), thawed).catch(() => undefined);
    }
  }
}

async function isDying(pid: string): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return [...status.matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm)].some(([, signals]) => (BigInt(`0x${signals}`) & KILLED) !== 0n);
}

async function isUsed(path: string): Promise<boolean> {
  if ((await readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => '')) !== '') return true;
  for (const name of await foldersIn(path)) if (await isUsed(join(path, name))) return true;
  return false;
}

async function removeTree(path: string): Promise<void> {
  for (const name of await foldersIn(path)) await removeTree(join(path, name));
  await rmdir(path).catch((error: NodeJS.ErrnoException) => {
    // Its last process may be ending this moment; asked again by the caller.
    if (error.code !== 'EBUSY' && error.code !== 'ENOENT' && error.code !== 'ENOTEMPTY') throw error;
  });
}

async function foldersIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}
