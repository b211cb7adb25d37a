/** One line of the table. */
export interface Line {
  measure: string;
  value: number;
  unit: string;
  /** What the value is held against, measured in the same run, in the same unit. */
  floor?: number;
  /** What the floor is. */
  against?: string;
  goal?: Goal;
}

/** Of the ratio to the floor, or of the value itself. */
export interface Goal {
  of: 'RATIO' | 'VALUE';
  /** `atMost` 3, or `atLeast` 0.4. */
  bound: 'AT_MOST' | 'AT_LEAST';
  limit: number;
}

export const ratioAtMost = (limit: number): Goal => ({ of: 'RATIO', bound: 'AT_MOST', limit });
export const ratioAtLeast = (limit: number): Goal => ({ of: 'RATIO', bound: 'AT_LEAST', limit });
export const valueAtMost = (limit: number): Goal => ({ of: 'VALUE', bound: 'AT_MOST', limit });

const HEADINGS = ['measure', 'value', 'floor', 'ratio', 'goal', 'met'] as const;
type Cells = readonly string[];

/** Gathers lines and prints them as one table, in Markdown that also reads well on a terminal. */
export class Report {
  readonly notes: string[] = [];
  private readonly lines: Line[] = [];
  private failed = false;

  add(...lines: Line[]): void {
    this.lines.push(...lines);
    for (const line of lines) console.log(`  ${cellsOf(line).filter(Boolean).join(' | ')}`);
  }

  /** Something that the reader of the table has to know. */
  note(text: string): void {
    this.notes.push(text);
    console.log(`  ${text}`);
  }

  /** Something was not slow but wrong. */
  fail(): void {
    this.failed = true;
  }

  get hasFailed(): boolean {
    return this.failed;
  }

  toString(): string {
    const rows = [HEADINGS, ...this.lines.map(cellsOf)];
    const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
    const text = (row: Cells): string => `| ${row.map((cell, column) => pad(cell, widths[column] ?? 0, column)).join(' | ')} |`;
    const rule = `| ${widths.map((width, column) => (isNumeric(column) ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width))).join(' | ')} |`;
    return [text(HEADINGS), rule, ...rows.slice(1).map(text), '', ...this.notes].join('\n');
  }
}

const isNumeric = (column: number): boolean => column === 1 || column === 3;
const pad = (cell: string, width: number, column: number): string => (isNumeric(column) ? cell.padStart(width) : cell.padEnd(width));

function cellsOf(line: Line): Cells {
  const { floor, against, goal } = line;
  const met = isMet(line);
  return [
    line.measure,
    `${rounded(line.value)} ${line.unit}`,
    floor === undefined ? '' : `${rounded(floor)} ${line.unit}${against === undefined ? '' : ` (${against})`}`,
    floor === undefined ? '' : rounded(line.value / floor),
    goal === undefined ? '' : goalText(goal, line.unit),
    met === undefined ? '' : met ? 'yes' : 'NO',
  ];
}

function goalText(goal: Goal, unit: string): string {
  const sign = goal.bound === 'AT_MOST' ? '≤' : '≥';
  return goal.of === 'RATIO' ? `ratio ${sign} ${goal.limit}` : `${sign} ${goal.limit} ${unit}`;
}

function isMet({ value, floor, goal }: Line): boolean | undefined {
  if (goal === undefined) return undefined;
  const judged = goal.of === 'VALUE' ? value : value / (floor ?? Number.NaN);
  return goal.bound === 'AT_MOST' ? judged <= goal.limit : judged >= goal.limit;
}

/** Three significant digits; more of what is large. */
function rounded(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(digits);
}
