/**
 * Every way in which a call can fail, one class each, so that callers decide by `instanceof` or by `code` and never by
 * a message's words. Only {@link OutcomeUnknownError} leaves open whether something was done.
 */

export type OvsdbErrorCode =
  | 'INVALID_ARGUMENT'
  | 'REFUSED'
  | 'OUTCOME_UNKNOWN'
  | 'UNAVAILABLE'
  | 'TIMEOUT'
  | 'LIMIT_EXCEEDED'
  | 'PROTOCOL'
  | 'CLOSED';

export abstract class OvsdbError extends Error {
  abstract readonly code: OvsdbErrorCode;

  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
  }
}

/** What the caller gave cannot be sent; nothing was. `path` names the place, as in `operations.2.row.ports`. */
export class InvalidArgumentError extends OvsdbError {
  override readonly code = 'INVALID_ARGUMENT';

  constructor(
    readonly path: string,
    problem: string,
  ) {
    super(`${path}: ${problem}`);
  }
}

/** Where in a transaction a refusal stands; `index` counts from 0. */
export interface RefusedOperation {
  readonly index: number;
  readonly name: string;
  readonly table: string | undefined;
}

export interface Refusal {
  /** The JSON-RPC method. */
  readonly method: string;
  /** The `<error>` of RFC 7047 §3.1, as in `constraint violation`. */
  readonly error: string;
  readonly details: string | undefined;
  /** Absent when the request as a whole was refused, or when all operations went well and the commit did not (§4.1.3). */
  readonly operation?: RefusedOperation | undefined;
}

/** The server said no, and nothing was changed. */
export class RefusedError extends OvsdbError implements Refusal {
  override readonly code = 'REFUSED';
  readonly method: string;
  readonly error: string;
  readonly details: string | undefined;
  readonly operation: RefusedOperation | undefined;

  constructor({ method, error, details, operation }: Refusal) {
    const where = operation === undefined ? '' : ` at operation ${operation.index} (${[operation.name, operation.table].filter(Boolean).join(' ')})`;
    super(`${method} was refused${where}: ${error}${details === undefined ? '' : `: ${details}`}`);
    this.method = method;
    this.error = error;
    this.details = details;
    this.operation = operation;
  }
}

/**
 * A transaction was sent and its answer did not come: it may have been committed or not, or may be yet. `cause` says why.
 * It is never sent again by itself; look at the database, then decide.
 */
export class OutcomeUnknownError extends OvsdbError {
  override readonly code = 'OUTCOME_UNKNOWN';

  constructor(cause: unknown) {
    super(`It is unknown whether the transaction was committed: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}

/** No connection, or it was lost. A call that rejects with this has changed nothing. */
export class UnavailableError extends OvsdbError {
  override readonly code = 'UNAVAILABLE';
}

/** The call's time was over. A call that rejects with this has changed nothing. */
export class TimeoutError extends OvsdbError {
  override readonly code = 'TIMEOUT';
}

/** More than the limits of the client allow; nothing was sent, or a message that was too long ended the connection. */
export class LimitError extends OvsdbError {
  override readonly code = 'LIMIT_EXCEEDED';

  constructor(
    readonly limit: 'maxInFlight' | 'maxOutgoingBytes' | 'maxMessageBytes',
    readonly allowed: number,
    problem: string,
  ) {
    super(`${problem}; ${limit} is ${allowed}`);
  }
}

/** The server sent what RFC 7047 does not allow; the connection is closed and made anew. */
export class ProtocolError extends OvsdbError {
  override readonly code = 'PROTOCOL';
}

/** The client, monitor or lock was closed by its user. */
export class ClosedError extends OvsdbError {
  override readonly code = 'CLOSED';
}
