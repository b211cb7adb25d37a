import pg from 'pg';
import { MuonError } from '#core';

/** Amounts, revisions and sequences are int8; all of ours fit a safe integer, and one that does not is a defect. */
function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new MuonError('INTERNAL', 'An internal error occurred.', { detail: `int8 ${text}` });
  return value;
}

const INT8_OID = 20;
const INT8_ARRAY_OID = 1016;

export const pgTypes: pg.CustomTypesConfig = {
  getTypeParser(oid, format): (text: string) => unknown {
    if (format !== 'binary' && Number(oid) === INT8_OID) return parseInt8;
    if (format !== 'binary' && Number(oid) === INT8_ARRAY_OID) {
      const parseArray: (text: string) => unknown = pg.types.getTypeParser(INT8_ARRAY_OID as never, 'text') as (text: string) => unknown;
      return (text) => (parseArray(text) as (string | null)[]).map((item) => (item === null ? null : parseInt8(item)));
    }
    return pg.types.getTypeParser(Number(oid), format ?? 'text') as (text: string) => unknown;
  },
};

/** SQLSTATE of a PostgreSQL error, else undefined. */
export function sqlState(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

type ConstraintError = (detail: string) => MuonError;
const constraintErrors = new Map<string, ConstraintError>();

/** Says what a caller reads when this unique, check or foreign key constraint refuses a write. */
export function constraintMeans(constraint: string, error: ConstraintError): void {
  constraintErrors.set(constraint, error);
}

/** What a caller reads when this constraint refuses; undefined where nobody has said. */
export function constraintError(constraint: string): ConstraintError | undefined {
  return constraintErrors.get(constraint);
}

const CONNECTION_LOST = /^(08...|57P0[123]|53300)$/;
const NOT_REACHED = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOTFOUND', 'ETIMEDOUT']);

/** Turns what PostgreSQL or its driver threw into the error that the caller shall see. */
export function fromPostgres(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof MuonError) return error;
  const { constraint, detail } = error as { constraint?: string; detail?: string };
  if (constraint !== undefined) {
    const known = constraintErrors.get(constraint);
    if (known !== undefined) return known(detail ?? '');
  }
  const state = sqlState(error);
  const code = (error as { code?: string }).code ?? '';
  if (state === '55P03' || state === '57014' || state === '25P04') {
    return new MuonError('UNAVAILABLE', 'The database is too busy to do this now; try again.', {
      detail: error.message,
      cause: error,
    });
  }
  if (state === '22021' || state === '22P05') {
    return new MuonError('INVALID_INPUT', 'A text holds a character that cannot be kept (U+0000).', { detail: error.message, cause: error });
  }
  const lost = (state !== undefined && CONNECTION_LOST.test(state)) || NOT_REACHED.has(code);
  if (lost || /timeout exceeded when trying to connect|Connection terminated/.test(error.message)) {
    return new MuonError('UNAVAILABLE', 'The database cannot be reached now; try again.', {
      detail: error.message,
      cause: error,
    });
  }
  return error;
}
