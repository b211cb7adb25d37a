import { run } from '../machine/command.js';
import { bridgeMac, isLabLink, machineAddress, NETWORKS } from '../layout.js';
import { listLinks } from './links.js';

/** Makes the bridges that are missing, and gives the machine its addresses on them. */
export async function raiseBridges(): Promise<void> {
  const present = new Set((await listLinks()).map(({ ifname }) => ifname));
  for (const network of NETWORKS) {
    const { bridge, mtu, machineIsIn } = network;
    if (!present.has(bridge)) await run('ip', ['link', 'add', bridge, 'mtu', String(mtu), 'type', 'bridge']);
    // One that is not given takes the lowest of its cables: with a host that returns the router of the outside could become
    // another, which nobody who knew it is told.
    await run('ip', ['link', 'set', bridge, 'address', bridgeMac(network), 'up']);
    if (machineIsIn) await run('ip', ['address', 'replace', `${machineAddress(network)}/24`, 'dev', bridge]);
    // Open vSwitch's user space takes packets as they are: who sends into it must have filled in checksums.
    await run('ethtool', ['-K', bridge, 'tx', 'off']);
  }
}

/** Bridges and outer ends of cables; the inner ends go with them. */
export async function removeLinks(): Promise<void> {
  for (const { ifname } of await listLinks()) {
    if (!isLabLink(ifname)) continue;
    // The kernel removes cables by itself, a moment after their host's end.
    await run('ip', ['link', 'delete', ifname]).catch(async (error: unknown) => {
      if ((await listLinks()).some((link) => link.ifname === ifname)) throw error;
    });
  }
}
