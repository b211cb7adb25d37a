import { OperationResolver } from './operation/operation-resolver.graphql.js';

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

export const operationsResolvers = [OperationResolver];
