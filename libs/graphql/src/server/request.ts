import { invalidInput } from '#core';
import { WireError } from './errors.js';
import type { GraphqlRequest } from './engine.js';

const OPERATION_NAME = /^[_A-Za-z][_0-9A-Za-z]{0,254}$/;

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The GraphQL request in the parameters that HTTP and WebSocket share.
 * @throws WireError when a parameter is missing or of the wrong type; INVALID_INPUT for a text in the variables that
 * nothing could keep.
 */
export function parseGraphqlRequest(parameters: unknown, isReadOnly: boolean): GraphqlRequest {
  if (Array.isArray(parameters)) throw new WireError('GRAPHQL_REQUEST', 'Send one request at a time: batches are not taken.');
  if (!isMap(parameters)) throw new WireError('GRAPHQL_REQUEST', 'The body must be a JSON object with a "query".');
  const { query, variables, operationName, extensions } = parameters;
  if (extensions != null && !isMap(extensions)) throw new WireError('GRAPHQL_REQUEST', '"extensions" must be an object.');
  if (query == null && extensions?.['persistedQuery'] !== undefined) {
    throw new WireError('PERSISTED_QUERY_NOT_SUPPORTED', 'Persisted queries are not supported: send the document.');
  }
  if (typeof query !== 'string' || query === '') throw new WireError('GRAPHQL_REQUEST', '"query" must be a text with the document.');
  if (variables != null && !isMap(variables)) throw new WireError('GRAPHQL_REQUEST', '"variables" must be an object.');
  if (operationName != null && typeof operationName !== 'string') {
    throw new WireError('GRAPHQL_REQUEST', '"operationName" must be a text.');
  }
  if (operationName != null && operationName !== '' && !OPERATION_NAME.test(operationName)) {
    throw new WireError('GRAPHQL_OPERATION', 'No operation can have that name.');
  }
  if (variables != null) refuseBrokenTexts(variables);
  return { query, variables: variables ?? {}, operationName: operationName || undefined, isReadOnly };
}

/**
 * PostgreSQL keeps neither U+0000 nor half of a surrogate pair. Not recursive: JSON may be nested deeper than the stack is.
 * @throws INVALID_INPUT with the place of the first such text
 */
function refuseBrokenTexts(variables: Readonly<Record<string, unknown>>): void {
  const open: [place: string, value: unknown][] = Object.entries(variables);
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [place, value] = next;
    if (typeof value === 'string') refuseBrokenText(place, value);
    else if (typeof value === 'object' && value !== null) {
      for (const [key, item] of Object.entries(value)) {
        refuseBrokenText(place, key);
        open.push([`${place}.${key}`, item]);
      }
    }
  }
}

function refuseBrokenText(place: string, text: string): void {
  if (text.isWellFormed() && !text.includes('\0')) return;
  throw invalidInput(place, 'A text must be whole Unicode characters without U+0000.');
}

/** The parameters of a GET, where maps come as JSON in text. */
export function parametersOfUrl(search: unknown): Record<string, unknown> {
  const { query, operationName, variables, extensions } = isMap(search) ? search : {};
  return { query, operationName, variables: parseMap('variables', variables), extensions: parseMap('extensions', extensions) };
}

function parseMap(name: string, text: unknown): unknown {
  if (text === undefined || text === '') return undefined;
  try {
    if (typeof text === 'string') return JSON.parse(text);
  } catch {
    // Refused below, like a parameter that is given twice.
  }
  throw new WireError('GRAPHQL_REQUEST', `"${name}" must be given once, in JSON.`);
}

const RESPONSE_JSON = 'application/graphql-response+json';

/** Whether the client prefers the GraphQL media type, whose HTTP status tells the outcome, over plain JSON. */
export function prefersGraphqlJson(accept: string | undefined): boolean {
  let [graphqlQuality, jsonQuality] = [0, 0];
  for (const range of (accept ?? '*/*').slice(0, 1000).split(',')) {
    const [type, ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const given = parameters.find((parameter) => parameter.startsWith('q='));
    const quality = given === undefined ? 1 : Number(given.slice(2)) || 0;
    if (type === RESPONSE_JSON) graphqlQuality = Math.max(graphqlQuality, quality);
    else if (type === 'application/json') jsonQuality = Math.max(jsonQuality, quality);
  }
  return graphqlQuality > 0 && graphqlQuality >= jsonQuality;
}

/** The media type of an answer, with its encoding. */
export function contentType(isGraphqlJson: boolean): string {
  return `${isGraphqlJson ? RESPONSE_JSON : 'application/json'}; charset=utf-8`;
}
