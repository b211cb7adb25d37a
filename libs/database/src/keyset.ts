import { assert, MuonError } from '#core';
import { declare, digestName, type Reader, type Statement } from './statement.js';

/** One way to order a list: a column of the base query; the id breaks ties, so the order is total. */
export interface KeysetOrder {
  column: string;
  direction: 'ASC' | 'DESC';
  /** The PostgreSQL type that a cursor's text is cast back to: `text`, `timestamptz`, `bigint`. */
  type: 'text' | 'timestamptz' | 'bigint';
}

export interface PageRequest {
  first?: number;
  after?: string;
  last?: number;
  before?: string;
}

export interface Page<Row> {
  rows: Row[];
  /** One opaque cursor a row. */
  cursors: string[];
  hasNextPage: boolean;
  hasPreviousPage: boolean;
}

/** A list that can be paged by keyset in each of its orders, built once from a base query. */
export interface KeysetList<Row, Parameters extends readonly unknown[]> {
  page(
    reader: Reader,
    parameters: Parameters,
    order: string,
    request: PageRequest,
  ): Promise<Page<Row>>;
  /** How many rows the filters let through, ignoring the page. */
  count(reader: Reader, parameters: Parameters): Promise<number>;
  /**
   * The place of a row, for pages of this list that another statement has read.
   * @param key the row's value in the order's column, as PostgreSQL writes it
   */
  cursor(order: string, key: string, id: string): string;
}

export const MAX_PAGE_SIZE = 100;
export const DEFAULT_PAGE_SIZE = 50;

interface KeysetPlace {
  key: string;
  id: string;
}

/** The list is part of it: a place in another list would only look like one in this. */
function encodeCursor(list: string, order: string, { key, id }: KeysetPlace): string {
  return Buffer.from(JSON.stringify([list, order, key, id])).toString('base64url');
}

const TIME = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?)([+-](?:0\d|1[0-5])(?::[0-5]\d){0,2})$/;

/** Whether the text of a key is a value of its type, so that a forged one is refused here and not by a failing cast. */
const IS_KEY: Readonly<Record<string, (key: string) => boolean>> = {
  bigint: (key) => /^-?\d{1,18}$/.test(key),
  timestamptz: (key) => {
    const [, day, time] = TIME.exec(key) ?? [];
    // JavaScript rolls 30 February over to March instead of refusing it.
    return day !== undefined && day >= '0001' && new Date(`${day}T${time}Z`).toJSON()?.startsWith(day) === true;
  },
  text: (key) => !key.includes('\0'),
};

function decodeCursor(text: string, list: string, order: string, type: string, field: string): KeysetPlace {
  const wrong = new MuonError('INVALID_INPUT', `This is no cursor of this list ordered by ${order}.`, { field });
  if (text.length > 2000) throw wrong;
  try {
    const [ofList, ofOrder, key, id] = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as unknown[];
    const isCursor = ofList === list && ofOrder === order && typeof key === 'string' && typeof id === 'string';
    if (isCursor && !id.includes('\0') && IS_KEY[type]?.(key) === true) return { key, id };
  } catch {
    // Falls through to the same refusal.
  }
  throw wrong;
}

function pageSize(request: PageRequest): { size: number; backward: boolean } {
  if (request.first !== undefined && request.last !== undefined) {
    throw new MuonError('INVALID_INPUT', 'Give first or last, not both.', { field: 'last' });
  }
  const backward = request.last !== undefined || (request.before !== undefined && request.first === undefined);
  const size = request.first ?? request.last ?? DEFAULT_PAGE_SIZE;
  if (!Number.isInteger(size) || size < 1 || size > MAX_PAGE_SIZE) {
    throw new MuonError('INVALID_INPUT', `A page has 1 to ${MAX_PAGE_SIZE} rows.`, { field: backward ? 'last' : 'first' });
  }
  return { size, backward };
}

/**
 * @param base a SELECT with `id` and every order's column in its result, with parameters `$1..$n`
 * @param parameterCount n
 */
export function keysetList<Row extends { id: string }, Parameters extends readonly unknown[]>(
  name: string,
  base: string,
  parameterCount: number,
  orders: Record<string, KeysetOrder>,
): KeysetList<Row, Parameters> {
  const statements = new Map<string, Statement<Row & { keyset_key: string }, readonly unknown[]>>();
  const [keyAt, idAt, limitAt] = [parameterCount + 1, parameterCount + 2, parameterCount + 3];
  for (const [orderName, order] of Object.entries(orders)) {
    for (const backward of [false, true]) {
      const ascending = (order.direction === 'ASC') !== backward;
      const [comparison, direction] = ascending ? ['>', 'ASC'] : ['<', 'DESC'];
      for (const bounded of [false, true]) {
        const bound = bounded ? `WHERE (t.${order.column}, t.id) ${comparison} ($${keyAt}::text::${order.type}, $${idAt}::text)` : '';
        const limit = bounded ? limitAt : parameterCount + 1;
        const text = `SELECT t.*, t.${order.column}::text AS keyset_key FROM (${base.trim()}) AS t ${bound}
ORDER BY t.${order.column} ${direction}, t.id ${direction} LIMIT $${limit}::int`;
        statements.set(`${orderName}/${backward}/${bounded}`, preparedText(`${name}.${orderName}`, text));
      }
    }
  }
  const countStatement = preparedText<{ count: number }>(`${name}.count`, `SELECT count(*) AS count FROM (${base.trim()}) AS t`);
  return {
    async page(reader, parameters, order, request) {
      assert(Object.hasOwn(orders, order), `list ${name} has no order ${order}`);
      const { size, backward } = pageSize(request);
      const text = backward ? request.before : request.after;
      const cursor = text === undefined ? undefined : decodeCursor(text, name, order, orders[order]?.type ?? 'text', backward ? 'before' : 'after');
      const query = statements.get(`${order}/${backward}/${cursor !== undefined}`);
      assert(query !== undefined, `list ${name} has no statement for ${order}`);
      const bound = cursor === undefined ? [] : [cursor.key, cursor.id];
      const found = await reader.rows(query, ...parameters, ...bound, size + 1);
      const more = found.length > size;
      const rows = found.slice(0, size);
      if (backward) rows.reverse();
      return {
        rows,
        cursors: rows.map((row) => encodeCursor(name, order, { key: row.keyset_key, id: row.id })),
        hasNextPage: backward ? cursor !== undefined : more,
        hasPreviousPage: backward ? more : cursor !== undefined,
      };
    },
    async count(reader, parameters) {
      return (await reader.first(countStatement, ...parameters))?.count ?? 0;
    },
    cursor(order, key, id) {
      assert(Object.hasOwn(orders, order), `list ${name} has no order ${order}`);
      return encodeCursor(name, order, { key, id });
    },
  };
}

function preparedText<Row>(label: string, text: string): Statement<Row, readonly unknown[]> {
  return declare(digestName(label, text), text);
}
