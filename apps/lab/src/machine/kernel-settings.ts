import { readFile, writeFile } from 'node:fs/promises';

/** What many containers on one kernel need (the defaults end at some sixteen). */
const NEEDED: Record<string, number> = {
  'fs.inotify.max_user_instances': 8192,
  'fs.inotify.max_user_watches': 1_048_576,
  'kernel.keys.maxkeys': 2000,
  'kernel.keys.maxbytes': 2_000_000,
};

const fileOf = (name: string): string => `/proc/sys/${name.replaceAll('.', '/')}`;
const read = async (name: string): Promise<number> => Number(await readFile(fileOf(name), 'utf8'));

/** Those that are too low now, as they are. */
export async function lowKernelSettings(): Promise<Record<string, number>> {
  const entries = await Promise.all(Object.keys(NEEDED).map(async (name) => [name, await read(name)] as const));
  return Object.fromEntries(entries.filter(([name, value]) => value < (NEEDED[name] ?? 0)));
}

export async function raiseKernelSettings(names: Iterable<string>): Promise<void> {
  for (const name of names) await writeFile(fileOf(name), String(NEEDED[name]));
}

/** Puts back what we raised; what somebody has changed since is left alone. */
export async function restoreKernelSettings(before: Record<string, number>): Promise<void> {
  for (const [name, value] of Object.entries(before)) {
    if ((await read(name)) === NEEDED[name]) await writeFile(fileOf(name), String(value));
  }
}
