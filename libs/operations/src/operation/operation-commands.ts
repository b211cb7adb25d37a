import { MuonError, notFound } from '#core';
import type { Transaction } from '#database';
import type { OperationCommand, RetriedOperation } from './operation-sections.js';
import { abandonOperation, lockForCommand, requestCancel, resumeOperation, type OperationForCommand } from './operation.sql.js';
import { END_STATES } from './operation.js';

/** Carries out what was asked, under the lock of the operation's row. */
export async function applyCommand(
  transaction: Transaction,
  command: OperationCommand,
  principalId: string | null,
): Promise<void> {
  const id = operationOf(command);
  const row = await transaction.first(lockForCommand, id);
  if (row === undefined) throw notFound('operation', id);
  if ('retry' in command) {
    if (row.state !== 'FAILED' || row.attempt !== command.attempt) throw notThatAttempt(command);
    return;
  }
  if ('cancel' in command) {
    refuseCancel(row);
    await transaction.rows(requestCancel, [id], principalId);
    return;
  }
  refuseUnlessStuck(row);
  if ('resume' in command) await transaction.rows(resumeOperation, id);
  else await transaction.rows(abandonOperation, id, principalId, command.reason);
}

function operationOf(command: OperationCommand): string {
  if ('cancel' in command) return command.cancel;
  if ('retry' in command) return command.retry;
  return 'resume' in command ? command.resume : command.abandon;
}

/** Somebody else has retried it, or deleted what it works on, since it was read. */
export function notThatAttempt({ retry, attempt }: RetriedOperation): MuonError {
  return new MuonError('CONFLICT', `Operation "${retry}" is no longer the failed attempt ${attempt}; read it again.`, {
    data: { operationId: retry, attempt },
  });
}

/** @throws INVALID_STATE saying why it cannot be cancelled, or not any more; an operation that goes back already may be asked again */
export function refuseCancel(row: OperationForCommand): void {
  if (END_STATES.includes(row.state)) {
    throw refusal(row, `It has ended already (${row.state}).`);
  }
  if (row.parent_id !== null) {
    throw refusal(row, `It is a part of operation "${row.root_id}"; cancel that one.`, { rootOperationId: row.root_id });
  }
  if (row.state === 'STUCK') {
    throw refusal(row, 'It is stuck: an operator can retry it, or abandon it with a reason.');
  }
  if (row.pivot_passed) {
    const step = row.step_names[row.pivot_index ?? 0] ?? '';
    throw refusal(row, `It has begun with "${step}", after which it can only go forward.`, { pivot: step });
  }
}

/** @throws INVALID_STATE */
export function refuseUnlessStuck(row: OperationForCommand): void {
  if (row.state === 'STUCK') return;
  throw refusal(row, `Only a STUCK operation can be resumed or abandoned; this one is ${row.state}.`);
}

/** @throws INVALID_STATE saying why there is no new attempt */
export function refuseRetry(row: OperationForCommand, canReadmit: boolean): void {
  if (row.state !== 'FAILED') throw refusal(row, `Only a FAILED operation can be retried; this one is ${row.state}.`);
  if (row.parent_id !== null) {
    throw refusal(row, `It is a part of operation "${row.root_id}"; retry that one.`, { rootOperationId: row.root_id });
  }
  if (row.abandonment !== null) throw refusal(row, 'It was abandoned and may have left traces; delete the resource instead.');
  if (!canReadmit) throw refusal(row, `Operations of kind ${row.kind} cannot be retried; make the request anew.`);
}

function refusal(row: OperationForCommand, message: string, data: Record<string, string> = {}): MuonError {
  return new MuonError('INVALID_STATE', message, { data: { operationId: row.id, state: row.state, ...data } });
}
