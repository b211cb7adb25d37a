/**
 * A client for OVSDB, the database protocol of Open vSwitch and OVN: RFC 7047, and what `ovsdb-server` adds to it
 * (ovsdb-server(7)), over TCP, TLS and unix sockets, for standalone and clustered databases.
 *
 * ```ts
 * interface Northbound {
 *   Logical_Switch: { name: string; ports: ReadonlySet<string> };
 *   Logical_Switch_Port: { name: string; external_ids: ReadonlyMap<string, string> };
 * }
 * await using client = new OvsdbClient<Northbound>({
 *   database: 'OVN_Northbound',
 *   endpoints: ['tcp:10.0.0.1:6641', 'tcp:10.0.0.2:6641', 'tcp:10.0.0.3:6641'],
 * });
 *
 * const monitor = await client.monitor({ Logical_Switch_Port: { columns: ['name', 'external_ids'] } });
 * monitor.on('changes', (changes) => console.log(changes));
 *
 * const transaction = new Transaction<Northbound>();
 * const port = transaction.insert('Logical_Switch_Port', { name: 'web-1', external_ids: { owner: 'me' } });
 * transaction.mutate('Logical_Switch', [['name', '==', 'web']], [['ports', 'insert', port]]);
 * const outcome = await client.transact(transaction);
 * console.log(outcome.of(port), monitor.rows('Logical_Switch_Port').get(outcome.of(port)));
 * ```
 *
 * | what | where | RFC 7047 | ovsdb-server(7) |
 * | --- | --- | --- | --- |
 * | connections, endpoints, the leader, limits | {@link OvsdbClient}, {@link ClientOptions} | §4, §4.1.11 | §4.1.18 |
 * | transactions | {@link Transaction}, {@link Outcome} | §4.1.3, §4.1.4, §5.2 | §5.2.1 |
 * | tables and columns as types | {@link AnyTables} | | |
 * | values | {@link Value}, {@link Input} | §5.1 | |
 * | conditions, mutations | {@link Condition}, {@link Mutation} | §5.1 | §5.1 |
 * | replicas that are kept up to date | {@link Monitor} | §4.1.5 to §4.1.7 | §4.1.12 to §4.1.16 |
 * | locks | {@link Lock} | §4.1.8 to §4.1.10 | |
 * | the schema | {@link DatabaseSchema} | §3.2, §4.1.2 | |
 * | errors | {@link OvsdbError} | §3.1 | §3.1 |
 *
 * What it promises:
 * - Nothing that may have been done is done again: see {@link OutcomeUnknownError}.
 * - A monitor's listeners hear of every real difference once, and of nothing else, however often the connection is lost.
 * - Every call ends: by its answer, its time, its signal, or by `close`. What waits is bounded in number and in bytes.
 * - Integers of 64 bits are exact.
 */
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
export { sameValue, type Atom, type Value } from './schema/value.js';
export { Insert, type Operation } from './transaction/operation.js';
export type { Outcome } from './transaction/outcome.js';
export { Transaction, type WaitOptions } from './transaction/transaction.js';
export type { TlsOptions } from './wire/endpoint.js';
