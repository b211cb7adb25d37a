import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

/** The last column of the table: `path/to.spec.ts`: title of the test. */
const PROOF = /\| `([^`]+\.spec\.ts)`: (.+) \|$/;

const rows = readFileSync('docs/invariants.md', 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| ') && !/^\| (rule|---) /.test(line));

test('the table has a proof in every row', () => {
  expect(rows.length).toBeGreaterThan(20);
  expect(rows.filter((row) => !PROOF.test(row))).toEqual([]);
});

test.each(rows.map((row) => PROOF.exec(row)?.slice(1) ?? [row, '']))('%s has "%s"', (path, title) => {
  expect(existsSync(path), `${path} is gone`).toBe(true);
  expect(readFileSync(path, 'utf8').replaceAll("\\'", "'")).toContain(`'${title}'`);
});
