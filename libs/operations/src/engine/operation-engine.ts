import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { sleep, withLogFields, type Logger } from '#core';
import type { ChangeSetApplier, Database } from '#database';
import type { OperationRegistry } from '../kind/operation-registry.js';
import type { Bell } from '../queue/bell.js';
import { readUnserved } from './engine.sql.js';
import { EngineStore, type EndListener } from './engine-store.js';
import type { RetryTimes } from './failure.js';
import type { HeldOperation } from './held-operation.js';
import { LeaseLost, SimulatedCrash, type EngineHooks } from './hooks.js';
import { LeaseKeeper } from './lease-keeper.js';
import { Drained, OperationRun, type RunOptions } from './operation-run.js';

export interface EngineOptions {
  database: Database;
  /** A small pool of its own for renewing leases; the other one without it. */
  leaseDatabase?: Database;
  registry: OperationRegistry;
  applier: ChangeSetApplier;
  bell: Bell;
  log: Logger;
  /** Operations that this worker is on at once. */
  slots?: number;
  leaseMs?: number;
  renewEveryMs?: number;
  /** How often the worker looks by itself, whatever the bell does. */
  sweepEveryMs?: number;
  /** Operations that all workers together may be on at once for one backend. */
  backendLimit?: number;
  /** Asked before every claim; without it operations are always taken up. */
  mayClaim?: () => Promise<boolean>;
  /** By backend id, where it differs; asked at every claim, so keep it at hand. */
  backendLimits?: () => Record<string, number>;
  callTimeoutMs?: number;
  stepTimeoutMs?: number;
  retry?: RetryTimes;
  hooks?: EngineHooks;
  /** Called in the transaction that ends an operation somebody asked for; not for its parts. */
  onEnded?: EndListener;
}

/** A lease and the longest time between two sweeps (a fifth more) are together well below three seconds. */
const DEFAULT_LEASE_MS = 2100;
const DEFAULT_SWEEP_MS = 250;
const UNSERVED_EVERY_MS = 30_000;
/** Longer waits are left to the sweep. */
const MAX_TIMER_MS = 600_000;

/**
 * A worker's engine: claims operations from PostgreSQL, drives them, and gives them back. It trusts no bell: `wake` only
 * makes it look at once, its own sweep looks anyway.
 */
export class OperationEngine {
  /** Names this engine, not its process: a paused one that comes back holds nothing under a new engine's name. */
  readonly owner = `${hostname()}/${process.pid}/${randomBytes(6).toString('hex')}`;
  private readonly running = new Map<HeldOperation, Promise<void>>();
  private readonly timers = new Set<NodeJS.Timeout>();
  private readonly stop = new AbortController();
  private readonly drainNow = new AbortController();
  private readonly keeper: LeaseKeeper;
  private readonly store: EngineStore;
  private readonly runOptions: RunOptions;
  private readonly slots: number;
  private readonly sweepEveryMs: number;
  private loops: Promise<void>[] = [];
  private wanted = false;
  private claiming: Promise<void> | undefined;
  private slotFreed: (() => void)[] = [];

  constructor(private readonly options: EngineOptions) {
    const { database, registry, applier, bell, log } = options;
    const leaseMs = options.leaseMs ?? DEFAULT_LEASE_MS;
    this.slots = options.slots ?? 16;
    this.sweepEveryMs = options.sweepEveryMs ?? DEFAULT_SWEEP_MS;
    this.keeper = new LeaseKeeper({
      database: options.leaseDatabase ?? database,
      owner: this.owner,
      leaseMs,
      renewEveryMs: options.renewEveryMs ?? leaseMs * 0.22,
      log,
    });
    this.store = new EngineStore({
      database,
      registry,
      applier,
      bell,
      owner: this.owner,
      leaseMs,
      backendLimit: options.backendLimit ?? 8,
      backendLimits: options.backendLimits ?? (() => ({})),
      onWork: () => this.wake(),
      freeSlots: () => this.freeSlots,
      ...(options.onEnded === undefined ? {} : { onEnded: options.onEnded }),
    });
    this.runOptions = {
      database,
      registry,
      hooks: options.hooks ?? {},
      retry: options.retry ?? { baseMs: 500, maxMs: 30_000 },
      log,
      stopping: () => this.stop.signal.aborted,
      drain: this.drainNow.signal,
      callTimeoutMs: options.callTimeoutMs ?? 10_000,
      leaseMarginMs: Math.min(200, leaseMs / 10),
      stepTimeoutMs: options.stepTimeoutMs ?? 60_000,
      graceMs: leaseMs,
    };
  }

  get freeSlots(): number {
    return this.slots - this.running.size;
  }

  /** How many operations it is on. */
  get busy(): number {
    return this.running.size;
  }

  start(): void {
    this.keeper.start();
    this.loops = [this.sweep(), this.watchUnserved()];
  }

  /** Look for work now. Cheap to call often. */
  wake(): void {
    this.wanted = true;
    if (this.claiming !== undefined || this.stop.signal.aborted) return;
    this.claiming = this.claim().finally(() => {
      this.claiming = undefined;
      if (this.wanted && this.freeSlots > 0) this.wake();
    });
  }

  /** Resolves when a slot is free, or after the time: a full worker should not take bells that an idle one could answer. */
  async whenFree(timeoutMs: number): Promise<void> {
    if (this.freeSlots > 0 || this.stop.signal.aborted) return;
    const freed = Promise.withResolvers<void>();
    this.slotFreed.push(freed.resolve);
    await Promise.race([freed.promise, sleep(timeoutMs, this.stop.signal)]);
  }

  /**
   * Stops claiming, lets steps end for so long and then tells them to stop, and gives every lease back at once, so that
   * others take over without waiting. What does not stop keeps its lease until that runs out.
   */
  async drain(timeoutMs: number): Promise<void> {
    this.stop.abort();
    for (const timer of this.timers) clearTimeout(timer);
    await this.claiming;
    const over = new AbortController();
    await Promise.race([this.allEnded(), sleep(timeoutMs, over.signal)]);
    this.drainNow.abort();
    await Promise.race([this.allEnded(), sleep(this.runOptions.graceMs + 500, over.signal)]);
    over.abort();
    await this.keeper.close();
    await Promise.all(this.loops);
  }

  private async allEnded(): Promise<void> {
    await Promise.all(this.running.values());
  }

  private async claim(): Promise<void> {
    try {
      while (this.wanted && this.freeSlots > 0 && !this.stop.signal.aborted) {
        this.wanted = false;
        // Whoever is not let in now asks again with the sweep.
        if ((await this.options.mayClaim?.()) === false) return;
        const asked = this.freeSlots;
        const claimed = await this.store.claim(asked);
        for (const held of claimed) this.take(held);
        if (claimed.length === asked) this.wanted = true;
      }
    } catch (error) {
      // The sweep asks again.
      this.wanted = false;
      this.options.log.warn({ err: error }, 'operations could not be claimed');
    }
  }

  private take(held: HeldOperation): void {
    this.keeper.add(held);
    const run = withLogFields({ operationId: held.id, operationKind: held.row.kind }, () => this.drive(held)).finally(() => {
      this.running.delete(held);
      for (const freed of this.slotFreed.splice(0)) freed();
      this.wake();
    });
    this.running.set(held, run);
  }

  private async drive(held: HeldOperation): Promise<void> {
    const { log } = this.options;
    try {
      const wakeAfterMs = await new OperationRun(held, this.store, this.runOptions).drive();
      if (wakeAfterMs !== null) this.wakeAfter(wakeAfterMs);
    } catch (error) {
      if (error instanceof Drained) await this.giveBack(held);
      else if (error instanceof LeaseLost) log.warn('the lease was lost; whoever has it now goes on');
      else if (!(error instanceof SimulatedCrash)) {
        // Whether the last write was committed is unknown: only the row can tell, to whoever claims it next.
        log.error({ err: error }, 'an operation was given up by this worker; it is taken over when its lease has run out');
      }
    } finally {
      this.keeper.forget(held);
    }
  }

  private async giveBack(held: HeldOperation): Promise<void> {
    this.keeper.forget(held);
    try {
      await this.store.release([held]);
    } catch (error) {
      this.options.log.warn({ err: error }, 'a lease could not be given back; it runs out by itself');
    }
  }

  private wakeAfter(ms: number): void {
    if (ms > MAX_TIMER_MS || this.stop.signal.aborted) return;
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      this.wake();
    }, ms + 2);
    this.timers.add(timer);
  }

  private async sweep(): Promise<void> {
    while (!this.stop.signal.aborted) {
      this.wake();
      await sleep(this.sweepEveryMs * (0.8 + Math.random() * 0.4), this.stop.signal);
    }
  }

  private async watchUnserved(): Promise<void> {
    const { database, registry, log } = this.options;
    while (!this.stop.signal.aborted) {
      try {
        const unserved = await database.rows(readUnserved, registry.handlers);
        if (unserved.length > 0) log.error({ unserved }, 'ALARM: unfinished operations are served by no handler of this worker');
      } catch (error) {
        log.warn({ err: error }, 'unserved operations could not be looked for');
      }
      await sleep(UNSERVED_EVERY_MS, this.stop.signal);
    }
  }
}
