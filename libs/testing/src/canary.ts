import pg from 'pg';

/** Where a planted secret came to light. */
export interface CanaryPlace {
  /** `schema.table.column`, or `log`. */
  where: string;
  /** How it was written there. */
  form: string;
  /** Rows or log lines. */
  count: number;
  /** The first few: row positions (ctid), or log line numbers from 1. The text itself is not repeated. */
  examples: string[];
}

export interface CanarySearch {
  /** Every database of the installation: Muon's, and the simulated backend's. */
  databaseUrls: readonly string[];
  /** All that was logged. */
  log: string;
}

/** Shorter ones would be found by chance, cut short as their base64 forms must be. */
const MIN_CANARY_LENGTH = 16;
const MAX_EXAMPLES = 5;

interface Form {
  name: string;
  text: string;
}

/**
 * Searches every column of every table and materialised view in all schemas (the queue's, too), and the log, for a
 * secret that a test has planted: raw, escaped for JSON or URLs, in hexadecimal, and in base64 at any offset, once or
 * twice. Bytes are searched as bytes, so a text inside a `bytea` is found, too.
 * @returns the places, empty when the secret is nowhere
 */
export async function findCanary(canary: string, search: CanarySearch): Promise<CanaryPlace[]> {
  if (canary.length < MIN_CANARY_LENGTH) throw new Error(`A canary has at least ${MIN_CANARY_LENGTH} characters.`);
  const forms = canaryForms(canary);
  const places: CanaryPlace[] = [];
  for (const url of search.databaseUrls) places.push(...(await searchDatabase(url, forms)));
  places.push(...searchLog(search.log, forms));
  return places;
}

function canaryForms(canary: string): Form[] {
  const bytes = Buffer.from(canary, 'utf8');
  const once = base64Forms(bytes);
  const forms: Form[] = [
    { name: 'raw', text: canary },
    { name: 'json', text: JSON.stringify(canary).slice(1, -1) },
    { name: 'json in json', text: JSON.stringify(JSON.stringify(canary)).slice(3, -3) },
    { name: 'url', text: encodeURIComponent(canary) },
    { name: 'url form', text: new URLSearchParams({ '': canary }).toString().slice(1) },
    { name: 'hex', text: bytes.toString('hex') },
    { name: 'hex', text: bytes.toString('hex').toUpperCase() },
    ...once.map((text) => ({ name: 'base64', text })),
    ...once.flatMap((text) => base64Forms(Buffer.from(text)).map((twice) => ({ name: 'base64 of base64', text: twice }))),
  ];
  const byText = new Map<string, Form>();
  for (const form of forms) if (!byText.has(form.text)) byText.set(form.text, form);
  return [...byText.values()];
}

/** How the bytes look inside a longer base64 text, for each of the three offsets, in both alphabets. */
function base64Forms(bytes: Buffer): string[] {
  return [0, 1, 2].flatMap((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
    // Letters that also hold bits of the neighbours are left out.
    const whole = text.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6));
    return [whole, whole.replaceAll('+', '-').replaceAll('/', '_')];
  });
}

function searchLog(log: string, forms: readonly Form[]): CanaryPlace[] {
  const places = new Map<string, CanaryPlace>();
  for (const [index, line] of log.split('\n').entries()) {
    const found = new Set(forms.filter((form) => line.includes(form.text)).map((form) => form.name));
    for (const form of found) {
      const place = places.get(form) ?? { where: 'log', form, count: 0, examples: [] };
      place.count += 1;
      if (place.examples.length < MAX_EXAMPLES) place.examples.push(String(index + 1));
      places.set(form, place);
    }
  }
  return [...places.values()];
}

const COLUMNS = `
  SELECT namespace.nspname AS schema, class.relname AS table, attribute.attname AS column,
         attribute.atttypid = 'bytea'::regtype AS binary
  FROM pg_attribute AS attribute
  JOIN pg_class AS class ON class.oid = attribute.attrelid
  JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
  WHERE class.relkind IN ('r', 'm') AND attribute.attnum > 0 AND NOT attribute.attisdropped
    AND namespace.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  ORDER BY 1, 2, attribute.attnum`;

interface ColumnRow {
  schema: string;
  table: string;
  column: string;
  binary: boolean;
}

async function searchDatabase(url: string, forms: readonly Form[]): Promise<CanaryPlace[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const columns = await client.query<ColumnRow>(COLUMNS);
    const tables = Map.groupBy(columns.rows, (row) => `${row.schema}.${row.table}`);
    const places: CanaryPlace[] = [];
    for (const [name, ofTable] of tables) places.push(...(await searchTable(client, name, ofTable, forms)));
    return places;
  } finally {
    await client.end();
  }
}

/** One pass over the table for all columns and forms. Row positions name the rows, since not every table has an id. */
async function searchTable(
  client: pg.Client,
  name: string,
  columns: readonly ColumnRow[],
  forms: readonly Form[],
): Promise<CanaryPlace[]> {
  const [first] = columns;
  if (first === undefined) return [];
  const table = `${pg.escapeIdentifier(first.schema)}.${pg.escapeIdentifier(first.table)}`;
  const values = columns.map(({ column, binary }) => {
    const value = `source.${pg.escapeIdentifier(column)}`;
    return `(${pg.escapeLiteral(column)}, ${binary ? value : `convert_to(${value}::text, 'UTF8')`})`;
  });
  const found = await client.query<{ column: string; form: string; count: number; examples: string[] }>(
    `SELECT hit.column_name AS column, hit.form, count(*)::int AS count, (array_agg(hit.position ORDER BY hit.position))[1:${MAX_EXAMPLES}] AS examples
     FROM (
       SELECT DISTINCT field.column_name, form.name AS form, source.ctid::text AS position
       FROM ${table} AS source
       CROSS JOIN LATERAL (VALUES ${values.join(', ')}) AS field (column_name, content)
       JOIN unnest($1::text[], $2::bytea[]) AS form (name, needle) ON position(form.needle IN field.content) > 0
     ) AS hit
     GROUP BY 1, 2 ORDER BY 1, 2`,
    [forms.map((form) => form.name), forms.map((form) => Buffer.from(form.text, 'utf8'))],
  );
  return found.rows.map(({ column, ...place }) => ({ where: `${name}.${column}`, ...place }));
}
