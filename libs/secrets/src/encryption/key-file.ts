import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { generateKeyLine, KeyRing } from './key-ring.js';

const OWNER_ONLY = 0o600;

/**
 * The keys of a file, for standalone and development: made with one random key, readable by its owner only, when there
 * is none. An existing file is never changed, since what was sealed with a lost key is lost; processes that start at
 * once agree on one.
 * @throws Error that names the file and what is wrong with it, never a key
 */
export async function keysFromFile(path: string, newKeyId = 'local-1'): Promise<KeyRing> {
  if (!(await exists(path))) await createKeyFile(path, newKeyId);
  const text = await readFile(path, 'utf8');
  try {
    return KeyRing.parse(text);
  } catch (error) {
    throw new Error(`The key file ${path} is not valid: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function createKeyFile(path: string, keyId: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomUUID()}`;
  const file = await open(draft, 'wx', OWNER_ONLY);
  try {
    await file.writeFile(
      '# Muon encrypts its secrets with the first of these keys. Whoever loses them loses the secrets: keep a copy.\n' +
        `${generateKeyLine(keyId)}\n`,
    );
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    // A link appears whole or not at all, and never replaces what another process has made meanwhile.
    await link(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function exists(path: string): Promise<boolean> {
  return open(path, 'r').then(
    async (file) => {
      await file.close();
      return true;
    },
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}
