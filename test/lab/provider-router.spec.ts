import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { typeidUnboxed } from 'typeid-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openOvnNetwork, type OvnNetworkDriver } from '#driver-ovn';
import {
  hostDeviceOf,
  type DriverCall,
  type ExternalNetworkSpecification,
  type FloatingIpSpecification,
  type LoadBalancerSpecification,
  type NetworkSpecification,
  type Outcome,
  type PortSpecification,
  type ProviderRouterSpecification,
  type RouterSpecification,
} from '#drivers';
import type { IncusClient } from '#incus';
import { cidrOf, EXTERNAL, machineAddress, NORTHBOUND_PORT, CONTROLLER, PHYSICAL_NETWORK, SOUTHBOUND_PORT } from '../../apps/lab/src/layout.js';
import { run } from '../../apps/lab/src/machine/command.js';
import { createTiny, Lab, newName, removeInstance, until } from '../support/lab.js';

const OUTSIDE = machineAddress(EXTERNAL);
const address = (last: number): string => `${EXTERNAL.prefix}.${last}`;
const INSTALLATION = newName('provider');
const PATIENCE_MS = 45_000;
const REQUESTS = 12;

interface Guest {
  name: string;
  port: PortSpecification;
}

let lab: Lab;
let incus: IncusClient;
let driver: OvnNetworkDriver;
/** Somebody outside, who tells everybody who asks from where. */
let teller: Server;
let tellerPort: number;

const outside: ExternalNetworkSpecification = {
  externalNetworkId: typeidUnboxed('ext'),
  revision: 1,
  installationId: INSTALLATION,
  physicalNetwork: PHYSICAL_NETWORK,
  cidr: cidrOf(EXTERNAL),
  gatewayAddress: OUTSIDE,
};
const PROVIDER: ProviderRouterSpecification = {
  providerRouterId: typeidUnboxed('prr'),
  revision: 1,
  installationId: INSTALLATION,
  externalNetworkId: outside.externalNetworkId,
  address: address(190),
  transitCidr: '100.64.0.0/16',
  transitAddress: '100.64.255.254',
  gatewayHostNames: ['h1', 'h3', 'h2'],
};

const ownershipOf = (tenant: string) => ({ installationId: INSTALLATION, tenantId: tenant, projectId: `${tenant}-project` });

function networkOf(tenant: string): NetworkSpecification {
  const subnet = { subnetId: typeidUnboxed('subnet'), cidr: '10.62.0.0/24', gatewayAddress: '10.62.0.1' };
  return { networkId: typeidUnboxed('net'), revision: 1, ownership: ownershipOf(tenant), subnets: [subnet] };
}

function guestOf(network: NetworkSpecification, hostName: string, last: number): Guest {
  const port: PortSpecification = {
    portId: typeidUnboxed('port'),
    revision: 1,
    ownership: network.ownership,
    networkId: network.networkId,
    subnetId: network.subnets[0]?.subnetId ?? '',
    macAddress: `02:62:00:00:${network === ONE ? '01' : '02'}:${String(last).padStart(2, '0')}`,
    ipAddress: `10.62.0.${last}`,
    hostName,
  };
  return { name: newName('behind'), port };
}

function routerOf({ networkId, ownership }: NetworkSpecification, last: number): RouterSpecification {
  const uplink = { providerRouterId: PROVIDER.providerRouterId, address: `100.64.1.${last}`, sourceNat: true };
  return { routerId: typeidUnboxed('rtr'), revision: 1, ownership, networks: [{ networkId, link: 0 }], uplink };
}

/** Two tenants with the same block, each with machines on several hosts. */
const ONE = networkOf('one');
const TWO = networkOf('two');
const [FRONT, BACK] = [guestOf(ONE, 'h1', 11), guestOf(ONE, 'h2', 12)];
const [OTHER, FAR] = [guestOf(TWO, 'h2', 11), guestOf(TWO, 'h3', 12)];
const GUESTS = [FRONT, BACK, OTHER, FAR];
const ROUTERS = [routerOf(ONE, 10), routerOf(TWO, 11)] as const;
const BALANCER: LoadBalancerSpecification = {
  loadBalancerId: typeidUnboxed('lb'),
  revision: 1,
  ownership: TWO.ownership,
  networkId: TWO.networkId,
  address: '10.62.0.20',
  listeners: [{ port: 8080, protocol: 'TCP', members: [OTHER, FAR].map(({ port }) => ({ address: port.ipAddress, port: 80 })) }],
};

function floatingOf(last: number, { routerId, ownership }: RouterSpecification, networkId: string, target: FloatingIpSpecification['target']): FloatingIpSpecification {
  const transit = { providerRouterId: PROVIDER.providerRouterId, address: `100.64.2.${last}` };
  return { floatingIpId: typeidUnboxed('fip'), revision: 1, ownership, routerId, networkId, address: address(last), transit, target };
}
const FOR_BACK = floatingOf(191, ROUTERS[0], ONE.networkId, { kind: 'PORT', portId: BACK.port.portId });
const FOR_FAR = floatingOf(192, ROUTERS[1], TWO.networkId, { kind: 'PORT', portId: FAR.port.portId });
const FOR_BALANCER = floatingOf(193, ROUTERS[1], TWO.networkId, { kind: 'LOAD_BALANCER', loadBalancerId: BALANCER.loadBalancerId });

async function done<Value>(attempt: (call: DriverCall) => Promise<Outcome<Value>>): Promise<Value> {
  return until('The backend’s answer', PATIENCE_MS, async () => {
    const call = { idempotencyKey: typeidUnboxed('call'), timeoutMs: 10_000, signal: new AbortController().signal };
    const outcome = await attempt(call);
    return outcome.state === 'DONE' ? { value: outcome.value } : undefined;
  }).then(({ value }) => value);
}

beforeAll(async () => {
  lab = await Lab.find();
  incus = await lab.incus('h1');
  await lab.settled(incus);
  const at = (port: number): string => `tcp:${CONTROLLER.managementAddress}:${port}`;
  driver = await openOvnNetwork({ backendId: 'lab', installationId: INSTALLATION, northbound: [at(NORTHBOUND_PORT)], southbound: [at(SOUTHBOUND_PORT)] });
  teller = createServer((socket) => socket.on('error', () => socket.destroy()).end(`seen as ${socket.remoteAddress ?? ''}\n`));
  await once(teller.listen(0, OUTSIDE), 'listening');
  const listening = teller.address();
  tellerPort = typeof listening === 'object' && listening !== null ? listening.port : 0;
  for (const network of [ONE, TWO]) await done(async (call) => driver.ensureNetwork(call, network));
  await done(async (call) => driver.ensureExternalNetwork(call, outside));
  await done(async (call) => driver.ensureProviderRouter(call, PROVIDER));
  for (const router of ROUTERS) await done(async (call) => driver.ensureRouter(call, router));
  await Promise.all(
    GUESTS.map(async ({ name, port }) => {
      await done(async (call) => driver.ensurePort(call, port));
      const device = hostDeviceOf(port.portId);
      const nic = { type: 'nic', nictype: 'bridged', parent: 'br-int', name: 'eth0', host_name: device, hwaddr: port.macAddress };
      await createTiny(incus, name, port.hostName, { eth0: nic });
      await incus.instances.ensurePower(name, { action: 'start' });
      await lab.switchOf(port.hostName, 'set', 'Interface', device, `external_ids:iface-id=${port.portId}`);
    }),
  );
  for (const id of [PROVIDER.providerRouterId, ...ROUTERS.map(({ routerId }) => routerId)]) {
    expect(await done(async (call) => driver.realised(call, id))).toEqual({ pendingHostNames: [] });
  }
}, 180_000);

afterAll(async () => {
  for (const { name } of GUESTS) await removeInstance(incus, name);
  for (const { port } of GUESTS) await done(async (call) => driver.removePort(call, port.portId));
  await done(async (call) => driver.removeLoadBalancer(call, BALANCER.loadBalancerId));
  for (const { routerId } of ROUTERS) await done(async (call) => driver.removeRouter(call, routerId));
  await done(async (call) => driver.removeProviderRouter(call, PROVIDER.providerRouterId));
  await done(async (call) => driver.removeExternalNetwork(call, outside.externalNetworkId));
  for (const { networkId } of [ONE, TWO]) await done(async (call) => driver.removeNetwork(call, networkId));
  expect(await leftOvers(), 'what the driver has left in OVN').toEqual([]);
  await driver[Symbol.asyncDispose]();
  teller.close();
  incus.close();
}, 120_000);

async function leftOvers(): Promise<string[]> {
  const tables = [
    'Logical_Router',
    'Logical_Router_Port',
    'Logical_Router_Static_Route',
    'NAT',
    'Gateway_Chassis',
    'HA_Chassis_Group',
    'HA_Chassis',
    'Logical_Switch',
    'Logical_Switch_Port',
    'Load_Balancer',
    'DHCP_Options',
  ];
  const found = await Promise.all(
    tables.map(async (table) => {
      const rows = await lab.northbound('--bare', '--columns=_uuid', 'find', table, `external_ids:muon\\:installation=${INSTALLATION}`);
      return rows.split('\n').flatMap((row) => (row === '' ? [] : [`${table} ${row}`]));
    }),
  );
  return found.flat();
}

async function guest({ name }: Guest, command: string[], input?: string): Promise<{ exitCode: number; stdout: string }> {
  return incus.instances.execute(name, { command, timeoutMs: 20_000, ...(input === undefined ? {} : { input }) });
}

/** By which address the outside sees the guest; undefined when it is not reached. */
async function seenAs(from: Guest): Promise<string | undefined> {
  const { stdout } = await guest(from, ['nc', '-w', '2', OUTSIDE, String(tellerPort)], '');
  return /seen as ([\d.]+)/.exec(stdout)?.[1];
}

/** The name of the guest whose web server answers; undefined when none does. */
async function fetches(from: Guest, to: string, port = 80): Promise<string | undefined> {
  const { stdout } = await guest(from, ['nc', '-w', '2', to, String(port)], 'GET / HTTP/1.0\r\n\r\n');
  return nameIn(stdout);
}

const pings = async (from: Guest, to: string): Promise<boolean> => (await guest(from, ['ping', '-c', '1', '-W', '1', to])).exitCode === 0;

const pingsFromOutside = async (to: string): Promise<boolean> =>
  run('ping', ['-c', '1', '-W', '1', to]).then(
    () => true,
    () => false,
  );

async function fetchesFromOutside(to: string, port = 80): Promise<string | undefined> {
  const answer = await fetch(`http://${to}:${port}/`, { signal: AbortSignal.timeout(2_000), headers: { connection: 'close' } }).catch(() => undefined);
  return answer === undefined ? undefined : nameIn(await answer.text());
}

const nameIn = (text: string): string | undefined => GUESTS.find(({ name }) => text.includes(name))?.name;

const comesTrue = async (what: string, look: () => Promise<boolean>): Promise<true> =>
  until(what, PATIENCE_MS, async () => ((await look()) ? true : undefined));

test('two tenants with the same block reach the outside from every host, and are one address there', async () => {
  for (const each of GUESTS) await comesTrue(`${each.name} reaching ${OUTSIDE}`, async () => (await seenAs(each)) !== undefined);
  for (const each of GUESTS) expect(await seenAs(each)).toBe(PROVIDER.address);
});

test('they do not meet each other', async () => {
  // The same address is each tenant's own machine, and what the other one has alone is nobody's.
  expect(await fetches(FAR, FRONT.port.ipAddress)).toBe(OTHER.name);
  expect(await fetches(BACK, FRONT.port.ipAddress)).toBe(FRONT.name);
  expect(await fetches(FRONT, FAR.port.ipAddress)).toBe(BACK.name);
});

test('floating addresses answer from the outside, each at its own tenant, whose machine is seen by it from now on', async () => {
  for (const each of [FOR_BACK, FOR_FAR]) await done(async (call) => driver.ensureFloatingIp(call, each));
  await comesTrue('The floating address answering', async () => pingsFromOutside(FOR_BACK.address));
  await comesTrue('The machine behind it answering', async () => (await fetchesFromOutside(FOR_BACK.address)) === BACK.name);
  await comesTrue('The other’s answering', async () => (await fetchesFromOutside(FOR_FAR.address)) === FAR.name);
  expect(await seenAs(BACK)).toBe(FOR_BACK.address);
  expect(await seenAs(FRONT)).toBe(PROVIDER.address);
});

test('guests of the same router, and of another tenant’s, reach a floating address', async () => {
  for (const { address: to } of [FOR_BACK, FOR_FAR]) {
    const name = to === FOR_BACK.address ? BACK.name : FAR.name;
    for (const each of GUESTS) await comesTrue(`${each.name} fetching from ${to}`, async () => (await fetches(each, to)) === name);
    for (const each of GUESTS) await comesTrue(`${each.name} pinging ${to}`, async () => pings(each, to));
  }
});

test('the floating address of a load balancer spreads over its members, of which one has a floating address too', async () => {
  await done(async (call) => driver.ensureLoadBalancer(call, BALANCER));
  await done(async (call) => driver.ensureFloatingIp(call, FOR_BALANCER));
  await comesTrue('The load balancer answering', async () => (await fetchesFromOutside(FOR_BALANCER.address, 8080)) !== undefined);
  const answers: (string | undefined)[] = [];
  for (let count = 0; count < REQUESTS; count += 1) answers.push(await fetchesFromOutside(FOR_BALANCER.address, 8080));
  expect(new Set(answers)).toEqual(new Set([OTHER.name, FAR.name]));
  expect(await fetchesFromOutside(FOR_FAR.address), 'the member’s own').toBe(FAR.name);
  for (const each of [FRONT, OTHER]) expect([OTHER.name, FAR.name]).toContain(await fetches(each, FOR_BALANCER.address, 8080));
});

test('another host takes all of it over when the order changes, without a word to the tenants’ routers', async () => {
  await done(async (call) => driver.ensureProviderRouter(call, { ...PROVIDER, revision: 2, gatewayHostNames: ['h2', 'h3', 'h1'] }));
  expect(await done(async (call) => driver.realised(call, ROUTERS[0].routerId))).toEqual({ pendingHostNames: [] });
  for (const each of [FRONT, OTHER]) await comesTrue('A guest reaching the outside', async () => (await seenAs(each)) === PROVIDER.address);
  await comesTrue('A floating address answering', async () => (await fetchesFromOutside(FOR_BACK.address)) === BACK.name);
  await comesTrue('The load balancer answering', async () => (await fetchesFromOutside(FOR_BALANCER.address, 8080)) !== undefined);
});

test('a floating address that is taken away answers no more, nor one whose load balancer or machine has gone', async () => {
  await done(async (call) => driver.removeFloatingIp(call, FOR_BACK.floatingIpId));
  await comesTrue('It not answering', async () => !(await pingsFromOutside(FOR_BACK.address)));
  await comesTrue('The machine being one of many again', async () => (await seenAs(BACK)) === PROVIDER.address);
  await done(async (call) => driver.removeLoadBalancer(call, BALANCER.loadBalancerId));
  await comesTrue('The load balancer not answering', async () => (await fetchesFromOutside(FOR_BALANCER.address, 8080)) === undefined);
  await done(async (call) => driver.removePort(call, FAR.port.portId));
  await comesTrue('The machine’s not answering', async () => !(await pingsFromOutside(FOR_FAR.address)));
});

test('with its router the outside is gone for one tenant, and stays for the other', async () => {
  await done(async (call) => driver.ensureRouter(call, { ...ROUTERS[0], revision: 2, uplink: null }));
  await comesTrue('No outside', async () => !(await pings(FRONT, OUTSIDE)));
  expect(await seenAs(OTHER)).toBe(PROVIDER.address);
});
