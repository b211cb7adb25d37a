import { randomBytes } from 'node:crypto';
import { IncusClient, isNotFound, type Devices, type Instance } from '#incus';
import { incusOf } from '../../apps/lab/src/host/host.js';
import { findMachine, runOn, type Machine } from '../../apps/lab/src/host/namespace.js';
import { DEBIAN_IMAGE, layoutOf, PROFILE, TINY_IMAGE, type ControllerLayout, type HostLayout } from '../../apps/lab/src/layout.js';
import { until } from '../../apps/lab/src/machine/until.js';
import { StateFolder } from '../../apps/lab/src/state.js';

export { until };

const SETTLING_MS = 60_000;
const REMOVAL_MS = 30_000;

/** A lab that somebody has raised before (`npm run lab -- up`); the tests change it and put it back. */
export class Lab {
  private constructor(
    readonly folder: StateFolder,
    readonly hosts: readonly HostLayout[],
    readonly controller: ControllerLayout,
  ) {}

  /** @throws Error where there is no lab: a test that needs one never passes without */
  static async find(): Promise<Lab> {
    const folder = new StateFolder(process.env['MUON_LAB_STATE']);
    const state = await folder.read();
    if (state?.before === undefined) throw new Error('These tests need a lab. Raise one: npm run lab -- up');
    const { hosts, controller } = layoutOf(state.hosts);
    return new Lab(folder, hosts, controller);
  }

  async machine(name: string): Promise<Machine> {
    const machine = await findMachine(this.folder.path, name);
    if (machine === undefined) throw new Error(`${name} is off`);
    return machine;
  }

  /** Through the host's own socket. */
  async incus(host: string): Promise<IncusClient> {
    return incusOf(await this.machine(host));
  }

  async northbound(...programArguments: string[]): Promise<string> {
    return (await runOn(await this.machine(this.controller.name), 'ovn-nbctl', programArguments)).trim();
  }

  async southbound(...programArguments: string[]): Promise<string> {
    return (await runOn(await this.machine(this.controller.name), 'ovn-sbctl', programArguments)).trim();
  }

  /** The host that has a router's or provider router's outer port at this moment. */
  async gatewayOf(routerId: string): Promise<string | undefined> {
    return this.hostOfBinding('type=chassisredirect', `logical_port=cr-${routerId}-gateway`);
  }

  /** The host whose controller has taken the port up, because a machine of that host is on it. */
  async hostOfPort(portId: string): Promise<string | undefined> {
    return this.hostOfBinding(`logical_port=${portId}`);
  }

  async switchOf(host: string, ...programArguments: string[]): Promise<string> {
    return (await runOn(await this.machine(host), 'ovs-vsctl', programArguments)).trim();
  }

  private async hostOfBinding(...conditions: string[]): Promise<string | undefined> {
    const chassis = await this.southbound('--bare', '--columns=chassis', 'find', 'Port_Binding', ...conditions);
    return chassis === '' ? undefined : this.southbound('--bare', 'get', 'Chassis', chassis, 'name');
  }

  /** @throws Error where the image is missing of which nodes are made, and guests that need more than the tiny one has */
  async requireNodeImage(incus: IncusClient): Promise<void> {
    const images = await incus.images.aliases();
    if (!images.some(({ name }) => name === DEBIAN_IMAGE)) throw new Error(`This needs the image "${DEBIAN_IMAGE}". Make it: npm run lab -- image`);
  }

  /** Each test begins with a lab in order, whatever the one before did. */
  async settled(incus: IncusClient): Promise<void> {
    await until('All members online', SETTLING_MS, async () => {
      const members = await incus.cluster.list();
      return members.every(({ status }) => status === 'Online') ? true : undefined;
    });
  }
}

/** Names are new in each run, so that one that was killed does not stand in the way. */
export const newName = (prefix: string): string => `${prefix}-${randomBytes(3).toString('hex')}`;

export const tiny = (name: string, devices: Devices = {}) => ({
  name,
  source: { type: 'image' as const, alias: TINY_IMAGE },
  profiles: [PROFILE],
  devices,
});

export async function createTiny(incus: IncusClient, name: string, target: string, devices: Devices = {}): Promise<Instance> {
  await (await incus.instances.create(tiny(name, devices), { target })).wait();
  const { value } = await incus.instances.get(name);
  if (value.location !== target) throw new Error(`${name} was made on ${value.location} instead of ${target}`);
  return value;
}

/** Stops and deletes it, if it is there; a creation whose answer was lost may still be at work on it. */
export async function removeInstance(incus: IncusClient, name: string): Promise<void> {
  await until(`${name} gone`, REMOVAL_MS, async () => {
    try {
      await incus.instances.ensurePower(name, { action: 'stop', force: true });
      await (await incus.instances.delete(name)).wait();
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    return true;
  });
}
