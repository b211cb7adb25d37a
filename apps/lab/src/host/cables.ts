import { run } from '../machine/command.js';
import { cableOf, NETWORKS, type Network } from '../layout.js';
import { listLinks } from '../network/links.js';
import { runOn, type Machine } from './namespace.js';

/** Puts cables between a machine and the bridges, where there is none. */
export async function plugIn(machine: Machine, networks: readonly Network[]): Promise<void> {
  const inside = new Set((JSON.parse(await runOn(machine, 'ip', ['-json', 'link', 'show'])) as { ifname: string }[]).map(({ ifname }) => ifname));
  for (const network of networks) {
    const { bridge, device, mtu } = network;
    const cable = cableOf(machine.name, network);
    if (!inside.has(device)) {
      await removeCable(cable);
      const ends = ['name', cable, 'mtu', String(mtu), 'type', 'veth', 'peer', 'name', device, 'mtu', String(mtu), 'netns', String(machine.pid)];
      await run('ip', ['link', 'add', ...ends]);
    }
    await run('ethtool', ['-K', cable, 'tx', 'off']);
    await run('ip', ['link', 'set', cable, 'master', bridge, 'up']);
    await runOn(machine, 'ethtool', ['-K', device, 'tx', 'off']);
    await runOn(machine, 'ip', ['link', 'set', device, 'up']);
  }
}

/** A partition: the machine goes on, and nothing reaches it, nor does it reach anything. */
export async function setCables(name: string, state: 'up' | 'down'): Promise<void> {
  for (const network of NETWORKS) await run('ip', ['link', 'set', cableOf(name, network), state]);
}

/** A machine that was killed leaves its cables for a moment. */
async function removeCable(cable: string): Promise<void> {
  if (!(await listLinks()).some(({ ifname }) => ifname === cable)) return;
  await run('ip', ['link', 'delete', cable]).catch(async (error: unknown) => {
    if ((await listLinks()).some(({ ifname }) => ifname === cable)) throw error;
  });
}
