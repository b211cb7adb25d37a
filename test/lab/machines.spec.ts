import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { register } from '../../apps/lab/src/registration/register.js';
import { until } from '../support/lab.js';
import { LabSystem, type LabMachine, type LabTenant } from '../support/lab-system.js';

/** Machines as users ask for them, on real hosts and a real network. */

/** Of so few addresses two tenants with three machines each have some in common. */
const CIDR = '10.50.0.0/29';
/** Of what one worker at a time keeps: a lease, and a look for those that nobody holds. */
const TAKEN_OVER_MS = 10_000;

type Trio = [one: LabMachine, other: LabMachine, third: LabMachine];

let muon: LabSystem;

beforeAll(async () => {
  muon = await LabSystem.start({ workers: 2 });
}, 120_000);

afterAll(async () => {
  await muon.close();
});

/** Two machines that are not on one host, and a third. */
async function trio(tenant: LabTenant, owner: string): Promise<Trio> {
  const { createAffinityGroup } = await tenant.api.request<{ createAffinityGroup: { affinityGroup: { id: string } } }>(
    'mutation ($input: CreateAffinityGroupInput!) { createAffinityGroup(input: $input) { affinityGroup { id } } }',
    { input: { projectId: tenant.projectId, name: 'apart', policy: 'ANTI_AFFINITY', strength: 'REQUIRE' } },
  );
  const networkId = await muon.network(tenant, 'net', CIDR);
  const apart = { affinityGroup: createAffinityGroup.affinityGroup.id };
  const make = async (name: string, more = {}): Promise<LabMachine> => muon.machine(tenant, networkId, `${owner}-${name}`, more);
  return Promise.all([make('one', apart), make('other', apart), make('third')]);
}

async function reached(machine: LabMachine, address: string): Promise<void> {
  await until(`${machine.name} reaching ${address}`, 30_000, async () => ((await muon.reaches(machine.id, address)) ? true : undefined));
}

test('the lab may be registered again, and nothing is there twice', async () => {
  const all = '{ backends { nodes { id } } zones { nodes { id } } hosts(first: 100) { nodes { id } } externalNetworks(first: 10) { nodes { id } } images(first: 10) { nodes { id } } }';
  const before = await muon.owner.request(all);
  const { url, token } = muon.owner;
  expect(await register({ folder: muon.lab.folder, url, token: token ?? '', note: () => undefined })).toEqual({ backendId: muon.backendId });
  expect(await muon.owner.request(all)).toEqual(before);
});

describe('two tenants with the same subnet', () => {
  let tenants: [LabTenant, LabTenant];
  let mine: Trio;
  let theirs: Trio;

  beforeAll(async () => {
    tenants = [await muon.onboard('acme'), await muon.onboard('globex')];
    [mine, theirs] = await Promise.all([trio(tenants[0], 'acme'), trio(tenants[1], 'globex')]);
  }, 180_000);

  test('each machine gets its own address by DHCP, and reaches its neighbour on another host', async () => {
    for (const [one, other] of [mine, theirs]) {
      expect(one.hostName).not.toBe(other.hostName);
      await reached(one, other.address);
      await reached(other, one.address);
      const { stdout } = await muon.inGuest(one.id, 'ip', 'addr', 'show', 'eth0');
      expect(stdout).toContain(`inet ${one.address}/29`);
    }
  });

  test('nobody reaches the other tenant, though the addresses are the same', async () => {
    const own = new Set(mine.map(({ address }) => address));
    const foreign = theirs.map(({ address }) => address).filter((address) => !own.has(address));
    for (const address of foreign) expect([address, await muon.reaches(mine[0].id, address)]).toEqual([address, false]);
    // Under an address that both tenants have, everybody finds their own.
    const shared = theirs.map(({ address }) => address).filter((address) => own.has(address));
    expect(shared).not.toEqual([]);
    for (const address of shared) {
      for (const machines of [mine, theirs]) {
        const asked = machines.find((each) => each.address === address);
        const asking = machines.find((each) => each !== asked);
        const fetched = async (): Promise<string> =>
          (await muon.inGuest(asking?.id ?? '', 'sh', '-c', `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 ${address} 80`)).stdout;
        expect(await until(`An answer of ${asked?.name}`, 30_000, async () => (await fetched()) || undefined)).toContain(asked?.name);
      }
    }
  });

  test('its team reads what the guest has written to its console', async () => {
    const [one] = mine;
    await muon.inGuest(one.id, 'sh', '-c', "echo 'a word from the guest' > /dev/console");
    const read = 'mutation ($id: ID!) { readVirtualMachineConsole(input: { id: $id }) { output } }';
    const shown = async (): Promise<string> =>
      (await tenants[0].api.request<{ readVirtualMachineConsole: { output: string } }>(read, { id: one.id })).readVirtualMachineConsole.output;
    await expect.poll(shown, { timeout: 10_000 }).toContain('a word from the guest');
    expect((await tenants[1].api.post(read, { id: one.id })).errors.map(({ extensions }) => extensions.code)).toEqual(['NOT_FOUND']);
  });

  test('an instance that somebody has deleted in Incus is reported with the true reason', async () => {
    const [, other] = theirs;
    const instance = await muon.instanceOf(other.id);
    await muon.incus.instances.ensurePower(instance?.name ?? '', { action: 'stop', force: true });
    await (await muon.incus.instances.delete(instance?.name ?? '')).wait();
    const seen = await until('A report', 90_000, async () => {
      const { virtualMachine } = await tenants[1].api.request<{ virtualMachine: { state: string; conditions: { type: string; status: string; reason: string }[] } }>(
        'query ($id: ID!) { virtualMachine(id: $id) { state conditions { type status reason message } } }',
        { id: other.id },
      );
      return virtualMachine.state === 'RUNNING' ? undefined : virtualMachine;
    });
    expect(seen.conditions).toContainEqual(expect.objectContaining({ status: 'FALSE', reason: 'MACHINE_MISSING' }));
  });
});

test('ports are bound although the worker that binds them is killed while machines start: another one takes over', async () => {
  const tenant = await muon.onboard('initech');
  const networkId = await muon.network(tenant, 'net');
  const first = await muon.machine(tenant, networkId, 'first');
  const binder = await until('Somebody who binds ports', TAKEN_OVER_MS, async () => muon.tender());
  const asked = await Promise.all(Array.from({ length: 6 }, async (_none, index) => muon.ask(tenant, networkId, `more-${index}`)));
  await binder.stop('SIGKILL');
  try {
    await until('Another one who binds ports', TAKEN_OVER_MS, async () => {
      const now = await muon.tender();
      return now === undefined || now === binder ? undefined : now;
    });
    for (const { operationId } of asked) await muon.ended(tenant.api, operationId);
    for (const { id } of asked) await reached(await muon.look(id), first.address);
  } finally {
    await muon.system.startWorker();
  }
});

test('nothing of a tenant who has left remains in Incus and OVN', async () => {
  const before = new Set(await muon.remains());
  const tenant = await muon.onboard('hooli');
  const networkId = await muon.network(tenant, 'net');
  await Promise.all(['one', 'two', 'three'].map(async (name) => muon.machine(tenant, networkId, name)));
  expect((await muon.remains()).filter((name) => !before.has(name)).length).toBeGreaterThanOrEqual(7);
  await muon.offboard(tenant.tenantId);
  expect((await muon.remains()).filter((name) => !before.has(name))).toEqual([]);
});
