import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { typeidUnboxed } from 'typeid-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type {
  ExternalNetworkSpecification,
  FloatingIpSpecification,
  LoadBalancerSpecification,
  NetworkSpecification,
  PortSpecification,
  ProviderRouterSpecification,
  RouterSpecification,
} from '#drivers';
import { killHost, startHost } from '../../apps/lab/src/hosts.js';
import { cidrOf, EXTERNAL, machineAddress, PHYSICAL_NETWORK } from '../../apps/lab/src/layout.js';
import { newName } from '../support/lab.js';
import { LabGuests, type Guest } from '../support/lab-guests.js';

const OUTSIDE = machineAddress(EXTERNAL);
const address = (last: number): string => `${EXTERNAL.prefix}.${last}`;
const INSTALLATION = newName('provider');
const REQUESTS = 12;

let ground: LabGuests;
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

beforeAll(async () => {
  ground = await LabGuests.open(INSTALLATION, GUESTS);
  teller = createServer((socket) => socket.on('error', () => socket.destroy()).end(`seen as ${socket.remoteAddress ?? ''}\n`));
  await once(teller.listen(0, OUTSIDE), 'listening');
  const listening = teller.address();
  tellerPort = typeof listening === 'object' && listening !== null ? listening.port : 0;
  for (const network of [ONE, TWO]) await ground.done(async (call, driver) => driver.ensureNetwork(call, network));
  await ground.done(async (call, driver) => driver.ensureExternalNetwork(call, outside));
  await ground.done(async (call, driver) => driver.ensureProviderRouter(call, PROVIDER));
  for (const router of ROUTERS) await ground.done(async (call, driver) => driver.ensureRouter(call, router));
  await ground.start();
  for (const id of [PROVIDER.providerRouterId, ...ROUTERS.map(({ routerId }) => routerId)]) {
    expect(await ground.done(async (call, driver) => driver.realised(call, id))).toEqual({ pendingHostNames: [] });
  }
}, 180_000);

afterAll(async () => {
  await ground.remove();
  await ground.done(async (call, driver) => driver.removeLoadBalancer(call, BALANCER.loadBalancerId));
  for (const { routerId } of ROUTERS) await ground.done(async (call, driver) => driver.removeRouter(call, routerId));
  await ground.done(async (call, driver) => driver.removeProviderRouter(call, PROVIDER.providerRouterId));
  await ground.done(async (call, driver) => driver.removeExternalNetwork(call, outside.externalNetworkId));
  for (const { networkId } of [ONE, TWO]) await ground.done(async (call, driver) => driver.removeNetwork(call, networkId));
  expect(await ground.rows(), 'what the driver has left in OVN').toEqual([]);
  await ground.close();
  teller.close();
}, 120_000);

/** By which address the outside sees the guest; undefined when it is not reached. */
async function seenAs(from: Guest): Promise<string | undefined> {
  const { stdout } = await ground.execute(from, ['nc', '-w', '2', OUTSIDE, String(tellerPort)], '');
  return /seen as ([\d.]+)/.exec(stdout)?.[1];
}

test('two tenants with the same block reach the outside from every host, and are one address there', async () => {
  for (const each of GUESTS) await ground.comesTrue(`${each.name} reaching ${OUTSIDE}`, async () => (await seenAs(each)) !== undefined);
  for (const each of GUESTS) expect(await seenAs(each)).toBe(PROVIDER.address);
});

test('they do not meet each other', async () => {
  // The same address is each tenant's own machine, and what the other one has alone is nobody's.
  expect(await ground.fetches(FAR, FRONT.port.ipAddress)).toBe(OTHER.name);
  expect(await ground.fetches(BACK, FRONT.port.ipAddress)).toBe(FRONT.name);
  expect(await ground.fetches(FRONT, FAR.port.ipAddress)).toBe(BACK.name);
});

test('floating addresses answer from the outside, each at its own tenant, whose machine is seen by it from now on', async () => {
  for (const each of [FOR_BACK, FOR_FAR]) await ground.done(async (call, driver) => driver.ensureFloatingIp(call, each));
  await ground.comesTrue('The floating address answering', async () => ground.pingsFromOutside(FOR_BACK.address));
  await ground.comesTrue('The machine behind it answering', async () => (await ground.fetchesFromOutside(FOR_BACK.address)) === BACK.name);
  await ground.comesTrue('The other’s answering', async () => (await ground.fetchesFromOutside(FOR_FAR.address)) === FAR.name);
  expect(await seenAs(BACK)).toBe(FOR_BACK.address);
  expect(await seenAs(FRONT)).toBe(PROVIDER.address);
});

test('guests of the same router, and of another tenant’s, reach a floating address', async () => {
  for (const { address: to } of [FOR_BACK, FOR_FAR]) {
    const name = to === FOR_BACK.address ? BACK.name : FAR.name;
    for (const each of GUESTS) await ground.comesTrue(`${each.name} fetching from ${to}`, async () => (await ground.fetches(each, to)) === name);
    for (const each of GUESTS) await ground.comesTrue(`${each.name} pinging ${to}`, async () => ground.pings(each, to));
  }
});

test('the floating address of a load balancer spreads over its members, of which one has a floating address too', async () => {
  await ground.done(async (call, driver) => driver.ensureLoadBalancer(call, BALANCER));
  await ground.done(async (call, driver) => driver.ensureFloatingIp(call, FOR_BALANCER));
  await ground.comesTrue('The load balancer answering', async () => (await ground.fetchesFromOutside(FOR_BALANCER.address, 8080)) !== undefined);
  const answers: (string | undefined)[] = [];
  for (let count = 0; count < REQUESTS; count += 1) answers.push(await ground.fetchesFromOutside(FOR_BALANCER.address, 8080));
  expect(new Set(answers)).toEqual(new Set([OTHER.name, FAR.name]));
  expect(await ground.fetchesFromOutside(FOR_FAR.address), 'the member’s own').toBe(FAR.name);
  for (const each of [FRONT, OTHER]) expect([OTHER.name, FAR.name]).toContain(await ground.fetches(each, FOR_BALANCER.address, 8080));
});

test('another host takes all of it over when the order changes, without a word to the tenants’ routers', async () => {
  await ground.done(async (call, driver) => driver.ensureProviderRouter(call, { ...PROVIDER, revision: 2, gatewayHostNames: ['h2', 'h3', 'h1'] }));
  expect(await ground.done(async (call, driver) => driver.realised(call, ROUTERS[0].routerId))).toEqual({ pendingHostNames: [] });
  for (const each of [FRONT, OTHER]) await ground.comesTrue('A guest reaching the outside', async () => (await seenAs(each)) === PROVIDER.address);
  await ground.comesTrue('A floating address answering', async () => (await ground.fetchesFromOutside(FOR_BACK.address)) === BACK.name);
  await ground.comesTrue('The load balancer answering', async () => (await ground.fetchesFromOutside(FOR_BALANCER.address, 8080)) !== undefined);
});

test('a floating address that is taken away answers no more, nor one whose load balancer or machine has gone', async () => {
  await ground.done(async (call, driver) => driver.removeFloatingIp(call, FOR_BACK.floatingIpId));
  await ground.comesTrue('It not answering', async () => !(await ground.pingsFromOutside(FOR_BACK.address)));
  await ground.comesTrue('The machine being one of many again', async () => (await seenAs(BACK)) === PROVIDER.address);
  await ground.done(async (call, driver) => driver.removeLoadBalancer(call, BALANCER.loadBalancerId));
  await ground.comesTrue('The load balancer not answering', async () => (await ground.fetchesFromOutside(FOR_BALANCER.address, 8080)) === undefined);
  await ground.done(async (call, driver) => driver.removePort(call, FAR.port.portId));
  await ground.comesTrue('The machine’s not answering', async () => !(await ground.pingsFromOutside(FOR_FAR.address)));
});

test('with its router the outside is gone for one tenant, and stays for the other', async () => {
  await ground.done(async (call, driver) => driver.ensureRouter(call, { ...ROUTERS[0], revision: 2, uplink: null }));
  await ground.comesTrue('No outside', async () => !(await ground.pings(FRONT, OUTSIDE)));
  expect(await seenAs(OTHER)).toBe(PROVIDER.address);
});

test('the host that leads outside dies, and the next one leads; it returns, and leads again', { timeout: 300_000 }, async () => {
  await ground.done(async (call, driver) => driver.ensureRouter(call, { ...ROUTERS[0], revision: 3 }));
  await ground.comesTrue('The outside back', async () => (await seenAs(FRONT)) === PROVIDER.address);
  const power = { folder: ground.lab.folder, name: 'h2', note: () => undefined };
  const leader = async (): Promise<string | undefined> => ground.lab.gatewayOf(PROVIDER.providerRouterId);
  expect(await leader()).toBe('h2');
  await killHost(power);
  try {
    await ground.comesTrue('Another leading', async () => (await leader()) === 'h3');
    await ground.comesTrue('A guest of a host that lives seen outside', async () => (await seenAs(FRONT)) === PROVIDER.address);
  } finally {
    await startHost(power);
    await ground.lab.settled(ground.incus);
  }
  await ground.comesTrue('The first leading again', async () => (await leader()) === 'h2');
  await ground.comesTrue('A guest seen outside', async () => (await seenAs(FRONT)) === PROVIDER.address);
});
