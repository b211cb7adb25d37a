export * from './configuration.js';
export * from './errors.js';
export * from './ids.js';
export * from './logging.js';
export * from './names.js';
export * from './sizes.js';
export * from './time.js';
export * from './validation.js';
