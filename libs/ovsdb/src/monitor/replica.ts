import { ProtocolError } from '../errors.js';
import type { ColumnType } from '../schema/schema.js';
import { applyDifference, decodeValue, defaultValue, sameValue, type Value } from '../schema/value.js';
import { isObject, type Json, type JsonObject } from '../wire/json.js';

/** A row of a replica; `_uuid` is always there. Rows are never changed in place. */
export type ReplicaRow = Readonly<Record<string, Value>> & { readonly _uuid: string };

export type ReplicaChange =
  | { readonly kind: 'insert'; readonly table: string; readonly row: ReplicaRow }
  /** `old` holds the former values of the columns that are different now, and only of those. */
  | { readonly kind: 'modify'; readonly table: string; readonly row: ReplicaRow; readonly old: Readonly<Record<string, Value>> }
  /** `row` is what it was last. */
  | { readonly kind: 'delete'; readonly table: string; readonly row: ReplicaRow };

/** The columns of each table that are kept. */
export type ReplicaTables = ReadonlyMap<string, ReadonlyMap<string, ColumnType>>;

/** `table-updates` is RFC 7047 §4.1.6's form, `table-updates2` that of ovsdb-server(7) §4.1.14. */
export type UpdateFormat = 'table-updates' | 'table-updates2';

/**
 * A copy of what is monitored. An update is applied whole or, when it does not fit, not at all; the changes it makes are
 * returned. Nothing here knows of connections.
 */
export class Replica {
  #tables: ReplicaTables;
  readonly #rows = new Map<string, Map<string, ReplicaRow>>();

  constructor(tables: ReplicaTables) {
    this.#tables = tables;
  }

  /** What to decode from now on, after the schema has changed; what is there stays until {@link replace}. */
  retype(tables: ReplicaTables): void {
    this.#tables = tables;
  }

  rows(table: string): ReadonlyMap<string, ReplicaRow> {
    return this.#table(table);
  }

  /** Changes since the last update. @throws ProtocolError when they do not fit to what is here */
  update(updates: Json, format: UpdateFormat): ReplicaChange[] {
    const changes: ReplicaChange[] = [];
    for (const { table, uuid, columns, update } of this.#rowUpdates(updates)) {
      const change = this.#changeTo(table, uuid, nextRow({ table, uuid, columns, update, format, old: this.#table(table).get(uuid) }));
      if (change !== undefined) changes.push(change);
    }
    return this.#apply(changes);
  }

  /** A whole dump: what is not in it is gone. Only what really differs is a change. @throws ProtocolError */
  replace(dump: Json, format: UpdateFormat): ReplicaChange[] {
    const changes: ReplicaChange[] = [];
    const seen = new Set<ReplicaRow>();
    for (const { table, uuid, columns, update } of this.#rowUpdates(dump)) {
      const old = this.#table(table).get(uuid);
      if (old !== undefined) seen.add(old);
      const change = this.#changeTo(table, uuid, nextRow({ table, uuid, columns, update, format, old: undefined }));
      if (change !== undefined) changes.push(change);
    }
    for (const [table, rows] of this.#rows) {
      for (const row of rows.values()) if (!seen.has(row)) changes.push({ kind: 'delete', table, row });
    }
    return this.#apply(changes);
  }

  #table(name: string): Map<string, ReplicaRow> {
    let rows = this.#rows.get(name);
    if (rows === undefined) this.#rows.set(name, (rows = new Map()));
    return rows;
  }

  *#rowUpdates(updates: Json): Generator<{ table: string; uuid: string; columns: ReadonlyMap<string, ColumnType>; update: JsonObject }> {
    for (const [table, rows] of Object.entries(objectOf(updates, 'an update'))) {
      const columns = this.#tables.get(table);
      if (columns === undefined) throw new ProtocolError(`an update is for the table ${table.slice(0, 100)}, which is not monitored`);
      for (const [uuid, update] of Object.entries(objectOf(rows, table))) {
        yield { table, uuid, columns, update: objectOf(update, `${table}.${uuid}`) };
      }
    }
  }

  #changeTo(table: string, uuid: string, row: ReplicaRow | undefined): ReplicaChange | undefined {
    const old = this.#table(table).get(uuid);
    if (row === undefined) return old === undefined ? undefined : { kind: 'delete', table, row: old };
    if (old === undefined) return { kind: 'insert', table, row };
    const names = new Set([...Object.keys(old), ...Object.keys(row)]);
    const different = [...names].filter((name) => !sameOrAbsent(old[name], row[name]));
    if (different.length === 0) return undefined;
    return { kind: 'modify', table, row, old: Object.fromEntries(different.flatMap((name) => (name in old ? [[name, old[name] as Value]] : []))) };
  }

  #apply(changes: ReplicaChange[]): ReplicaChange[] {
    for (const { kind, table, row } of changes) {
      if (kind === 'delete') this.#table(table).delete(row._uuid);
      else this.#table(table).set(row._uuid, row);
    }
    return changes;
  }
}

const sameOrAbsent = (one: Value | undefined, other: Value | undefined): boolean =>
  one === undefined || other === undefined ? one === other : sameValue(one, other);

interface RowUpdate {
  table: string;
  uuid: string;
  columns: ReadonlyMap<string, ColumnType>;
  update: JsonObject;
  format: UpdateFormat;
  old: ReplicaRow | undefined;
}

/** The row after the update, or undefined when it is gone. */
function nextRow(rowUpdate: RowUpdate): ReplicaRow | undefined {
  const { update, format, old, table, uuid } = rowUpdate;
  if (format === 'table-updates') {
    const { new: after } = update;
    return after === undefined || after === null ? undefined : wholeRow(rowUpdate, objectOf(after, `${table}.${uuid}`));
  }
  if ('delete' in update) return undefined;
  const whole = update['initial'] ?? update['insert'];
  if (whole !== undefined) return wholeRow(rowUpdate, objectOf(whole, `${table}.${uuid}`));
  const difference = objectOf(update['modify'], `${table}.${uuid}`);
  if (old === undefined) throw new ProtocolError(`the row ${uuid} of ${table} was modified, but it is not known`);
  return modifiedRow(rowUpdate, old, difference);
}

/** Columns that are left out have their defaults. */
function wholeRow({ table, uuid, columns }: RowUpdate, values: JsonObject): ReplicaRow {
  const row: Record<string, Value> & { _uuid: string } = { _uuid: uuid };
  for (const [column, type] of columns) {
    const value = values[column];
    row[column] = value === undefined ? defaultValue(type) : decodeValue(type, value, `${table}.${column}`);
  }
  return row;
}

function modifiedRow({ table, columns }: RowUpdate, old: ReplicaRow, difference: JsonObject): ReplicaRow {
  const row: Record<string, Value> & { _uuid: string } = { ...old };
  for (const [column, value] of Object.entries(difference)) {
    const type = columns.get(column);
    if (type === undefined) throw new ProtocolError(`an update is for ${table}.${column.slice(0, 100)}, which is not monitored`);
    // A difference may have fewer elements than the column.
    row[column] = applyDifference(type, old[column] ?? defaultValue(type), decodeValue({ ...type, min: 0 }, value, `${table}.${column}`));
  }
  return row;
}

function objectOf(json: Json | undefined, what: string): JsonObject {
  if (!isObject(json)) throw new ProtocolError(`${what} is not an object`);
  return json;
}
