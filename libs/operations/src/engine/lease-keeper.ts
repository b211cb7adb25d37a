import { sleep, withTimeout, type Logger } from '#core';
import type { Database } from '#database';
import { renewLeases } from './engine.sql.js';
import type { HeldOperation } from './held-operation.js';

export interface LeaseKeeperOptions {
  /** A pool of its own where there is one: a busy pool must not cost the leases. */
  database: Database;
  owner: string;
  leaseMs: number;
  renewEveryMs: number;
  log: Logger;
}

/**
 * Renews the leases of all operations that the process holds, in one statement, and ends the work on those that it has
 * lost: by the database's word, or because it could not renew in time.
 */
export class LeaseKeeper {
  private readonly held = new Map<string, HeldOperation>();
  private readonly stop = new AbortController();
  private renewing: Promise<void> | undefined;
  private watch: NodeJS.Timeout | undefined;

  constructor(private readonly options: LeaseKeeperOptions) {}

  start(): void {
    this.renewing = this.renewAlways();
    this.watch = setInterval(() => this.expire(), Math.max(5, this.options.leaseMs / 20));
  }

  async close(): Promise<void> {
    this.stop.abort();
    clearInterval(this.watch);
    await this.renewing;
  }

  add(held: HeldOperation): void {
    this.held.set(held.id, held);
  }

  /** No more renewals; the lease runs out by itself unless it was given back. */
  forget(held: HeldOperation): void {
    if (this.held.get(held.id) === held) this.held.delete(held.id);
  }

  private async renewAlways(): Promise<void> {
    while (!this.stop.signal.aborted) {
      await sleep(this.options.renewEveryMs, this.stop.signal);
      if (this.held.size === 0 || this.stop.signal.aborted) continue;
      try {
        await this.renew();
      } catch (error) {
        this.options.log.warn({ err: error, held: this.held.size }, 'leases could not be renewed');
      }
    }
  }

  private async renew(): Promise<void> {
    const { database, owner, leaseMs } = this.options;
    const asked = [...this.held.values()];
    const goodUntil = performance.now() + leaseMs;
    const rows = await withTimeout('The renewal of leases', leaseMs, () =>
      database.rows(renewLeases, asked.map((each) => each.id), asked.map((each) => each.fence), owner, leaseMs),
    );
    const answers = new Map(rows.map((row) => [row.id, row]));
    for (const held of asked) {
      // Given back or forgotten while the question was on its way.
      if (this.held.get(held.id) !== held) continue;
      const answer = answers.get(held.id);
      if (answer === undefined || answer.lost) this.lose(held);
      else {
        if (answer.renewed) held.leaseGoodUntil = Math.max(held.leaseGoodUntil, goodUntil);
        if (answer.cancel_requested) held.noticeCancel();
      }
    }
  }

  private expire(): void {
    for (const held of this.held.values()) {
      if (held.leaseRemainingMs <= 0) this.lose(held);
    }
  }

  private lose(held: HeldOperation): void {
    this.held.delete(held.id);
    held.lost.abort();
  }
}
