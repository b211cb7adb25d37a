import { backoffMs, MuonError, toMuonError, type ErrorRecord } from '#core';
import { sqlState } from '#database';
import type { BlockerReason } from '../operation/operation.js';

export interface RetryTimes {
  baseMs: number;
  maxMs: number;
}

/** What a step's error means for its operation. */
export interface Failure {
  record: ErrorRecord;
  retryable: boolean;
  /** When the backend said how long to wait. */
  retryAfterMs: number | undefined;
}

/** Errors of the server's own making that pass: serialisation, deadlock, lock and statement timeouts, resources. */
const PASSING = /^(40...|55P03|57014|25P04|53...)$/;

const MAX_TEXT = 2000;
const MAX_RECORD = 16_384;
/** Whatever a backend says. */
const MAX_DELAY_MS = 3_600_000;

export function failureOf(error: unknown): Failure {
  const muon = toMuonError(error);
  const passing = muon.code === 'INTERNAL' && PASSING.test(sqlState(error) ?? '');
  const after = muon.data?.retryAfterMs;
  return {
    record: storable({ ...muon.toRecord(), retryable: muon.retryable || passing }),
    retryable: muon.retryable || passing,
    retryAfterMs: typeof after === 'number' ? after : undefined,
  };
}

/** A backend's words may hold what PostgreSQL's jsonb cannot, and more of it than anybody reads. */
function storable(record: ErrorRecord): ErrorRecord {
  const text = JSON.stringify(record, (_key, value: unknown) =>
    typeof value === 'string' ? value.replaceAll('\0', '').slice(0, MAX_TEXT).toWellFormed() : value,
  );
  if (text.length <= MAX_RECORD) return JSON.parse(text) as ErrorRecord;
  const { data: _tooLong, ...rest } = JSON.parse(text) as ErrorRecord;
  return rest;
}

export function retryDelayMs(failure: Failure, tries: number, times: RetryTimes): number {
  return Math.min(Math.max(backoffMs(tries, times.baseMs, times.maxMs), failure.retryAfterMs ?? 0), MAX_DELAY_MS);
}

export function blockerFrom(record: ErrorRecord): BlockerReason {
  const { code, message, fault, data } = record;
  return data === undefined ? { code, message, fault } : { code, message, fault, data };
}

/** The retryable error that has outlived the operation's deadline. */
export function givenUp(record: ErrorRecord, deadlineMs: number): ErrorRecord {
  return { ...record, retryable: true, data: { ...record.data, givenUpAfterMs: deadlineMs } };
}

/** The wait that has outlived the operation's deadline. */
export function waitedTooLong(step: string, blocker: BlockerReason, deadlineMs: number): ErrorRecord {
  return new MuonError('TIMEOUT', `Step "${step}" did not come to its end in time: ${blocker.message}`, {
    fault: blocker.fault,
    data: { ...blocker.data, step, waitedFor: blocker.code, givenUpAfterMs: deadlineMs },
  }).toRecord();
}
