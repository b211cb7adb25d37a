/**
 * JSON without loss: OVSDB's integers have 64 bits (RFC 7047 §3.1), JavaScript's numbers are exact up to 2^53. Integers
 * beyond become `bigint`, both ways.
 */
export type Json = string | number | bigint | boolean | null | readonly Json[] | JsonObject;
export type JsonObject = { readonly [name: string]: Json };

/** Parts of ECMAScript's "JSON.parse source text access" that TypeScript's libraries do not know yet. */
interface ExactJson {
  parse(text: string, reviver: (name: string, value: Json, context: { source?: string }) => Json): Json;
  rawJSON(text: string): JsonObject;
}
const exactJson = JSON as unknown as ExactJson;

/** A reviver makes parsing several times slower, so only a text that may need it gets it. */
const MANY_DIGITS = /\d{16}/;
const INTEGER = /^-?\d+$/;

/** @throws SyntaxError */
export function parseJson(text: string): Json {
  if (!MANY_DIGITS.test(text)) return JSON.parse(text) as Json;
  return exactJson.parse(text, (_name, value, { source }) => {
    if (typeof value !== 'number' || Number.isSafeInteger(value) || source === undefined || !INTEGER.test(source)) return value;
    return BigInt(source);
  });
}

/** The text of what {@link parseJson} has read. */
export const formatJson = (json: Json): string =>
  JSON.stringify(json, (_name, value: Json) => (typeof value === 'bigint' ? bigintToJson(value) : value));

/** What stands for a `bigint` in what is given to `JSON.stringify`, which refuses one; far quicker than a replacer. */
export const bigintToJson = (value: bigint): Json => exactJson.rawJSON(value.toString());

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}
