import type { RoomSchema } from '#database';
import { DiskEntity } from './disk/disk.entity.js';
import { DiskSnapshotEntity } from './disk-snapshot/disk-snapshot.entity.js';
import { DiskAttachment1764503000000 } from './migrations/1764503000000-disk-attachment.js';
import { DiskSnapshots1764503100000 } from './migrations/1764503100000-disk-snapshots.js';
import { StoragePolicies1764506350200 } from './migrations/1764506350200-storage-policies.js';
import { StoragePolicyEntity } from './storage-policy/storage-policy.entity.js';
import { DiskIopsLimit1764506351000 } from './migrations/1764506351000-disk-iops-limit.js';
import { Storage1764001100000 } from './migrations/1764001100000-storage.js';

export const storageRoom: RoomSchema = {
  name: 'storage',
  entities: [DiskEntity, DiskSnapshotEntity, StoragePolicyEntity],
  migrations: [Storage1764001100000, DiskAttachment1764503000000, DiskSnapshots1764503100000, StoragePolicies1764506350200, DiskIopsLimit1764506351000],
};
