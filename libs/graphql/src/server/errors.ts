import { ForbiddenException } from '@nestjs/common';
import { GraphQLError } from '../graphql-js.js';
import { MuonError, type Fault, type JsonObject, type Logger } from '#core';
import { badVariable, withoutValue } from './repeated-values.js';

/**
 * Codes in `extensions.code` that speak of the request itself and so exist on the wire only. Together with `ErrorCode`
 * of core they are all that a client ever sees.
 */
export const WireCode = {
  /** The HTTP request holds no GraphQL request: not JSON, no `query`, a parameter of the wrong type, a batch. */
  GRAPHQL_REQUEST: 'GRAPHQL_REQUEST',
  /** The document is not GraphQL; `locations` says where. */
  GRAPHQL_SYNTAX: 'GRAPHQL_SYNTAX',
  /** The document does not fit the schema. */
  GRAPHQL_VALIDATION: 'GRAPHQL_VALIDATION',
  /** The document holds no operation of that name, or one that this transport does not run. */
  GRAPHQL_OPERATION: 'GRAPHQL_OPERATION',
  /** Only the hash of a document was sent; send the document. */
  PERSISTED_QUERY_NOT_SUPPORTED: 'PERSISTED_QUERY_NOT_SUPPORTED',
} as const;
export type WireCode = (typeof WireCode)[keyof typeof WireCode];

/** Of an error of input: what GraphQL says may name many fields. */
const MAX_MESSAGE = 1000;
const INTERNAL_MESSAGE = 'An internal error occurred. The log knows it by the request id.';

/** A refusal of the request itself, before anything was executed. */
export class WireError extends Error {
  constructor(
    readonly code: WireCode,
    message: string,
    readonly status = 400,
  ) {
    super(message);
    this.name = 'WireError';
  }
}

/** An error as clients get it, in `errors` of a response. */
export interface FormattedError {
  message: string;
  locations?: readonly { line: number; column: number }[];
  path?: readonly (string | number)[];
  extensions: {
    code: string;
    fault: Fault;
    retryable: boolean;
    field?: string;
    data?: JsonObject;
    requestId: string;
  };
}

/** A GraphQL error whose JSON is the wire format, for libraries that call `toJSON` themselves. */
export class PublicGraphqlError extends GraphQLError {
  readonly #formatted: FormattedError;

  constructor(formatted: FormattedError) {
    super(formatted.message, { extensions: formatted.extensions });
    this.#formatted = formatted;
  }

  override toJSON(): FormattedError {
    return this.#formatted;
  }
}

/** What a request failed with before execution: its errors, and the HTTP status that says so. */
export interface RequestFailure {
  status: number;
  errors: PublicGraphqlError[];
}

const STATUS_OF_CODE: Partial<Record<string, number>> = {
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  RATE_LIMITED: 429,
  UNAVAILABLE: 503,
  TIMEOUT: 503,
  INTERNAL: 500,
};

/** Maps errors of one request to what may leave the house; what may not goes to the log under the request's id. */
export class ErrorFormatter {
  constructor(private readonly logger: Logger) {}

  /** Errors of fields, found while executing. */
  format(errors: readonly unknown[], requestId: string): PublicGraphqlError[] {
    return errors.map((error) => this.formatOne(error, requestId));
  }

  formatOne(error: unknown, requestId: string): PublicGraphqlError {
    return new PublicGraphqlError(this.#map(error, requestId));
  }

  /** Errors of the request as a whole: nothing was executed. */
  formatFailure(error: unknown, requestId: string): RequestFailure {
    if (error instanceof WireError) {
      const formatted = { message: error.message, extensions: wireExtensions(error.code, requestId) };
      return { status: error.status, errors: [new PublicGraphqlError(formatted)] };
    }
    const documentErrors = errorsOfDocument(error);
    if (documentErrors !== undefined) {
      const formatted = documentErrors.map((one) => this.#formatDocumentError(one, requestId));
      return { status: 400, errors: formatted.map((one) => new PublicGraphqlError(one)) };
    }
    const only = this.formatOne(error, requestId);
    return { status: STATUS_OF_CODE[only.toJSON().extensions.code] ?? 400, errors: [only] };
  }

  #map(error: unknown, requestId: string): FormattedError {
    const position = error instanceof GraphQLError && error.path !== undefined ? { path: error.path } : {};
    const cause = innermost(error);
    const muonError = asMuonError(cause);
    this.#log(muonError, cause, requestId, position.path);
    const extensions: FormattedError['extensions'] = {
      code: muonError.code,
      fault: muonError.fault,
      retryable: muonError.retryable,
      requestId,
    };
    if (muonError.code === 'INTERNAL') return { message: INTERNAL_MESSAGE, ...position, extensions };
    if (muonError.field !== undefined) extensions.field = muonError.field;
    if (muonError.data !== undefined) extensions.data = muonError.data;
    return { message: muonError.message, ...position, extensions };
  }

  #formatDocumentError(error: GraphQLError, requestId: string): FormattedError {
    const tooManyTokens = /contains more tha[nt] (\d+) tokens/.exec(error.message);
    if (tooManyTokens !== null) {
      const allowed = Number(tooManyTokens[1]);
      const message = `The document has more than ${allowed} tokens.`;
      return this.#map(new MuonError('LIMIT_EXCEEDED', message, { data: { limit: 'tokens', allowed } }), requestId);
    }
    if (isInputError(error)) return this.#map(error, requestId);
    const locations = error.locations === undefined ? {} : { locations: error.locations };
    const message = withoutValue(error.message);
    return { message, ...locations, extensions: wireExtensions(codeOfDocumentError(error), requestId) };
  }

  #log(error: MuonError, cause: unknown, requestId: string, path: readonly (string | number)[] | undefined): void {
    const entry = { requestId, path: path?.join('.'), code: error.code, detail: error.detail };
    if (error.code === 'INTERNAL') this.logger.error({ ...entry, err: cause }, 'a request failed');
    else if (error.fault === 'OPERATOR') this.logger.warn({ ...entry, cause: error.cause }, error.message);
    else this.logger.debug(entry, error.message);
  }
}

function wireExtensions(code: WireCode, requestId: string): FormattedError['extensions'] {
  return { code, fault: 'USER', retryable: false, requestId };
}

/** Mercurius wraps what parsing, validation and coercion found into one error that carries them as `errors`. */
function errorsOfDocument(error: unknown): GraphQLError[] | undefined {
  if (error instanceof GraphQLError) return [error];
  const errors: unknown = error instanceof Error && 'errors' in error ? error.errors : undefined;
  if (!Array.isArray(errors) || errors.length === 0) return undefined;
  return errors.every((one) => one instanceof GraphQLError) ? errors : undefined;
}

function codeOfDocumentError(error: GraphQLError): WireCode {
  if (error.message.startsWith('Syntax Error')) return 'GRAPHQL_SYNTAX';
  if (/^(Unknown operation named|Must provide (an )?operation)/.test(error.message)) return 'GRAPHQL_OPERATION';
  return 'GRAPHQL_VALIDATION';
}

/** What a resolver threw, below the GraphQL errors that place it; an error of input is told whole, for it has the place. */
function innermost(error: unknown): unknown {
  let inner = error;
  while (inner instanceof GraphQLError && inner.originalError != null && !isInputError(inner)) inner = inner.originalError;
  return inner;
}

function asMuonError(error: unknown): MuonError {
  if (error instanceof MuonError) return error;
  if (error instanceof GraphQLError && isInputError(error)) return inputError(error);
  if (error instanceof ForbiddenException) return new MuonError('FORBIDDEN', 'You may not do this.', { cause: error });
  const detail = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new MuonError('INTERNAL', INTERNAL_MESSAGE, { detail, cause: error });
}

// GraphQL's own words, pinned with its version: they are the only mark of a value that the caller gave wrongly.
const BAD_VALUE = /^Variable "\$(?<name>\w+)" got invalid value /;
const BAD_VARIABLE = /^Variable "\$(?<name>\w+)" of (?:required type .* was not provided|non-null type .* must not be null)/;
const MISSING_OR_UNKNOWN = /^Field "(?<name>\w+)" (?:of required type .* was not provided|is not defined by type )/;
const BAD_ARGUMENT = /^Argument "(?<name>\w+)" (?:of (?:required|non-null) type|has invalid value)/;

function isInputError(error: unknown): boolean {
  if (!(error instanceof GraphQLError)) return false;
  return [BAD_VALUE, BAD_VARIABLE, BAD_ARGUMENT].some((words) => words.test(error.message));
}

function inputError(error: GraphQLError): MuonError {
  const variable = BAD_VALUE.exec(error.message)?.groups?.['name'];
  if (variable !== undefined) return valueError(error, variable);
  const name = (BAD_VARIABLE.exec(error.message) ?? BAD_ARGUMENT.exec(error.message))?.groups?.['name'] ?? 'input';
  return new MuonError('INVALID_INPUT', withoutValue(error.message).slice(0, MAX_MESSAGE), { field: name });
}

function valueError(error: GraphQLError, variable: string): MuonError {
  const { place, reason } = badVariable(error);
  const missing = reason === undefined ? undefined : MISSING_OR_UNKNOWN.exec(reason)?.groups?.['name'];
  const field = [(place ?? variable).replaceAll('[', '.').replaceAll(']', ''), ...(missing === undefined ? [] : [missing])].join('.');
  const where = place === undefined ? '' : ` at "${place}"`;
  const why = reason === undefined ? '.' : `; ${withoutValue(reason)}`;
  return new MuonError('INVALID_INPUT', `Variable "$${variable}" got an invalid value${where}${why}`.slice(0, MAX_MESSAGE), { field });
}
