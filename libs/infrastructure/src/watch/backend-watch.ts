import { toMuonError, type Logger } from '#core';
import type { Database, Reader } from '#database';
import type { BackendEvent } from '#drivers';
import { nudgeReconcilers, type Keeper, type KeeperContext } from '#operations';
import type { DriverRegistry } from '../driver/driver-registry.js';
import { findLiveBackends } from '../heartbeat/heartbeat.sql.js';

type EventKind = BackendEvent['kind'];

/** Events of this time together wake a reconciler once. */
const GATHER_MS = 300;
/** Looks list all that a backend has: while it speaks without end, as in a burst of creations, they are taken so often at most. */
const REST_MS = 2000;

/** What an operation was at when somebody else changed it is left out of that look; most operations have ended by then. */
const AGAIN_AFTER_MS = 35_000;

export interface BackendWatchOptions {
  /** How long after a thing was last spoken of it is looked at once more. */
  againAfterMs?: number;
}

/**
 * Listens to what backends tell of themselves, and makes the reconcilers due that look at such things: soon, and once more
 * a while later.
 */
export class BackendWatch {
  private readonly wakes = new Map<EventKind, Set<string>>();
  private readonly againAfterMs: number;

  constructor(
    private readonly database: Database,
    private readonly drivers: DriverRegistry,
    private readonly log: Logger,
    options: BackendWatchOptions = {},
  ) {
    this.againAfterMs = options.againAfterMs ?? AGAIN_AFTER_MS;
  }

  /** Rooms above name the reconcilers that shall look when a backend speaks of such a thing. */
  wake(kind: EventKind, reconciler: string): this {
    const names = this.wakes.get(kind) ?? new Set<string>();
    this.wakes.set(kind, names.add(reconciler));
    return this;
  }

  /** The keeper that holds one watch a backend. */
  get keeper(): Keeper {
    return {
      name: 'backend-watch',
      targets: async (reader: Reader) => (await reader.rows(findLiveBackends)).map((backend) => backend.id),
      hold: (target, context) => this.hold(target, context),
    };
  }

  private async hold(backendId: string, context: KeeperContext): Promise<void> {
    const driver = await this.drivers.driver(backendId);
    const heard = new Set<EventKind>();
    /** When each was last spoken of, until it was looked at again. */
    const again = new Map<EventKind, number>();
    let timer: NodeJS.Timeout | undefined;
    let later: NodeJS.Timeout | undefined;
    let passedAt = Number.NEGATIVE_INFINITY;
    const pass = (): void => {
      timer = undefined;
      passedAt = performance.now();
      this.nudge([...heard]);
      heard.clear();
    };
    const passAgain = (): void => {
      const now = performance.now();
      const due = [...again].filter(([, at]) => at + this.againAfterMs <= now).map(([kind]) => kind);
      for (const kind of due) again.delete(kind);
      this.nudge(due);
      const next = Math.min(...again.values()) + this.againAfterMs;
      later = again.size === 0 ? undefined : setTimeout(passAgain, next - now + 1);
    };
    try {
      await driver.watch(({ kind }) => {
        const now = performance.now();
        heard.add(kind);
        again.set(kind, now);
        timer ??= setTimeout(pass, Math.max(GATHER_MS, passedAt + REST_MS - now));
        later ??= setTimeout(passAgain, this.againAfterMs + 1);
      }, context.signal);
    } finally {
      clearTimeout(timer);
      clearTimeout(later);
    }
  }

  /** A hint that is lost costs nothing but time: reconcilers also run by themselves. */
  private nudge(kinds: readonly EventKind[]): void {
    const names = [...new Set(kinds.flatMap((kind) => [...(this.wakes.get(kind) ?? [])]))].sort();
    if (names.length === 0) return;
    this.database
      .transaction(async (transaction) => nudgeReconcilers(transaction, names))
      .catch((error: unknown) => this.log.warn({ err: toMuonError(error), names }, 'reconcilers could not be woken'));
  }
}
