import { Mode, type FaultPoint } from './points.js';
import type { Played } from './play.js';

interface Line {
  kind: string;
  points: readonly FaultPoint[];
  ms: number;
}

/** What was put to the test, for people: kinds against modes. */
export class Report {
  private readonly lines: Line[] = [];

  add(line: Line): void {
    this.lines.push(line);
  }

  print(title: string): void {
    const modes = Object.values(Mode);
    const header = ['', ...modes, 'all', 'time'];
    const rows = this.lines.map(({ kind, points, ms }) => [
      kind,
      ...modes.map((mode) => String(points.filter((point) => point.mode === mode).length)),
      String(points.length),
      `${(ms / 1000).toFixed(1)} s`,
    ]);
    const total = this.lines.reduce((sum, line) => sum + line.points.length, 0);
    const widths = header.map((text, column) => Math.max(text.length, ...rows.map((row) => row[column]?.length ?? 0)));
    const text = [header, ...rows].map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  '));
    console.log([`${title}: ${total} fault points`, ...text].join('\n'));
  }
}

/** What went wrong where nothing may, readably. */
export function failuresOf(played: readonly Played[]): string[] {
  return played.flatMap(({ label, problems }) => (problems.length === 0 ? [] : [[label, ...problems].join('\n    ')]));
}
