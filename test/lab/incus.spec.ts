import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { IncusClient, StatusCode, type IncusEvent } from '#incus';
import { INCUS_PORT, POOL } from '../../apps/lab/src/layout.js';
import { clientCertificate } from '../../apps/lab/src/registration/client-certificate.js';
import { createTiny, Lab, newName, removeInstance, tiny, until } from '../support/lab.js';

let lab: Lab;
let incus: IncusClient;
const made: string[] = [];

/** Registered before it is made: what a failed test leaves is removed, too. */
function instanceName(prefix = 'client'): string {
  const name = newName(prefix);
  made.push(name);
  return name;
}

beforeAll(async () => {
  lab = await Lab.find();
  incus = await lab.incus('h1');
  await lab.settled(incus);
});

afterEach(async () => {
  for (const name of made.splice(0)) await removeInstance(incus, name);
});

afterAll(() => incus.close());

test('the hosts are one cluster, with their racks and zones', async () => {
  const members = await incus.cluster.list();
  const seen = members.map(({ server_name: name, failure_domain: rack, config }) => ({ name, rack, zone: config['user.zone'] }));
  expect(seen).toEqual(lab.hosts.map(({ name, rack, zone }) => ({ name, rack, zone })));
  for (const { name } of lab.hosts) {
    expect((await incus.cluster.state(name)).storage_pools[POOL]?.space.total).toBeGreaterThan(0);
    expect((await incus.cluster.resources({ target: name })).memory.total).toBeGreaterThan(0);
  }
});

describe('an instance', () => {
  test.each(['h1', 'h2', 'h3'])('is made on %s, whichever member is asked', async (target) => {
    const name = instanceName();
    await createTiny(incus, name, target);
    await incus.instances.ensurePower(name, { action: 'start' });
    const state = await until(`${name} running`, 10_000, async () => {
      const now = await incus.instances.state(name);
      return now.status_code === StatusCode.RUNNING ? now : undefined;
    });
    expect(state.pid).toBeGreaterThan(0);
    const listed = await incus.instances.listFull({ filter: `name eq ${name}` });
    expect(listed.map(({ location, status }) => ({ location, status }))).toEqual([{ location: target, status: 'Running' }]);
  });

  test('of a name that is taken is a conflict, on the same member and on another', async () => {
    const name = instanceName();
    await createTiny(incus, name, 'h2');
    for (const target of ['h2', 'h3']) {
      const again = incus.instances.create(tiny(name), { target }).then(async (operation) => operation.wait());
      await expect(again).rejects.toMatchObject({ name: 'IncusError', kind: 'CONFLICT', retryable: false });
    }
    expect((await incus.instances.get(name)).value.location).toBe('h2');
  });

  test('is made once when it is asked for twice at the same time', async () => {
    const name = instanceName();
    const targets = ['h2', 'h3'];
    const outcomes = await Promise.allSettled(
      targets.map(async (target) => (await incus.instances.create(tiny(name), { target })).wait()),
    );
    const winners = targets.filter((_target, index) => outcomes[index]?.status === 'fulfilled');
    expect(winners).toHaveLength(1);
    expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { kind: expect.stringMatching(/^(CONFLICT|BUSY)$/) } });
    expect([(await incus.instances.get(name)).value.location]).toEqual(winners);
  });

  test('whose creation had no answer in time may be there: the error says so', async () => {
    const name = instanceName();
    const given = incus.instances.create(tiny(name), { target: 'h2', timeoutMs: 1 });
    await expect(given).rejects.toMatchObject({ kind: 'TIMEOUT', outcomeUnknown: true, retryable: true });
    // The request may still be on its way: whatever became of it, this one makes it so or finds it.
    await until(`${name} there`, 30_000, async () => {
      const again = incus.instances.create(tiny(name), { target: 'h2' }).then(async (operation) => operation.wait());
      await again.catch((error: unknown) => expect(error).toMatchObject({ kind: expect.stringMatching(/^(CONFLICT|BUSY)$/) }));
      return (await incus.instances.get(name)).value;
    });
  });

  test('that is deleted twice is not found the second time', async () => {
    const name = instanceName();
    await createTiny(incus, name, 'h3');
    await (await incus.instances.delete(name)).wait();
    await expect(incus.instances.delete(name)).rejects.toMatchObject({ kind: 'NOT_FOUND', status: 404 });
    await expect(incus.instances.get(name)).rejects.toMatchObject({ kind: 'NOT_FOUND' });
  });

  test('that is stopped is stopped again without an error by ensurePower, and with one by power', async () => {
    const name = instanceName();
    await createTiny(incus, name, 'h2');
    await incus.instances.ensurePower(name, { action: 'stop', force: true });
    const stop = incus.instances.power(name, { action: 'stop', force: true }).then(async (operation) => operation.wait());
    await expect(stop).rejects.toThrow('already stopped');
  });

  test('that runs is not deleted', async () => {
    const name = instanceName();
    await createTiny(incus, name, 'h2');
    await incus.instances.ensurePower(name, { action: 'start' });
    await incus.instances.ensurePower(name, { action: 'start' });
    const deletion = incus.instances.delete(name).then(async (operation) => operation.wait());
    await expect(deletion).rejects.toMatchObject({ name: 'IncusError', kind: 'REFUSED' });
  });

  test('is changed only as the one that was read', async () => {
    const name = instanceName();
    await createTiny(incus, name, 'h1');
    const { etag } = await incus.instances.get(name);
    await (await incus.instances.patch(name, { config: { 'user.revision': '1' } }, { etag })).wait();
    const late = incus.instances.patch(name, { config: { 'user.revision': '2' } }, { etag });
    await expect(late).rejects.toMatchObject({ kind: 'PRECONDITION_FAILED', status: 412 });
    expect((await incus.instances.get(name)).value.config['user.revision']).toBe('1');
  });

  test('runs commands, takes files, and shows its console', async () => {
    const name = instanceName();
    await createTiny(incus, name, 'h2');
    await incus.instances.files.write(name, '/etc/greeting', 'hello\n', { mode: '0600' });
    await incus.instances.ensurePower(name, { action: 'start' });
    const file = await incus.instances.files.read(name, '/etc/greeting');
    expect({ text: file.content.toString(), mode: file.mode }).toEqual({ text: 'hello\n', mode: '0600' });
    await incus.instances.files.delete(name, '/etc/greeting');
    await expect(incus.instances.files.read(name, '/etc/greeting')).rejects.toMatchObject({ kind: 'NOT_FOUND' });

    const script = 'cat; echo "to $WHOM" >&2; exit 7';
    const command = { command: ['sh', '-c', script], environment: { WHOM: 'you' } };
    expect(await incus.instances.execute(name, { ...command, input: 'from me' })).toEqual({
      exitCode: 7,
      stdout: 'from me',
      stderr: 'to you\n',
      truncated: false,
    });
    const recorded = await incus.instances.executeRecorded(name, { command: ['hostname'] });
    expect(recorded).toEqual({ exitCode: 0, stdout: `${name}\n`, stderr: '', truncated: false });
    const much = await incus.instances.execute(name, { command: ['head', '-c', '100000', '/dev/zero'], limitBytes: 1000 });
    expect({ length: much.stdout.length, truncated: much.truncated }).toEqual({ length: 1000, truncated: true });
    await expect(incus.instances.execute(name, { command: ['sleep', '100'], timeoutMs: 500 })).rejects.toMatchObject({ kind: 'TIMEOUT' });
    await until('The end of the killed command', 10_000, async () => {
      const { stdout } = await incus.instances.execute(name, { command: ['ps'] });
      return stdout.includes('sleep 100') ? undefined : true;
    });
    expect(typeof (await incus.instances.consoleLog(name))).toBe('string');
  });

  test('has snapshots and moves to another member', async () => {
    const name = instanceName();
    await createTiny(incus, name, 'h1');
    await (await incus.instances.createSnapshot(name, 'before')).wait();
    expect((await incus.instances.snapshots(name)).map((snapshot) => snapshot.name)).toEqual(['before']);
    await (await incus.instances.deleteSnapshot(name, 'before')).wait();
    await (await incus.instances.move(name, {}, { target: 'h3' })).wait();
    expect((await incus.instances.get(name)).value.location).toBe('h3');
  });
});

describe('a volume', () => {
  test('is of one member; another has one of the same name', async () => {
    const name = newName('volume');
    try {
      for (const target of ['h1', 'h2']) await (await incus.storagePools.createVolume(POOL, { name }, { target })).wait();
      const again = incus.storagePools.createVolume(POOL, { name }, { target: 'h1' });
      await expect(again).rejects.toMatchObject({ kind: 'CONFLICT' });
      const all = (await incus.storagePools.volumes(POOL)).filter((volume) => volume.name === name);
      expect(all.map(({ location }) => location).toSorted()).toEqual(['h1', 'h2']);
      await (await incus.storagePools.createSnapshot(POOL, name, 'one', { target: 'h2' })).wait();
      expect(await incus.storagePools.snapshots(POOL, name, { target: 'h2' })).toHaveLength(1);
      await (await incus.storagePools.patchVolume(POOL, name, { config: { 'user.revision': '1' } }, { target: 'h2' })).wait();
      expect((await incus.storagePools.volume(POOL, name, { target: 'h2' })).value.config['user.revision']).toBe('1');
    } finally {
      for (const target of ['h1', 'h2']) await incus.storagePools.deleteVolume(POOL, name, { target });
    }
    await expect(incus.storagePools.deleteVolume(POOL, name, { target: 'h1' })).rejects.toMatchObject({ kind: 'NOT_FOUND' });
  });

  test('is attached to an instance and in its way until it is not', async () => {
    const volume = newName('volume');
    const name = instanceName();
    await (await incus.storagePools.createVolume(POOL, { name: volume }, { target: 'h2' })).wait();
    try {
      await createTiny(incus, name, 'h2', { data: { type: 'disk', pool: POOL, source: volume, path: '/data' } });
      await incus.instances.ensurePower(name, { action: 'start' });
      const written = await incus.instances.execute(name, { command: ['touch', '/data/mark'] });
      expect(written.exitCode).toBe(0);
      await expect(incus.storagePools.deleteVolume(POOL, volume, { target: 'h2' })).rejects.toMatchObject({ kind: 'REFUSED' });
    } finally {
      await removeInstance(incus, name);
      await incus.storagePools.deleteVolume(POOL, volume, { target: 'h2' });
    }
  });
});

test('events of all members are heard through one', async () => {
  const name = instanceName();
  const events: IncusEvent[] = [];
  const connected = Promise.withResolvers<void>();
  const stream = incus.listen({ onConnected: connected.resolve, onEvent: (event) => void events.push(event) });
  try {
    await connected.promise;
    await createTiny(incus, name, 'h3');
    await incus.instances.ensurePower(name, { action: 'start' });
    const started = await until('The event of the start', 10_000, async () =>
      events.find((event) => event.type === 'lifecycle' && event.metadata.action === 'instance-started' && event.metadata.source.endsWith(name)),
    );
    expect(started.location).toBe('h3');
  } finally {
    await stream.close();
  }
});

describe('over HTTPS', () => {
  test('a certificate is a stranger until a token makes it trusted, on all members', async () => {
    const client = await clientCertificate('lab-test', 1);
    const serverCertificate = (await incus.server.get()).value.environment?.certificate ?? '';
    const remotes = lab.hosts.map(
      ({ managementAddress }) => new IncusClient({ endpoints: [{ url: `https://${managementAddress}:${INCUS_PORT}`, serverCertificate, client }] }),
    );
    const [first] = remotes as [IncusClient, ...IncusClient[]];
    try {
      expect((await first.server.get()).value.auth).toBe('untrusted');
      await expect(first.instances.list()).rejects.toMatchObject({ kind: 'FORBIDDEN' });
      const token = await incus.certificates.createToken('lab-test');
      await first.certificates.trustMe(token);
      await expect(first.certificates.trustMe(token)).rejects.toMatchObject({ name: 'IncusError' });
      for (const remote of remotes) expect((await remote.server.get()).value.auth).toBe('trusted');
      const name = instanceName('remote');
      await createTiny(first, name, 'h2');
      await first.instances.ensurePower(name, { action: 'start' });
      expect(await first.instances.execute(name, { command: ['hostname'] })).toMatchObject({ exitCode: 0, stdout: `${name}\n` });
    } finally {
      for (const { name, fingerprint } of await incus.certificates.list()) if (name === 'lab-test') await incus.certificates.delete(fingerprint);
      for (const remote of remotes) remote.close();
    }
  });

  test('a server that shows another certificate than the one expected is not spoken to', async () => {
    const { certificate } = await clientCertificate('lab-test', 1);
    const remote = new IncusClient({ endpoints: [{ url: `https://${lab.hosts[0]?.managementAddress}:${INCUS_PORT}`, serverCertificate: certificate }] });
    await expect(remote.server.get()).rejects.toMatchObject({ kind: 'UNAVAILABLE' });
    remote.close();
  });
});
