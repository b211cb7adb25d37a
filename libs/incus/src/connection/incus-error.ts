export const IncusErrorKind = {
  /** Incus says no, and will say so again. */
  REFUSED: 'REFUSED',
  NOT_FOUND: 'NOT_FOUND',
  /** Something of that name is there already. */
  CONFLICT: 'CONFLICT',
  /** The etag that was given is not the object's any more. */
  PRECONDITION_FAILED: 'PRECONDITION_FAILED',
  FORBIDDEN: 'FORBIDDEN',
  /** Another operation holds the object. */
  BUSY: 'BUSY',
  /** No answer, or one that says that a member or the cluster's database is away. */
  UNAVAILABLE: 'UNAVAILABLE',
  /** The time that the call was given is over. */
  TIMEOUT: 'TIMEOUT',
  /** The caller's signal was aborted, or somebody cancelled the operation. */
  CANCELLED: 'CANCELLED',
  /** The operation is not known any more: Incus forgets them 5 s after their end, and when a member restarts. */
  OPERATION_LOST: 'OPERATION_LOST',
  /** It tried and failed. */
  FAILED: 'FAILED',
  /** What came back is not what Incus's API describes, or more of it than was allowed. */
  PROTOCOL: 'PROTOCOL',
} as const;
export type IncusErrorKind = (typeof IncusErrorKind)[keyof typeof IncusErrorKind];

export interface IncusErrorOptions {
  status?: number;
  outcomeUnknown?: boolean;
  neverSent?: boolean;
  cause?: unknown;
}

const RETRYABLE = new Set<IncusErrorKind>(['BUSY', 'UNAVAILABLE', 'TIMEOUT', 'OPERATION_LOST']);

/** The one error of this library. Its message is Incus's own, or says what became of the connection. */
export class IncusError extends Error {
  readonly kind: IncusErrorKind;
  /** The status of the answer or, for operations, of their end; undefined when there was no answer. */
  readonly status: number | undefined;
  /**
   * The request may have been carried out although it looks failed: its answer was lost. Look at the object before you
   * decide. Always false for calls that only read.
   */
  readonly outcomeUnknown: boolean;
  /** There was no connection: nothing of the request has left. */
  readonly neverSent: boolean;

  constructor(kind: IncusErrorKind, message: string, options: IncusErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'IncusError';
    this.kind = kind;
    this.status = options.status;
    this.outcomeUnknown = options.outcomeUnknown ?? false;
    this.neverSent = options.neverSent ?? false;
  }

  /** The same request may succeed later, without anybody changing anything. */
  get retryable(): boolean {
    return RETRYABLE.has(this.kind);
  }
}

export const isNotFound = (error: unknown): error is IncusError => error instanceof IncusError && error.kind === 'NOT_FOUND';
export const isConflict = (error: unknown): error is IncusError => error instanceof IncusError && error.kind === 'CONFLICT';

/** The member that answered cannot know or change anything now: its database has no leader that it hears, or it begins or ends. */
export const isNotReady = (error: unknown): error is IncusError =>
  error instanceof IncusError &&
  /no available (cowsql|dqlite) leader|failed to begin transaction|database is closed|(incus|daemon) is (starting|shutting)|server isn't ready yet/i.test(error.message);

/** Texts of Incus 6.0 that tell more than the status, which is 400 or 500 for all of them. The first that fits counts. */
const TEXTS: readonly (readonly [pattern: RegExp, kind: IncusErrorKind])[] = [
  // That a guest did not end in time says nothing of Incus.
  [/^Failed shutting down instance/i, 'FAILED'],
  // One member could not reach another, or lost it.
  [/connection refused|no route to host|network is unreachable|i\/o timeout|TLS handshake timeout|\bEOF$|connection reset by peer|broken pipe/i, 'UNAVAILABLE'],
  [/no available (cowsql|dqlite) leader|failed to begin transaction|database is (locked|closed)|bad connection|checkpoint in progress|within a transaction|transaction has already been/i, 'UNAVAILABLE'],
  [/context (canceled|deadline exceeded)|(incus|daemon) is (starting|shutting)|isn't ready yet|missing event connection/i, 'UNAVAILABLE'],
  [/isn't online|is (currently )?offline|not available on any online member|cluster member is evacuated/i, 'UNAVAILABLE'],
  // "Succeeded": somebody else's same request was waited for, which is done; this one was not begun.
  [/is busy running|already being (created|deleted)|operation is already running|matching non-reusable operation has now succeeded/i, 'BUSY'],
  // Its row went or got another name while something was done to it; a look finds what is left of it.
  [/query affected \d+ rows instead of 1|FOREIGN KEY constraint failed|^get instance "[^"]+" in project/i, 'BUSY'],
  [/already exists|already in use|already defined|UNIQUE constraint failed/i, 'CONFLICT'],
  [/\b(instance|instance[ _]snapshot|snapshot|volume|storage pool|image|image alias|profile|cluster member) not found\b|^not found$/i, 'NOT_FOUND'],
];

/** @param status of the answer, or of the end of an operation */
export function errorOfAnswer(status: number, message: string): IncusError {
  return new IncusError(kindOf(status, message), message, { status });
}

function kindOf(status: number, message: string): IncusErrorKind {
  switch (status) {
    case 401:
      return 'FORBIDDEN';
    case 403:
      // What an operator does to a member passes; that somebody may not do something does not.
      return ofText(message) === 'UNAVAILABLE' ? 'UNAVAILABLE' : 'FORBIDDEN';
    case 404:
      return 'NOT_FOUND';
    case 409:
      return 'CONFLICT';
    case 412:
      return 'PRECONDITION_FAILED';
    case 502:
    case 503:
    case 504:
      return 'UNAVAILABLE';
    default:
      return ofText(message) ?? (status >= 500 ? 'FAILED' : 'REFUSED');
  }
}

const ofText = (message: string): IncusErrorKind | undefined => TEXTS.find(([pattern]) => pattern.test(message))?.[1];
