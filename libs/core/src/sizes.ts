/** Sizes are whole numbers of MiB (memory) and GiB (disks): JavaScript's safe integers hold any datacenter. */
export const MIB = 1;
export const GIB_IN_MIB = 1024;
export const MAX_CPU_PER_MACHINE = 512;
export const MAX_MEMORY_MIB_PER_MACHINE = 16 * 1024 * 1024;
export const MAX_DISK_GIB = 64 * 1024;
/** Beside its root disk. */
export const MAX_DATA_DISKS_PER_MACHINE = 16;
export const MAX_SNAPSHOTS_PER_DISK = 64;
/** The largest amount that a quota line or a cost may name. */
export const MAX_AMOUNT = 1_000_000_000_000;
