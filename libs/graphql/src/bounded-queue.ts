import { limitExceeded } from './limits/limits.js';

/** How many events may wait for one subscriber. */
export const DEFAULT_QUEUE_SIZE = 1000;

export interface BoundedQueueOptions {
  size?: number;
  /** Ends the queue; give it the `signal` of the subscription's context. */
  signal?: AbortSignal;
  /** Called once when the queue has ended, for whatever reason: leave the source here. */
  onEnd?: () => void;
}

/**
 * What a subscription's resolver returns when events are pushed to it. A reader that is slower than its events does not
 * make the process grow: the queue drops what waits and ends with LIMIT_EXCEEDED, and the client watches again from the
 * last cursor it has seen.
 */
export class BoundedQueue<Event> implements AsyncIterableIterator<Event, undefined> {
  readonly #size: number;
  readonly #onEnd: (() => void) | undefined;
  #waiting: Event[] = [];
  #readers: { resolve: (result: IteratorResult<Event, undefined>) => void; reject: (error: unknown) => void }[] = [];
  #hasEnded = false;
  #error: Error | undefined;

  constructor(options: BoundedQueueOptions = {}) {
    this.#size = options.size ?? DEFAULT_QUEUE_SIZE;
    this.#onEnd = options.onEnd;
    if (options.signal?.aborted === true) this.#end();
    else options.signal?.addEventListener('abort', () => this.#end(), { once: true });
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Hands an event over; false when the queue has ended, by this event or before. */
  push(event: Event): boolean {
    if (this.#hasEnded) return false;
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader.resolve({ done: false, value: event });
      return true;
    }
    if (this.#waiting.length >= this.#size) {
      this.fail(limitExceeded('waitingEvents', this.#size));
      return false;
    }
    this.#waiting.push(event);
    return true;
  }

  /** Ends the subscription with an error; what still waits is dropped. */
  fail(error: Error): void {
    if (this.#hasEnded) return;
    this.#error = error;
    this.#waiting = [];
    this.#end();
  }

  /** Ends the subscription after what still waits. */
  finish(): void {
    this.#end();
  }

  next(): Promise<IteratorResult<Event, undefined>> {
    const error = this.#error;
    if (error !== undefined) {
      this.#error = undefined;
      return Promise.reject(error);
    }
    if (this.#waiting.length > 0) return Promise.resolve({ done: false, value: this.#waiting.shift() as Event });
    if (this.#hasEnded) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<Event, undefined>> {
    this.#waiting = [];
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    const [first, ...others] = this.#readers;
    this.#readers = [];
    if (first !== undefined && this.#error !== undefined) {
      first.reject(this.#error);
      this.#error = undefined;
    } else {
      first?.resolve({ done: true, value: undefined });
    }
    for (const reader of others) reader.resolve({ done: true, value: undefined });
    this.#onEnd?.();
  }
}
