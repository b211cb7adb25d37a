import { GraphQLError } from '../graphql-js.js';

// GraphQL's own words, pinned with its version, and what is told instead: what was expected stays, what was given goes. The
// value comes last, or only names of the schema follow.
const SUGGESTION = ' Did you mean the enum value "\\w+"(?:(?:, (?:or )?| or )"\\w+")*\\?';
const REPEATING: readonly [words: RegExp, told: string][] = [
  [new RegExp(`^((?:\\w+|Enum "\\w+") cannot represent [\\w -]*value): [^]*?\\.?(${SUGGESTION})?$`), '$1.$2'],
  [new RegExp(`^Value "[^]*" does not exist in "(\\w+)" enum\\.(${SUGGESTION})?$`), 'The enum "$1" has no such value.$2'],
  [/^(Expected value of type "[^"]+"), found (?!null\.$)[^]*$/, '$1.'],
  [/^(Expected type "[^"]+"\.) [^]*$/, '$1'],
  [/^(Argument "\w+"(?: of type "[^"]+")? has) invalid value [^]*$/, '$1 an invalid value.'],
  [/^(Syntax Error: (?:Expected [^]{1,100}?, found|Unexpected) (?:String|BlockString)) "[^]*$/, '$1.'],
];

/** A message of GraphQL without the value that it repeats, which may be secret. */
export function withoutValue(message: string): string {
  const [words, told] = REPEATING.find(([each]) => each.test(message)) ?? [];
  return words === undefined || told === undefined ? message : message.replace(words, told);
}

/** What is wrong with the value of a variable, and with which part of it. */
export interface BadVariable {
  /** As `input.parts[2]`; undefined when it is the variable itself. */
  place: string | undefined;
  /** Undefined when it cannot be told from the value. */
  reason: string | undefined;
}

/**
 * Takes the error of a variable apart: its message is the value, which may be the whole input, then the place, then the
 * reason. Any of that may stand inside of the value as well, but the reason is known by itself, and the place comes just
 * before it, in quotes that are escaped inside of a text.
 */
export function badVariable(error: GraphQLError): BadVariable {
  const reason = error.originalError?.message;
  if (reason === undefined || !error.message.endsWith(`; ${reason}`)) return { place: undefined, reason: undefined };
  const before = error.message.slice(0, -reason.length - 2);
  const place = / at "(?<path>\w+(?:\.\w+|\[\d+\])*)"$/.exec(before)?.groups?.['path'];
  return { place, reason };
}
