import { sameValue, Transaction, type Value } from '#ovsdb';
import { partsOfRow, type ExternalIds } from './marks.js';
import type { MarkedTable, Northbound } from './schema/northbound.js';

type Columns = Readonly<Record<string, Value>>;

/** A row as it was read, with the marks that guard it. */
type Seen = { readonly external_ids: ExternalIds };

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
  readonly #guards: ((transaction: Transaction) => void)[] = [];
  readonly #changes: ((transaction: Transaction) => void)[] = [];
  /** The parts that its rows belong to or build on. */
  readonly concerns = new Set<string>();

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
    if (seen !== undefined) this.#concern(seen.external_ids);
    const rows = seen === undefined ? [] : [{ external_ids: seen.external_ids }];
    this.#guards.push((transaction) => transaction.wait(table, [['_uuid', '==', uuid]], '==', rows, { columns: ['external_ids'] }));
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
    this.expect(table, uuid, seen);
    this.#concern(desired.external_ids);
    if (seen === undefined) {
      this.#changes.push((transaction) => transaction.insert(table, desired as Columns, uuid));
      return;
    }
    const { external_ids: marks, ...columns } = desired;
    const different = differences(seen as Columns, columns as Columns);
    if (Object.keys(different).length > 0) {
      this.#changes.push((transaction) => transaction.update(table, [['_uuid', '==', uuid]], different));
    }
    const missing = new Map([...marks].filter(([key, value]) => seen.external_ids.get(key) !== value));
    if (missing.size > 0) this.setPairs(table, uuid, 'external_ids', missing);
  }

  /** Gives keys of a map these values, whatever else it holds: an insert alone keeps the value that a key has. */
  setPairs(table: MarkedTable, uuid: string, column: string, pairs: ReadonlyMap<string, string>): void {
    this.#changes.push((transaction) =>
      transaction.mutate(
        table,
        [['_uuid', '==', uuid]],
        [
          [column, 'delete', [...pairs.keys()]],
          [column, 'insert', pairs],
        ],
      ),
    );
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

  #concern(marks: ExternalIds): void {
    for (const id of partsOfRow(marks)) this.concerns.add(id);
  }

  delete(table: MarkedTable, uuid: string): void {
    this.#changes.push((transaction) => transaction.delete(table, [['_uuid', '==', uuid]]));
  }
}

function differences(seen: Columns, desired: Columns): Columns {
  return Object.fromEntries(Object.entries(desired).filter(([name, value]) => !sameValue(seen[name] ?? null, value)));
}
