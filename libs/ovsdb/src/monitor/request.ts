import { InvalidArgumentError } from '../errors.js';
import { encodeColumns, encodeWhere, tableOf, type OperationContext } from '../transaction/operation.js';
import { columnType, type ColumnType, type DatabaseSchema, type TableSchema } from '../schema/schema.js';
import type { ColumnName, Row, TableName, Where } from '../schema/tables.js';
import type { Json, JsonObject } from '../wire/json.js';
import type { ReplicaTables } from './replica.js';

/** What to monitor of one table. */
export interface TableMonitor<Columns> {
  /** All, when absent. */
  readonly columns?: readonly ColumnName<Columns>[];
  /** Only rows for which all of these hold (ovsdb-server(7) §4.1.12); every row, when absent. */
  readonly where?: Where<Columns>;
}

/** What to monitor: only the tables that are named. */
export type MonitorRequest<Tables> = { readonly [Table in TableName<Tables>]?: TableMonitor<Tables[Table]> };

/** What has become of one row of a monitored table. */
export type Change<Tables> = { [Table in TableName<Tables>]: TableChange<Table, Tables[Table]> }[TableName<Tables>];

type TableChange<Table, Columns> =
  /** New, or newly met by the conditions. */
  | { readonly kind: 'insert'; readonly table: Table; readonly row: Row<Columns> }
  /** `old` holds the former values of the columns that are different now, and only of those. */
  | { readonly kind: 'modify'; readonly table: Table; readonly row: Row<Columns>; readonly old: Readonly<Partial<Columns>> }
  /** Gone, or no longer met by the conditions; `row` is what it was last. */
  | { readonly kind: 'delete'; readonly table: Table; readonly row: Row<Columns> };

/** Conditions by table, as their user gave them. */
export type Conditions = ReadonlyMap<string, readonly unknown[]>;

/** A request that knows no types: columns by table, undefined for all. */
export type RequestedColumns = ReadonlyMap<string, readonly string[] | undefined>;

const contextOf = (schema: DatabaseSchema, table: string): OperationContext => ({ schema, path: table, knows: () => false });

/** @throws InvalidArgumentError when the schema has no such table or column */
export function resolveTables(schema: DatabaseSchema, requested: RequestedColumns): ReplicaTables {
  if (requested.size === 0) throw new InvalidArgumentError('request', 'at least one table is needed');
  return new Map(
    [...requested].map(([name, columns]) => {
      const table = tableOf(contextOf(schema, name), name);
      const names = columns === undefined ? table.columns.keys() : encodeColumns(table, columns, contextOf(schema, name));
      return [name, new Map([...names].flatMap((column) => typed(table, column)))];
    }),
  );
}

/** `_uuid` needs no asking. */
function typed(table: TableSchema, column: string): [string, ColumnType][] {
  const type = column === '_uuid' ? undefined : columnType(table, column);
  return type === undefined ? [] : [[column, type]];
}

/** @throws InvalidArgumentError */
export function encodeConditions(schema: DatabaseSchema, table: string, where: readonly unknown[]): Json[] {
  const context = contextOf(schema, table);
  return encodeWhere(tableOf(context, table), where, context);
}

/** `<monitor-cond-requests>`; without conditions the same is a valid `<monitor-requests>` of RFC 7047 §4.1.5. */
export function encodeRequest(schema: DatabaseSchema, tables: ReplicaTables, conditions: Conditions): JsonObject {
  return Object.fromEntries(
    [...tables].map(([table, columns]) => {
      const where = conditions.get(table);
      return [table, [{ columns: [...columns.keys()], ...(where === undefined ? {} : { where: encodeConditions(schema, table, where) }) }]];
    }),
  );
}
