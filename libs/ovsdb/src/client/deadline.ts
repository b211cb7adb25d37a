import { TimeoutError } from '../errors.js';

/** The end of one call's time, over all the waiting that it consists of. */
export class Deadline {
  readonly #endsAt: number;

  /**
   * @param what names the call in errors
   * @param signal gives the call up
   */
  constructor(
    readonly what: string,
    readonly timeoutMs: number,
    readonly signal?: AbortSignal | undefined,
  ) {
    this.#endsAt = performance.now() + timeoutMs;
  }

  /** Milliseconds that are left, at least 1. @throws TimeoutError, or the signal's reason */
  left(): number {
    this.signal?.throwIfAborted();
    const left = this.#endsAt - performance.now();
    if (left <= 0) throw this.#timeout();
    return Math.max(1, Math.ceil(left));
  }

  /** @throws what the promise rejects with, TimeoutError, or the signal's reason */
  async wait<Result>(promise: Promise<Result>): Promise<Result> {
    const { promise: over, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(this.#timeout()), this.left());
    const onAbort = (): void => reject(this.signal?.reason as Error);
    this.signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await Promise.race([promise, over]);
    } finally {
      clearTimeout(timer);
      this.signal?.removeEventListener('abort', onAbort);
    }
  }

  #timeout(): TimeoutError {
    return new TimeoutError(`${this.what} was not possible within ${this.timeoutMs} ms`);
  }
}
