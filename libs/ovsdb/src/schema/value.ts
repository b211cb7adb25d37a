import { ProtocolError } from '../errors.js';
import { isList, type Json } from '../wire/json.js';
import type { AtomicType, ColumnType } from './schema.js';

/**
 * One element of a column. UUIDs are strings in lower case; an integer is a `number` where that is exact and a `bigint`
 * beyond 2^53.
 */
export type Atom = string | number | bigint | boolean;

/**
 * What a column holds, in JavaScript's own terms (RFC 7047 §5.1, `<value>`), decided by the column's type:
 *
 * | type                   | value               |
 * | ---------------------- | ------------------- |
 * | exactly one            | an atom             |
 * | none or one            | an atom or `null`   |
 * | any other set          | a `Set` of atoms    |
 * | a map, whatever its size | a `Map`           |
 *
 * Values are never changed in place; a changed column has a new one.
 */
export type Value = Atom | null | ReadonlySet<Atom> | ReadonlyMap<Atom, Atom>;

const isMap = (type: ColumnType): boolean => type.value !== undefined;
const isSingle = (type: ColumnType): boolean => !isMap(type) && type.max === 1;

/** @throws ProtocolError when the JSON is not of that type */
export function decodeValue(type: ColumnType, json: Json, path: string): Value {
  if (type.value !== undefined) return decodeMap(type.key, type.value, json, path);
  const atoms = elements(json, 'set') ?? [json];
  if (!isSingle(type)) return new Set(atoms.map((atom) => decodeAtom(type.key, atom, path)));
  const [atom] = atoms;
  if (atom !== undefined && atoms.length === 1) return decodeAtom(type.key, atom, path);
  if (type.min === 0 && atoms.length === 0) return null;
  throw new ProtocolError(`${path} has ${atoms.length} elements`);
}

function decodeMap(key: AtomicType, value: AtomicType, json: Json, path: string): ReadonlyMap<Atom, Atom> {
  const pairs = elements(json, 'map');
  if (pairs === undefined) throw new ProtocolError(`${path} is not a map`);
  return new Map(
    pairs.map((pair) => {
      if (!isList(pair) || pair.length !== 2) throw new ProtocolError(`${path} holds something else than pairs`);
      return [decodeAtom(key, pair[0] as Json, path), decodeAtom(value, pair[1] as Json, path)];
    }),
  );
}

/** What is in `["set", [...]]` or `["map", [...]]`. */
function elements(json: Json, kind: 'set' | 'map'): readonly Json[] | undefined {
  return isList(json) && json.length === 2 && json[0] === kind && isList(json[1]) ? json[1] : undefined;
}

export function decodeAtom(type: AtomicType, json: Json, path: string): Atom {
  switch (type) {
    case 'string':
      if (typeof json === 'string') return json;
      break;
    case 'boolean':
      if (typeof json === 'boolean') return json;
      break;
    case 'uuid':
      if (isList(json) && json.length === 2 && json[0] === 'uuid' && typeof json[1] === 'string') return json[1];
      break;
    case 'integer':
    case 'real':
      if (typeof json === 'number' || typeof json === 'bigint') return json;
  }
  throw new ProtocolError(`${path} is not of type ${type}`);
}

const ZERO: Readonly<Record<AtomicType, Atom>> = {
  integer: 0,
  real: 0,
  boolean: false,
  string: '',
  uuid: '00000000-0000-0000-0000-000000000000',
};

/** What a column has when nobody gave it a value (RFC 7047 §5.2.1). */
export function defaultValue(type: ColumnType): Value {
  const atom = ZERO[type.key];
  if (type.value !== undefined) return new Map(type.min === 0 ? [] : [[atom, ZERO[type.value]]]);
  if (isSingle(type)) return type.min === 0 ? null : atom;
  return new Set(type.min === 0 ? [] : [atom]);
}

/**
 * Applies a difference as `update2` and `update3` tell it (ovsdb-server(7) §4.1.14): a column of at most one element
 * is replaced; of a set, what is in the difference changes sides; of a map, a pair that is there goes, another value
 * replaces, a new key comes.
 */
export function applyDifference(type: ColumnType, old: Value, difference: Value): Value {
  if (type.max === 1) return difference;
  if (old instanceof Map && difference instanceof Map) {
    const result = new Map<Atom, Atom>(old as ReadonlyMap<Atom, Atom>);
    for (const [key, value] of difference as ReadonlyMap<Atom, Atom>) {
      if (result.get(key) === value) result.delete(key);
      else result.set(key, value);
    }
    return result;
  }
  if (old instanceof Set && difference instanceof Set) {
    const result = new Set<Atom>(old as ReadonlySet<Atom>);
    for (const atom of difference as ReadonlySet<Atom>) if (!result.delete(atom)) result.add(atom);
    return result;
  }
  return difference;
}

/** Do both hold the same? Of sets and maps the order does not matter. */
export function sameValue(one: Value, other: Value): boolean {
  if (one instanceof Map) {
    if (!(other instanceof Map) || one.size !== other.size) return false;
    return [...(one as ReadonlyMap<Atom, Atom>)].every(([key, value]) => other.get(key) === value);
  }
  if (one instanceof Set) {
    return other instanceof Set && one.size === other.size && [...(one as ReadonlySet<Atom>)].every((atom) => other.has(atom));
  }
  return one === other;
}
