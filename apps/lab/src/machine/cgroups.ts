import { readdir, readFile, rmdir } from 'node:fs/promises';
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
