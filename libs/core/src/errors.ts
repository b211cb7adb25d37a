/**
 * The one error type of the house. It carries what a caller may read (`message`, `field`, `data`) apart from what only
 * the log may hold (`detail`, `cause`), says whose it is to mend and whether a retry can help, and is mapped to a wire
 * format at the edges only.
 */

/** Every code that can reach a client in `extensions.code`. The list is closed: adding one is an API change. */
export const ErrorCode = {
  /** The input breaks a rule; `field` names the place, the message says what would be right. */
  INVALID_INPUT: 'INVALID_INPUT',
  UNAUTHENTICATED: 'UNAUTHENTICATED',
  /** The caller may see the resource but not do this to it. */
  FORBIDDEN: 'FORBIDDEN',
  /** It does not exist, or the caller may not know that it does. */
  NOT_FOUND: 'NOT_FOUND',
  ALREADY_EXISTS: 'ALREADY_EXISTS',
  /** `expectedVersion` does not match, or a row changed underneath. */
  CONFLICT: 'CONFLICT',
  /** The resource's state does not allow this now. */
  INVALID_STATE: 'INVALID_STATE',
  /** Another operation holds the resource; `data.operationId` names it. */
  RESOURCE_BUSY: 'RESOURCE_BUSY',
  QUOTA_EXCEEDED: 'QUOTA_EXCEEDED',
  INSUFFICIENT_CAPACITY: 'INSUFFICIENT_CAPACITY',
  /** The backend or this release cannot do it, known up front. */
  UNSUPPORTED: 'UNSUPPORTED',
  /** A fact that a submitted plan rests on has changed; `data.fact` names it. */
  PLAN_STALE: 'PLAN_STALE',
  CURSOR_EXPIRED: 'CURSOR_EXPIRED',
  IDEMPOTENCY_KEY_REUSED: 'IDEMPOTENCY_KEY_REUSED',
  /** Too many requests in a time; `data.retryAfterMs` says when again. */
  RATE_LIMITED: 'RATE_LIMITED',
  /** One request asks for too much: depth, cost, size. */
  LIMIT_EXCEEDED: 'LIMIT_EXCEEDED',
  /** A dependency is away; trying again later can help. */
  UNAVAILABLE: 'UNAVAILABLE',
  /** An operator has stopped changes for the whole system; `data.message` says why. */
  SYSTEM_PAUSED: 'SYSTEM_PAUSED',
  TIMEOUT: 'TIMEOUT',
  CANCELLED: 'CANCELLED',
  /** A backend refused or lost something for good. */
  BACKEND_FAILED: 'BACKEND_FAILED',
  INTERNAL: 'INTERNAL',
} as const;
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

/** Whose it is to mend. */
export const Fault = { USER: 'USER', ADMIN: 'ADMIN', OPERATOR: 'OPERATOR', SYSTEM: 'SYSTEM' } as const;
export type Fault = (typeof Fault)[keyof typeof Fault];

interface CodeTraits {
  fault: Fault;
  retryable: boolean;
}

const TRAITS: Record<ErrorCode, CodeTraits> = {
  INVALID_INPUT: { fault: 'USER', retryable: false },
  UNAUTHENTICATED: { fault: 'USER', retryable: false },
  FORBIDDEN: { fault: 'ADMIN', retryable: false },
  NOT_FOUND: { fault: 'USER', retryable: false },
  ALREADY_EXISTS: { fault: 'USER', retryable: false },
  CONFLICT: { fault: 'USER', retryable: true },
  INVALID_STATE: { fault: 'USER', retryable: false },
  RESOURCE_BUSY: { fault: 'USER', retryable: true },
  QUOTA_EXCEEDED: { fault: 'ADMIN', retryable: false },
  INSUFFICIENT_CAPACITY: { fault: 'OPERATOR', retryable: true },
  UNSUPPORTED: { fault: 'USER', retryable: false },
  PLAN_STALE: { fault: 'USER', retryable: false },
  CURSOR_EXPIRED: { fault: 'USER', retryable: false },
  IDEMPOTENCY_KEY_REUSED: { fault: 'USER', retryable: false },
  RATE_LIMITED: { fault: 'USER', retryable: true },
  LIMIT_EXCEEDED: { fault: 'USER', retryable: false },
  UNAVAILABLE: { fault: 'OPERATOR', retryable: true },
  SYSTEM_PAUSED: { fault: 'OPERATOR', retryable: true },
  TIMEOUT: { fault: 'OPERATOR', retryable: true },
  CANCELLED: { fault: 'USER', retryable: false },
  BACKEND_FAILED: { fault: 'OPERATOR', retryable: false },
  INTERNAL: { fault: 'SYSTEM', retryable: false },
};

export type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue | undefined };
export type JsonObject = { [key: string]: JsonValue | undefined };

export interface ErrorOptions {
  /** Path of the input field at fault, as in `input.pools.0.count`. */
  field?: string;
  /** Numbers and names that explain the refusal; public. */
  data?: JsonObject;
  /** For the log only. */
  detail?: string;
  cause?: unknown;
  fault?: Fault;
  retryable?: boolean;
}

/** What is stored of an error with an operation, a condition or an audit row; holds public parts only. */
export interface ErrorRecord {
  code: ErrorCode;
  message: string;
  fault: Fault;
  retryable: boolean;
  field?: string;
  data?: JsonObject;
}

export class MuonError extends Error {
  readonly code: ErrorCode;
  readonly fault: Fault;
  readonly retryable: boolean;
  readonly field: string | undefined;
  readonly data: JsonObject | undefined;
  readonly detail: string | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'MuonError';
    this.code = code;
    this.fault = options.fault ?? TRAITS[code].fault;
    this.retryable = options.retryable ?? TRAITS[code].retryable;
    this.field = options.field;
    this.data = options.data;
    this.detail = options.detail;
  }

  toRecord(): ErrorRecord {
    const record: ErrorRecord = {
      code: this.code,
      message: this.message,
      fault: this.fault,
      retryable: this.retryable,
    };
    if (this.field !== undefined) record.field = this.field;
    if (this.data !== undefined) record.data = this.data;
    return record;
  }

  static fromRecord(record: ErrorRecord): MuonError {
    return new MuonError(record.code, record.message, {
      fault: record.fault,
      retryable: record.retryable,
      ...(record.field === undefined ? {} : { field: record.field }),
      ...(record.data === undefined ? {} : { data: record.data }),
    });
  }
}

/** Wraps what is not ours: its text goes to `detail`, never to the client. */
export function toMuonError(error: unknown): MuonError {
  if (error instanceof MuonError) return error;
  const detail = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new MuonError('INTERNAL', 'An internal error occurred.', { detail, cause: error });
}

export function invalidInput(field: string, message: string, data?: JsonObject): MuonError {
  return new MuonError('INVALID_INPUT', message, data === undefined ? { field } : { field, data });
}

export function notFound(noun: string, id: string, field?: string): MuonError {
  const message = `There is no ${noun} "${id.slice(0, 100)}" that you may see.`;
  return new MuonError('NOT_FOUND', message, field === undefined ? {} : { field });
}

/** A broken invariant is a defect of ours: it stops the work at hand and is logged with its message. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new MuonError('INTERNAL', 'An internal error occurred.', { detail: `assertion: ${message}` });
}
