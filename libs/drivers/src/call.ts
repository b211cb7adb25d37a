import { MuonError } from '#core';

/**
 * What every driver call is given: how long it may take, and under which name a repeat is the same call. A call whose
 * time is over throws TIMEOUT, and what it asked for may have happened, may yet happen, or may not; one whose signal
 * aborts throws CANCELLED, and none is made whose signal has aborted already.
 */
export interface DriverCall {
  /** Operation, attempt, step and resource: a backend that remembers calls may use it to recognise a repeat. */
  readonly idempotencyKey: string;
  /** Milliseconds. A caller that loses its lease meanwhile aborts the call. */
  readonly timeoutMs: number;
  /** Aborts when the lease is lost, the operation is cancelled or the worker drains. */
  readonly signal: AbortSignal;
}

/** Marks that every backend object carries, so that a sweep can tell whose it is. */
export interface Ownership {
  readonly installationId: string;
  readonly tenantId: string;
  readonly projectId: string;
}

/**
 * What a driver call came to. `PENDING` means that the backend has accepted and works on it: look again later, the call
 * may be repeated. A driver never waits for a backend longer than the call's timeout.
 */
export type Outcome<Value> = { state: 'DONE'; value: Value } | { state: 'PENDING'; retryAfterMs: number };

export const DONE: Outcome<void> = { state: 'DONE', value: undefined };
export const done = <Value>(value: Value): Outcome<Value> => ({ state: 'DONE', value });
export const pending = (retryAfterMs: number): Outcome<never> => ({ state: 'PENDING', retryAfterMs });

/** The backend cannot be reached or is busy: the same call may succeed later. */
export function backendUnavailable(backend: string, message: string, cause?: unknown): MuonError {
  return new MuonError('UNAVAILABLE', message, { data: { backend }, cause, fault: 'OPERATOR', retryable: true });
}

/** The backend refused for good: repeating the same call cannot help. */
export function backendRefused(backend: string, message: string, cause?: unknown): MuonError {
  return new MuonError('BACKEND_FAILED', message, { data: { backend }, cause, fault: 'OPERATOR', retryable: false });
}
