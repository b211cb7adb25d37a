import { GraphQLError, GraphQLScalarType, Kind, valueFromASTUntyped, type ValueNode } from './graphql-js.js';
import type { JsonObject } from '#core';

/**
 * The scalars of the API, strict in every direction: a variable, a literal and an answer obey the same rule, so that
 * garbage neither enters nor leaves.
 */

const DATE_TIME = /^(\d{4})-(\d{2})-(\d{2})T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?Z$/;
const CURSOR = /^[\x21-\x7e]{1,2000}$/;
const MAX_JSON_DEPTH = 16;
const MAX_JSON_LENGTH = 65_536;

function refuse(message: string, node?: ValueNode): never {
  throw new GraphQLError(message, node === undefined ? {} : { nodes: node });
}

function parseDateTime(value: unknown, node?: ValueNode): Date {
  const rule = 'A date and time in UTC is needed here, as in "2026-11-23T18:00:00.000Z".';
  const match = typeof value === 'string' ? DATE_TIME.exec(value) : null;
  if (match === null) return refuse(rule, node);
  const date = new Date(match[0]);
  // JavaScript rolls 30 February over to March instead of refusing it.
  if (Number.isNaN(date.getTime()) || date.getUTCDate() !== Number(match[3])) return refuse(rule, node);
  return date;
}

export const DateTime = new GraphQLScalarType<Date, string>({
  name: 'DateTime',
  description: 'A moment in UTC as RFC 3339 writes it, with milliseconds: `2026-11-23T18:00:00.000Z`.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339',
  serialize(value) {
    const date = typeof value === 'string' ? parseDateTime(value) : value;
    if (date instanceof Date && !Number.isNaN(date.getTime())) return date.toISOString();
    throw new GraphQLError('DateTime cannot represent this value.');
  },
  parseValue: (value) => parseDateTime(value),
  parseLiteral: (node) => parseDateTime(node.kind === Kind.STRING ? node.value : undefined, node),
});

function parseLong(value: unknown, node?: ValueNode): number {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  return refuse('A whole number between -(2^53 - 1) and 2^53 - 1 is needed here.', node);
}

export const Long = new GraphQLScalarType<number, number>({
  name: 'Long',
  description: 'A whole number between -(2^53 - 1) and 2^53 - 1, written as a JSON number.',
  serialize: (value) => parseLong(value),
  parseValue: (value) => parseLong(value),
  parseLiteral: (node) => parseLong(node.kind === Kind.INT ? Number(node.value) : undefined, node),
});

function parseCursor(value: unknown, node?: ValueNode): string {
  if (typeof value === 'string' && CURSOR.test(value)) return value;
  return refuse('A cursor that this API returned is needed here.', node);
}

export const Cursor = new GraphQLScalarType<string, string>({
  name: 'Cursor',
  description: 'An opaque text that marks a place in a list or in the stream of events. Only give back what was given.',
  serialize: (value) => parseCursor(value),
  parseValue: (value) => parseCursor(value),
  parseLiteral: (node) => parseCursor(node.kind === Kind.STRING ? node.value : undefined, node),
});

function isJson(value: unknown, depth: number): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || depth === 0) return false;
  if (Array.isArray(value)) return value.every((item) => isJson(item, depth - 1));
  return Object.entries(value).every(([key, item]) => key !== '__proto__' && isJson(item, depth - 1));
}

function parseJsonObject(value: unknown, node?: ValueNode): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return refuse('A JSON object is needed here.', node);
  if (!isJson(value, MAX_JSON_DEPTH)) return refuse(`A JSON object is nested ${MAX_JSON_DEPTH} levels deep at most.`, node);
  if (JSON.stringify(value).length > MAX_JSON_LENGTH) {
    return refuse(`A JSON object has ${MAX_JSON_LENGTH} characters at most.`, node);
  }
  return value as JsonObject;
}

export const JsonObjectScalar = new GraphQLScalarType<JsonObject, JsonObject>({
  name: 'JSONObject',
  description: `A JSON object, nested at most ${MAX_JSON_DEPTH} levels deep and with at most ${MAX_JSON_LENGTH} characters.`,
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc8259',
  serialize(value) {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
    throw new GraphQLError('JSONObject cannot represent this value.');
  },
  parseValue: (value) => parseJsonObject(value),
  parseLiteral: (node, variables) =>
    parseJsonObject(node.kind === Kind.OBJECT ? valueFromASTUntyped(node, variables) : undefined, node),
});
