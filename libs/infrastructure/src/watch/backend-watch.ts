import { toMuonError, type Logger } from '#core';
import type { Database, Reader } from '#database';
import type { BackendEvent } from '#drivers';
import { nudgeReconcilers, type Keeper, type KeeperContext } from '#operations';
import type { DriverRegistry } from '../driver/driver-registry.js';
import { findLiveBackends } from '../heartbeat/heartbeat.sql.js';

type EventKind = BackendEvent['kind'];

/** Events of this time together wake a reconciler once. */
const GATHER_MS = 300;

/** Listens to what backends tell of themselves, and makes the reconcilers due that look at such things. */
export class BackendWatch {
  private readonly wakes = new Map<EventKind, Set<string>>();

  constructor(
    private readonly database: Database,
    private readonly drivers: DriverRegistry,
    private readonly log: Logger,
  ) {}

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
    let timer: NodeJS.Timeout | undefined;
    const pass = (): void => {
      timer = undefined;
      const names = [...heard].flatMap((kind) => [...(this.wakes.get(kind) ?? [])]);
      heard.clear();
      if (names.length > 0) this.nudge([...new Set(names)].sort());
    };
    try {
      await driver.watch((event) => {
        heard.add(event.kind);
        timer ??= setTimeout(pass, GATHER_MS);
      }, context.signal);
    } finally {
      clearTimeout(timer);
    }
  }

  /** A hint that is lost costs nothing but time: reconcilers also run by themselves. */
  private nudge(names: readonly string[]): void {
    this.database
      .transaction(async (transaction) => nudgeReconcilers(transaction, names))
      .catch((error: unknown) => this.log.warn({ err: toMuonError(error), names }, 'reconcilers could not be woken'));
  }
}
