import { access, chmod, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isConflict, isNotFound, type IncusClient } from '#incus';
import { run } from '../machine/command.js';

/** An image as Incus takes it: two files. */
export interface ImageFile {
  metadata: string;
  rootfs: string;
}

export interface Recipe {
  /** Names it in the cache; another one for another content. */
  name: string;
  /** `metadata.yaml`, and the templates that it names by file name. */
  metadata: string;
  templates: Readonly<Record<string, string>>;
  compression: readonly string[];
  /** Fills the root of the file system, which is an empty folder. */
  fill: (root: string) => Promise<void>;
}

/** Whoever makes an instance may say what its guest is called; the instance's name if not. */
export const HOSTNAME_TEMPLATE = '{{ config_get("user.hostname", container.name) }}\n';

const SQUASH_TIMEOUT_MS = 300_000;

/** Builds it, unless it was built before. One that was interrupted leaves nothing that counts. */
export async function buildImage(cache: string, { name, metadata, templates, compression, fill }: Recipe): Promise<ImageFile> {
  const images = join(cache, 'images');
  const folder = join(images, name);
  const files = { metadata: join(folder, 'metadata.tar.gz'), rootfs: join(folder, 'rootfs.squashfs') };
  if (await access(folder).then(() => true, () => false)) return files;
  await mkdir(images, { recursive: true });
  const draft = await mkdtemp(join(images, 'draft-'));
  try {
    const root = join(draft, 'root');
    await mkdir(root);
    await chmod(root, 0o755);
    await fill(root);
    const squash = [root, join(draft, 'rootfs.squashfs'), '-quiet', '-no-progress', '-noappend', ...compression];
    await run('mksquashfs', squash, { timeoutMs: SQUASH_TIMEOUT_MS });
    await rm(root, { recursive: true });
    await mkdir(join(draft, 'templates'));
    for (const [file, text] of Object.entries(templates)) await writeFile(join(draft, 'templates', file), text);
    await writeFile(join(draft, 'metadata.yaml'), metadata);
    await run('tar', ['--create', '--gzip', `--file=${join(draft, 'metadata.tar.gz')}`, `--directory=${draft}`, 'metadata.yaml', 'templates']);
    await rename(draft, folder);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return files;
}

/** Gives the image to the cluster under its alias, unless there is one of that alias. */
export async function importImage(incus: IncusClient, alias: string, files: ImageFile): Promise<void> {
  try {
    await incus.images.alias(alias);
    return;
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  const ended = await (await incus.images.upload(files)).wait();
  await incus.images.createAlias(alias, String(ended?.metadata?.['fingerprint'])).catch((error: unknown) => {
    if (!isConflict(error)) throw error;
  });
}
