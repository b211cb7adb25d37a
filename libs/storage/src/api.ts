import { DiskResolver } from './disk/disk.graphql.js';
import { DiskSnapshotResolver } from './disk-snapshot/disk-snapshot.graphql.js';

export { Disk, DiskPayload, loadDisk, loadDisksOf, toDisk } from './disk/disk.graphql.js';

/** They ask for Database, EventFeed, DiskService and DiskSnapshotService. */
export const storageResolvers = [DiskResolver, DiskSnapshotResolver];
