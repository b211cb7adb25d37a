import { Failure } from './failure.js';
import { incusOf } from './host/host.js';
import { findMachines } from './host/namespace.js';
import { DEBIAN } from './image/debian.js';
import { buildImage, importImage } from './image/image.js';
import { DEBIAN_IMAGE } from './layout.js';
import { withLock } from './machine/lock.js';
import { installPackages } from './machine/packages.js';
import { requireMachine } from './machine/requirements.js';
import type { StateFolder } from './state.js';
import type { Note } from './up.js';

/** Builds the image for nodes of clusters (minutes, the first time) and gives it to the lab. */
export async function provideDebian({ folder, note }: { folder: StateFolder; note: Note }): Promise<void> {
  await requireMachine(note);
  await withLock(async () => {
    const host = (await findMachines()).find(({ stateFolder, name }) => stateFolder === folder.path && name.startsWith('h'));
    if (host === undefined) throw new Failure('There is no lab. Raise it first: lab up');
    await installPackages(folder.cache, ['debootstrap']);
    const files = await buildImage(folder.cache, DEBIAN);
    const incus = incusOf(host);
    try {
      await importImage(incus, DEBIAN_IMAGE, files);
    } finally {
      incus.close();
    }
  });
}
