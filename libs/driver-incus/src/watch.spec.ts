import { expect, test } from 'vitest';
import { eventsOf } from './watch.js';
import { instanceNameOf } from './names.js';

const [diskId, machineId] = ['dsk_01h2xcejqtf2nbrexx3vqjhp41', 'vm_01h2xcejqtf2nbrexx3vqjhp42'];
const name = instanceNameOf(diskId, machineId);
const told = (action: string, source = `/1.0/instances/${name}`) =>
  eventsOf({ type: 'lifecycle', timestamp: '2026-01-01T00:00:00Z', metadata: { action, source } });

test.each(['instance-started', 'instance-stopped', 'instance-shutdown', 'instance-paused', 'instance-resumed'])('tells of the machine alone upon %s', (action) => {
  expect(told(action)).toEqual([{ kind: 'MACHINE', id: machineId }]);
});

test.each(['instance-created', 'instance-updated', 'instance-renamed', 'instance-deleted', 'instance-restored'])(
  'tells of the machine and its disk upon %s',
  (action) => {
    expect(told(action)).toEqual([{ kind: 'DISK', id: diskId }, { kind: 'MACHINE', id: machineId }]);
  },
);

test.each([
  'instance-exec',
  'instance-console',
  'instance-console-retrieved',
  'instance-console-reset',
  'instance-file-pushed',
  'instance-file-retrieved',
  'instance-log-retrieved',
  'instance-metadata-retrieved',
  'instance-backup-created',
])('tells nothing upon %s, which changes nothing of the machine', (action) => {
  expect(told(action)).toEqual([]);
});

test.each(['default_', 'my_project_', ''])('tells of volumes, which Incus calls as they are on their pool (%s…), and of their snapshots', (project) => {
  const path = `/1.0/storage-pools/local/volumes/custom/${project}dsk-01h2xcejqtf2nbrexx3vqjhp41`;
  expect(told('storage-volume-updated', `${path}?target=h1`)).toEqual([{ kind: 'DISK', id: diskId }]);
  expect(told('storage-volume-deleted', path)).toEqual([{ kind: 'DISK', id: diskId }]);
  expect(told('storage-volume-snapshot-created', `${path}/snp-01h2xcejqtf2nbrexx3vqjhp43`)).toEqual([{ kind: 'DISK', id: diskId }]);
});

test('tells of members', () => {
  expect(told('cluster-member-updated', '/1.0/cluster/members/h1')).toEqual([{ kind: 'HOST', id: 'h1' }]);
});
