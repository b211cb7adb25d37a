import { typeidUnboxed } from 'typeid-js';
import { describe, expect, test } from 'vitest';
import { hostDeviceOf } from '#drivers';
import { StatusCode, type Instance } from '#incus';
import { diskSettings, listedInstance, machineSettings, observedMachine, powerOf } from './machine.js';
import { idsOf, instanceNameOf } from './names.js';
import { bytesOf, gibOf, mibOf } from './sizes.js';
import { Throttle } from './throttle.js';

const machineId = typeidUnboxed('vm');
const diskId = typeidUnboxed('dsk');

const root: Instance = {
  name: instanceNameOf(diskId),
  architecture: 'x86_64',
  config: { 'boot.autostart': 'false', 'user.muon.disk': diskId, 'user.muon.installation': 'installation_1', 'volatile.idmap.base': '0' },
  devices: { root: { type: 'disk', path: '/', pool: 'local', size: '4GiB' } },
  ephemeral: false,
  profiles: ['lab'],
  description: '',
  stateful: false,
  created_at: '',
  last_used_at: '',
  status: 'Stopped',
  status_code: StatusCode.STOPPED,
  location: 'h1',
  type: 'container',
  project: 'default',
  expanded_config: {},
  expanded_devices: {},
};

const cards = Array.from({ length: 11 }, (_none, index) => ({
  portId: typeidUnboxed('port'),
  networkId: 'net_1',
  macAddress: `02:00:00:00:00:${String(index).padStart(2, '0')}`,
  ipAddress: '10.0.0.1',
}));

const specification = {
  machineId,
  hostname: 'web',
  ownership: { installationId: 'installation_1', tenantId: 'tenant_1', projectId: 'project_1' },
  hostName: 'h1',
  imageReference: 'tiny',
  cpu: 2,
  memoryMib: 512,
  interfaces: cards,
  diskIds: [diskId],
  userData: '#cloud-config\n{}\n',
};
const options = { bridge: 'br-int', instanceConfig: { 'security.nesting': 'true' }, dataDisks: {} };

describe('a machine on a root disk', () => {
  const machine: Instance = { ...root, ...machineSettings(root, specification, options) };

  test('is observed as it was specified, its cards in their order', () => {
    expect(observedMachine(machine)).toEqual({
      machineId,
      installationId: 'installation_1',
      hostName: 'h1',
      power: 'STOPPED',
      cpu: 2,
      memoryMib: 512,
      portIds: cards.map(({ portId }) => portId),
      diskIds: [diskId],
      ipAddress: null,
    });
  });

  test('leaves the disk as it was when it goes', () => {
    expect(diskSettings(machine, options.instanceConfig)).toEqual({ config: root.config, devices: root.devices });
  });
});

test('a free root disk is no machine', () => expect(observedMachine(root)).toBeUndefined());

test('of an instance whose member is away the name tells which machine and disk it is, and its power is UNKNOWN', () => {
  // So Incus lists it: its API describes neither as nullable.
  const listed = { ...root, name: instanceNameOf(diskId, machineId), config: null, devices: null } as unknown as Instance;
  expect(observedMachine(listedInstance(listed))).toMatchObject({ machineId, diskIds: [diskId], power: 'UNKNOWN' });
});

test('on its way from one state to another its power is UNKNOWN', () => {
  for (const code of [StatusCode.STARTING, StatusCode.STOPPING, StatusCode.FREEZING, StatusCode.ERROR]) {
    expect(powerOf({ status_code: code })).toBe('UNKNOWN');
  }
});

describe('names', () => {
  test('are names that Incus takes, and tell their ids', () => {
    for (const machine of [undefined, machineId]) {
      const name = instanceNameOf(diskId, machine);
      expect(name).toMatch(/^[a-z][a-z0-9-]{0,62}$/);
      expect(idsOf(name)).toEqual({ diskId, ...(machine === undefined ? {} : { machineId: machine }) });
    }
  });

  test('of others tell nothing', () => {
    for (const name of ['web', 'disk', 'vm-1', 'dsk-1', `${instanceNameOf(diskId)}-copy`, `x-${instanceNameOf(diskId)}`]) expect(idsOf(name)).toBeUndefined();
  });

  test('of devices fit into what Linux allows, and differ', () => {
    const names = cards.map(({ portId }) => hostDeviceOf(portId));
    for (const name of names) expect(name).toMatch(/^mu-[0-9a-z]{12}$/);
    expect(new Set(names).size).toBe(cards.length);
  });
});

test('sizes are read in all units of Incus', () => {
  expect([bytesOf('5'), bytesOf('5kB'), mibOf('1GiB'), gibOf('4GiB'), gibOf('10GB')]).toEqual([5, 5000, 1024, 4, 9]);
  expect([bytesOf(undefined), bytesOf(''), bytesOf('50%')]).toEqual([0, 0, 0]);
});

test('a throttle has so much room for each key, and gets it back', () => {
  const throttle = new Throttle(2);
  expect([throttle.tryTake('h1'), throttle.tryTake('h1'), throttle.tryTake('h1'), throttle.tryTake('h2')]).toEqual([true, true, false, true]);
  throttle.release('h1');
  expect([throttle.tryTake('h1'), throttle.tryTake('h1')]).toEqual([true, false]);
});
