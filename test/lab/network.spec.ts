import { afterAll, beforeAll, expect, test } from 'vitest';
import type { IncusClient } from '#incus';
import { cableOf, UNDERLAY } from '../../apps/lab/src/layout.js';
import { run } from '../../apps/lab/src/machine/command.js';
import { createTiny, Lab, newName, removeInstance, until } from '../support/lab.js';

const NETWORK = newName('net');
const GUESTS = [
  { name: newName('guest'), host: 'h1', address: '10.0.0.11', mac: '02:00:00:00:00:11', device: 'mu-lab-test-1' },
  { name: newName('guest'), host: 'h2', address: '10.0.0.12', mac: '02:00:00:00:00:12', device: 'mu-lab-test-2' },
] as const;
const [ONE, OTHER] = GUESTS;

let lab: Lab;
let incus: IncusClient;

/** A network with DHCP and two guests on different hosts, their ports bound as a driver would. */
beforeAll(async () => {
  lab = await Lab.find();
  incus = await lab.incus('h1');
  await lab.settled(incus);
  await lab.northbound('ls-add', NETWORK);
  const options = await lab.northbound('create', 'DHCP_Options', 'cidr="10.0.0.0/24"', `external_ids:network="${NETWORK}"`);
  await lab.northbound('dhcp-options-set-options', options, 'lease_time=3600', 'server_id=10.0.0.1', 'server_mac=02:00:00:00:00:01', 'router=10.0.0.1');
  await Promise.all(
    GUESTS.map(async ({ name, host, address, mac, device }) => {
      await lab.northbound('lsp-add', NETWORK, name, '--', 'lsp-set-addresses', name, `${mac} ${address}`, '--', 'lsp-set-dhcpv4-options', name, options);
      const nic = { type: 'nic', nictype: 'bridged', parent: 'br-int', name: 'eth0', host_name: device, hwaddr: mac };
      await createTiny(incus, name, host, { eth0: nic });
      await incus.instances.ensurePower(name, { action: 'start' });
      await lab.switchOf(host, 'set', 'Interface', device, `external_ids:iface-id=${name}`);
    }),
  );
}, 120_000);

afterAll(async () => {
  for (const { name } of GUESTS) await removeInstance(incus, name);
  await lab.northbound('--if-exists', 'ls-del', NETWORK);
  for (const id of (await lab.northbound('--bare', '--columns=_uuid', 'find', 'DHCP_Options', `external_ids:network="${NETWORK}"`)).split('\n')) {
    if (id !== '') await lab.northbound('destroy', 'DHCP_Options', id);
  }
  incus.close();
});

async function guest(name: string, ...command: string[]) {
  return incus.instances.execute(name, { command, timeoutMs: 30_000 });
}

async function reaches(): Promise<boolean> {
  const { exitCode } = await guest(ONE.name, 'ping', '-c', '1', '-W', '1', OTHER.address);
  return exitCode === 0;
}

test('guests on two hosts get their addresses from OVN and reach each other', async () => {
  for (const { name, address } of GUESTS) {
    await until(`${name} up`, 20_000, async () => ((await lab.northbound('get', 'Logical_Switch_Port', name, 'up')) === 'true' ? true : undefined));
    await until(`The address of ${name}`, 30_000, async () => {
      const { network } = await incus.instances.state(name);
      return network?.['eth0']?.addresses.some((one) => one.address === address) ? true : undefined;
    });
  }
  await until('Five packets there and back', 30_000, async () => {
    const { stdout } = await guest(ONE.name, 'ping', '-c', '5', '-i', '0.2', '-W', '2', OTHER.address);
    return stdout.includes('5 packets received') ? true : undefined;
  });
});

test('a connection across hosts carries data', async () => {
  const request = 'GET / HTTP/1.0\r\n\r\n';
  const answer = await until('The answer of the web server', 20_000, async () => {
    const { stdout } = await incus.instances.execute(ONE.name, { command: ['nc', '-w', '3', OTHER.address, '80'], input: request, timeoutMs: 10_000 });
    return stdout.includes('200 OK') ? stdout : undefined;
  });
  expect(answer).toContain(OTHER.name);
});

test('the way between them is the underlay', async () => {
  await until('The guests reaching each other', 20_000, async () => ((await reaches()) ? true : undefined));
  const cable = cableOf(OTHER.host, UNDERLAY);
  await run('ip', ['link', 'set', cable, 'down']);
  try {
    await until('The guests not reaching each other', 20_000, async () => ((await reaches()) ? undefined : true));
  } finally {
    await run('ip', ['link', 'set', cable, 'up']);
  }
  await until('The guests reaching each other again', 30_000, async () => ((await reaches()) ? true : undefined));
});
