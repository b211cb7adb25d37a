export * from './disk/disk.js';
export { planDiskRelease, planDisks, type DiskRequest, type PlannedDisk, type PlannedDisks } from './disk/disk-plan.js';
export { storageOperations } from './disk/disk.operations.js';
export { diskHealth, type DiskHealthOptions } from './disk/disk.reconciler.js';
export { DiskService, type CreateDiskInput, type ResizeDiskInput } from './disk/disk.service.js';
export { findDisks, findDisksOfOwners, removeDiskRows } from './disk/disk.sql.js';
export { DiskRealiser, type DiskRealiserOptions, type RemoveDiskOptions } from './realise/disk-realiser.js';
export { storageRoom } from './room.js';
export { storageScopeContents } from './scope-contents.js';
