import { InvalidArgumentError } from '../errors.js';
import { bigintToJson, type Json } from '../wire/json.js';
import type { AtomicType, ColumnType } from './schema.js';

/**
 * Stands for the UUID of a row that the same transaction inserts (RFC 7047 §5.1, `<named-uuid>`), wherever a UUID may
 * stand.
 */
export class RowReference {
  /** @param uuidName unique in the transaction */
  constructor(readonly uuidName: string) {}
}

export interface EncodeContext {
  /** Where we are, for errors. */
  readonly path: string;
  /** May this row be referred to here? */
  readonly knows: (reference: RowReference) => boolean;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const MIN_INTEGER = -(2n ** 63n);
const MAX_INTEGER = 2n ** 63n - 1n;

/**
 * A whole value of a column as RFC 7047 §5.1 writes it. Sets are given as a `Set`, an array or one element, maps as a
 * `Map` or an object, nothing as `null`.
 * @throws InvalidArgumentError
 */
export function encodeValue(type: ColumnType, value: unknown, context: EncodeContext): Json {
  const pairs = type.value === undefined ? undefined : encodePairs(type.key, type.value, value, context);
  const elements = pairs ?? encodeElements(type.key, value, context);
  if (elements.length < type.min || elements.length > type.max) {
    throw new InvalidArgumentError(context.path, `${elements.length} elements where ${range(type)} belong`);
  }
  if (pairs !== undefined) return ['map', pairs];
  return elements.length === 1 ? (elements[0] as Json) : ['set', elements];
}

const range = ({ min, max }: ColumnType): string => {
  if (min === max) return `exactly ${min}`;
  return max === Infinity ? `at least ${min}` : `${min} to ${max}`;
};

/** Elements without regard to how many the column may hold: for parts of it, in conditions and mutations. */
export function encodeSet(type: AtomicType, value: unknown, context: EncodeContext): Json {
  return ['set', encodeElements(type, value, context)];
}

export function encodeMap(key: AtomicType, value: AtomicType, pairs: unknown, context: EncodeContext): Json {
  return ['map', encodePairs(key, value, pairs, context)];
}

function encodeElements(type: AtomicType, value: unknown, context: EncodeContext): Json[] {
  if (value === null) return [];
  const elements: readonly unknown[] = value instanceof Set ? [...(value as ReadonlySet<unknown>)] : Array.isArray(value) ? value : [value];
  return elements.map((element) => encodeAtom(type, element, context));
}

function encodePairs(key: AtomicType, value: AtomicType, pairs: unknown, context: EncodeContext): Json[] {
  if (!isMapLike(pairs)) throw new InvalidArgumentError(context.path, 'a Map or an object belongs here');
  const entries: readonly [unknown, unknown][] = pairs instanceof Map ? [...(pairs as ReadonlyMap<unknown, unknown>)] : Object.entries(pairs);
  return entries.map(([one, other]) => [
    encodeAtom(key, one, context),
    encodeAtom(value, other, { ...context, path: `${context.path}.${String(one)}` }),
  ]);
}

/** Something that is a map and nothing else: neither a list, a set nor a reference. */
export function isMapLike(value: unknown): value is object {
  if (value instanceof Map) return true;
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

export function encodeAtom(type: AtomicType, value: unknown, { path, knows }: EncodeContext): Json {
  switch (type) {
    case 'string':
      if (typeof value === 'string') return checkedString(value, path);
      break;
    case 'boolean':
      if (typeof value === 'boolean') return value;
      break;
    case 'real':
      if (typeof value === 'number' && Number.isFinite(value)) return value;
      break;
    case 'integer':
      if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
      if (typeof value === 'bigint' && value >= MIN_INTEGER && value <= MAX_INTEGER) return bigintToJson(value);
      break;
    case 'uuid':
      if (typeof value === 'string' && UUID.test(value)) return ['uuid', value];
      if (value instanceof RowReference && knows(value)) return ['named-uuid', value.uuidName];
      if (value instanceof RowReference) throw new InvalidArgumentError(path, 'refers to a row that this transaction does not insert');
  }
  throw new InvalidArgumentError(path, `${describe(value)} is not of type ${type}`);
}

/** Servers end the connection over these two, and all that is in flight with it. */
function checkedString(value: string, path: string): string {
  if (value.includes('\0')) throw new InvalidArgumentError(path, 'a string may not contain U+0000');
  if (!value.isWellFormed()) throw new InvalidArgumentError(path, 'a string may not contain half of a surrogate pair');
  return value;
}

function describe(value: unknown): string {
  if (typeof value === 'string') return `"${value.slice(0, 100)}"`;
  if (typeof value === 'object' && value !== null) return `an object (${value.constructor?.name ?? 'plain'})`;
  return String(value);
}
