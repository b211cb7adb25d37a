import { MuonError, sleep, toMuonError, type Logger } from '#core';
import type { Database, Reader } from '#database';
import { cursorExpired, decodeEventCursor, encodeEventCursor, type EventCursor } from './cursor.js';
import { forgetEvents, pruneEvents, readEvents, readHead, renewEpoch, type EventRow } from './event.sql.js';

export interface FeedEvent extends EventRow {
  /** Watching from here resumes after this event. */
  cursor: string;
}

export interface EventFeedOptions {
  pollEveryMs?: number;
  batchSize?: number;
  /** Events that one watcher may have waiting before it is ended. */
  watcherLimit?: number;
  retentionMs?: number;
}

type Matches = (event: EventRow) => boolean;

interface Watcher {
  matches: Matches;
  /** Where the log was when it came. */
  head: EventCursor;
  queue: FeedEvent[];
  wake: (() => void) | undefined;
  failure: MuonError | undefined;
}

const DAY_MS = 86_400_000;

/**
 * Watching the log. One tailer a process polls it while anybody watches, and hands each event to the watchers that want
 * it. A watcher that resumes from a cursor first reads what it has missed and then follows the tailer.
 */
export class EventFeed {
  private readonly watchers = new Set<Watcher>();
  private readonly stop = new AbortController();
  private tail: EventCursor | undefined;
  private tailer: Promise<void> | undefined;
  private readonly pollEveryMs: number;
  private readonly batchSize: number;
  private readonly watcherLimit: number;
  private readonly retentionMs: number;

  constructor(
    private readonly database: Database,
    private readonly log: Logger,
    options: EventFeedOptions = {},
  ) {
    this.pollEveryMs = options.pollEveryMs ?? 50;
    this.batchSize = options.batchSize ?? 500;
    this.watcherLimit = options.watcherLimit ?? 2000;
    this.retentionMs = options.retentionMs ?? 7 * DAY_MS;
  }

  /** Call once before serving: begins a new epoch when the database has another history than its event log. */
  async initialise(): Promise<void> {
    await this.renew(false);
  }

  /** After a restore that the database cannot see itself, as one of a dump into the cluster that it came from. */
  async beginEpoch(): Promise<void> {
    await this.renew(true);
  }

  private async renew(anyway: boolean): Promise<void> {
    const renewed = await this.database.transaction(async (transaction) => {
      const row = await transaction.first(renewEpoch, anyway);
      if (row !== undefined) await transaction.execute(forgetEvents);
      return row;
    });
    if (renewed !== undefined) this.log.warn({ epoch: renewed.epoch }, 'the event log begins a new epoch after a restore');
  }

  /** The cursor of a list that is read by the same reader, in the same or an earlier snapshot. */
  async head(reader: Reader): Promise<string> {
    return encodeEventCursor(await this.headCursor(reader));
  }

  /**
   * Events after `from` (or from now on) that match, in commit order, until the signal aborts.
   * @throws CURSOR_EXPIRED behind the retention or from another epoch; LIMIT_EXCEEDED when the caller reads too slowly.
   */
  async *watch(matches: Matches, from: string | undefined, signal: AbortSignal): AsyncGenerator<FeedEvent, void, void> {
    const head = await this.headCursor(this.database);
    const watcher: Watcher = { matches, head, queue: [], wake: undefined, failure: undefined };
    let seen = from === undefined ? head : decodeEventCursor(from, 'from');
    if (seen.epoch !== head.epoch) throw cursorExpired('the log began a new epoch');
    // Nothing would come of it for a long time: no transaction has come so far yet.
    if (seen.transactionId > head.transactionId) throw cursorExpired('it lies ahead of the log');
    this.watchers.add(watcher);
    const wake = (): void => watcher.wake?.();
    signal.addEventListener('abort', wake);
    try {
      this.startTailer(head);
      for await (const event of this.catchUp(seen, signal)) {
        seen = { epoch: seen.epoch, transactionId: event.transaction_id, sequence: event.sequence };
        if (matches(event)) yield event;
      }
      yield* this.follow(watcher, seen, signal);
    } finally {
      signal.removeEventListener('abort', wake);
      this.watchers.delete(watcher);
    }
  }

  /** Deletes one batch behind the retention; the caller repeats while it returns the batch size. */
  async prune(limit = 5000): Promise<number> {
    return this.database.transaction(async (transaction) => {
      const row = await transaction.first(pruneEvents, new Date(Date.now() - this.retentionMs), limit);
      return row?.removed ?? 0;
    });
  }

  async close(): Promise<void> {
    this.stop.abort();
    for (const watcher of this.watchers) watcher.wake?.();
    await this.tailer;
  }

  private async *follow(watcher: Watcher, seen: EventCursor, signal: AbortSignal): AsyncGenerator<FeedEvent, void, void> {
    while (!signal.aborted && !this.stop.signal.aborted) {
      const event = watcher.queue.shift();
      if (event !== undefined) {
        if (isAfter(event, seen)) yield event;
        continue;
      }
      if (watcher.failure !== undefined) throw watcher.failure;
      await new Promise<void>((resolve) => {
        watcher.wake = resolve;
      });
      watcher.wake = undefined;
    }
  }

  private async *catchUp(from: EventCursor, signal: AbortSignal): AsyncGenerator<FeedEvent, void, void> {
    let at = from;
    while (!signal.aborted) {
      const events = await this.read(at);
      yield* events;
      const last = events.at(-1);
      if (last === undefined || events.length < this.batchSize) return;
      at = { epoch: at.epoch, transactionId: last.transaction_id, sequence: last.sequence };
    }
  }

  private async read(at: EventCursor): Promise<FeedEvent[]> {
    const rows = await this.database.rows(readEvents, at.transactionId, at.sequence, this.batchSize);
    const head = await this.database.first(readHead);
    if (head !== undefined && (head.epoch !== at.epoch || at.transactionId < head.pruned_transaction_id)) {
      throw cursorExpired('they are older than the retention');
    }
    return rows.map((row) => ({
      ...row,
      cursor: encodeEventCursor({ epoch: at.epoch, transactionId: row.transaction_id, sequence: row.sequence }),
    }));
  }

  private async headCursor(reader: Reader): Promise<EventCursor> {
    const row = await reader.first(readHead);
    if (row === undefined) throw new MuonError('INTERNAL', 'An internal error occurred.', { detail: 'event_log is empty' });
    return { epoch: row.epoch, transactionId: row.head, sequence: Number.MAX_SAFE_INTEGER };
  }

  private startTailer(head: EventCursor): void {
    if (this.tailer !== undefined) return;
    this.tail = head;
    this.tailer = this.runTailer();
  }

  private async runTailer(): Promise<void> {
    while (!this.stop.signal.aborted && this.watchers.size > 0 && this.tail !== undefined) {
      try {
        const events = await this.read(this.tail);
        this.deliver(events);
        const last = events.at(-1);
        if (last !== undefined) {
          this.tail = { epoch: this.tail.epoch, transactionId: last.transaction_id, sequence: last.sequence };
        }
        if (events.length < this.batchSize) await sleep(this.pollEveryMs, this.stop.signal);
      } catch (error) {
        const failure = toMuonError(error);
        this.log.warn({ code: failure.code, detail: failure.detail }, 'the event log could not be read');
        if (failure.code === 'CURSOR_EXPIRED') await this.restart(this.tail, failure);
        await sleep(1000, this.stop.signal);
      }
    }
    // In the same turn as the last look at the watchers, so that a new one starts the next tailer.
    this.tailer = undefined;
  }

  private deliver(events: readonly FeedEvent[]): void {
    for (const watcher of this.watchers) {
      if (watcher.failure !== undefined) continue;
      for (const event of events) {
        if (watcher.matches(event)) watcher.queue.push(event);
      }
      if (watcher.queue.length > this.watcherLimit) {
        watcher.queue.length = 0;
        watcher.failure = new MuonError('LIMIT_EXCEEDED', 'Events were not read fast enough; resume from the last cursor.');
      }
      if (watcher.queue.length > 0 || watcher.failure !== undefined) watcher.wake?.();
    }
  }

  /**
   * Goes on from now. Whoever has watched from before has a gap and is told. Whoever came in the meantime has none, and reads
   * up to where they came by themselves: the tailer begins with the first of those.
   * @param lost where the tailer could not go on
   */
  private async restart(lost: EventCursor, failure: MuonError): Promise<void> {
    const head = await this.headCursor(this.database).catch(() => undefined);
    if (head === undefined) return;
    this.tail = head;
    for (const watcher of this.watchers) {
      const { epoch, transactionId } = watcher.head;
      if (epoch === head.epoch && (lost.epoch !== epoch || transactionId > lost.transactionId)) {
        if (transactionId < this.tail.transactionId) this.tail = watcher.head;
        continue;
      }
      watcher.failure = failure;
      watcher.wake?.();
    }
  }
}

function isAfter(event: EventRow, cursor: EventCursor): boolean {
  if (event.transaction_id !== cursor.transactionId) return event.transaction_id > cursor.transactionId;
  return event.sequence > cursor.sequence;
}
