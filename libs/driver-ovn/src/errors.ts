import { MuonError } from '#core';
import { backendRefused, backendUnavailable } from '#drivers';
import { ClosedError, LimitError, OutcomeUnknownError, OvsdbError, RefusedError, TimeoutError, UnavailableError } from '#ovsdb';

/**
 * Another writer came in between, or the answer was lost: what is there now has to be read again. A `wait` that does not
 * hold is refused as `timed out`, a row that is there already as `duplicate uuid`.
 */
export function mustLookAgain(error: unknown): boolean {
  if (error instanceof OutcomeUnknownError) return true;
  return error instanceof RefusedError && (error.error === 'timed out' || error.error === 'duplicate uuid');
}

/** What the contracts say of an error of the database; others stay as they are. */
export function toDriverError(backend: string, error: unknown): unknown {
  if (!(error instanceof OvsdbError)) return error;
  if (error instanceof RefusedError && error.error === 'constraint violation') {
    return backendRefused(backend, 'Something in OVN that is not ours stands in the way.', error);
  }
  if (error instanceof TimeoutError || error instanceof OutcomeUnknownError) {
    return new MuonError('TIMEOUT', 'OVN did not answer in time.', { data: { backend }, cause: error });
  }
  if (error instanceof UnavailableError || error instanceof ClosedError) return backendUnavailable(backend, 'OVN cannot be reached.', error);
  if (error instanceof LimitError) return backendUnavailable(backend, 'Too much waits for OVN already.', error);
  return backendRefused(backend, 'OVN refused this.', error);
}

/** What was read has not changed, and what was to be written on it is refused all the same. */
export function stuck(backend: string, error: RefusedError): MuonError {
  const { operation, details = error.error } = error;
  const message = `OVN has a row of ${operation?.table ?? 'some table'} that is not as its marks say, and refuses to go on: ${details}. Somebody may have changed it by hand.`;
  return new MuonError('CONFLICT', message, { data: { backend }, fault: 'OPERATOR', retryable: true, cause: error });
}

/** Others build on what is to go. */
export const inUse = (message: string): MuonError => new MuonError('INVALID_STATE', message, { fault: 'OPERATOR' });
