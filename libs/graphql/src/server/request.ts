import { WireError } from './errors.js';
import type { GraphqlRequest } from './engine.js';

const OPERATION_NAME = /^[_A-Za-z][_0-9A-Za-z]{0,254}$/;

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The GraphQL request in the parameters that HTTP and WebSocket share.
 * @throws WireError when a parameter is missing or of the wrong type.
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
  return { query, variables: variables ?? {}, operationName: operationName || undefined, isReadOnly };
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
