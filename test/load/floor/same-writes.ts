import pg from 'pg';

/** What one request wrote, table by table: the rows that its transaction left. */
export interface Writes {
  transactionId: string;
  tables: ReadonlyMap<string, WrittenRow[]>;
}

/** Each column's value as an SQL literal, and its type. */
type WrittenRow = ReadonlyMap<string, { literal: string; type: string }>;

/** Written by triggers, or not by the request itself. */
const WRITTEN_BY_TRIGGERS = new Set(['public.event']);
/** Set by the database where the request names no time. */
const TIMES = new Set(['created_at', 'updated_at', 'queued_at', 'charged_at', 'at']);
/** After two digits for the id's place among the request's own. */
const NUMBER_DIGITS = 12;
export const FIRST_NUMBER = 10 ** (NUMBER_DIGITS - 1);

/** The rows that the transaction which wrote this row has inserted or updated, in all tables. */
export async function writesOf(databaseUrl: string, table: string, column: 'id' | 'name', value: string): Promise<Writes> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const found = await client.query<{ xmin: string }>(`SELECT xmin::text FROM ${table} WHERE ${column} = $1`, [value]);
    const transactionId = found.rows[0]?.xmin;
    if (transactionId === undefined) throw new Error(`${table} has no ${value}`);
    const tables = new Map<string, WrittenRow[]>();
    for (const [name, columns] of await columnsOfTables(client)) {
      const list = columns.map(({ column }) => `quote_nullable(${pg.escapeIdentifier(column)}::text)`).join(', ');
      const rows = await client.query<string[]>({ text: `SELECT ${list} FROM ${name} WHERE xmin = $1::text::xid`, values: [transactionId], rowMode: 'array' });
      if (rows.rows.length === 0) continue;
      tables.set(name, rows.rows.map((row) => new Map(columns.map(({ column, type }, index) => [column, { literal: row[index] ?? 'NULL', type }]))));
    }
    return { transactionId, tables };
  } finally {
    await client.end();
  }
}

/** How many rows of each table, as text that two sides can be compared by. */
export function summaryOf({ tables }: Writes): string {
  return [...tables].map(([table, rows]) => `${table} ${rows.length}`).sort().join(', ');
}

async function columnsOfTables(client: pg.Client): Promise<Map<string, { column: string; type: string }[]>> {
  const { rows } = await client.query<{ table: string; column: string; type: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS table, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type
     FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid
     WHERE n.nspname IN ('public', 'bullmq') AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
     ORDER BY 1, a.attnum`,
  );
  return Map.groupBy(rows, (row) => row.table);
}

export interface ScriptParts {
  /** Tables in the order in which they are to be written; what is left comes after them. */
  order: readonly string[];
  /** Statements for what is not inserted as it is, by table: updates, and the function that adds a job. */
  instead: Record<string, string>;
  /** What is unique in the sample besides ids, and what stands in its place: SQL on `:number` and `:place`. */
  replaced: Record<string, string>;
}

/**
 * A script for pgbench that does in plain statements what the sampled request did: one INSERT a table with all its rows,
 * and the updates. Each run gives `:counter` 0, `:round` a number that no other run has, and with `:base` and `:width`
 * places (addresses) of its own.
 */
export function scriptOf(sample: Writes, parts: ScriptParts): string {
  const replace = replacer(sample, parts);
  const own = [...sample.tables].filter(([table]) => table in parts.instead || !(WRITTEN_BY_TRIGGERS.has(table) || table.startsWith('bullmq.')));
  const place = (table: string): number => (parts.order.includes(table) ? parts.order.indexOf(table) : parts.order.length);
  const statements = own
    .toSorted(([one], [other]) => place(one) - place(other))
    .map(([table, rows]) => parts.instead[table] ?? insertOf(table, rows, replace));
  return [
    '\\set counter :counter + 1',
    `\\set number ${FIRST_NUMBER} + :round * 100000000 + :client_id * 1000000 + :counter`,
    '\\set place :base + :client_id * :width + :counter',
    ...['BEGIN', ...statements, 'COMMIT'].map((statement) => `${statement};`),
    '',
  ].join('\n');
}

function insertOf(table: string, rows: readonly WrittenRow[], replace: (literal: string, type: string) => string): string {
  const columns = [...(rows[0]?.keys() ?? [])].filter((column) => !TIMES.has(column));
  const tuples = rows.map((row) => {
    const values = columns.map((column) => {
      const { literal, type } = row.get(column) ?? { literal: 'NULL', type: 'text' };
      return replace(literal, type);
    });
    return `(${values.join(', ')})`;
  });
  return `INSERT INTO ${table} (${columns.map((column) => pg.escapeIdentifier(column)).join(', ')}) VALUES ${tuples.join(', ')}`;
}

/** Puts ids that are new in each transaction in the place of those that the sampled request made. */
function replacer(sample: Writes, parts: ScriptParts): (literal: string, type: string) => string {
  const made = madeIds(sample);
  const pieces = [...made.keys(), ...Object.keys(parts.replaced)].map((text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const pattern = new RegExp(`(${pieces.join('|')})`);
  return (literal, type) => {
    const bare = literal.slice(1, -1);
    const whole = parts.replaced[bare];
    if (whole !== undefined) return `(${whole})::${type}`;
    if (!pattern.test(literal)) return literal;
    const texts = bare.split(pattern).map((piece) => made.get(piece) ?? parts.replaced[piece] ?? (piece === '' ? '' : `'${piece}'`));
    return `(${texts.filter((text) => text !== '').join(' || ')})::${type}`;
  };
}

/** Ids that the request made, and as long ones in their place. */
function madeIds({ tables }: Writes): Map<string, string> {
  const made = new Map<string, string>();
  for (const [table, rows] of tables) {
    if (table.startsWith('bullmq.')) continue;
    for (const row of rows) {
      for (const [column, { literal }] of row) {
        // What a row is called by, in tables that the request inserts into.
        if (column !== 'id' && !column.endsWith('_id')) continue;
        const id = literal.slice(1, -1);
        if (!/^[a-z]{2,4}_[0-9a-z]{26}$/.test(id) || made.has(id) || !isNew(tables, column, id)) continue;
        const kept = id.slice(0, id.length - NUMBER_DIGITS - 2);
        made.set(id, `'${kept}${String(made.size).padStart(2, '0')}' || :number`);
      }
    }
  }
  return made;
}

/** Whether the id belongs to a row of the request itself, and not to something that was there before. */
function isNew(tables: Writes['tables'], column: string, id: string): boolean {
  if (column === 'metering_id') return true;
  return [...tables.values()].some((rows) => rows.some((row) => row.get('id')?.literal === `'${id}'`));
}
