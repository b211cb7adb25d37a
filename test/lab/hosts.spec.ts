import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { StatusCode, type IncusClient } from '#incus';
import { programsOn } from '../../apps/lab/src/host/daemons.js';
import { findMachine } from '../../apps/lab/src/host/namespace.js';
import { killHost, partitionHost, startHost } from '../../apps/lab/src/hosts.js';
import { statusOf } from '../../apps/lab/src/status.js';
import { up } from '../../apps/lab/src/up.js';
import { createTiny, Lab, newName, removeInstance, tiny, until } from '../support/lab.js';

/** Incus calls a member offline after 20 s without a heartbeat, and sends one every 10 s. */
const OFFLINE_TIMEOUT_MS = 60_000;
const READY_TIMEOUT_MS = 30_000;
const HEALTHY_TIMEOUT_MS = 30_000;
/** What needs a member that is away may also hang, as long as the network stack of the one who is asked hopes. */
const IMPATIENT = { timeoutMs: 5000 };
const AWAY = { name: 'IncusError', kind: expect.stringMatching(/^(UNAVAILABLE|TIMEOUT)$/) as unknown, retryable: true };

let lab: Lab;
let incus: IncusClient;
let instance: string;
/** Asked for on a host that is off; made all the same, should the request reach it when it is back. */
const nowhere = newName('nowhere');

beforeAll(async () => {
  lab = await Lab.find();
  incus = await lab.incus('h1');
  await lab.settled(incus);
});

beforeEach(() => (instance = newName('failing')));

const host = (name: string) => ({ folder: lab.folder, name, note: () => undefined });

afterEach(async () => {
  for (const { name } of lab.hosts) await startHost(host(name));
  await lab.settled(incus);
  for (const name of [instance, nowhere]) await removeInstance(incus, name);
});

afterAll(() => incus.close());

async function offline(name: string): Promise<void> {
  await until(`${name} offline`, OFFLINE_TIMEOUT_MS, async () => ((await incus.cluster.get(name)).value.status === 'Offline' ? true : undefined));
}

/** As the list has it, which needs no answer of the instance's member. */
async function statusInList(): Promise<StatusCode | undefined> {
  return (await incus.instances.list()).find(({ name }) => name === instance)?.status_code;
}

async function unhealthy(): Promise<string[]> {
  const parts = (await statusOf(lab.folder))?.parts ?? [];
  return parts.filter(({ healthy }) => !healthy).map(({ machine, name }) => `${machine ?? 'lab'} ${name}`);
}

async function healthy(): Promise<void> {
  await until('Every part healthy', HEALTHY_TIMEOUT_MS, async () => {
    expect(await unhealthy()).toEqual([]);
    return true;
  });
}

// So do those of Muon's hosts that die.
test('a host whose power is cut is gone, is missed, and comes back without what ran on it', { tags: ['lengthy'] }, async () => {
  await createTiny(incus, instance, 'h3');
  await incus.instances.ensurePower(instance, { action: 'start' });
  await killHost(host('h3'));
  expect(await findMachine(lab.folder.path, 'h3')).toBeUndefined();
  expect(await unhealthy()).toContain('h3 power');
  // Nothing runs there, but the cluster takes its time to see it.
  await offline('h3');
  expect(await statusInList()).toBe(StatusCode.ERROR);
  await expect(incus.instances.get(instance, IMPATIENT)).rejects.toMatchObject(AWAY);
  await expect(incus.instances.create(tiny(nowhere), { target: 'h3', ...IMPATIENT })).rejects.toMatchObject(AWAY);

  await startHost(host('h3'));
  await lab.settled(incus);
  await healthy();
  expect(await statusInList()).toBe(StatusCode.STOPPED);
  // It answers a while before it is ready for changes.
  await until('The start of the instance', READY_TIMEOUT_MS, async () => {
    await incus.instances.ensurePower(instance, { action: 'start' });
    return true;
  });
  expect((await incus.instances.execute(instance, { command: ['hostname'] })).stdout).toBe(`${instance}\n`);
});

test('a host whose cables are pulled goes on, and has missed nothing when it is plugged in again', { tags: ['lengthy'] }, async () => {
  await createTiny(incus, instance, 'h2');
  await incus.instances.ensurePower(instance, { action: 'start' });
  const { pid } = await incus.instances.state(instance);
  await partitionHost(host('h2'));
  expect(await unhealthy()).toContain('h2 cables');
  await offline('h2');
  expect(await statusInList()).toBe(StatusCode.ERROR);
  await expect(incus.instances.get(instance, IMPATIENT)).rejects.toMatchObject(AWAY);
  const monitor = (await programsOn(await lab.machine('h2'))).find((one) => one.arguments[0]?.startsWith('[lxc monitor]'));
  expect(monitor?.arguments.join(' ')).toContain(instance);

  await startHost(host('h2'));
  await lab.settled(incus);
  expect(await incus.instances.state(instance)).toMatchObject({ status_code: StatusCode.RUNNING, pid });
});

test('what has ended runs again after another up, and nothing else is touched', async () => {
  const before = await lab.machine('h3');
  for (const [name, program] of [['c1', 'ovn-northd'], ['h3', 'incusd']] as const) {
    for (const { pid } of (await programsOn(await lab.machine(name))).filter((one) => one.program === program)) process.kill(pid, 'SIGKILL');
  }
  await until('Their end', 10_000, async () => {
    const missing = await unhealthy();
    return missing.includes('c1 ovn-northd') && missing.includes('h3 incus') ? true : undefined;
  });
  await up({ folder: lab.folder, hosts: undefined, note: () => undefined });
  await healthy();
  expect(await lab.machine('h3')).toEqual(before);
});
