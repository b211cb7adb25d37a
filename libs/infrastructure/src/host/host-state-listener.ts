import { assert, toMuonError, type Logger } from '#core';
import type { HostRow, HostState } from './host.js';

export interface HostStateChange {
  host: HostRow;
  before: HostState;
  after: HostState;
}

/**
 * Told after the change has committed, outside of any transaction, in the process that saw it. A process may die before
 * it tells: a listener shortens latency, and whoever must not miss a change also looks from time to time.
 */
export interface HostStateListener {
  readonly name: string;
  hostStatesChanged(changes: readonly HostStateChange[]): Promise<void>;
}

/** Collects the listeners of the rooms above. */
export class HostStateNews {
  private readonly listeners = new Map<string, HostStateListener>();

  constructor(private readonly log: Logger) {}

  register(listener: HostStateListener): void {
    assert(!this.listeners.has(listener.name), `the host state listener "${listener.name}" is registered twice`);
    this.listeners.set(listener.name, listener);
  }

  /** One listener's failure is logged and keeps nothing from the others. */
  async tell(changes: readonly HostStateChange[]): Promise<void> {
    const real = changes.filter((change) => change.before !== change.after);
    if (real.length === 0) return;
    for (const listener of this.listeners.values()) {
      try {
        await listener.hostStatesChanged(real);
      } catch (error) {
        this.log.error({ err: toMuonError(error), listener: listener.name }, 'a listener could not take changed host states');
      }
    }
  }
}
