import { typeidUnboxed } from 'typeid-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type {
  ExternalNetworkSpecification,
  FloatingIpSpecification,
  LoadBalancerSpecification,
  NetworkSpecification,
  PortSpecification,
  RouterSpecification,
} from '#drivers';
import { cidrOf, EXTERNAL, machineAddress, PHYSICAL_NETWORK } from '../../apps/lab/src/layout.js';
import { newName } from '../support/lab.js';
import { LabGuests, type Guest } from '../support/lab-guests.js';

const OUTSIDE = machineAddress(EXTERNAL);
const address = (last: number): string => `${EXTERNAL.prefix}.${last}`;
const INSTALLATION = newName('routers');
const REQUESTS = 12;

let ground: LabGuests;
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

beforeAll(async () => {
  ground = await LabGuests.open(INSTALLATION, GUESTS);
  for (const network of [FRONT, BACK, OTHERS]) await ground.done(async (call, driver) => driver.ensureNetwork(call, network));
  await ground.done(async (call, driver) => driver.ensureExternalNetwork(call, outside));
  for (const router of [ROUTER, OTHER_ROUTER]) await ground.done(async (call, driver) => driver.ensureRouter(call, router));
  await ground.start();
  for (const { routerId } of [ROUTER, OTHER_ROUTER]) {
    expect(await ground.done(async (call, driver) => driver.realised(call, routerId))).toEqual({ pendingHostNames: [] });
  }
}, 180_000);

afterAll(async () => {
  await ground.remove();
  await ground.done(async (call, driver) => driver.removeLoadBalancer(call, BALANCER.loadBalancerId));
  for (const { routerId } of [ROUTER, OTHER_ROUTER]) await ground.done(async (call, driver) => driver.removeRouter(call, routerId));
  await ground.done(async (call, driver) => driver.removeExternalNetwork(call, outside.externalNetworkId));
  for (const { networkId } of [FRONT, BACK, OTHERS]) await ground.done(async (call, driver) => driver.removeNetwork(call, networkId));
  expect(await ground.rows(), 'what the driver has left in OVN').toEqual([]);
  await ground.close();
}, 120_000);

test('guests reach the outside by the router’s address, from every host and both networks, and those of another tenant too', async () => {
  for (const each of GUESTS) await ground.comesTrue(`${each.name} reaching ${OUTSIDE}`, async () => ground.pings(each, OUTSIDE));
});

test('the router leads between networks of one tenant, and never to the other', async () => {
  await ground.comesTrue('The networks reaching each other', async () => ground.pings(THREE, TWO.port.ipAddress));
  expect(await ground.fetches(THREE, ONE.port.ipAddress)).toBe(ONE.name);
  // The other tenant's guest with the same address is not met, and it finds nobody in the second network.
  expect(await ground.fetches(FOREIGN, ONE.port.ipAddress)).toBe(FOREIGN.name);
  expect(await ground.pings(FOREIGN, THREE.port.ipAddress)).toBe(false);
});

test('floating addresses answer from the outside, each at its own tenant', async () => {
  for (const each of [FOR_TWO, FOR_FOREIGN]) await ground.done(async (call, driver) => driver.ensureFloatingIp(call, each));
  await ground.comesTrue('The floating address answering', async () => ground.pingsFromOutside(FOR_TWO.address));
  expect(await ground.fetchesFromOutside(FOR_TWO.address)).toBe(TWO.name);
  await ground.comesTrue('The other’s answering', async () => (await ground.fetchesFromOutside(FOR_FOREIGN.address)) === FOREIGN.name);
});

test('guests of the same router, and of another tenant’s, reach a floating address', async () => {
  for (const each of [ONE, TWO, THREE, FOREIGN]) await ground.comesTrue(`${each.name} fetching`, async () => (await ground.fetches(each, FOR_TWO.address)) === TWO.name);
});

test('the floating address of a load balancer spreads over its members, while a member has a floating address too', async () => {
  await ground.done(async (call, driver) => driver.ensureLoadBalancer(call, BALANCER));
  await ground.done(async (call, driver) => driver.ensureFloatingIp(call, FOR_BALANCER));
  await ground.comesTrue('The load balancer answering', async () => (await ground.fetchesFromOutside(FOR_BALANCER.address, 8080)) !== undefined);
  const answers: (string | undefined)[] = [];
  for (let count = 0; count < REQUESTS; count += 1) answers.push(await ground.fetchesFromOutside(FOR_BALANCER.address, 8080));
  expect(new Set(answers)).toEqual(new Set([ONE.name, TWO.name]));
  expect(await ground.fetchesFromOutside(FOR_TWO.address), 'the member’s own').toBe(TWO.name);
  // Guests of all networks of the router reach it, by its own address too.
  for (const each of [ONE, THREE]) {
    for (const there of [FOR_BALANCER.address, BALANCER.address]) expect([ONE.name, TWO.name], `${each.name} fetching from ${there}`).toContain(await ground.fetches(each, there, 8080));
  }
  await ground.done(async (call, driver) => driver.ensureLoadBalancer(call, { ...BALANCER, revision: 2, listeners: [{ port: 8080, protocol: 'TCP', members: [{ address: TWO.port.ipAddress, port: 80 }] }] }));
  await ground.comesTrue('Only the member that is left answering', async () => {
    const names = new Set<string | undefined>();
    for (let count = 0; count < 4; count += 1) names.add(await ground.fetchesFromOutside(FOR_BALANCER.address, 8080));
    return names.size === 1 && names.has(TWO.name);
  });
});

test('another host takes the uplink over when the order changes', async () => {
  const { uplink } = ROUTER;
  if (uplink === null) throw new Error('the router has no uplink');
  await ground.done(async (call, driver) => driver.ensureRouter(call, { ...ROUTER, revision: 2, uplink: { ...uplink, gatewayHostNames: ['h2', 'h3', 'h1'] } }));
  await ground.comesTrue('A guest reaching the outside', async () => ground.pings(THREE, OUTSIDE));
  await ground.comesTrue('The load balancer answering', async () => (await ground.fetchesFromOutside(FOR_BALANCER.address, 8080)) === TWO.name);
});

test('a floating address that is taken away answers no more, and the one of a load balancer goes with it', async () => {
  await ground.done(async (call, driver) => driver.removeFloatingIp(call, FOR_TWO.floatingIpId));
  await ground.comesTrue('It not answering', async () => !(await ground.pingsFromOutside(FOR_TWO.address)));
  await ground.done(async (call, driver) => driver.removeLoadBalancer(call, BALANCER.loadBalancerId));
  await ground.comesTrue('The load balancer not answering', async () => (await ground.fetchesFromOutside(FOR_BALANCER.address, 8080)) === undefined);
});
