import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { chooseDataDirectory } from '#database/embedded';
import { Failure } from './failure.js';
import { findMachines, killAllMachines } from './host/namespace.js';
import { removeContainerGroups } from './machine/cgroups.js';
import { restoreKernelSettings } from './machine/kernel-settings.js';
import { withLock } from './machine/lock.js';
import { requireMachine } from './machine/requirements.js';
import { removeLinks } from './network/bridges.js';
import type { StateFolder } from './state.js';
import type { Note } from './up.js';

export interface DownOptions {
  folder: StateFolder;
  /** Disks and databases of the machines stay, for the next `up`. */
  keep: boolean;
  note: Note;
}

/** Takes a lab away, whole or half-made: what of it is not there is not missed. */
export async function down({ folder, keep, note }: DownOptions): Promise<void> {
  await requireMachine(note);
  await withLock(async () => {
    const other = (await findMachines()).find(({ stateFolder }) => stateFolder !== folder.path);
    if (other !== undefined) throw new Failure(`The lab on this machine has its state in ${other.stateFolder}. Name that with --state.`);
    const state = await folder.read();
    await killAllMachines();
    await removeLinks();
    if (state === undefined) return note('There is no lab.');
    if (state.before !== undefined) {
      await removeContainerGroups(state.before.containerGroups);
      await restoreKernelSettings(state.before.kernelSettings);
    }
    if (keep) return folder.write({ version: state.version, hosts: state.hosts });
    await removeDisks(folder);
    await removeMuon(folder);
    await folder.forget();
  });
}

/** PostgreSQL keeps its files elsewhere where its user cannot come to the folder. */
async function removeMuon(folder: StateFolder): Promise<void> {
  await rm(chooseDataDirectory(join(folder.muon, 'postgres')), { recursive: true, force: true });
  await rm(folder.muon, { recursive: true, force: true });
}

/** All mounts were the machines' own; where one is seen from here, nothing may be deleted through it. */
async function removeDisks(folder: StateFolder): Promise<void> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  // The kernel writes blanks as \040.
  const mounts = lines.map((line) => (line.split(' ')[4] ?? '').replaceAll(/\\(\d{3})/g, (_all, octal: string) => String.fromCharCode(parseInt(octal, 8))));
  const inside = mounts.find((path) => path === folder.machines || path.startsWith(`${folder.machines}/`));
  if (inside !== undefined) throw new Failure(`${inside} is still mounted; nothing was deleted below ${folder.machines}.`);
  await rm(folder.machines, { recursive: true, force: true });
}
