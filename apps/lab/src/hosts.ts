import { setCables } from './host/cables.js';
import { awaitIncus, incusOf, raiseHost } from './host/host.js';
import { findMachine, killMachines, type Machine } from './host/namespace.js';
import { layoutOf, type HostLayout } from './layout.js';
import { Failure } from './failure.js';
import { withLock } from './machine/lock.js';
import { requireMachine } from './machine/requirements.js';
import { until } from './machine/until.js';
import type { StateFolder } from './state.js';
import type { Note } from './up.js';

const ONLINE_TIMEOUT_MS = 60_000;

export interface HostOptions {
  folder: StateFolder;
  /** As `h2`. */
  name: string;
  note: Note;
}

/** A power cut: nothing of the host runs any more when this returns. It is a fence, and leaves the disks. */
export async function killHost(options: HostOptions): Promise<void> {
  await onHost(options, async (_layout, machine) => {
    if (machine === undefined) return options.note(`${options.name} is off.`);
    await killMachines([machine]);
  });
}

/** Its cables are pulled, all of them: it goes on, alone. `startHost` ends it. */
export async function partitionHost(options: HostOptions): Promise<void> {
  await onHost(options, async (_layout, machine) => {
    if (machine === undefined) throw new Failure(`${options.name} is off.`);
    await setCables(options.name, 'down');
  });
}

/** Plugs it in, switches it on where it is off, and waits until its cluster has it back. */
export async function startHost(options: HostOptions): Promise<void> {
  await onHost(options, async (layout) => {
    const machine = await raiseHost(options.folder.path, layout);
    await awaitIncus(machine);
    const incus = incusOf(machine);
    try {
      await until(`${layout.name} online`, ONLINE_TIMEOUT_MS, async () => {
        const { value } = await incus.cluster.get(layout.name);
        return value.status === 'Online' || value.status === 'Evacuated' ? true : undefined;
      });
    } finally {
      incus.close();
    }
  });
}

async function onHost({ folder, name, note }: HostOptions, work: (layout: HostLayout, machine: Machine | undefined) => Promise<void>): Promise<void> {
  await requireMachine(note);
  await withLock(async () => {
    const state = await folder.read();
    if (state?.before === undefined) throw new Failure('There is no lab. Raise it first: lab up');
    const { hosts } = layoutOf(state.hosts);
    const layout = hosts.find((host) => host.name === name);
    if (layout === undefined) throw new Failure(`There is no host "${name}"; there are ${hosts.map((host) => host.name).join(', ')}.`);
    await work(layout, await findMachine(folder.path, name));
  });
}
