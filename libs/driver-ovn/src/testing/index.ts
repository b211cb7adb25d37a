/** For specs of whoever stands on OVN: what somebody does to its rows by hand, and a link to it that fails on demand. */
export type { Northbound } from '../schema/northbound.js';
export { damage, loss, type Damage } from './damages.js';
export { disturbed, type DisturbedNetwork } from './disturbed-network.js';
