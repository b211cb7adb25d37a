import { typeidUnboxed } from 'typeid-js';
import { invalidInput } from './errors.js';

/**
 * Ids are TypeIDs (https://github.com/jetify-com/typeid/tree/main/spec): a prefix that tells the kind, an underscore,
 * and a UUIDv7 in 26 letters of Crockford's base 32. They sort by the time of making and are unique across cells.
 */
export type Id<Prefix extends string> = `${Prefix}_${string}`;

const SUFFIX = /^[0-7][0-9a-hjkmnp-tv-z]{25}$/;
const PREFIX = /^[a-z]{2,12}$/;

/** One kind of id: makes new ones, and checks those that came from outside. */
export interface IdKind<Prefix extends string> {
  readonly prefix: Prefix;
  create(): Id<Prefix>;
  is(value: unknown): value is Id<Prefix>;
  /** @throws INVALID_INPUT naming `field` when the text is not an id of this kind. */
  parse(value: string, field: string): Id<Prefix>;
}

const prefixes = new Set<string>();

/** Declares a kind of id. Two rooms that choose the same prefix are refused at start. */
export function defineId<Prefix extends string>(prefix: Prefix): IdKind<Prefix> {
  if (!PREFIX.test(prefix)) throw new Error(`id prefix "${prefix}" must be 2 to 12 lower-case letters`);
  if (prefixes.has(prefix)) throw new Error(`id prefix "${prefix}" is declared twice`);
  prefixes.add(prefix);
  const is = (value: unknown): value is Id<Prefix> =>
    typeof value === 'string' && value.startsWith(`${prefix}_`) && SUFFIX.test(value.slice(prefix.length + 1));
  return {
    prefix,
    create: () => typeidUnboxed(prefix) as Id<Prefix>,
    is,
    parse(value, field) {
      if (is(value)) return value;
      throw invalidInput(field, `An id that starts with "${prefix}_" is needed here.`);
    },
  };
}

/** The prefix of any id, or undefined when the text is not one. */
export function idPrefix(value: string): string | undefined {
  const at = value.lastIndexOf('_');
  return at > 0 && SUFFIX.test(value.slice(at + 1)) ? value.slice(0, at) : undefined;
}
