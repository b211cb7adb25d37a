import { assert, MuonError } from '#core';
import { derived } from './statement.js';
import type { Transaction } from './transaction.js';

type Row = Record<string, unknown>;

const IDENTIFIER = /^[a-z][a-z0-9_]{0,62}$/;

function columnsOf(row: Row): string[] {
  const columns = Object.keys(row).sort();
  for (const column of columns) assert(IDENTIFIER.test(column), `"${column}" is no column name`);
  return columns;
}

/**
 * Inserts any number of rows by one statement. All rows must name the same columns; what is not named gets its default.
 * Values travel as JSON: dates as ISO text, `jsonb` as plain objects, no binary.
 */
export async function insertRows(transaction: Transaction, table: string, rows: readonly Row[]): Promise<void> {
  const first = rows[0];
  if (first === undefined) return;
  assert(IDENTIFIER.test(table), `"${table}" is no table name`);
  const columns = columnsOf(first).join(', ');
  for (const row of rows) assert(columnsOf(row).join(', ') === columns, `rows for ${table} differ in their columns`);
  const text = `INSERT INTO ${table} (${columns}) SELECT ${columns} FROM jsonb_populate_recordset(NULL::${table}, $1::jsonb)`;
  await transaction.execute(derived(`${table}.insert`, text), JSON.stringify(rows));
}

/**
 * Changes one row's desired columns if its version is still the expected one, and raises the version.
 * @throws CONFLICT when the row has another version or is gone.
 */
export async function updateVersioned(
  transaction: Transaction,
  table: string,
  key: { id: string; version: number },
  set: Row,
): Promise<void> {
  assert(IDENTIFIER.test(table), `"${table}" is no table name`);
  const columns = columnsOf(set);
  const assignments = columns.map((column) => `${column} = new.${column}`);
  const text = `UPDATE ${table} SET ${[...assignments, `version = ${table}.version + 1`].join(', ')}
     FROM jsonb_populate_record(NULL::${table}, $3::jsonb) AS new
     WHERE ${table}.id = $1 AND ${table}.version = $2`;
  const changed = await transaction.execute(derived(`${table}.update`, text), key.id, key.version, JSON.stringify(set));
  if (changed === 1) return;
  throw versionConflict(table, key);
}

export function versionConflict(noun: string, key: { id: string; version: number }): MuonError {
  return new MuonError('CONFLICT', `"${key.id}" has changed since version ${key.version} was read; read it again.`, {
    field: 'input.expectedVersion',
    data: { id: key.id, expectedVersion: key.version },
    detail: noun,
  });
}
