import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { sleep, withTimeout, type Logger } from '#core';
import type { Database } from '#database';
import { holdsLease, releaseLease, renewNamedLeases, takeLease } from './lease.sql.js';

export interface NamedLeasesOptions {
  database: Database;
  log: Logger;
  /** 6 s when not said: with the runners' looks, what a dead worker held is taken over within ten. */
  leaseMs?: number;
  renewEveryMs?: number;
}

/** A lease that this process holds on a name. */
export interface NamedLease {
  readonly name: string;
  /** Rises with each taking. */
  readonly fence: number;
  /** Failures in a row before this taking. */
  readonly failures: number;
  /** Aborts when the lease is lost. */
  readonly lost: AbortSignal;
}

interface Held extends NamedLease {
  goodUntil: number;
  lose(): void;
}

/** The leases by name of one process: reconcilers' runs and keepers' targets, renewed together. */
export class NamedLeases {
  readonly owner = `${hostname()}/${process.pid}/${randomBytes(6).toString('hex')}`;
  private readonly held = new Map<string, Held>();
  private readonly stop = new AbortController();
  private readonly leaseMs: number;
  private readonly renewEveryMs: number;
  private renewing: Promise<void> | undefined;
  private watch: NodeJS.Timeout | undefined;

  constructor(private readonly options: NamedLeasesOptions) {
    this.leaseMs = options.leaseMs ?? 6000;
    this.renewEveryMs = options.renewEveryMs ?? this.leaseMs / 4;
  }

  start(): void {
    this.renewing = this.renewAlways();
    this.watch = setInterval(() => this.expire(), Math.max(10, this.leaseMs / 20));
  }

  /** Ends the renewals; what was not released runs out by itself. */
  async close(): Promise<void> {
    this.stop.abort();
    clearInterval(this.watch);
    await this.renewing;
  }

  /** undefined when somebody has it, or it is not due. */
  async take(name: string): Promise<NamedLease | undefined> {
    const { database } = this.options;
    const { leaseMs } = this;
    const goodUntil = performance.now() + leaseMs;
    const row = await database.first(takeLease, name, this.owner, leaseMs);
    if (row === undefined) return undefined;
    const lost = new AbortController();
    const held: Held = { name, fence: row.fence, failures: row.failures, lost: lost.signal, goodUntil, lose: () => lost.abort() };
    this.held.set(name, held);
    return held;
  }

  /** No more renewals, for work that does not end: it runs out by itself. */
  forget(lease: NamedLease): void {
    if (this.held.get(lease.name) === lease) this.held.delete(lease.name);
  }

  /** @param dueInMs when it may be taken again */
  async release(lease: NamedLease, dueInMs: number, failed: boolean): Promise<void> {
    this.forget(lease);
    if (lease.lost.aborted) return;
    await this.options.database.rows(releaseLease, lease.name, lease.fence, this.owner, Math.round(dueInMs), failed);
  }

  /** By the database's word, for a transaction that writes in the lease's name. */
  async isHeld(reader: Pick<Database, 'first'>, lease: NamedLease): Promise<boolean> {
    return (await reader.first(holdsLease, lease.name, lease.fence, this.owner)) !== undefined;
  }

  private async renewAlways(): Promise<void> {
    while (!this.stop.signal.aborted) {
      await sleep(this.renewEveryMs, this.stop.signal);
      if (this.held.size === 0 || this.stop.signal.aborted) continue;
      try {
        await this.renew();
      } catch (error) {
        this.options.log.warn({ err: error, held: this.held.size }, 'leases could not be renewed');
      }
    }
  }

  private async renew(): Promise<void> {
    const { database } = this.options;
    const { leaseMs } = this;
    const asked = [...this.held.values()];
    const goodUntil = performance.now() + leaseMs;
    const rows = await withTimeout('The renewal of leases', leaseMs, () =>
      database.rows(renewNamedLeases, asked.map((each) => each.name), asked.map((each) => each.fence), this.owner, leaseMs),
    );
    const renewed = new Map(rows.map((row) => [row.name, row.fence]));
    for (const held of asked) {
      if (renewed.get(held.name) === held.fence) held.goodUntil = goodUntil;
      else this.drop(held);
    }
  }

  private expire(): void {
    for (const held of this.held.values()) if (held.goodUntil <= performance.now()) this.drop(held);
  }

  private drop(held: Held): void {
    // Given back while the question was on its way.
    if (this.held.get(held.name) !== held) return;
    this.held.delete(held.name);
    held.lose();
  }
}
