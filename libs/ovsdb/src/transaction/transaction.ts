import type { AnyTables, ColumnName, Mutation, Row, RowInput, TableName, Where } from '../schema/tables.js';
import type { DatabaseSchema, TableSchema } from '../schema/schema.js';
import { encodeAtom } from '../schema/encode.js';
import type { JsonObject } from '../wire/json.js';
import {
  at,
  decodeCount,
  decodeRows,
  encodeColumns,
  encodeMutations,
  encodeRow,
  encodeWhere,
  Insert,
  tableOf,
  type Operation,
  type OperationContext,
} from './operation.js';

export interface WaitOptions {
  /** How long the server may hold the transaction until the condition holds, in milliseconds; 0 compares once. */
  readonly timeoutMs?: number;
  /** The columns that are compared; those that the rows give, when absent. */
  readonly columns?: readonly string[];
}

/** Operations that cannot change anything, so that sending them twice does no harm. */
const READING = new Set(['select', 'wait', 'abort', 'comment', 'assert']);

/**
 * Operations that are done all or not at all (RFC 7047 §4.1.3, §5.2). Build it, then give it to `OvsdbClient.transact`.
 *
 * ```ts
 * const transaction = new Transaction<Northbound>();
 * const port = transaction.insert('Logical_Switch_Port', { name: 'web-1' });
 * transaction.mutate('Logical_Switch', [['name', '==', 'web']], [['ports', 'insert', port]]);
 * const outcome = await client.transact(transaction);
 * outcome.of(port); // the new row's UUID
 * ```
 *
 * Names of tables and columns and the kinds of values are checked against the schema when it is sent.
 */
export class Transaction<Tables extends object = AnyTables> {
  readonly #operations: Operation<unknown>[] = [];

  get operations(): readonly Operation<unknown>[] {
    return this.#operations;
  }

  /** True while nothing in it can change the database. */
  get isReadOnly(): boolean {
    return this.#operations.every(({ name }) => READING.has(name));
  }

  /**
   * §5.2.1. What it returns may stand for the new row's UUID in the other operations; its result is that UUID.
   * @param uuid chooses the row's UUID (ovsdb-server(7) §5.2.1, Open vSwitch 2.13 and later)
   */
  insert<Table extends TableName<Tables>>(table: Table, row: RowInput<Tables[Table]>, uuid?: string): Insert {
    return this.#add(new Insert(`row${this.#operations.length}`, table, row, uuid));
  }

  /** §5.2.2. Its result are the rows with these columns, or all, and `_uuid`. */
  select<Table extends TableName<Tables>, Column extends ColumnName<Tables[Table]> = ColumnName<Tables[Table]>>(
    table: Table,
    where: Where<Tables[Table]>,
    columns?: readonly Column[],
  ): Operation<Row<Pick<Tables[Table], Column>>[]> {
    const wanted = (schema: TableSchema): readonly string[] => columns ?? [...schema.columns.keys()];
    return this.#add({
      name: 'select',
      table,
      where,
      encode: (context) => {
        const schema = tableOf(context, table);
        const names = ['_uuid', ...encodeColumns(schema, wanted(schema), context)];
        return { op: 'select', table, where: encodeWhere(schema, where, context), columns: names };
      },
      decode: (result, { tables }) => {
        const schema = tables.get(table);
        return (schema === undefined ? [] : decodeRows(schema, ['_uuid', ...wanted(schema)], result)) as Row<Pick<Tables[Table], Column>>[];
      },
    });
  }

  /** §5.2.3. Its result is how many rows were met, changed or not. */
  update<Table extends TableName<Tables>>(table: Table, where: Where<Tables[Table]>, row: RowInput<Tables[Table]>): Operation<number> {
    return this.#change('update', table, where, (context) => ({ row: encodeRow(tableOf(context, table), row, context) }));
  }

  /** §5.2.4. Its result is how many rows were met, changed or not. */
  mutate<Table extends TableName<Tables>>(
    table: Table,
    where: Where<Tables[Table]>,
    mutations: readonly Mutation<Tables[Table]>[],
  ): Operation<number> {
    return this.#change('mutate', table, where, (context) => ({ mutations: encodeMutations(tableOf(context, table), mutations, context) }));
  }

  /** §5.2.5. Its result is how many rows were deleted. */
  delete<Table extends TableName<Tables>>(table: Table, where: Where<Tables[Table]>): Operation<number> {
    return this.#change('delete', table, where, () => ({}));
  }

  /**
   * §5.2.6. The transaction goes on only if the rows that match are these, in any order (`==`), or are not (`!=`). When
   * the time is over it is refused as `timed out`.
   */
  wait<Table extends TableName<Tables>>(
    table: Table,
    where: Where<Tables[Table]>,
    until: '==' | '!=',
    rows: readonly RowInput<Tables[Table]>[],
    { timeoutMs = 0, columns = [...new Set(rows.flatMap((row) => Object.keys(row)))] }: WaitOptions = {},
  ): Operation<void> {
    return this.#addSilent('wait', table, (context) => {
      const schema = tableOf(context, table);
      return {
        timeout: timeoutMs,
        table,
        where: encodeWhere(schema, where, context),
        columns: encodeColumns(schema, columns, context),
        until,
        rows: rows.map((row, index) => encodeRow(schema, row, context, `rows.${index}`)),
      };
    });
  }

  /** §5.2.7. With `durable` the answer comes after the database is safe on disk. */
  commit(durable: boolean): Operation<void> {
    return this.#addSilent('commit', undefined, () => ({ durable }));
  }

  /** §5.2.8. Makes the whole transaction be refused as `aborted`; what comes before it is tried out. */
  abort(): Operation<void> {
    return this.#addSilent('abort', undefined, () => ({}));
  }

  /** §5.2.9. A text for the server's log. */
  comment(comment: string): Operation<void> {
    return this.#addSilent('comment', undefined, (context) => ({ comment: encodeAtom('string', comment, at(context, 'comment')) }));
  }

  /** §5.2.10. The transaction is refused as `not owner` unless this connection holds the lock, see `OvsdbClient.lock`. */
  assert(lock: string): Operation<void> {
    return this.#addSilent('assert', undefined, (context) => ({ lock: encodeAtom('string', lock, at(context, 'lock')) }));
  }

  /**
   * The operations as they go on the wire.
   * @throws InvalidArgumentError
   */
  encode(schema: DatabaseSchema): JsonObject[] {
    const own = new Set<unknown>(this.#operations);
    return this.#operations.map((operation, index) =>
      operation.encode({ schema, path: `operations.${index}`, knows: (reference) => own.has(reference) }),
    );
  }

  #change(name: string, table: string, where: readonly unknown[], rest: (context: OperationContext) => JsonObject): Operation<number> {
    return this.#add({
      name,
      table,
      encode: (context) => ({ op: name, table, where: encodeWhere(tableOf(context, table), where, context), ...rest(context) }),
      decode: decodeCount,
    });
  }

  #addSilent(name: string, table: string | undefined, encode: (context: OperationContext) => JsonObject): Operation<void> {
    return this.#add({ name, table, encode: (context) => ({ op: name, ...encode(context) }), decode: () => undefined });
  }

  #add<Added extends Operation<unknown>>(operation: Added): Added {
    this.#operations.push(operation);
    return operation;
  }
}
