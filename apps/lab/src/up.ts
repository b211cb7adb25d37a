import { allInOrder } from '#core';
import { formCluster } from './cluster.js';
import { Failure } from './failure.js';
import { raiseController } from './host/controller.js';
import { awaitIncus, incusOf, raiseHost } from './host/host.js';
import { findMachines } from './host/namespace.js';
import { buildImage, importImage } from './image/image.js';
import { TINY } from './image/tiny.js';
import { layoutOf, TINY_IMAGE } from './layout.js';
import { containerGroups } from './machine/cgroups.js';
import { lowKernelSettings, raiseKernelSettings } from './machine/kernel-settings.js';
import { withLock } from './machine/lock.js';
import { installPackages } from './machine/packages.js';
import { requireMachine } from './machine/requirements.js';
import { raiseBridges } from './network/bridges.js';
import { requireFreeRanges } from './network/ranges.js';
import type { LabState, StateFolder } from './state.js';

/** Tells people what happens. */
export type Note = (text: string) => void;

const DEFAULT_HOSTS = 3;

export interface UpOptions {
  folder: StateFolder;
  /** As many as before, or three, if not given. */
  hosts: number | undefined;
  note: Note;
}

/** Raises a lab, or what of it is not there; each step leaves alone what it finds done. */
export async function up({ folder, hosts, note }: UpOptions): Promise<void> {
  await requireMachine(note);
  await withLock(async () => {
    const step = stepper(note);
    await requireNoOther(folder);
    await step('packages', async () => installPackages(folder.cache));
    const state = await step('state', async () => prepare(folder, hosts));
    const { controller, hosts: layouts } = layoutOf(state.hosts);
    await step('kernel', async () => raiseKernelSettings(Object.keys(await lowKernelSettings())));
    await step('bridges', raiseBridges);
    await step('controller', async () => raiseController(folder.path, controller));
    const raised = await step('hosts', async () =>
      allInOrder(layouts.map(async (layout) => ({ layout, machine: await raiseHost(folder.path, layout) }))),
    );
    await step('incus', async () => allInOrder(raised.map(async ({ machine }) => awaitIncus(machine))));
    await step('cluster', async () => formCluster(raised));
    await step('image', async () => {
      const incus = incusOf((raised[0] as (typeof raised)[number]).machine);
      try {
        await importImage(incus, TINY_IMAGE, await buildImage(folder.cache, TINY));
      } finally {
        incus.close();
      }
    });
  });
}

/** Names of bridges and addresses are the same in all labs. */
async function requireNoOther(folder: StateFolder): Promise<void> {
  const other = (await findMachines()).find(({ stateFolder }) => stateFolder !== folder.path);
  if (other !== undefined) throw new Failure(`There is a lab on this machine already: its state is in ${other.stateFolder}.`);
}

/** Refuses what cannot be, and keeps how the machine was before the lab changes it. */
async function prepare(folder: StateFolder, hosts: number | undefined): Promise<LabState> {
  await requireFreeRanges();
  const known = await folder.read();
  if (known !== undefined && hosts !== undefined && hosts !== known.hosts) {
    throw new Failure(`The lab has ${known.hosts} hosts. Take it down to have ${hosts}.`);
  }
  if (known?.before !== undefined) return known;
  const before = { kernelSettings: await lowKernelSettings(), containerGroups: await containerGroups() };
  const state: LabState = { version: 1, hosts: known?.hosts ?? hosts ?? DEFAULT_HOSTS, before };
  await folder.write(state);
  return state;
}

/** Says of each step how long it took. */
function stepper(note: Note) {
  return async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const start = performance.now();
    try {
      return await work();
    } finally {
      note(`${((performance.now() - start) / 1000).toFixed(1).padStart(6)} s  ${name}`);
    }
  };
}
