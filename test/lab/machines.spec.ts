import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../support/lab.js';
import { LabSystem, type LabMachine, type LabTenant } from '../support/lab-system.js';

/** Machines as users ask for them, on real hosts and a real network. */

const CIDR = '10.50.0.0/24';

let muon: LabSystem;

beforeAll(async () => {
  muon = await LabSystem.start({ workers: 2 });
}, 120_000);

afterAll(async () => {
  await muon.close();
});

/** Two machines that are not on one host. */
async function pair(tenant: LabTenant): Promise<[LabMachine, LabMachine]> {
  const { createAffinityGroup } = await tenant.api.request<{ createAffinityGroup: { affinityGroup: { id: string } } }>(
    'mutation ($input: CreateAffinityGroupInput!) { createAffinityGroup(input: $input) { affinityGroup { id } } }',
    { input: { projectId: tenant.projectId, name: 'apart', policy: 'ANTI_AFFINITY', strength: 'REQUIRE' } },
  );
  const networkId = await muon.network(tenant, 'net', CIDR);
  const affinityGroupId = createAffinityGroup.affinityGroup.id;
  const [one, other] = await Promise.all(['one', 'other'].map(async (name) => muon.machine(tenant, networkId, name, { affinityGroup: affinityGroupId })));
  return [one as LabMachine, other as LabMachine];
}

async function reached(machine: LabMachine, address: string): Promise<void> {
  await until(`${machine.name} reaching ${address}`, 30_000, async () => ((await muon.reaches(machine.id, address)) ? true : undefined));
}

describe('two tenants with the same subnet', () => {
  let tenants: [LabTenant, LabTenant];
  let mine: [LabMachine, LabMachine];
  let theirs: [LabMachine, LabMachine];

  beforeAll(async () => {
    tenants = [await muon.onboard('acme'), await muon.onboard('globex')];
    [mine, theirs] = await Promise.all([pair(tenants[0]), pair(tenants[1])]);
  }, 180_000);

  test('each machine gets its own address by DHCP, and reaches its neighbour on another host', async () => {
    for (const [one, other] of [mine, theirs]) {
      expect(one.hostName).not.toBe(other.hostName);
      await reached(one, other.address);
      await reached(other, one.address);
      const { stdout } = await muon.inGuest(one.id, 'ip', 'addr', 'show', 'eth0');
      expect(stdout).toContain(`inet ${one.address}/24`);
    }
  });

  test('nobody reaches the other tenant, though the addresses are the same', async () => {
    const own = new Set(mine.map(({ address }) => address));
    const foreign = theirs.map(({ address }) => address).filter((address) => !own.has(address));
    for (const address of foreign) expect([address, await muon.reaches(mine[0].id, address)]).toEqual([address, false]);
    // Under an address that both tenants have, everybody finds their own.
    for (const [tenant, machines] of [mine, theirs].entries()) {
      const [one, other] = machines;
      const { stdout } = await muon.inGuest(one.id, 'sh', '-c', `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 ${other.address} 80`);
      expect([tenant, stdout.includes(other.name)]).toEqual([tenant, true]);
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
    expect(JSON.stringify(seen)).toMatch(/MISSING|LOST|GONE/);
  });
});

test('ports are bound although the worker that binds them is killed while machines start', async () => {
  const tenant = await muon.onboard('initech');
  const networkId = await muon.network(tenant, 'net');
  const first = await muon.machine(tenant, networkId, 'first');
  const asked = await Promise.all(Array.from({ length: 6 }, async (_none, index) => muon.ask(tenant, networkId, `more-${index}`)));
  await muon.system.workers[0]?.stop('SIGKILL');
  try {
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
