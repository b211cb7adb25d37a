import { ProtocolError } from '../errors.js';
import { isList, isObject, type Json, type JsonObject } from '../wire/json.js';

export type AtomicType = 'integer' | 'real' | 'boolean' | 'string' | 'uuid';

/**
 * What one column holds (RFC 7047 §3.2, `<type>`): between `min` and `max` elements of `key`, or pairs when there is a
 * `value`. Constraints on elements (ranges, lengths, enumerations) are left to the server.
 */
export interface ColumnType {
  readonly key: AtomicType;
  readonly value: AtomicType | undefined;
  readonly min: 0 | 1;
  /** Infinity for `unlimited`. */
  readonly max: number;
}

export interface TableSchema {
  readonly name: string;
  /** Without `_uuid` and `_version`, which every table has. */
  readonly columns: ReadonlyMap<string, ColumnType>;
}

/** A database's schema (RFC 7047 §3.2), as far as a client needs it. */
export interface DatabaseSchema {
  readonly name: string;
  /** As in `7.0.0`; empty where an old server has none. */
  readonly version: string;
  readonly tables: ReadonlyMap<string, TableSchema>;
}

const ATOMIC_TYPES: readonly string[] = ['integer', 'real', 'boolean', 'string', 'uuid'];

/** The columns that every table has without saying so (RFC 7047 §3.2). */
const UUID_COLUMN: ColumnType = { key: 'uuid', value: undefined, min: 1, max: 1 };
const IMPLICIT_COLUMNS: ReadonlyMap<string, ColumnType> = new Map([
  ['_uuid', UUID_COLUMN],
  ['_version', UUID_COLUMN],
]);

export function columnType(table: TableSchema, column: string): ColumnType | undefined {
  return table.columns.get(column) ?? IMPLICIT_COLUMNS.get(column);
}

/** @throws ProtocolError that names the place */
export function parseSchema(json: Json): DatabaseSchema {
  const schema = object(json, 'schema');
  const tables = Object.entries(object(schema['tables'], 'schema.tables')).map(([name, table]) => parseTable(name, table));
  return {
    name: string(schema['name'], 'schema.name'),
    version: schema['version'] === undefined ? '' : string(schema['version'], 'schema.version'),
    tables: new Map(tables.map((table) => [table.name, table])),
  };
}

function parseTable(name: string, json: Json): TableSchema {
  const path = `schema.tables.${name}`;
  const columns = Object.entries(object(object(json, path)['columns'], `${path}.columns`));
  return {
    name,
    columns: new Map(columns.map(([column, definition]) => [column, parseType(object(definition, `${path}.${column}`)['type'], `${path}.${column}`)])),
  };
}

function parseType(json: Json | undefined, path: string): ColumnType {
  if (typeof json === 'string') return { key: atomicType(json, path), value: undefined, min: 1, max: 1 };
  const type = object(json, path);
  return {
    key: baseType(type['key'], path),
    value: type['value'] === undefined ? undefined : baseType(type['value'], path),
    min: type['min'] === 0 ? 0 : 1,
    max: type['max'] === 'unlimited' ? Infinity : count(type['max'] ?? 1, path),
  };
}

const baseType = (json: Json | undefined, path: string): AtomicType =>
  typeof json === 'string' ? atomicType(json, path) : atomicType(string(object(json, path)['type'], path), path);

function atomicType(name: string, path: string): AtomicType {
  if (!ATOMIC_TYPES.includes(name)) throw new ProtocolError(`${path} has the unknown type ${name.slice(0, 100)}`);
  return name as AtomicType;
}

function object(json: Json | undefined, path: string): JsonObject {
  if (!isObject(json)) throw new ProtocolError(`${path} is not an object`);
  return json;
}

function string(json: Json | undefined, path: string): string {
  if (typeof json !== 'string') throw new ProtocolError(`${path} is not a string`);
  return json;
}

function count(json: Json, path: string): number {
  if (typeof json !== 'number' || !(json >= 1)) throw new ProtocolError(`${path} has a maximum that is no number from 1`);
  return json;
}

/** The strings of a JSON list. @throws ProtocolError */
export function stringList(json: Json, path: string): string[] {
  if (!isList(json)) throw new ProtocolError(`${path} is not a list`);
  return json.map((one, index) => string(one, `${path}.${index}`));
}
