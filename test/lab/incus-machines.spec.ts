import { typeidUnboxed } from 'typeid-js';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { incusDriverFactory } from '#driver-incus';
import { hostDeviceOf, type DiskSpecification, type Driver, type DriverCall, type MachineSpecification, type Outcome } from '#drivers';
import { IncusClient } from '#incus';
import { INCUS_SOCKET } from '../../apps/lab/src/host/host.js';
import { pathOn, runOn } from '../../apps/lab/src/host/namespace.js';
import { killHost, startHost } from '../../apps/lab/src/hosts.js';
import { INCUS_PORT, POOL, PROFILE, TINY_IMAGE } from '../../apps/lab/src/layout.js';
import { clientCertificate } from '../../apps/lab/src/registration/client-certificate.js';
import { Lab, until } from '../support/lab.js';

/** What the conformance suite does not ask, because only Incus has it: how things look in the cluster itself. */

const PATIENCE_MS = 60_000;
const ownership = { installationId: 'installation_lab', tenantId: 'tenant_lab', projectId: 'project_lab' };

let lab: Lab;
let incus: IncusClient;
let driver: Driver;
const made: ((call: DriverCall) => Promise<Outcome<void>>)[] = [];

async function connect(): Promise<Driver> {
  return incusDriverFactory().connect({
    backendId: 'backend_lab',
    installationId: ownership.installationId,
    endpoint: `unix:${pathOn(await lab.machine('h1'), INCUS_SOCKET)}`,
    secret: null,
    options: { profiles: [PROFILE], createsPerMember: 2 },
  });
}

beforeAll(async () => {
  lab = await Lab.find();
  incus = await lab.incus('h1');
  await lab.settled(incus);
  driver = await connect();
});

afterEach(async () => {
  for (const remove of made.splice(0).reverse()) await finish(remove);
});

afterAll(async () => {
  await driver.close();
  incus.close();
});

const look = (): DriverCall => ({ idempotencyKey: typeidUnboxed('call'), timeoutMs: 30_000, signal: new AbortController().signal });

async function finish<Value>(attempt: (call: DriverCall) => Promise<Outcome<Value>>): Promise<Value> {
  const call = look();
  const outcome = await until('The end of the call', PATIENCE_MS, async () => {
    const answer = await attempt(call);
    return answer.state === 'DONE' ? answer : undefined;
  });
  return outcome.value;
}

function diskOf(overrides: Partial<DiskSpecification> = {}): DiskSpecification {
  const diskId = typeidUnboxed('disk');
  made.push(async (call) => driver.storage.deleteDisk(call, diskId));
  return { diskId, ownership, poolName: POOL, hostName: 'h2', sizeGib: 1, iopsLimit: null, imageReference: TINY_IMAGE, ...overrides };
}

async function machine(overrides: Partial<MachineSpecification> = {}): Promise<MachineSpecification> {
  const disk = diskOf({ hostName: overrides.hostName ?? 'h2' });
  await finish(async (call) => driver.storage.createDisk(call, disk));
  const machineId = typeidUnboxed('vm');
  made.push(async (call) => driver.compute.deleteMachine(call, machineId));
  const specification = {
    machineId,
    hostname: 'guest-of-a-tenant',
    ownership,
    hostName: 'h2',
    imageReference: TINY_IMAGE,
    cpu: 1,
    memoryMib: 128,
    interfaces: [],
    diskIds: [disk.diskId],
    userData: '#cloud-config\n{}\n',
    ...overrides,
  };
  await finish(async (call) => driver.compute.createMachine(call, specification));
  return specification;
}

const instanceOf = async ({ machineId }: MachineSpecification) => {
  const [found] = (await incus.instances.list()).filter(({ config }) => config['user.muon.machine'] === machineId);
  if (found === undefined) throw new Error(`no instance is ${machineId}`);
  return found;
};

test('a machine is an instance that says whose it is and what it is, and never starts by itself', async () => {
  const wanted = await machine();
  const instance = await instanceOf(wanted);
  expect(instance).toMatchObject({ location: 'h2', type: 'container', status: 'Stopped' });
  expect(instance.config).toMatchObject({
    'user.muon.installation': ownership.installationId,
    'user.muon.tenant': ownership.tenantId,
    'user.muon.project': ownership.projectId,
    'user.muon.disk': wanted.diskIds[0],
    'boot.autostart': 'false',
    'limits.cpu': '1',
    'limits.memory': '128MiB',
    'cloud-init.user-data': wanted.userData,
  });
  await finish(async (call) => driver.compute.deleteMachine(call, wanted.machineId));
  const left = (await incus.instances.list()).find(({ config }) => config['user.muon.disk'] === wanted.diskIds[0]);
  expect(Object.keys(left?.config ?? {}).filter((key) => /^(limits|cloud-init|user)\./.test(key)).toSorted()).toEqual([
    'user.muon.called-off',
    'user.muon.disk',
    'user.muon.disk-specification',
    'user.muon.installation',
    'user.muon.project',
    'user.muon.tenant',
  ]);
});

test('its cards are ports of the host’s switch, under names that derive from the ports’ ids', async () => {
  const cards = [1, 2].map((number) => ({
    portId: typeidUnboxed('port'),
    networkId: typeidUnboxed('net'),
    macAddress: `02:00:00:00:00:0${number}`,
    ipAddress: `10.1.2.${number}`,
  }));
  const wanted = await machine({ interfaces: cards });
  await finish(async (call) => driver.compute.startMachine(call, wanted.machineId));
  const portIds = cards.map(({ portId }) => portId);
  expect(await driver.compute.getMachine(look(), wanted.machineId)).toMatchObject({ power: 'RUNNING', portIds });
  const ports = (await lab.switchOf('h2', 'list-ports', 'br-int')).split('\n');
  expect(ports).toEqual(expect.arrayContaining(portIds.map(hostDeviceOf)));
  await finish(async (each) => driver.compute.stopMachine(each, wanted.machineId, true));
  const afterwards = (await lab.switchOf('h2', 'list-ports', 'br-int')).split('\n');
  for (const portId of portIds) expect(afterwards).not.toContain(hostDeviceOf(portId));
});

test('the guest has its own host name, and hears secrets on standard input', async () => {
  const wanted = await machine();
  await finish(async (call) => driver.compute.startMachine(call, wanted.machineId));
  const run = { runId: typeidUnboxed('run'), machineId: wanted.machineId, script: 'cat; hostname; exit 3', timeoutSeconds: 30, standardInput: 'a secret\n' };
  const result = await finish(async (call) => driver.compute.runInGuest(call, run));
  expect(result).toEqual({ exitCode: 3, standardOutput: `a secret\n${wanted.hostname}\n`, standardError: '' });
  const { stdout } = await incus.instances.execute((await instanceOf(wanted)).name, { command: ['sh', '-c', 'cat /var/lib/muon/runs/*/script'] });
  expect(stdout).toBe(run.script);
});

test('a script that runs long is PENDING, and what it wrote is told when it has ended', async () => {
  const wanted = await machine();
  await finish(async (call) => driver.compute.startMachine(call, wanted.machineId));
  const run = { runId: typeidUnboxed('run'), machineId: wanted.machineId, script: 'while ! test -e /tmp/go; do sleep 0.1; done; echo gone >&2', timeoutSeconds: 60 };
  expect(await driver.compute.runInGuest(look(), run)).toMatchObject({ state: 'PENDING' });
  expect(await driver.compute.runInGuest(look(), run)).toMatchObject({ state: 'PENDING' });
  await incus.instances.execute((await instanceOf(wanted)).name, { command: ['touch', '/tmp/go'] });
  expect(await finish(async (each) => driver.compute.runInGuest(each, run))).toEqual({ exitCode: 0, standardOutput: '', standardError: 'gone\n' });
});

test('a copy of a root disk on which a machine runs has nothing of the machine', async () => {
  const wanted = await machine();
  await finish(async (call) => driver.compute.startMachine(call, wanted.machineId));
  const copy = diskOf({ imageReference: null });
  const cloned = await finish(async (call) => driver.storage.cloneDisk(call, wanted.diskIds[0] as string, copy));
  expect(cloned).toMatchObject({ diskId: copy.diskId, attachedTo: null, sizeGib: 1 });
  const all = await driver.compute.listMachines(look(), null, 1000);
  expect(all.filter(({ machineId }) => machineId === wanted.machineId)).toHaveLength(1);
});

test('more root disks are asked for than a member makes at once: all come', async () => {
  const disks = Array.from({ length: 6 }, () => diskOf());
  const all = await Promise.all(disks.map(async (disk) => finish(async (call) => driver.storage.createDisk(call, disk))));
  expect(all.map(({ diskId }) => diskId)).toEqual(disks.map(({ diskId }) => diskId));
});

test('a guest that is asked to stop and does not is cut off in the time of the call', async () => {
  const wanted = await machine();
  await finish(async (call) => driver.compute.startMachine(call, wanted.machineId));
  // Its first process does not hear the question any more.
  const { pid } = await incus.instances.state((await instanceOf(wanted)).name);
  await runOn(await lab.machine('h2'), 'kill', ['-STOP', String(pid)]);
  await finish(async (call) => driver.compute.stopMachine({ ...call, timeoutMs: 10_000 }, wanted.machineId, false));
  expect((await instanceOf(wanted)).status).toBe('Stopped');
});

test('while a host is off, a new connection takes nothing on it for gone, and the others are served', { tags: ['lengthy'] }, async () => {
  const lostDisk = diskOf({ hostName: 'h3', imageReference: null });
  await finish(async (call) => driver.storage.createDisk(call, lostDisk));
  const lost = await machine({ hostName: 'h3' });
  await finish(async (call) => driver.compute.attachDisk(call, lost.machineId, lostDisk.diskId));
  const rootId = lost.diskIds[0] as string;
  const h3 = { folder: lab.folder, name: 'h3', note: () => undefined };
  await killHost(h3);
  const stranger = await connect();
  try {
    const { compute, storage, hosts } = stranger;
    await until('h3 dead', PATIENCE_MS, async () => ((await hosts.listHosts(look())).some(({ hostName, alive }) => hostName === 'h3' && !alive) ? true : undefined));
    expect(await compute.getMachine(look(), lost.machineId)).toMatchObject({ machineId: lost.machineId, hostName: 'h3', power: 'UNKNOWN' });
    expect(await compute.listMachines(look(), null, 1000)).toContainEqual(expect.objectContaining({ machineId: lost.machineId, power: 'UNKNOWN' }));
    expect(await storage.getDisk(look(), rootId)).toMatchObject({ diskId: rootId, attachedTo: lost.machineId });
    expect(await storage.getDisk(look(), lostDisk.diskId)).toMatchObject({ hostName: 'h3', attachedTo: lost.machineId });
    const health = await storage.diskHealth(look(), [rootId, lostDisk.diskId]);
    expect(Object.fromEntries(health)).toEqual({ [rootId]: 'UNAVAILABLE', [lostDisk.diskId]: 'UNAVAILABLE' });
    for (const diskId of [rootId, lostDisk.diskId]) {
      await expect(storage.deleteDisk(look(), diskId)).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    }
    await expect(compute.deleteMachine(look(), lost.machineId)).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    const other = await machine({ hostName: 'h2' });
    await finish(async (call) => compute.startMachine(call, other.machineId));
    await finish(async (call) => compute.deleteMachine(call, other.machineId));
  } finally {
    await stranger.close();
    await startHost(h3);
    await lab.settled(incus);
    await until('An answer of h3', PATIENCE_MS, async () => incus.cluster.resources({ target: 'h3', timeoutMs: 1000 }).catch(() => undefined));
  }
  expect(await driver.compute.getMachine(look(), lost.machineId)).toMatchObject({ power: 'STOPPED', diskIds: [rootId, lostDisk.diskId] });
});

test('a host’s load is that of its processors, and of its memory what machines cannot have', async () => {
  const host = await lab.machine('h1');
  const spinning = runOn(host, 'sh', ['-c', 'timeout 5 sh -c "while :; do :; done" || true']);
  const load = await until('A load', PATIENCE_MS, async () => {
    const told = (await driver.hosts.readLoad(look())).find(({ hostName }) => hostName === 'h1');
    return told !== undefined && told.cpuPercent > 0 ? told : undefined;
  });
  const mebibytes = new Map(
    (await runOn(host, 'cat', ['/proc/meminfo'])).split('\n').map((line) => [line.split(':')[0], Number(/\d+/.exec(line)?.[0]) / 1024]),
  );
  const total = mebibytes.get('MemTotal') ?? 0;
  expect(load.memoryUsedMib).toBeGreaterThan(0);
  // Page cache alone is more than this here.
  expect(Math.abs(load.memoryUsedMib - (total - (mebibytes.get('MemAvailable') ?? 0)))).toBeLessThan(total / 10);
  await spinning;
});

test('a cluster is reached over https with a certificate that it trusts', async () => {
  const client = await clientCertificate('lab-test', 1);
  const serverCertificate = (await incus.server.get()).value.environment?.certificate ?? '';
  const url = `https://${lab.hosts[0]?.managementAddress}:${INCUS_PORT}`;
  const newcomer = new IncusClient({ endpoints: [{ url, serverCertificate, client }] });
  const connection = { backendId: 'backend_lab', installationId: ownership.installationId, endpoint: url, secret: JSON.stringify(client) };
  const remote = await incusDriverFactory().connect({ ...connection, options: { serverCertificate } });
  try {
    await expect(remote.hosts.listHosts(look())).rejects.toMatchObject({ code: 'BACKEND_FAILED', retryable: false });
    await newcomer.certificates.trustMe(await incus.certificates.createToken('lab-driver'));
    expect((await remote.hosts.listHosts(look())).map(({ hostName }) => hostName)).toEqual(lab.hosts.map(({ name }) => name));
  } finally {
    for (const { name, fingerprint } of await incus.certificates.list()) if (name === 'lab-driver') await incus.certificates.delete(fingerprint);
    newcomer.close();
    await remote.close();
  }
});
