import { MuonError } from '#core';

/** A place in the event log (DESIGN §10). Everything up to and including it has been seen. */
export interface EventCursor {
  epoch: string;
  transactionId: number;
  sequence: number;
}

export function encodeEventCursor(cursor: EventCursor): string {
  return Buffer.from(`${cursor.epoch}.${cursor.transactionId}.${cursor.sequence}`).toString('base64url');
}

/** @throws INVALID_INPUT when the text is no event cursor. */
export function decodeEventCursor(text: string, field: string): EventCursor {
  const decoded = text.length <= 200 ? Buffer.from(text, 'base64url').toString('utf8') : '';
  const match = /^([0-9a-f]{12})\.(\d{1,15})\.(\d{1,16})$/.exec(decoded);
  if (match === null) {
    throw new MuonError('INVALID_INPUT', 'This is no event cursor; take one from a list or an event.', { field });
  }
  return { epoch: match[1] as string, transactionId: Number(match[2]), sequence: Number(match[3]) };
}

export function cursorExpired(reason: string): MuonError {
  return new MuonError('CURSOR_EXPIRED', `The events after this cursor are gone (${reason}). Read the list again and watch from its cursor.`);
}
