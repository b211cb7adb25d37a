import { DiskResolver } from './disk/disk.graphql.js';
import { DiskSnapshotResolver } from './disk-snapshot/disk-snapshot.graphql.js';
import { StoragePolicyResolver } from './storage-policy/storage-policy.graphql.js';

export { Disk, DiskPayload, loadDisk, loadDisksOf, toDisk } from './disk/disk.graphql.js';

export { loadStoragePolicy, StoragePolicy } from './storage-policy/storage-policy.graphql.js';

/** They ask for Database, EventFeed, DiskService, DiskSnapshotService and StoragePolicyService. */
export const storageResolvers = [DiskResolver, DiskSnapshotResolver, StoragePolicyResolver];
