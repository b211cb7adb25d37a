export * from './kind/operation-kind.js';
export { OperationRegistry } from './kind/operation-registry.js';
export * from './kind/step-result.js';
export * from './operation/operation.js';
export * from './operation/operation-sections.js';
