import { DiskResolver } from './disk/disk.graphql.js';

export { Disk, loadDisksOf, toDisk } from './disk/disk.graphql.js';

/** They ask for Database, EventFeed and DiskService. */
export const storageResolvers = [DiskResolver];
