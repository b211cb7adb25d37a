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
  type RouterSpecification,
} from '#drivers';
import type { IncusClient } from '#incus';
import { cidrOf, CONTROLLER, EXTERNAL, machineAddress, NORTHBOUND_PORT, PHYSICAL_NETWORK, SOUTHBOUND_PORT } from '../../apps/lab/src/layout.js';
import { run } from '../../apps/lab/src/machine/command.js';
import { createTiny, Lab, newName, removeInstance, until } from '../support/lab.js';

const OUTSIDE = machineAddress(EXTERNAL);
const address = (last: number): string => `${EXTERNAL.prefix}.${last}`;
const INSTALLATION = newName('routers');
const PATIENCE_MS = 45_000;
const REQUESTS = 12;

interface Guest {
  name: string;
  port: PortSpecification;
}

let lab: Lab;
let incus: IncusClient;
let driver: OvnNetworkDriver;
const outside: ExternalNetworkSpecification = {
  externalNetworkId: typeidUnboxed('extnet'),
  revision: 1,
  installationId: INSTALLATION,
  physicalNetwork: PHYSICAL_NETWORK,
  cidr: cidrOf(EXTERNAL),
  gatewayAddress: OUTSIDE,
};

const ownershipOf = (tenant: string) => ({ installationId: INSTALLATION, tenantId: tenant, projectId: `${tenant}-project` });

function networkOf(tenant: string, prefix: string): NetworkSpecification {
  const subnet = { subnetId: typeidUnboxed('subnet'), cidr: `${prefix}.0/24`, gatewayAddress: `${prefix}.1` };
  return { networkId: typeidUnboxed('net'), revision: 1, ownership: ownershipOf(tenant), subnets: [subnet] };
}

function guestOf(network: NetworkSpecification, hostName: string, ipAddress: string): Guest {
  const last = Number(ipAddress.split('.')[3]).toString(16).padStart(2, '0');
  const macAddress = `02:00:00:${network.networkId.slice(-2).replace(/./g, (letter) => (letter.charCodeAt(0) % 16).toString(16))}:00:${last}`;
  const port: PortSpecification = {
    portId: typeidUnboxed('port'),
    revision: 1,
    ownership: network.ownership,
    networkId: network.networkId,
    subnetId: network.subnets[0]?.subnetId ?? '',
    macAddress,
    ipAddress,
    hostName,
  };
  return { name: newName('routed'), port };
}

function routerOf(networks: readonly NetworkSpecification[], uplinkAddress: string): RouterSpecification {
  const [first] = networks;
  return {
    routerId: typeidUnboxed('rtr'),
    revision: 1,
    ownership: first?.ownership ?? ownershipOf('nobody'),
    networks: networks.map(({ networkId }, link) => ({ networkId, link })),
    uplink: { externalNetworkId: outside.externalNetworkId, address: uplinkAddress, sourceNat: true, gatewayHostNames: ['h1', 'h3', 'h2'] },
  };
}

/** Two tenants with the same block; the first has a second network on the same router. */
const FRONT = networkOf('one', '10.60.0');
const BACK = networkOf('one', '10.61.0');
const OTHERS = networkOf('two', '10.60.0');
const [ONE, TWO] = [guestOf(FRONT, 'h1', '10.60.0.11'), guestOf(FRONT, 'h2', '10.60.0.12')];
const THREE = guestOf(BACK, 'h3', '10.61.0.11');
const FOREIGN = guestOf(OTHERS, 'h2', '10.60.0.11');
const GUESTS = [ONE, TWO, THREE, FOREIGN];
const ROUTER = routerOf([FRONT, BACK], address(180));
const OTHER_ROUTER = routerOf([OTHERS], address(181));
const BALANCER: LoadBalancerSpecification = {
  loadBalancerId: typeidUnboxed('lb'),
  revision: 1,
  ownership: FRONT.ownership,
  networkId: FRONT.networkId,
  address: '10.60.0.20',
  listeners: [{ port: 8080, protocol: 'TCP', members: [ONE, TWO].map(({ port }) => ({ address: port.ipAddress, port: 80 })) }],
};

function floatingOf(last: number, target: FloatingIpSpecification['target'], networkId = FRONT.networkId): FloatingIpSpecification {
  const router = networkId === OTHERS.networkId ? OTHER_ROUTER : ROUTER;
  return { floatingIpId: typeidUnboxed('fip'), revision: 1, ownership: router.ownership, routerId: router.routerId, networkId, address: address(last), target };
}
const toPort = ({ port }: Guest): FloatingIpSpecification['target'] => ({ kind: 'PORT', portId: port.portId });
const FOR_TWO = floatingOf(182, toPort(TWO));
const FOR_FOREIGN = floatingOf(183, toPort(FOREIGN), OTHERS.networkId);
const FOR_BALANCER = floatingOf(184, { kind: 'LOAD_BALANCER', loadBalancerId: BALANCER.loadBalancerId });

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
  for (const network of [FRONT, BACK, OTHERS]) await done(async (call) => driver.ensureNetwork(call, network));
  await done(async (call) => driver.ensureExternalNetwork(call, outside));
  for (const router of [ROUTER, OTHER_ROUTER]) await done(async (call) => driver.ensureRouter(call, router));
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
  for (const { routerId } of [ROUTER, OTHER_ROUTER]) {
    expect(await done(async (call) => driver.realised(call, routerId))).toEqual({ pendingHostNames: [] });
  }
}, 180_000);

afterAll(async () => {
  for (const { name } of GUESTS) await removeInstance(incus, name);
  for (const { port } of GUESTS) await done(async (call) => driver.removePort(call, port.portId));
  await done(async (call) => driver.removeLoadBalancer(call, BALANCER.loadBalancerId));
  for (const { routerId } of [ROUTER, OTHER_ROUTER]) await done(async (call) => driver.removeRouter(call, routerId));
  await done(async (call) => driver.removeExternalNetwork(call, outside.externalNetworkId));
  for (const { networkId } of [FRONT, BACK, OTHERS]) await done(async (call) => driver.removeNetwork(call, networkId));
  expect(await leftOvers(), 'what the driver has left in OVN').toEqual([]);
  await driver[Symbol.asyncDispose]();
  incus.close();
}, 120_000);

async function leftOvers(): Promise<string[]> {
  const tables = ['Logical_Router', 'Logical_Router_Port', 'Logical_Router_Static_Route', 'NAT', 'Gateway_Chassis', 'Logical_Switch', 'Logical_Switch_Port', 'Load_Balancer', 'DHCP_Options'];
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

const pings = async (from: Guest, to: string): Promise<boolean> => (await guest(from, ['ping', '-c', '1', '-W', '1', to])).exitCode === 0;

/** The name of the guest whose web server answers; undefined when none does. */
async function fetches(from: Guest, to: string, port = 80): Promise<string | undefined> {
  const { stdout } = await guest(from, ['nc', '-w', '2', to, String(port)], 'GET / HTTP/1.0\r\n\r\n');
  return nameIn(stdout);
}

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

test('guests reach the outside by the router’s address, from every host and both networks, and those of another tenant too', async () => {
  for (const each of GUESTS) await comesTrue(`${each.name} reaching ${OUTSIDE}`, async () => pings(each, OUTSIDE));
});

test('the router leads between networks of one tenant, and never to the other', async () => {
  await comesTrue('The networks reaching each other', async () => pings(THREE, TWO.port.ipAddress));
  expect(await fetches(THREE, ONE.port.ipAddress)).toBe(ONE.name);
  // The other tenant's guest with the same address is not met, and it finds nobody in the second network.
  expect(await fetches(FOREIGN, ONE.port.ipAddress)).toBe(FOREIGN.name);
  expect(await pings(FOREIGN, THREE.port.ipAddress)).toBe(false);
});

test('floating addresses answer from the outside, each at its own tenant', async () => {
  for (const each of [FOR_TWO, FOR_FOREIGN]) await done(async (call) => driver.ensureFloatingIp(call, each));
  await comesTrue('The floating address answering', async () => pingsFromOutside(FOR_TWO.address));
  expect(await fetchesFromOutside(FOR_TWO.address)).toBe(TWO.name);
  await comesTrue('The other’s answering', async () => (await fetchesFromOutside(FOR_FOREIGN.address)) === FOREIGN.name);
});

test('guests of the same router, and of another tenant’s, reach a floating address', async () => {
  for (const each of [ONE, TWO, THREE, FOREIGN]) await comesTrue(`${each.name} fetching`, async () => (await fetches(each, FOR_TWO.address)) === TWO.name);
});

test('the floating address of a load balancer spreads over its members, while a member has a floating address too', async () => {
  await done(async (call) => driver.ensureLoadBalancer(call, BALANCER));
  await done(async (call) => driver.ensureFloatingIp(call, FOR_BALANCER));
  await comesTrue('The load balancer answering', async () => (await fetchesFromOutside(FOR_BALANCER.address, 8080)) !== undefined);
  const answers: (string | undefined)[] = [];
  for (let count = 0; count < REQUESTS; count += 1) answers.push(await fetchesFromOutside(FOR_BALANCER.address, 8080));
  expect(new Set(answers)).toEqual(new Set([ONE.name, TWO.name]));
  expect(await fetchesFromOutside(FOR_TWO.address), 'the member’s own').toBe(TWO.name);
  for (const each of [ONE, THREE]) expect([ONE.name, TWO.name]).toContain(await fetches(each, FOR_BALANCER.address, 8080));
  await done(async (call) => driver.ensureLoadBalancer(call, { ...BALANCER, revision: 2, listeners: [{ port: 8080, protocol: 'TCP', members: [{ address: TWO.port.ipAddress, port: 80 }] }] }));
  await comesTrue('Only the member that is left answering', async () => {
    const names = new Set<string | undefined>();
    for (let count = 0; count < 4; count += 1) names.add(await fetchesFromOutside(FOR_BALANCER.address, 8080));
    return names.size === 1 && names.has(TWO.name);
  });
});

test('another host takes the uplink over when the order changes', async () => {
  const { uplink } = ROUTER;
  if (uplink === null) throw new Error('the router has no uplink');
  await done(async (call) => driver.ensureRouter(call, { ...ROUTER, revision: 2, uplink: { ...uplink, gatewayHostNames: ['h2', 'h3', 'h1'] } }));
  await comesTrue('A guest reaching the outside', async () => pings(THREE, OUTSIDE));
  await comesTrue('The load balancer answering', async () => (await fetchesFromOutside(FOR_BALANCER.address, 8080)) === TWO.name);
});

test('a floating address that is taken away answers no more, and the one of a load balancer goes with it', async () => {
  await done(async (call) => driver.removeFloatingIp(call, FOR_TWO.floatingIpId));
  await comesTrue('It not answering', async () => !(await pingsFromOutside(FOR_TWO.address)));
  await done(async (call) => driver.removeLoadBalancer(call, BALANCER.loadBalancerId));
  await comesTrue('The load balancer not answering', async () => (await fetchesFromOutside(FOR_BALANCER.address, 8080)) === undefined);
});
