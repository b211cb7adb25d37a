import { DiskResolver } from './disk/disk.graphql.js';

export { Disk, DiskPayload, loadDisk, loadDisksOf, toDisk } from './disk/disk.graphql.js';

/** They ask for Database, EventFeed and DiskService. */
export const storageResolvers = [DiskResolver];
