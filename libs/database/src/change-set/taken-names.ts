import { assert, type ErrorRecord } from '#core';
import { constraintError } from '../client.js';
import { derived, statement, type Reader } from '../statement.js';
import { LostRace } from './change-set.js';
import type { RowChange } from './rows.js';

interface UniqueIndex {
  name: string;
  columns: string[];
  /** Of a partial index: what rows it holds. */
  predicate: string | null;
}

/** Unique indexes on plain columns, without primary keys. */
const findUniqueIndexes = statement<UniqueIndex, [table: string]>(
  'database.unique_indexes',
  `SELECT c.relname AS name, pg_get_expr(i.indpred, i.indrelid) AS predicate,
     (SELECT array_agg(a.attname::text ORDER BY k.position) FROM unnest(i.indkey) WITH ORDINALITY AS k (number, position)
      JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number) AS columns
   FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
   WHERE i.indrelid = to_regclass($1) AND i.indisunique AND NOT i.indisprimary AND i.indexprs IS NULL ORDER BY c.relname`,
);

/**
 * What unique indexes would refuse of these rows now, as whoever applies them would be told: for dry runs, since a plan that
 * shows no problem for a name that is taken is no look before the leap. Rows that only lost a race are planned anew and are
 * no problem.
 */
export async function findTaken(reader: Reader, items: readonly RowChange[]): Promise<ErrorRecord[]> {
  const problems: ErrorRecord[] = [];
  const going = items.flatMap((item) => ('remove' in item ? [item.id] : []));
  for (const [table, rows] of Map.groupBy(items.flatMap(written), (row) => row.table)) {
    for (const index of await reader.rows(findUniqueIndexes, table)) {
      const error = constraintError(index.name)?.('');
      if (error === undefined || error instanceof LostRace) continue;
      const values = JSON.stringify(rows.map((row) => row.values));
      if ((await reader.first(twins(table, index), values, going)) !== undefined) problems.push(error.toRecord());
    }
  }
  return problems;
}

/** Only scalars: no index that names something is on anything else. */
function written(item: RowChange): { table: string; values: Record<string, unknown> }[] {
  if ('remove' in item) return [];
  const row = 'insert' in item ? item.insert : { ...item.update, id: item.id };
  const isScalar = ([, value]: [string, unknown]): boolean => value === null || typeof value !== 'object';
  return [{ table: item.table, values: Object.fromEntries(Object.entries(row).filter(isScalar)) }];
}

/** A stored row that would be a second one in the index. Columns that an update does not name are null here and equal nothing. */
function twins(table: string, { name, columns, predicate }: UniqueIndex) {
  assert(/^[a-z][a-z0-9_]{0,62}$/.test(table), `"${table}" is no table name`);
  const where = predicate === null ? '' : ` WHERE ${predicate}`;
  return derived<{ found: number }, [rows: string, going: string[]]>(
    `${name}.taken`,
    `SELECT 1 AS found FROM (SELECT * FROM ${table}${where}) AS old
     JOIN (SELECT * FROM jsonb_populate_recordset(NULL::${table}, $1::jsonb) AS ${table}${where}) AS new
       ON ${columns.map((column) => `old.${column} = new.${column}`).join(' AND ')}
     WHERE old.id <> new.id AND old.id <> ALL ($2::text[]) LIMIT 1`,
  );
}
