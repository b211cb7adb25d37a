export * from './call.js';
export * from './compute.js';
export * from './driver.js';
export * from './hash.js';
export * from './host.js';
export * from './host-device.js';
export * from './network.js';
export * from './storage.js';
