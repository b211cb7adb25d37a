export { incusDriverFactory, type IncusCompanions } from './incus-driver.js';
export type { Fence } from './hosts.js';
export { hostDeviceOf } from './names.js';
export type { IncusOptions } from './options.js';
