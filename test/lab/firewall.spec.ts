import { typeidUnboxed } from 'typeid-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FirewallPolicyRule, SecurityGroupRule } from '#drivers';
import { newName, until } from '../support/lab.js';
import { LabGuests, type Guest } from '../support/lab-guests.js';

const MARK = newName('fw');
const OWNERSHIP = { installationId: `${MARK}-installation`, tenantId: `${MARK}-tenant`, projectId: `${MARK}-project` };
const NETWORK = {
  networkId: `${MARK}-net`,
  revision: 1,
  ownership: OWNERSHIP,
  subnets: [{ subnetId: `${MARK}-subnet`, cidr: '10.0.0.0/24', gatewayAddress: '10.0.0.1', healthCheckAddress: '10.0.0.2' }],
};
const FIREWALL = `${MARK}-firewall`;
const BALANCER = `${MARK}-balancer`;
const VIRTUAL_ADDRESS = '10.0.0.100';
const WEB = { from: 80, to: 80 };
const CLIENTS = `${MARK}-clients`;
const SERVERS = `${MARK}-servers`;

/** A machine on a host, as far as the network knows it; its group is there before it is. */
function guest(number: number, hostName: string, group: string): Guest {
  return {
    name: `${MARK}-guest-${number}`,
    port: {
      portId: typeidUnboxed('port'),
      revision: 1,
      ownership: OWNERSHIP,
      networkId: NETWORK.networkId,
      subnetId: `${MARK}-subnet`,
      macAddress: `02:00:00:0f:00:1${number}`,
      ipAddress: `10.0.0.1${number}`,
      hostName,
      securityGroupIds: [group],
    },
  };
}
const CLIENT = guest(1, 'h1', CLIENTS);
const SERVER = guest(2, 'h2', SERVERS);
const GUESTS = [CLIENT, SERVER];

let ground: LabGuests;
const revisions = new Map<string, number>();

beforeAll(async () => {
  ground = await LabGuests.open(OWNERSHIP.installationId, GUESTS);
  await ground.done(async (call, driver) => driver.ensureNetwork(call, NETWORK));
  await groupRules(CLIENTS, []);
  await groupRules(SERVERS, []);
  await ground.start();
}, 120_000);

afterAll(async () => {
  await ground.remove();
  await ground.done(async (call, driver) => driver.removeLoadBalancer(call, BALANCER));
  await ground.done(async (call, driver) => driver.removeFirewall(call, FIREWALL));
  for (const group of [CLIENTS, SERVERS]) await ground.done(async (call, driver) => driver.removeSecurityGroup(call, group));
  await ground.done(async (call, driver) => driver.removeNetwork(call, NETWORK.networkId));
  await ground.close();
});

const next = (id: string): number => {
  revisions.set(id, (revisions.get(id) ?? 0) + 1);
  return revisions.get(id) ?? 0;
};

/** On every host when it returns. */
async function groupRules(securityGroupId: string, rules: Partial<SecurityGroupRule>[]): Promise<void> {
  const rule = { direction: 'INGRESS', protocol: 'TCP', ports: null, remoteCidr: null, remoteSecurityGroupId: null } as const;
  const group = { securityGroupId, revision: next(securityGroupId), ownership: OWNERSHIP, rules: rules.map((each) => ({ ...rule, ...each })) };
  await ground.done(async (call, driver) => driver.ensureSecurityGroup(call, group));
  await ground.done(async (call, driver) => driver.realised(call, securityGroupId));
}

async function operatorsSay(...rules: Partial<FirewallPolicyRule>[]): Promise<void> {
  const rule = { action: 'DENY', direction: 'INGRESS', protocol: 'TCP', ports: null, remoteCidr: null } as const;
  const policies = [{ scope: { kind: 'ALL' as const }, rules: rules.map((each) => ({ ...rule, ...each })) }];
  const firewall = { firewallId: FIREWALL, revision: next(FIREWALL), installationId: OWNERSHIP.installationId, policies };
  await ground.done(async (call, driver) => driver.ensureFirewall(call, firewall));
  await ground.done(async (call, driver) => driver.realised(call, FIREWALL));
}

/** What is open answers, even where a packet was lost on a busy machine. */
async function answers(address = SERVER.port.ipAddress): Promise<boolean> {
  for (let attempt = 0; attempt < 3; attempt += 1) if ((await ground.fetches(CLIENT, address)) !== undefined) return true;
  return false;
}

/** In the two seconds that a request is given. */
const isClosed = async (): Promise<boolean> => (await ground.fetches(CLIENT, SERVER.port.ipAddress)) === undefined;

async function pings(): Promise<boolean> {
  return (await ground.execute(CLIENT, ['ping', '-c', '3', '-W', '1', SERVER.port.ipAddress])).exitCode === 0;
}

test('guests in groups that allow nothing get their addresses', async () => {
  for (const { name, port } of GUESTS) {
    await until(`The address of ${name}`, 30_000, async () => {
      const { network } = await ground.incus.instances.state(name);
      return network?.['eth0']?.addresses.some((one) => one.address === port.ipAddress) ? true : undefined;
    });
  }
  expect(await isClosed()).toBe(true);
});

test('a rule opens a port, and that port only, for those in the group that it names; without the rule it is closed', async () => {
  await groupRules(SERVERS, [{ ports: WEB, remoteSecurityGroupId: CLIENTS }]);
  expect(await isClosed()).toBe(true);
  await groupRules(CLIENTS, [{ direction: 'EGRESS', protocol: 'ANY' }]);
  await until('The web server answering', 20_000, async () => ((await answers()) ? true : undefined));
  expect(await pings()).toBe(false);
  await groupRules(SERVERS, []);
  expect(await isClosed()).toBe(true);
  await groupRules(SERVERS, [{ ports: WEB, remoteCidr: '10.0.0.8/29' }]);
  expect(await answers()).toBe(true);
  await groupRules(SERVERS, [{ ports: WEB, remoteCidr: '10.0.0.128/25' }]);
  expect(await isClosed()).toBe(true);
});

test('what operators deny stays closed whatever groups allow; what they allow is open whatever groups leave out', async () => {
  await groupRules(SERVERS, [{ ports: WEB }]);
  expect(await answers()).toBe(true);
  await operatorsSay({ ports: WEB });
  expect(await isClosed()).toBe(true);
  await operatorsSay({ action: 'ALLOW', protocol: 'ICMP' }, { ports: WEB });
  expect(await pings()).toBe(true);
  expect(await isClosed()).toBe(true);
});

test('what operators pass on is for the groups to decide, past their own other rules', async () => {
  await operatorsSay({ action: 'PASS', ports: WEB }, { protocol: 'ANY' });
  expect(await answers()).toBe(true);
  expect(await pings()).toBe(false);
  await groupRules(SERVERS, []);
  expect(await isClosed()).toBe(true);
});

test('a load balancer finds its member well behind a group that lets clients in only, and behind the firewall', async () => {
  await groupRules(SERVERS, [{ ports: WEB, remoteSecurityGroupId: CLIENTS }]);
  const listeners = [{ port: 80, protocol: 'TCP' as const, members: [{ address: SERVER.port.ipAddress, port: 80 }] }];
  const balancer = { loadBalancerId: BALANCER, revision: 1, ownership: OWNERSHIP, networkId: NETWORK.networkId, address: VIRTUAL_ADDRESS, listeners };
  await ground.done(async (call, driver) => driver.ensureLoadBalancer(call, balancer));
  await until('The member being found well', 30_000, async () => {
    const found = await ground.lab.southbound('--bare', '--columns=status', 'find', 'Service_Monitor', `logical_port=${SERVER.port.portId}`);
    return found === 'online' ? true : undefined;
  });
  expect(await answers(VIRTUAL_ADDRESS)).toBe(true);
});

test('a port that leaves its groups is open again, but for what operators deny', async () => {
  await ground.done(async (call, driver) => driver.ensurePort(call, { ...SERVER.port, revision: 2, securityGroupIds: [] }));
  await operatorsSay();
  expect(await pings()).toBe(true);
  await operatorsSay({ protocol: 'ICMP' });
  expect(await pings()).toBe(false);
});
