import { sameValue, Transaction, type Value } from '#ovsdb';
import type { ExternalIds } from './marks.js';
import type { MarkedTable, Northbound } from './schema/northbound.js';

type Columns = Readonly<Record<string, Value>>;

/** A row as it was read, with the marks that guard it. */
type Seen = { readonly external_ids: ExternalIds };

export type RowSeen = Columns & Seen;

type Step = (transaction: Transaction) => void;

/** A row as it shall be: other columns belong to others, and so do other keys of `external_ids`. */
type Desired<Table extends MarkedTable> = Partial<Northbound[Table]> & Seen;

/** Columns that hold references to the members of a row. */
interface Membership {
  Logical_Router: 'ports' | 'static_routes' | 'nat' | 'load_balancer';
  Logical_Switch: 'ports' | 'load_balancer' | 'dns_records';
  Port_Group: 'ports';
}

/**
 * One transaction that rests on what was read: it is done only if that still holds, so nobody's writes are lost, and a
 * newer revision is never overwritten. The guards come first, as the server does the operations in order.
 */
export class Draft {
  readonly #guards: Step[] = [];
  readonly #changes: Step[] = [];
  /** The rows that it makes. */
  readonly inserts: { table: MarkedTable; uuid: string }[] = [];
  #met: ReadonlyMap<string, RowSeen> = new Map();

  /** Nothing has to change. */
  get isEmpty(): boolean {
    return this.#changes.length === 0;
  }

  build(): Transaction<Northbound> {
    // Types were checked at the doors of this class; inside, tables are names.
    const transaction = new Transaction();
    for (const add of [...this.#guards, ...this.#changes]) add(transaction);
    return transaction as unknown as Transaction<Northbound>;
  }

  /** The row must still be as it was seen, by its marks, or still be absent. */
  expect(table: MarkedTable, uuid: string, seen: Seen | undefined): void {
    this.#guards.push((transaction) => guard(transaction, table, uuid, seen));
  }

  /** The row must still be there, or still be absent, whatever else has become of it. */
  expectPresence(table: 'Port_Group', uuid: string, seen: { name: string } | undefined): void {
    const rows = seen === undefined ? [] : [{ name: seen.name }];
    this.#guards.push((transaction) => transaction.wait(table, [['_uuid', '==', uuid]], '==', rows, { columns: ['name'] }));
  }

  /** The row must still have these members. */
  expectMembers<Table extends keyof Membership>(table: Table, uuid: string, column: Membership[Table], members: ReadonlySet<string>): void {
    this.#guards.push((transaction) => transaction.wait(table, [['_uuid', '==', uuid]], '==', [{ [column]: members }], { columns: [column] }));
  }

  /** The rows of these marks must still be those, by one of their columns. */
  expectRows<Table extends MarkedTable>(
    table: Table,
    where: readonly ['external_ids', 'includes', ExternalIds],
    column: keyof Northbound[Table] & string,
    rows: readonly Partial<Northbound[Table]>[],
  ): void {
    const seen = rows.map((row) => ({ [column]: row[column] as Value }));
    this.#guards.push((transaction) => transaction.wait(table, [where], '==', seen, { columns: [column] }));
  }

  /** Makes the row if it is not there, else changes what differs. It must not have changed meanwhile. */
  ensure<Table extends MarkedTable>(table: Table, uuid: string, seen: (Partial<Northbound[Table]> & Seen) | undefined, desired: Desired<Table>): void {
    if (seen !== undefined) {
      this.expect(table, uuid, seen);
      this.#changes.push(...changesOf(table, uuid, seen as RowSeen, desired as RowSeen));
      return;
    }
    this.inserts.push({ table, uuid });
    this.#guards.push((transaction) => guard(transaction, table, uuid, this.#met.get(uuid)));
    this.#changes.push((transaction) => {
      const met = this.#met.get(uuid);
      if (met === undefined) transaction.insert(table, desired, uuid);
      else for (const add of changesOf(table, uuid, met, desired as RowSeen)) add(transaction);
    });
  }

  /** Rows that are there although their marks did not tell: those that it would have made are changed instead. */
  meet(rows: ReadonlyMap<string, RowSeen>): void {
    this.#met = rows;
  }

  /** Gives keys of a map these values, whatever else it holds. */
  setPairs(table: MarkedTable, uuid: string, column: string, pairs: ReadonlyMap<string, string>): void {
    this.#changes.push(pairsOf(table, uuid, column, pairs));
  }

  /** @param pairs keys, or pairs that go only where the key has that value */
  removePairs(table: MarkedTable, uuid: string, column: string, pairs: readonly string[] | ReadonlyMap<string, string>): void {
    this.#changes.push((transaction) => transaction.mutate(table, [['_uuid', '==', uuid]], [[column, 'delete', pairs]]));
  }

  /** Adds a member to a set of which others may add and remove at the same time. */
  join<Table extends keyof Membership>(table: Table, uuid: string, column: Membership[Table], ...members: string[]): void {
    this.#changes.push((transaction) => transaction.mutate(table, [['_uuid', '==', uuid]], [[column, 'insert', members]]));
  }

  leave<Table extends keyof Membership>(table: Table, uuid: string, column: Membership[Table], ...members: string[]): void {
    this.#changes.push((transaction) => transaction.mutate(table, [['_uuid', '==', uuid]], [[column, 'delete', members]]));
  }

  /** Adds a member to the sets of all rows with these marks, those that somebody else makes meanwhile among them. */
  joinAll<Table extends keyof Membership>(
    table: Table,
    where: readonly ['external_ids', 'includes', ExternalIds],
    column: Membership[Table],
    member: string,
  ): void {
    this.#changes.push((transaction) => transaction.mutate(table, [where], [[column, 'insert', [member]]]));
  }

  leaveAll<Table extends keyof Membership>(
    table: Table,
    where: readonly ['external_ids', 'includes', ExternalIds],
    column: Membership[Table],
    member: string,
  ): void {
    this.#changes.push((transaction) => transaction.mutate(table, [where], [[column, 'delete', [member]]]));
  }

  delete(table: MarkedTable, uuid: string): void {
    this.#changes.push((transaction) => transaction.delete(table, [['_uuid', '==', uuid]]));
  }
}

/** The row must be as it was seen, by its marks, or absent. */
function guard(transaction: Transaction, table: MarkedTable, uuid: string, seen: Seen | undefined): void {
  const rows = seen === undefined ? [] : [{ external_ids: seen.external_ids }];
  transaction.wait(table, [['_uuid', '==', uuid]], '==', rows, { columns: ['external_ids'] });
}

function changesOf(table: MarkedTable, uuid: string, seen: RowSeen, { external_ids: marks, ...columns }: RowSeen): Step[] {
  const changes: Step[] = [];
  const different = differences(seen, columns);
  if (Object.keys(different).length > 0) changes.push((transaction) => transaction.update(table, [['_uuid', '==', uuid]], different));
  const missing = new Map([...marks].filter(([key, value]) => seen.external_ids.get(key) !== value));
  if (missing.size > 0) changes.push(pairsOf(table, uuid, 'external_ids', missing));
  return changes;
}

/** An insert alone keeps the value that a key has. */
function pairsOf(table: MarkedTable, uuid: string, column: string, pairs: ReadonlyMap<string, string>): Step {
  return (transaction) =>
    transaction.mutate(
      table,
      [['_uuid', '==', uuid]],
      [
        [column, 'delete', [...pairs.keys()]],
        [column, 'insert', pairs],
      ],
    );
}

function differences(seen: Columns, desired: Columns): Columns {
  return Object.fromEntries(Object.entries(desired).filter(([name, value]) => !sameValue(seen[name] ?? null, value)));
}
