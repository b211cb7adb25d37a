import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bridgeMac, cableOf, EXTERNAL, isLabLink, layoutOf, MAX_HOSTS, NETWORKS } from './layout.js';
import { CommandFailure, run } from './machine/command.js';
import { withLock } from './machine/lock.js';
import { refusalOf } from './machine/requirements.js';
import { until } from './machine/until.js';
import { collisions } from './network/ranges.js';
import { labCommand } from './program.js';
import { StateFolder } from './state.js';

describe('the layout', () => {
  test('has three hosts in three racks and two zones', () => {
    expect(layoutOf(3).hosts.map(({ name, rack, zone, managementAddress }) => [name, rack, zone, managementAddress])).toEqual([
      ['h1', 'r1', 'z1', '10.99.0.11'],
      ['h2', 'r2', 'z2', '10.99.0.12'],
      ['h3', 'r3', 'z1', '10.99.0.13'],
    ]);
  });

  test('has a rack in one zone only, and an address once', () => {
    const { hosts, controller } = layoutOf(MAX_HOSTS);
    const zones = new Map(hosts.map(({ rack, zone }) => [rack, zone]));
    expect(hosts.every(({ rack, zone }) => zones.get(rack) === zone)).toBe(true);
    const addresses = [controller, ...hosts].map(({ managementAddress }) => managementAddress);
    expect(new Set(addresses).size).toBe(MAX_HOSTS + 1);
  });

  test('gives each bridge a hardware address of its own that is no vendor’s', () => {
    expect(bridgeMac(EXTERNAL)).toBe('02:00:c6:33:64:01');
    expect(new Set(NETWORKS.map(bridgeMac)).size).toBe(NETWORKS.length);
  });

  test('knows its own links, all of which have names that Linux takes', () => {
    const cables = layoutOf(MAX_HOSTS).hosts.flatMap(({ name }) => NETWORKS.map((network) => cableOf(name, network)));
    const links = [...cables, ...NETWORKS.map(({ bridge }) => bridge)];
    expect(links.filter((name) => !isLabLink(name) || name.length > 15)).toEqual([]);
    expect(['eth0', 'lab', 'lab-h1', 'lab-other', 'mylab-h1m', 'lab-h1mx'].filter((name) => isLabLink(name))).toEqual([]);
  });
});

describe('addresses that are taken', () => {
  test.each([
    ['the same range', '198.51.100.0/24'],
    ['a part of it', '198.51.100.64/28'],
    ['one address of it', '198.51.100.7'],
    ['a range around it', '198.51.0.0/16'],
  ])('%s is found', (_what, dst) => {
    expect(collisions([{ dst, dev: 'eth0' }])).toEqual([`198.51.100.0/24 is in use here: ${dst} on eth0.`]);
  });

  test('are not those of the lab itself, of its neighbours, or the way out', () => {
    const routes = [
      { dst: '198.51.100.0/24', dev: EXTERNAL.bridge },
      { dst: '198.51.101.0/24', dev: 'eth0' },
      { dst: '192.0.2.2', dev: 'eth0' },
      { dst: 'default', dev: 'eth0' },
    ];
    expect(collisions(routes)).toEqual([]);
  });
});

describe('a machine', () => {
  const debian = (version: string): string => `PRETTY_NAME="Debian GNU/Linux ${version}"\nVERSION_ID="${version}"\nID=debian\n`;

  test('is taken with root and Debian 12, and with a remark with 13', () => {
    expect(refusalOf(0, debian('12'))).toEqual({});
    expect(refusalOf(0, debian('13')).remark).toContain('nobody has tried');
  });

  test.each([
    [1000, debian('12'), 'needs root'],
    [0, debian('11'), 'this is Debian GNU/Linux 11'],
    [0, 'ID=ubuntu\nVERSION_ID="24.04"\nPRETTY_NAME="Ubuntu 24.04"\n', 'this is Ubuntu 24.04'],
    [0, '', 'this is something else'],
  ])('is refused to user %i on %j', (uid, osRelease, reason) => {
    expect(refusalOf(uid, osRelease).refusal).toContain(reason);
  });
});

describe('a program', () => {
  test('is given its arguments as they are', async () => {
    expect(await run('printf', ['%s|%s', '$HOME; rm', '*'])).toBe('$HOME; rm|*');
    expect(await run('cat', [], { input: 'in' })).toBe('in');
  });

  test('that fails tells how, and the end of what it said', async () => {
    const failing = run('sh', ['-c', 'echo reason >&2; exit 3']);
    await expect(failing).rejects.toMatchObject({ exitCode: 3, stderr: 'reason\n', message: expect.stringContaining('ended with 3\nreason') });
  });

  test('that takes too long is ended, and one that is not there is missed', async () => {
    await expect(run('sleep', ['100'], { timeoutMs: 50 })).rejects.toThrow('was ended after 50 ms');
    await expect(run('no-such-program', [])).rejects.toBeInstanceOf(CommandFailure);
  });
});

test('what does not come in time is told with the last reason', async () => {
  let asked = 0;
  expect(await until('It', 5000, async () => ((asked += 1) === 3 ? 'there' : undefined))).toBe('there');
  const never = until('The end', 10, async () => Promise.reject(new Error('not yet')));
  await expect(never).rejects.toThrow('The end was not so within 0.01 s: not yet');
});

test.runIf(process.platform === 'linux')('one command at a time changes the lab', async () => {
  // Not the real one: a lab of this machine may be at work.
  const name = `\0lab-spec-${process.pid}`;
  const first = Promise.withResolvers<void>();
  const holding = withLock(async () => first.promise, name);
  await expect(withLock(async () => undefined, name)).rejects.toThrow('Another lab command is at work');
  first.resolve();
  await holding;
  expect(await withLock(async () => 'free', name)).toBe('free');
});

describe('the state folder', () => {
  let path: string;
  beforeEach(async () => (path = await mkdtemp(join(tmpdir(), 'lab-'))));
  afterEach(async () => rm(path, { recursive: true, force: true }));

  test('gives back what was written, and forgets it', async () => {
    const folder = new StateFolder(path);
    expect(await folder.read()).toBeUndefined();
    const state = { version: 1 as const, hosts: 3, before: { kernelSettings: { 'kernel.keys.maxkeys': 200 }, containerGroups: [] } };
    await folder.write(state);
    expect(await folder.read()).toEqual(state);
    await folder.forget();
    expect(await folder.read()).toBeUndefined();
  });

  test.each(['no JSON', '{"version":1,"hosts":0}', '{"version":2}'])('does not take %j for ours', async (text) => {
    await writeFile(join(path, 'lab.json'), text);
    await expect(new StateFolder(path).read()).rejects.toThrow('is not what "lab up" writes');
  });
});

describe('the command line', () => {
  test.each([['up', '--hosts', '0'], ['up', '--hosts', '17'], ['up', '--hosts', 'x'], ['host', 'burn', 'h1'], ['host', 'kill']])(
    'refuses %s %s %s',
    async (...words) => {
      const lab = labCommand();
      const said: string[] = [];
      for (const command of [lab, ...lab.commands, ...lab.commands.flatMap(({ commands }) => commands)]) {
        command.exitOverride().configureOutput({ writeErr: (text) => void said.push(text) });
      }
      await expect(lab.parseAsync(words.filter((word) => word !== undefined), { from: 'user' })).rejects.toMatchObject({ name: 'CommanderError' });
      expect(said.join('')).not.toBe('');
    },
  );
});
