export {
  BlockerType,
  loadBlockers,
  loadCurrentOperation,
  loadOperation,
  Operation,
  OperationPayload,
  toOperation,
  toOperationPayload,
} from './operation/operation.graphql.js';
