export { incusDriverFactory, type IncusCompanions, type OpenedNetwork } from './incus-driver.js';
export type { Fence } from './hosts.js';
export type { IncusOptions } from './options.js';
