import { MuonError, withTimeout } from '#core';

interface Waiter {
  start: () => void;
}

/** How many calls may wait for each that may run. */
const WAITING_PER_RUNNING = 20;

/**
 * Lets a bounded number of calls run at once; further ones wait in a bounded queue, first come first served, for as long
 * as their own time lasts.
 */
export class CallLimiter {
  private running = 0;
  private readonly waiting = new Set<Waiter>();
  private idle = Promise.withResolvers<void>();

  constructor(
    private readonly backend: string,
    private readonly maxRunning: number,
  ) {}

  /** When nothing runs and nothing waits any more; every call is bounded in time, so this comes. */
  async untilIdle(): Promise<void> {
    while (this.running > 0 || this.waiting.size > 0) await this.idle.promise;
  }

  /**
   * @param work gets what is left of the time
   * @throws UNAVAILABLE when the queue is full, TIMEOUT or CANCELLED as the wait or the work ends
   */
  async run<T>(
    what: string,
    timeoutMs: number,
    parent: AbortSignal,
    work: (signal: AbortSignal, remainingMs: number) => Promise<T>,
  ): Promise<T> {
    const deadline = performance.now() + timeoutMs;
    await this.acquire(what, timeoutMs, parent);
    try {
      const remaining = Math.max(1, Math.floor(deadline - performance.now()));
      return await withTimeout(what, remaining, (signal) => work(signal, remaining), parent);
    } finally {
      this.release();
    }
  }

  private async acquire(what: string, timeoutMs: number, parent: AbortSignal): Promise<void> {
    if (this.running < this.maxRunning && this.waiting.size === 0) {
      this.running += 1;
      return;
    }
    if (this.waiting.size >= this.maxRunning * WAITING_PER_RUNNING) {
      throw new MuonError('UNAVAILABLE', 'The backend has too many calls under way; try again.', {
        data: { backend: this.backend, running: this.running, waiting: this.waiting.size },
      });
    }
    const waiter: Waiter = { start: () => undefined };
    const started = new Promise<void>((resolve) => {
      waiter.start = resolve;
    });
    this.waiting.add(waiter);
    try {
      await withTimeout(`The queue for ${what}`, timeoutMs, () => started, parent);
    } catch (error) {
      // Whoever was started in the same moment gives its place on.
      if (!this.waiting.delete(waiter)) this.release();
      throw error;
    }
  }

  private release(): void {
    this.running -= 1;
    this.startNext();
    if (this.running > 0) return;
    this.idle.resolve();
    this.idle = Promise.withResolvers();
  }

  private startNext(): void {
    for (const waiter of this.waiting) {
      if (this.running >= this.maxRunning) return;
      this.waiting.delete(waiter);
      this.running += 1;
      waiter.start();
    }
  }
}
