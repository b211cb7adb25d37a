import { assert, backoffMs, sleep, toMuonError, withLogFields, type Logger } from '#core';
import type { Database } from '#database';
import { dropLeases, freeLeases } from '../lease/lease.sql.js';
import type { NamedLease, NamedLeases } from '../lease/named-leases.js';
import type { Keeper } from './keeper.js';

export interface KeeperRunnerOptions {
  database: Database;
  leases: NamedLeases;
  keepers: readonly Keeper[];
  log: Logger;
  /** How often targets are asked for, and free ones looked for. */
  lookEveryMs?: number;
}

interface Holding {
  target: string;
  stop: AbortController;
  ended: Promise<void>;
}

const FIRST_RETRY_MS = 500;
/** Somebody shall have it within ten seconds, lease and look included. */
const LONGEST_RETRY_MS = 4000;
/** How long a hold that was told to stop may take before its lease is left to run out. */
const STOP_MS = 3000;

/** Holds keepers' targets: each at one place at a time, taken over when a worker dies. */
export class KeeperRunner {
  private readonly holdings = new Map<string, Holding>();
  private readonly stop = new AbortController();
  private loops: Promise<void>[] = [];

  constructor(private readonly options: KeeperRunnerOptions) {
    const names = options.keepers.map((keeper) => keeper.name);
    assert(new Set(names).size === names.length, 'two keepers have one name');
  }

  /** Names of what this worker holds, as `keeper:<name>:<target>`. */
  get held(): string[] {
    return [...this.holdings.keys()].sort();
  }

  start(): void {
    this.loops = this.options.keepers.map((keeper) => this.look(keeper));
  }

  /** Stops all holds and gives their leases back, so that others take them at once. */
  async close(): Promise<void> {
    this.stop.abort();
    for (const holding of this.holdings.values()) holding.stop.abort();
    await Promise.all([...this.loops, ...[...this.holdings.values()].map((holding) => holding.ended)]);
  }

  private async look(keeper: Keeper): Promise<void> {
    const { log, lookEveryMs = 1500 } = this.options;
    while (!this.stop.signal.aborted) {
      try {
        await this.lookOnce(keeper);
      } catch (error) {
        log.warn({ err: error, keeper: keeper.name }, "a keeper's targets could not be looked after");
      }
      await sleep(lookEveryMs * (0.8 + Math.random() * 0.4), this.stop.signal);
    }
  }

  private async lookOnce(keeper: Keeper): Promise<void> {
    const { database, leases } = this.options;
    const prefix = `keeper:${keeper.name}:`;
    const targets = await keeper.targets(database);
    const names = targets.map((target) => prefix + target);
    const wanted = new Set(names);
    for (const [name, holding] of this.holdings) {
      if (name.startsWith(prefix) && !wanted.has(name)) holding.stop.abort();
    }
    const mine = names.filter((name) => !this.holdings.has(name));
    const free = mine.length === 0 ? [] : await database.rows(freeLeases, mine);
    for (const { name } of free) {
      if (this.stop.signal.aborted) return;
      const lease = await leases.take(name);
      if (lease !== undefined) this.hold(keeper, name.slice(prefix.length), lease);
    }
    await database.rows(dropLeases, prefix, names);
  }

  private hold(keeper: Keeper, target: string, lease: NamedLease): void {
    const stop = new AbortController();
    const ended = withLogFields({ keeper: keeper.name, target }, () => this.holdUntilEnd(keeper, target, lease, stop.signal));
    this.holdings.set(lease.name, { target, stop, ended: ended.finally(() => this.holdings.delete(lease.name)) });
    if (this.stop.signal.aborted) stop.abort();
  }

  private async holdUntilEnd(keeper: Keeper, target: string, lease: NamedLease, stopped: AbortSignal): Promise<void> {
    const { database, leases, log } = this.options;
    const signal = AbortSignal.any([stopped, lease.lost]);
    const began = performance.now();
    const work = this.guarded(keeper, target, { signal, fence: lease.fence, reader: database, log });
    const over = new AbortController();
    const told = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true, signal: over.signal });
    });
    const late = told.then(() => sleep(STOP_MS, over.signal)).then(() => 'LATE' as const);
    const outcome = await Promise.race([work, late]);
    over.abort();
    if (outcome === 'LATE') {
      leases.forget(lease);
      log.error('a keeper did not stop when told to; its lease runs out by itself');
      return;
    }
    // One that ran for long starts its back-off anew.
    const failures = performance.now() - began > 60_000 ? 0 : lease.failures;
    const asked = signal.aborted;
    const dueInMs = asked ? 0 : backoffMs(failures, FIRST_RETRY_MS, LONGEST_RETRY_MS);
    try {
      await leases.release(lease, dueInMs, !asked);
    } catch (error) {
      log.warn({ err: error }, "a keeper's lease could not be given back; it runs out by itself");
    }
  }

  private async guarded(keeper: Keeper, target: string, context: Parameters<Keeper['hold']>[1]): Promise<'ENDED'> {
    try {
      await keeper.hold(target, context);
      if (!context.signal.aborted) context.log.warn('a keeper ended by itself and is started again');
    } catch (error) {
      if (!context.signal.aborted) {
        const muon = toMuonError(error);
        context.log.warn({ code: muon.code, reason: muon.message, err: error }, 'a keeper failed and is started again');
      }
    }
    return 'ENDED';
  }
}
