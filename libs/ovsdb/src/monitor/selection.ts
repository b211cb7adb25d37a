import { InvalidArgumentError } from '../errors.js';
import { sameValue, type Value } from '../schema/value.js';
import type { ReplicaRow } from './replica.js';

type Rows = readonly ReplicaRow[];

const NONE: Rows = [];

/**
 * Finds rows of a replica by conditions. What was once asked for by a part of a set or a key of a map is found by an index,
 * which lasts until the table changes.
 */
export class Selection {
  /** By table, then by column and key. */
  readonly #indexes = new Map<string, Map<string, ReadonlyMap<unknown, Rows>>>();

  constructor(private readonly tableOf: (table: string) => ReadonlyMap<string, ReplicaRow>) {}

  /** The table has changed. */
  forget(table: string): void {
    this.#indexes.delete(table);
  }

  /** Rows for which all of these conditions hold. @throws InvalidArgumentError */
  rows(table: string, where: readonly unknown[]): ReplicaRow[] {
    let found: Rows | undefined;
    for (const condition of where) {
      const candidates = this.#candidates(table, condition);
      if (candidates !== undefined && (found === undefined || candidates.length < found.length)) found = candidates;
    }
    const tests = where.map(testOf);
    return [...(found ?? this.tableOf(table).values())].filter((row) => tests.every((test) => test(row)));
  }

  /** Rows that may meet it, the fewest that an index tells; undefined when none does. */
  #candidates(table: string, condition: unknown): Rows | undefined {
    if (!Array.isArray(condition)) return undefined;
    const [column, how, value] = condition as [string, string, unknown];
    if (column === '_uuid' && how === '==' && typeof value === 'string') {
      const row = this.tableOf(table).get(value);
      return row === undefined ? NONE : [row];
    }
    if (how !== 'includes') return undefined;
    let fewest: Rows | undefined;
    for (const part of partsOf(value)) {
      const rows = Array.isArray(part)
        ? this.#index(table, column, part[0]).get(part[1])
        : this.#index(table, column, undefined).get(part);
      if (rows === undefined) return NONE;
      if (fewest === undefined || rows.length < fewest.length) fewest = rows;
    }
    return fewest;
  }

  /** @param key of a map, whose values lead to rows; the elements of sets do when it is undefined */
  #index(table: string, column: string, key: unknown): ReadonlyMap<unknown, Rows> {
    const indexes = this.#indexes.get(table) ?? new Map<string, ReadonlyMap<unknown, Rows>>();
    this.#indexes.set(table, indexes);
    const name = JSON.stringify([column, key]);
    const known = indexes.get(name);
    if (known !== undefined) return known;
    const index = new Map<unknown, ReplicaRow[]>();
    for (const row of this.tableOf(table).values()) {
      for (const value of indexed(row[column], key)) {
        const rows = index.get(value);
        if (rows === undefined) index.set(value, [row]);
        else rows.push(row);
      }
    }
    indexes.set(name, index);
    return index;
  }
}

function indexed(value: Value | undefined, key: unknown): Iterable<unknown> {
  if (value instanceof Map) return value.has(key) ? [value.get(key)] : [];
  if (value instanceof Set) return value;
  return value === undefined || value === null ? [] : [value];
}

/** Elements of a set, or pairs of a map. */
function partsOf(value: unknown): readonly unknown[] {
  if (value instanceof Map || value instanceof Set) return [...(value as Iterable<unknown>)];
  if (Array.isArray(value)) return value;
  return typeof value === 'object' && value !== null ? Object.entries(value) : [value];
}

function testOf(condition: unknown): (row: ReplicaRow) => boolean {
  if (typeof condition === 'boolean') return () => condition;
  const [column, how, value] = condition as [string, string, Value];
  if (how === '==') return (row) => sameValue(row[column] ?? null, value);
  if (how !== 'includes') throw new InvalidArgumentError('where', `a replica does not know "${how}"`);
  const parts = partsOf(value);
  return (row) => parts.every((part) => has(row[column], part));
}

function has(value: Value | undefined, part: unknown): boolean {
  if (value instanceof Map) return Array.isArray(part) && value.get(part[0] as string) === part[1];
  if (value instanceof Set) return value.has(part as string);
  return value === part;
}
