import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { StatusCode } from '#incus';
import { killHost, partitionHost, startHost } from '../../apps/lab/src/hosts.js';
import { Lab, until } from '../support/lab.js';
import { LabEdge } from '../support/lab-edge.js';
import { LabSystem, type LabMachine, type LabTenant } from '../support/lab-system.js';

/** What becomes of machines when their host dies, or is cut off, and when it returns. */

/** The member of the cluster that Muon asks as long as it can be asked. */
const LOST = 'h1';
/** With that in the zone z1; the test itself speaks to the cluster by it. */
const KEPT = 'h3';
/** Incus misses a member after some 20 s; Muon a moment later, and fences it. */
const NOTICED_MS = 120_000;
const START_MS = 180_000;
/** OVN misses a host within seconds; who has its address in mind outside, a little later. */
const TAKEN_OVER_MS = 60_000;
const SOON = { MUON_HOST_SILENT_AFTER_MS: '10000' };

interface Told {
  state: string;
  conditions: { type: string; status: string; reason: string; message: string }[];
}

let muon: LabSystem;
let tenant: LabTenant;
let networkId: string;
let anchor: LabMachine;
let phoenix: LabMachine;
let patient: LabMachine;

const host = (lab: Lab, name: string) => ({ folder: lab.folder, name, note: () => undefined });

afterEach(async () => {
  const { lab } = muon;
  // The cluster needs two of them to answer at all.
  const others = lab.hosts.map(({ name }) => name).filter((name) => name !== LOST);
  for (const name of [LOST, ...others]) await startHost(host(lab, name));
  await lab.settled(muon.incus);
}, START_MS);

/** One machine on a host that stays, and two on the one that will be lost: to be made anew, and to wait. */
async function setUp(environment: Record<string, string>): Promise<void> {
  muon = await LabSystem.start({ askedHost: KEPT, environment: { ...SOON, ...environment } });
  tenant = await muon.onboard('acme');
  networkId = await muon.network(tenant, 'net');
  anchor = await muon.machine(tenant, networkId, 'anchor', { zone: 'z2' });
  const stays = await hostIdOf(KEPT);
  await change('suspendHost', { id: stays, reason: 'The other one shall get the machines.' });
  phoenix = await muon.machine(tenant, networkId, 'phoenix', { zone: 'z1', recovery: 'RECREATE' });
  patient = await muon.machine(tenant, networkId, 'patient', { zone: 'z1' });
  await change('resumeHost', { id: stays });
  expect([phoenix.hostName, patient.hostName]).toEqual([LOST, LOST]);
  for (const { address } of [phoenix, patient]) await reached(address);
}

async function hosts(): Promise<{ id: string; name: string; state: string }[]> {
  const { hosts: found } = await muon.system.owner.request<{ hosts: { nodes: { id: string; name: string; state: string }[] } }>(
    '{ hosts(first: 100) { nodes { id name state } } }',
  );
  return found.nodes;
}

async function hostIdOf(name: string): Promise<string> {
  return (await hosts()).find((each) => each.name === name)?.id ?? '';
}

async function change(mutation: string, input: Record<string, string>): Promise<void> {
  const fields = Object.entries(input).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
  await muon.system.owner.request(`mutation { ${mutation}(input: { ${fields.join(', ')} }) { host { id } } }`);
}

async function hostBecomes(state: string): Promise<void> {
  await until(`${LOST} ${state}`, NOTICED_MS, async () => ((await hosts()).find(({ name }) => name === LOST)?.state === state ? true : undefined));
}

/** As its users see it. */
async function told({ id }: LabMachine): Promise<Told> {
  const { virtualMachine } = await tenant.api.request<{ virtualMachine: Told }>(
    'query ($id: ID!) { virtualMachine(id: $id) { state conditions { type status reason message } } }',
    { id },
  );
  return virtualMachine;
}

async function becomes(machine: LabMachine, state: string): Promise<void> {
  await until(`${machine.name} ${state}`, NOTICED_MS, async () => ((await told(machine)).state === state ? true : undefined));
}

const conditionOf = async (machine: LabMachine, type: string) => (await told(machine)).conditions.find((condition) => condition.type === type);

async function reached(address: string): Promise<void> {
  await until(`${anchor.name} reaching ${address}`, 60_000, async () => ((await muon.reaches(anchor.id, address)) ? true : undefined));
}

/** Instances of the tenant's that run, as Incus has them, by host name of the guest. */
async function running(): Promise<string[]> {
  const all = await muon.incus.instances.list();
  const mine = all.filter(({ config }) => config?.['user.muon.installation'] === muon.installation);
  return mine.filter(({ status_code: code }) => code === StatusCode.RUNNING).map(({ config }) => config['user.hostname'] ?? '').sort();
}

async function operationsOf({ id }: LabMachine): Promise<string[]> {
  const { operations } = await muon.system.owner.request<{ operations: { nodes: { kind: string; state: string }[] } }>(
    'query ($id: ID!) { operations(resourceId: $id, first: 20) { nodes { kind state } } }',
    { id },
  );
  return operations.nodes.map(({ kind, state }) => `${kind} ${state}`).sort();
}

/** Whether it has what its network was told, as operators see it. */
async function networkOf(name: string): Promise<string | undefined> {
  const { host: found } = await muon.owner.request<{ host: { conditions: { type: string; status: string }[] } }>(
    'query ($id: ID!) { host(id: $id) { conditions { type status } } }',
    { id: await hostIdOf(name) },
  );
  return found.conditions.find(({ type }) => type === 'NETWORK_CURRENT')?.status;
}

/** Operators close ping to all machines of the tenant. @returns the policy, and the names of hosts that have not taken it over */
async function closePing(): Promise<{ id: string; pending: string[] }> {
  const { createFirewallPolicy: made } = await muon.owner.request<{
    createFirewallPolicy: { firewallPolicy: { id: string }; operation: { id: string } };
  }>('mutation ($input: CreateFirewallPolicyInput!) { createFirewallPolicy(input: $input) { firewallPolicy { id } operation { id } } }', {
    input: { name: 'no-ping', scopeId: tenant.tenantId, rules: [{ action: 'DENY', direction: 'INGRESS', protocol: 'ICMP' }] },
  });
  await muon.ended(muon.owner, made.operation.id);
  const { operation } = await muon.owner.request<{ operation: { steps: { proof: { pendingHostNames?: string[] } | null }[] } }>(
    'query ($id: ID!) { operation(id: $id) { steps { proof } } }',
    { id: made.operation.id },
  );
  return { id: made.firewallPolicy.id, pending: operation.steps.flatMap(({ proof }) => proof?.pendingHostNames ?? []) };
}

async function openPing(id: string): Promise<void> {
  const { deleteFirewallPolicy } = await muon.owner.request<{ deleteFirewallPolicy: { operation: { id: string } } }>(
    'mutation ($id: ID!) { deleteFirewallPolicy(input: { id: $id }) { operation { id } } }',
    { id },
  );
  await muon.ended(muon.owner, deleteFirewallPolicy.operation.id);
}

const EVERYBODY = ['anchor', 'patient', 'phoenix'];

describe('a host that dies and returns', () => {
  let edge: LabEdge;

  beforeAll(async () => {
    await setUp({});
    edge = await LabEdge.make({ muon, tenant, networkId, machine: anchor, gateway: LOST });
  }, START_MS);
  afterAll(async () => {
    await edge.close();
    await muon.close();
  }, START_MS);

  test('what shall be is made anew elsewhere and found at its address, the rest waits and runs again, nothing runs twice, and another host leads outside meanwhile', async () => {
    await edge.works(TAKEN_OVER_MS);
    expect(await edge.gateway()).toBe(LOST);
    const rows = await edge.rows();
    await killHost(host(muon.lab, LOST));
    await edge.works(TAKEN_OVER_MS);
    expect(await edge.gateway()).not.toBe(LOST);
    await hostBecomes('FENCED');
    await becomes(phoenix, 'RUNNING');
    const risen = await muon.look(phoenix.id);
    expect(risen).toMatchObject({ name: 'phoenix', address: phoenix.address, hostName: KEPT });
    expect(risen.instanceId).not.toBe(phoenix.instanceId);
    await reached(phoenix.address);
    expect(await told(patient)).toMatchObject({ state: 'UNKNOWN' });
    expect((await conditionOf(patient, 'HOST_REACHABLE'))?.message).toMatch(/^Its host is proven to be off/);
    expect((await muon.look(patient.id)).hostName).toBe(LOST);

    await startHost(host(muon.lab, LOST));
    await hostBecomes('ACTIVE');
    await until(`${LOST} leading outside again`, TAKEN_OVER_MS, async () => ((await edge.gateway()) === LOST ? true : undefined));
    await edge.works(TAKEN_OVER_MS);
    expect(await edge.rows()).toEqual(rows);
    await becomes(patient, 'RUNNING');
    await reached(patient.address);
    await until('The end of what the host brought back', NOTICED_MS, async () => ((await muon.instance(phoenix.instanceId)) === undefined ? true : undefined));
    await reached(phoenix.address);
    expect(await running()).toEqual(EVERYBODY);
    expect(await operationsOf(patient)).toEqual(['compute.virtual_machine.create SUCCEEDED', 'compute.virtual_machine.power SUCCEEDED']);
    expect(await operationsOf(phoenix)).toEqual(['compute.virtual_machine.create SUCCEEDED', 'compute.virtual_machine.recreate SUCCEEDED']);
    // Their root disks and nothing more: also that of the old one is gone.
    const { disks } = await tenant.api.request<{ disks: { nodes: { id: string }[] } }>('{ disks(first: 10) { nodes { id } } }');
    const instances = (await muon.remains()).filter((name) => name.includes('dsk-'));
    expect(instances.map((name) => name.slice(name.indexOf('dsk-')).replace('-', '_')).sort()).toEqual(disks.nodes.map(({ id }) => id).sort());
  }, 600_000);
});

describe('a host that is cut off and returns', () => {
  // Nobody can prove anything of it.
  beforeAll(() => setUp({ MUON_FENCE_COMMAND: 'false' }), START_MS);
  afterAll(() => muon.close(), START_MS);

  test('nobody knows of its machines, nothing is started elsewhere, it takes over what was told meanwhile, and all is as it was', async () => {
    const before = await Promise.all([phoenix, patient].map(async ({ id }) => muon.look(id)));
    await partitionHost(host(muon.lab, LOST));
    await hostBecomes('DOWN');
    for (const machine of [phoenix, patient]) await becomes(machine, 'UNKNOWN');
    await until('A reason', NOTICED_MS, async () => ((await conditionOf(phoenix, 'RECOVERY'))?.reason === 'HOST_NOT_PROVEN_OFF' ? true : undefined));
    expect(await muon.reaches(anchor.id, phoenix.address)).toBe(false);
    const closed = await closePing();
    expect(closed.pending).toEqual([LOST]);
    expect(await networkOf(LOST)).toBe('FALSE');

    await startHost(host(muon.lab, LOST));
    await hostBecomes('ACTIVE');
    await until(`${LOST} having what was told meanwhile`, TAKEN_OVER_MS, async () => ((await networkOf(LOST)) === 'TRUE' ? true : undefined));
    for (const machine of [phoenix, patient]) {
      await becomes(machine, 'RUNNING');
      expect(await muon.reaches(anchor.id, machine.address)).toBe(false);
    }
    await openPing(closed.id);
    for (const machine of [phoenix, patient]) {
      await becomes(machine, 'RUNNING');
      await reached(machine.address);
      expect(await operationsOf(machine)).toEqual(['compute.virtual_machine.create SUCCEEDED']);
    }
    expect(await Promise.all([phoenix, patient].map(async ({ id }) => muon.look(id)))).toEqual(before);
    expect(await running()).toEqual(EVERYBODY);
    expect(await conditionOf(phoenix, 'RECOVERY')).toMatchObject({ status: 'TRUE', reason: 'PREPARED' });
  }, 600_000);
});
