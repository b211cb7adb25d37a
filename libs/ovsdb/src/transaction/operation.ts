import { InvalidArgumentError, ProtocolError } from '../errors.js';
import { encodeAtom, encodeMap, encodeSet, encodeValue, isMapLike, RowReference, type EncodeContext } from '../schema/encode.js';
import { columnType, type ColumnType, type DatabaseSchema, type TableSchema } from '../schema/schema.js';
import { decodeAtom, decodeValue, type Value } from '../schema/value.js';
import { isList, isObject, type Json, type JsonObject } from '../wire/json.js';

/** What the schema and the transaction say, while one operation is written. */
export interface OperationContext extends EncodeContext {
  readonly schema: DatabaseSchema;
}

/** One operation of a transaction; hand it to {@link Outcome.of} for its result. */
export interface Operation<Result> {
  /** The `op` member. */
  readonly name: string;
  readonly table: string | undefined;
  /** @throws InvalidArgumentError */
  encode(context: OperationContext): JsonObject;
  /** @throws ProtocolError */
  decode(result: JsonObject, schema: DatabaseSchema): Result;
  /** Of a select: the rows that it asks for. */
  readonly where?: readonly unknown[];
}

/** An insert, which other operations of the same transaction may refer to. Its result is the new row's UUID. */
export class Insert extends RowReference implements Operation<string> {
  readonly name = 'insert';
  readonly encode: Operation<string>['encode'];

  constructor(
    uuidName: string,
    readonly table: string,
    row: object,
    uuid: string | undefined,
  ) {
    super(uuidName);
    this.encode = (context) => ({
      op: 'insert',
      table,
      row: encodeRow(tableOf(context, table), row, context),
      'uuid-name': uuidName,
      ...(uuid === undefined ? {} : { uuid: (encodeAtom('uuid', uuid, at(context, 'uuid')) as readonly Json[])[1] as Json }),
    });
  }

  decode(result: JsonObject): string {
    return decodeAtom('uuid', result['uuid'] ?? null, 'the result of insert') as string;
  }
}

export const at = <Context extends EncodeContext>(context: Context, step: string | number): Context => ({
  ...context,
  path: `${context.path}.${step}`,
});

export function tableOf(context: OperationContext, name: string): TableSchema {
  const table = context.schema.tables.get(name);
  if (table === undefined) throw new InvalidArgumentError(`${context.path}.table`, `the database ${context.schema.name} has no table "${name}"`);
  return table;
}

function typeOf(table: TableSchema, column: string, path: string): ColumnType {
  const type = columnType(table, column);
  if (type === undefined) throw new InvalidArgumentError(path, `the table ${table.name} has no column "${column}"`);
  return type;
}

export function encodeRow(table: TableSchema, row: object, context: OperationContext, place = 'row'): JsonObject {
  return Object.fromEntries(
    Object.entries(row).map(([column, value]: [string, unknown]) => {
      const inner = at(at(context, place), column);
      return [column, encodeValue(typeOf(table, column, inner.path), value, inner)];
    }),
  );
}

export function encodeColumns(table: TableSchema, columns: readonly string[], context: OperationContext): string[] {
  return columns.map((column, index) => {
    typeOf(table, column, `${context.path}.columns.${index}`);
    return column;
  });
}

type LooseClause = readonly [column: string, relation: string, value: unknown];

export function encodeWhere(table: TableSchema, where: readonly unknown[], context: OperationContext): Json[] {
  return where.map((condition, index) => {
    const inner = at(at(context, 'where'), index);
    if (typeof condition === 'boolean') return condition;
    const [column, relation, value] = condition as LooseClause;
    const type = typeOf(table, column, inner.path);
    return [column, relation, relation === 'includes' || relation === 'excludes' ? encodePart(type, value, inner) : encodeValue(type, value, inner)];
  });
}

export function encodeMutations(table: TableSchema, mutations: readonly unknown[], context: OperationContext): Json[] {
  return mutations.map((mutation, index) => {
    const inner = at(at(context, 'mutations'), index);
    const [column, mutator, value] = mutation as LooseClause;
    const type = typeOf(table, column, inner.path);
    if (mutator !== 'insert' && mutator !== 'delete') return [column, mutator, encodeAtom(type.key, value, inner)];
    // Of a map, keys alone may be deleted (RFC 7047 §5.1).
    const keysAlone = mutator === 'delete' && type.value !== undefined && !isMapLike(value);
    return [column, mutator, keysAlone ? encodeSet(type.key, value, inner) : encodePart(type, value, inner)];
  });
}

const encodePart = (type: ColumnType, value: unknown, context: EncodeContext): Json =>
  type.value === undefined ? encodeSet(type.key, value, context) : encodeMap(type.key, type.value, value, context);

/** The rows of a select (RFC 7047 §5.2.2). */
export function decodeRows(table: TableSchema, columns: readonly string[], result: JsonObject): Record<string, Value>[] {
  const rows = result['rows'];
  if (!isList(rows)) throw new ProtocolError('the result of select has no rows');
  return rows.map((row) => {
    if (!isObject(row)) throw new ProtocolError('the result of select holds something else than rows');
    return Object.fromEntries(
      columns.map((column) => [column, decodeValue(typeOf(table, column, column), row[column] ?? null, `${table.name}.${column}`)]),
    );
  });
}

/** How many rows an update, mutate or delete met (RFC 7047 §5.2.3 to §5.2.5). */
export function decodeCount({ count }: JsonObject): number {
  if (typeof count !== 'number') throw new ProtocolError('a result has no count');
  return count;
}
