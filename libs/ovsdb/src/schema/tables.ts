import type { RowReference } from './encode.js';
import type { Value } from './value.js';

/**
 * How TypeScript learns the tables of a database. A client may be given its tables' types, and then checks names and
 * values of columns while compiling; without them any name goes, and the schema is what checks.
 *
 * ```ts
 * interface Northbound {
 *   Logical_Switch: { name: string; ports: ReadonlySet<string>; external_ids: ReadonlyMap<string, string> };
 *   Logical_Switch_Port: { name: string; up: boolean | null; tag: number | null };
 * }
 * const client = new OvsdbClient<Northbound>({ database: 'OVN_Northbound', endpoints: ['tcp:127.0.0.1:6641'] });
 * ```
 *
 * A column is declared as it is read ({@link Value}); an integer that may pass 2^53 as `number | bigint`.
 */
export type AnyTables = Record<string, Record<string, Value>>;

export type TableName<Tables> = keyof Tables & string;
export type ColumnName<Columns> = keyof Columns & string;

/** A row as it is read; `_uuid` is always there. */
export type Row<Columns> = Readonly<Columns> & { readonly _uuid: string };

type InputAtom<Atom> = Atom extends string ? Atom | RowReference : Atom extends number ? Atom | bigint : Atom;

/** What may be written to a column that is read as `Column`. */
export type Input<Column> =
  Column extends ReadonlyMap<infer Key, infer Item>
    ? ReadonlyMap<InputAtom<Key>, InputAtom<Item>> | (Key extends string ? Readonly<Record<string, InputAtom<Item>>> : never)
    : Column extends ReadonlySet<infer Item>
      ? ReadonlySet<InputAtom<Item>> | readonly InputAtom<Item>[] | InputAtom<Item>
      : InputAtom<Column>;

/** The columns that a row is given; others get their defaults, or stay as they are. */
export type RowInput<Columns> = { readonly [Name in keyof Columns]?: Input<Columns[Name]> };

/** `<function>` of RFC 7047 §5.1. */
export type ConditionFunction = '<' | '<=' | '==' | '!=' | '>=' | '>' | 'includes' | 'excludes';

/**
 * `<condition>` of RFC 7047 §5.1: `[column, function, value]`. `includes` and `excludes` take any part of a set or map.
 * A boolean stands for all rows or none (ovsdb-server(7) §5.1).
 */
export type Condition<Columns> =
  | { readonly [Name in ColumnName<Columns>]: readonly [Name, ConditionFunction, Input<Columns[Name]>] }[ColumnName<Columns>]
  | readonly ['_uuid', '==' | '!=' | 'includes' | 'excludes', string | RowReference]
  | boolean;

/** All of them must hold; none at all means every row. */
export type Where<Columns> = readonly Condition<Columns>[];

export type Mutator = '+=' | '-=' | '*=' | '/=' | '%=' | 'insert' | 'delete';

type MutationArgument<Column> =
  Column extends ReadonlyMap<infer Key, unknown> ? Input<Column> | Input<ReadonlySet<Key>> : Input<Column>;

/**
 * `<mutation>` of RFC 7047 §5.1: `[column, mutator, value]`. Arithmetic takes one number and acts on every element.
 * `insert` adds elements; a key that a map already has keeps its value. `delete` takes elements, pairs, or keys alone.
 */
export type Mutation<Columns> = {
  readonly [Name in ColumnName<Columns>]: readonly [Name, Mutator, MutationArgument<Columns[Name]>];
}[ColumnName<Columns>];
