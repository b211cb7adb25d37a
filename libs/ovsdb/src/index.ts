export { OvsdbClient, type ClientEvents } from './client/client.js';
export { Lock, type LockEvents, type LockOptions } from './client/lock.js';
export type { CallOptions, ClientOptions } from './client/options.js';
export * from './errors.js';
export { Monitor, type ChangesListener, type MonitorEvents, type MonitorOptions } from './monitor/monitor.js';
export type { Change, MonitorRequest, TableMonitor } from './monitor/request.js';
export { RowReference } from './schema/encode.js';
export type { AtomicType, ColumnType, DatabaseSchema, TableSchema } from './schema/schema.js';
export type {
  AnyTables,
  ColumnName,
  Condition,
  ConditionFunction,
  Input,
  Mutation,
  Mutator,
  Row,
  RowInput,
  TableName,
  Where,
} from './schema/tables.js';
export type { Atom, Value } from './schema/value.js';
export { Insert, type Operation } from './transaction/operation.js';
export type { Outcome } from './transaction/outcome.js';
export { Transaction, type WaitOptions } from './transaction/transaction.js';
export type { TlsOptions } from './wire/endpoint.js';
