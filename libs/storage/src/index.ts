export * from './disk/disk.js';
export { planDiskRelease, planDisks, type DiskRequest, type PlannedDisk, type PlannedDisks } from './disk/disk-plan.js';
export { findDisks, findDisksOfOwners, removeDiskRows } from './disk/disk.sql.js';
export { DiskRealiser, type DiskRealiserOptions } from './realise/disk-realiser.js';
export { storageRoom } from './room.js';
