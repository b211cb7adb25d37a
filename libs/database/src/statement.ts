import { createHash } from 'node:crypto';
import { assert } from '#core';

/**
 * A named SQL text with typed parameters and rows. PostgreSQL prepares it once a connection under its name, and
 * `npm run generate` commits all texts, so that a review shows the query that changed.
 */
export interface Statement<Row, Parameters extends readonly unknown[] = readonly unknown[]> {
  readonly name: string;
  readonly text: string;
  /** Only for the type checker. */
  readonly row?: Row;
  readonly parameters?: Parameters;
}

const statements = new Map<string, Statement<unknown>>();
const MAX_NAME_LENGTH = 63;

/** @param name `<noun>.<verb>`, unique in the program. */
export function statement<Row, Parameters extends readonly unknown[] = []>(
  name: string,
  text: string,
): Statement<Row, Parameters> {
  assert(name.length <= MAX_NAME_LENGTH, `statement name "${name}" is longer than ${MAX_NAME_LENGTH}`);
  assert(!statements.has(name), `statement "${name}" is declared twice`);
  return declare(name, text);
}

/** For texts that are built from parts, whose names hold a digest of the text. */
export function declare<Row, Parameters extends readonly unknown[]>(name: string, text: string): Statement<Row, Parameters> {
  const made: Statement<Row, Parameters> = { name, text: text.trim() };
  statements.set(name, made);
  return made;
}

const derivedStatements = new Map<string, Statement<unknown>>();
const DIGEST_LENGTH = 8;

/** `<label>#<digest of the text>`: texts that are built from parts have a name of their own each. */
export function digestName(label: string, text: string): string {
  const digest = createHash('sha256').update(text).digest('hex').slice(0, DIGEST_LENGTH);
  return `${label.slice(0, MAX_NAME_LENGTH - DIGEST_LENGTH - 1)}#${digest}`;
}

/**
 * For texts that are built while the program runs, as from lists of columns: prepared like declared ones, but in no
 * listing. There must not be more of them than the code has shapes of rows.
 */
export function derived<Row, Parameters extends readonly unknown[]>(label: string, text: string): Statement<Row, Parameters> {
  const known = derivedStatements.get(text);
  if (known !== undefined) return known as Statement<Row, Parameters>;
  const made: Statement<Row, Parameters> = { name: digestName(label, text), text };
  derivedStatements.set(text, made);
  return made;
}

/** Every declared statement by name, for the committed listing. */
export function declaredStatements(): ReadonlyMap<string, Statement<unknown>> {
  return statements;
}

/** What both the pool and an open transaction can do: read rows. */
export interface Reader {
  rows<Row, Parameters extends readonly unknown[]>(
    query: Statement<Row, Parameters>,
    ...parameters: Parameters
  ): Promise<Row[]>;
  /** The first row, or undefined. */
  first<Row, Parameters extends readonly unknown[]>(
    query: Statement<Row, Parameters>,
    ...parameters: Parameters
  ): Promise<Row | undefined>;
}
