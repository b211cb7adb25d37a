import { typeidUnboxed } from 'typeid-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openOvnNetwork, type OvnNetworkDriver } from '#driver-ovn';
import type { DriverCall, LoadBalancerSpecification, NetworkSpecification, Outcome, PortSpecification } from '#drivers';
import type { IncusClient } from '#incus';
import { runOn } from '../../apps/lab/src/host/namespace.js';
import { CONTROLLER, DEBIAN_IMAGE, NORTHBOUND_PORT, PROFILE, SOUTHBOUND_PORT, TINY_IMAGE } from '../../apps/lab/src/layout.js';
import { Lab, newName, removeInstance, until } from '../support/lab.js';

/** A client that has a real resolver, and two web servers, each on another host: a network as the driver makes it. */
const DOMAIN = 'demo.internal';
const PATIENCE_MS = 60_000;
const ownership = { installationId: `installation_${newName('names')}`, tenantId: 'tenant_lab', projectId: 'project_lab' };
const subnet = { subnetId: typeidUnboxed('subnet'), cidr: '10.0.0.0/24', gatewayAddress: '10.0.0.1', healthCheckAddress: '10.0.0.254' };
const network: NetworkSpecification = { networkId: typeidUnboxed('net'), revision: 1, ownership, subnets: [subnet], domain: DOMAIN };

interface Guest extends PortSpecification {
  name: string;
  instance: string;
  image: string;
  device: string;
}

const guestOf = (name: string, image: string, hostName: string, number: number): Guest => ({
  portId: typeidUnboxed('port'),
  revision: 1,
  ownership,
  networkId: network.networkId,
  subnetId: subnet.subnetId,
  macAddress: `02:00:00:00:44:${number}`,
  ipAddress: `10.0.0.${number}`,
  hostName,
  name,
  instance: newName(`names-${name}`),
  image,
  device: newName('mu-nm'),
});
const CLIENT = guestOf('client', DEBIAN_IMAGE, 'h1', 11);
const SERVERS = [guestOf('web-1', TINY_IMAGE, 'h2', 12), guestOf('web-2', TINY_IMAGE, 'h3', 13)] as const;
const [ONE, OTHER] = SERVERS;
const balancer: LoadBalancerSpecification = {
  loadBalancerId: typeidUnboxed('lb'),
  revision: 1,
  ownership,
  networkId: network.networkId,
  address: '10.0.0.20',
  name: 'front',
  listeners: [{ port: 8080, protocol: 'TCP', members: SERVERS.map(({ ipAddress }) => ({ address: ipAddress, port: 80 })) }],
};

let lab: Lab;
let incus: IncusClient;
let driver: OvnNetworkDriver;

async function finish(attempt: (call: DriverCall) => Promise<Outcome<unknown>>): Promise<void> {
  await until('The end of the call', PATIENCE_MS, async () => {
    const call = { idempotencyKey: typeidUnboxed('call'), timeoutMs: 20_000, signal: new AbortController().signal };
    return (await attempt(call)).state === 'DONE' ? true : undefined;
  });
}

async function start({ instance, image, hostName, macAddress, portId, device, name }: Guest): Promise<void> {
  const eth0 = { type: 'nic', nictype: 'bridged', parent: 'br-int', name: 'eth0', host_name: device, hwaddr: macAddress };
  const source = { type: 'image' as const, alias: image };
  const config = { 'user.hostname': name };
  await (await incus.instances.create({ name: instance, source, profiles: [PROFILE], config, devices: { eth0 } }, { target: hostName })).wait();
  await incus.instances.ensurePower(instance, { action: 'start' });
  await lab.switchOf(hostName, 'set', 'Interface', device, `external_ids:iface-id=${portId}`);
}

beforeAll(async () => {
  lab = await Lab.find();
  incus = await lab.incus('h1');
  await lab.requireNodeImage(incus);
  await lab.settled(incus);
  const [northbound, southbound] = [NORTHBOUND_PORT, SOUTHBOUND_PORT].map((port) => [`tcp:${CONTROLLER.managementAddress}:${port}`]) as [string[], string[]];
  driver = await openOvnNetwork({ backendId: 'backend_lab', installationId: ownership.installationId, northbound, southbound });
  await finish(async (call) => driver.ensureNetwork(call, network));
  for (const { instance: _instance, image: _image, device: _device, ...port } of [CLIENT, ...SERVERS]) await finish(async (call) => driver.ensurePort(call, port));
  await finish(async (call) => driver.ensureLoadBalancer(call, balancer));
  await Promise.all([CLIENT, ...SERVERS].map(start));
  await finish(async (call) => driver.realised(call, network.networkId));
}, 180_000);

afterAll(async () => {
  await Promise.all([CLIENT, ...SERVERS].map(async ({ instance }) => removeInstance(incus, instance)));
  await finish(async (call) => driver.removeLoadBalancer(call, balancer.loadBalancerId));
  for (const { portId } of [CLIENT, ...SERVERS]) await finish(async (call) => driver.removePort(call, portId));
  await finish(async (call) => driver.removeNetwork(call, network.networkId));
  await driver[Symbol.asyncDispose]();
  incus.close();
}, 120_000);

/** What a command on the client writes, if it succeeds. */
async function client(...command: string[]): Promise<string | undefined> {
  const { exitCode, stdout } = await incus.instances.execute(CLIENT.instance, { command, timeoutMs: 30_000 });
  return exitCode === 0 ? stdout.trim() : undefined;
}
/** The first address that programs get for a name, as they ask: for both families at once. */
const firstAddress = async (name: string): Promise<string | undefined> => (await client('getent', 'ahosts', name))?.split(/\s/)[0];

test('the guest hears by DHCP its address, its domain and whom to ask', async () => {
  await until('The address of the client', PATIENCE_MS, async () => ((await client('hostname', '--all-ip-addresses')) === CLIENT.ipAddress ? true : undefined));
  const resolver = await until('The resolver of the client', PATIENCE_MS, async () => {
    const text = await client('cat', '/etc/resolv.conf');
    return text?.includes('nameserver') === true ? text : undefined;
  });
  expect(resolver).toContain(`search ${DOMAIN}`);
  expect(resolver).toContain(`nameserver ${subnet.gatewayAddress}`);
});

test('machines and load balancers are found by name, alone and in the domain, and by address', async () => {
  for (const { name, ipAddress } of [ONE, OTHER, { name: 'front', ipAddress: balancer.address }]) {
    expect(await firstAddress(name)).toBe(ipAddress);
    expect(await firstAddress(`${name}.${DOMAIN}`)).toBe(ipAddress);
    expect(await client('getent', 'hosts', ipAddress)).toMatch(new RegExp(`^${ipAddress}\\s+${name}\\.${DOMAIN}`));
  }
  expect(await firstAddress('nobody')).toBeUndefined();
  expect(await firstAddress('nobody.example')).toBeUndefined();
  await until('The web server under its name', PATIENCE_MS, async () => client('curl', '--silent', '--max-time', '3', `http://${ONE.name}/`));
});

test('a name that is given to another leads there', async () => {
  const { instance: _instance, image: _image, device: _device, ...port } = OTHER;
  await finish(async (call) => driver.ensurePort(call, { ...port, revision: 2, name: 'shop' }));
  await until('The new name', PATIENCE_MS, async () => ((await firstAddress('shop')) === OTHER.ipAddress ? true : undefined));
  expect(await firstAddress(OTHER.name)).toBeUndefined();
});

/** The servers that answer a number of connections. */
async function answering(connections: number): Promise<Map<string, number>> {
  const answers = new Map<string, number>();
  for (let count = 0; count < connections; count += 1) {
    const answer = (await client('curl', '--silent', '--max-time', '2', 'http://front:8080/')) ?? 'nobody';
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
  }
  return answers;
}

/** A member that nobody has checked yet counts as there, dead or not. */
async function checked({ name, portId }: Guest): Promise<void> {
  await until(`A check of ${name}`, PATIENCE_MS, async () => {
    const question = ['--bare', '--columns=status', 'find', 'Service_Monitor', `logical_port=${portId}`];
    const status = await runOn(await lab.machine(lab.controller.name), 'ovn-sbctl', question);
    return status.trim() === 'online' ? true : undefined;
  });
}

test('a load balancer spreads over its members, drops one that is dead, and takes it back', async () => {
  await until('Both servers answering', PATIENCE_MS, async () => ((await answering(20)).size === 2 ? true : undefined));
  await checked(ONE);
  const { pid } = await incus.instances.state(ONE.instance);
  await runOn(await lab.machine(ONE.hostName), 'kill', ['-KILL', String(pid)]);
  const alive = await until('The dead one dropped', PATIENCE_MS, async () => {
    const answers = await answering(10);
    return answers.size === 1 && !answers.has('nobody') ? answers : undefined;
  });
  expect([...alive.keys()].join()).toContain(OTHER.name);
  await until('The server running again', PATIENCE_MS, async () => {
    await incus.instances.ensurePower(ONE.instance, { action: 'start' });
    return (await incus.instances.state(ONE.instance)).status === 'Running' ? true : undefined;
  });
  await lab.switchOf(ONE.hostName, 'set', 'Interface', ONE.device, `external_ids:iface-id=${ONE.portId}`);
  await until('Both servers answering again', PATIENCE_MS, async () => ((await answering(20)).size === 2 ? true : undefined));
});
