import { InvalidArgumentError } from '../errors.js';
import { sameValue, type Value } from '../schema/value.js';
import type { ReplicaChange, ReplicaRow } from './replica.js';

type Uuids = ReadonlySet<string>;

const NONE: Uuids = new Set();

/**
 * Finds rows of a replica by conditions. What was once asked for by a part of a set or a key of a map is found by an index
 * from then on.
 */
export class Selection {
  /** By table, then by column and key. */
  readonly #indexes = new Map<string, Map<string, Index>>();

  constructor(private readonly tableOf: (table: string) => ReadonlyMap<string, ReplicaRow>) {}

  /** Rows may get columns that they never had. */
  forget(): void {
    this.#indexes.clear();
  }

  /** The replica has changed so. */
  follow(changes: readonly ReplicaChange[]): void {
    for (const change of changes) {
      for (const index of this.#indexes.get(change.table)?.values() ?? []) index.follow(change);
    }
  }

  /** Rows for which all of these conditions hold. @throws InvalidArgumentError */
  rows(table: string, where: readonly unknown[]): ReplicaRow[] {
    let found: Uuids | undefined;
    for (const condition of where) {
      const candidates = this.#candidates(table, condition);
      if (candidates !== undefined && (found === undefined || candidates.size < found.size)) found = candidates;
    }
    const rows = this.tableOf(table);
    const tests = where.map(testOf);
    const selected: ReplicaRow[] = [];
    for (const uuid of found ?? rows.keys()) {
      const row = rows.get(uuid);
      if (row !== undefined && tests.every((test) => test(row))) selected.push(row);
    }
    return selected;
  }

  /** Rows that may meet it, the fewest that an index tells; undefined when none does. */
  #candidates(table: string, condition: unknown): Uuids | undefined {
    if (!Array.isArray(condition)) return undefined;
    const [column, how, value] = condition as [string, string, unknown];
    if (column === '_uuid' && how === '==' && typeof value === 'string') return new Set([value]);
    if (how !== 'includes') return undefined;
    let fewest: Uuids | undefined;
    for (const part of partsOf(value)) {
      const uuids = Array.isArray(part)
        ? this.#index(table, column, part[0]).uuids(part[1])
        : this.#index(table, column, undefined).uuids(part);
      if (fewest === undefined || uuids.size < fewest.size) fewest = uuids;
    }
    return fewest;
  }

  /** @param key of a map, whose values lead to rows; the elements of sets do when it is undefined */
  #index(table: string, column: string, key: unknown): Index {
    let indexes = this.#indexes.get(table);
    if (indexes === undefined) this.#indexes.set(table, (indexes = new Map()));
    const name = JSON.stringify([column, key]);
    let index = indexes.get(name);
    if (index === undefined) indexes.set(name, (index = new Index(column, key, this.tableOf(table).values())));
    return index;
  }
}

/** Leads from the elements of a column, or from the values of one key of it, to rows. */
class Index {
  readonly #uuids = new Map<unknown, Set<string>>();

  constructor(
    private readonly column: string,
    private readonly key: unknown,
    rows: Iterable<ReplicaRow>,
  ) {
    for (const row of rows) this.#add(row);
  }

  uuids(value: unknown): Uuids {
    return this.#uuids.get(value) ?? NONE;
  }

  follow(change: ReplicaChange): void {
    const { kind, row } = change;
    if (kind === 'modify' && !(this.column in change.old)) return;
    if (kind !== 'insert') this.#remove(row._uuid, kind === 'modify' ? change.old[this.column] : row[this.column]);
    if (kind !== 'delete') this.#add(row);
  }

  #add({ _uuid: uuid, [this.column]: value }: ReplicaRow): void {
    for (const part of this.#partsOf(value)) {
      const uuids = this.#uuids.get(part);
      if (uuids === undefined) this.#uuids.set(part, new Set([uuid]));
      else uuids.add(uuid);
    }
  }

  #remove(uuid: string, value: Value | undefined): void {
    for (const part of this.#partsOf(value)) {
      const uuids = this.#uuids.get(part);
      uuids?.delete(uuid);
      if (uuids?.size === 0) this.#uuids.delete(part);
    }
  }

  #partsOf(value: Value | undefined): Iterable<unknown> {
    if (value instanceof Map) return value.has(this.key) ? [value.get(this.key)] : [];
    if (value instanceof Set) return value;
    return value === undefined || value === null ? [] : [value];
  }
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
