import { expect, test } from 'vitest';
import { eventsOf } from './watch.js';
import { instanceNameOf } from './names.js';

const [diskId, machineId] = ['dsk_01h2xcejqtf2nbrexx3vqjhp41', 'vm_01h2xcejqtf2nbrexx3vqjhp42'];
const name = instanceNameOf(diskId, machineId);
const told = (action: string, source = `/1.0/instances/${name}`) =>
  eventsOf({ type: 'lifecycle', timestamp: '2026-01-01T00:00:00Z', metadata: { action, source } });

test.each(['instance-started', 'instance-shutdown', 'instance-updated', 'instance-renamed', 'instance-deleted', 'instance-paused', 'instance-restored'])(
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

test('tells of volumes and members', () => {
  expect(told('storage-volume-updated', '/1.0/storage-pools/local/volumes/custom/dsk-01h2xcejqtf2nbrexx3vqjhp41?target=h1')).toEqual([{ kind: 'DISK', id: diskId }]);
  expect(told('cluster-member-updated', '/1.0/cluster/members/h1')).toEqual([{ kind: 'HOST', id: 'h1' }]);
});
