export type OutputFormat = 'table' | 'json';

export type Cell = string | number | boolean | null | undefined;

/** Where a command writes: results to standard output, everything else to standard error. */
export class Output {
  constructor(readonly format: OutputFormat) {}

  /** A list of things, one a line; as JSON what the API said of them. */
  list(columns: readonly string[], rows: readonly (readonly Cell[])[], json: unknown): void {
    if (this.format === 'json') this.json(json);
    else if (rows.length === 0) this.note('There is none.');
    else this.text(table([columns.map((column) => column.toUpperCase()), ...rows]));
  }

  /** One thing, a line for each of what is known of it; what is empty is left out. */
  record(fields: readonly (readonly [name: string, value: Cell])[], json: unknown): void {
    if (this.format === 'json') this.json(json);
    else this.text(table(fields.filter(([, value]) => value !== null && value !== undefined && value !== '')));
  }

  /** Only for people; silent when a program reads. */
  section(title: string, columns: readonly string[], rows: readonly (readonly Cell[])[]): void {
    if (this.format === 'json' || rows.length === 0) return;
    this.text(`\n${title}\n${table([columns.map((column) => column.toUpperCase()), ...rows])}`);
  }

  json(value: unknown): void {
    this.text(JSON.stringify(value, null, 2));
  }

  text(text: string): void {
    process.stdout.write(`${text}\n`);
  }

  /** Progress and remarks, which are no result. */
  note(text: string): void {
    process.stderr.write(`${text}\n`);
  }
}

function table(rows: readonly (readonly Cell[])[]): string {
  const texts = rows.map((row) => row.map((cell) => printable(cell)));
  const widths: number[] = [];
  for (const row of texts) row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
  return texts.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('   ').trimEnd()).join('\n');
}

/** Names come from others: what could steer a terminal is shown as a question mark. */
function printable(cell: Cell): string {
  // eslint-disable-next-line no-control-regex
  return cell === null || cell === undefined ? '-' : String(cell).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}
