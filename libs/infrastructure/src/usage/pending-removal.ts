import { toMuonError, type Logger } from '#core';
import type { Database } from '#database';
import type { InfrastructureUsage } from './usage.js';
import { findRemovable, removePending } from './usage.sql.js';

/** Removes what is on its way out once its last user has gone. A foreign key has the last word against newcomers. */
export class PendingRemoval {
  constructor(
    private readonly database: Database,
    private readonly usage: InfrastructureUsage,
    private readonly log: Logger,
  ) {}

  /** @returns how many went; at most a hundred a run */
  async run(signal: AbortSignal): Promise<number> {
    let removed = 0;
    for (const { kind, id } of await this.database.rows(findRemovable)) {
      if (signal.aborted) break;
      const uses = kind === 'rack' ? [] : await this.usage.of(this.database, kind, id);
      if (uses.length > 0) continue;
      try {
        removed += await this.database.transaction(async (transaction) => transaction.execute(removePending[kind], id));
      } catch (error) {
        this.log.info({ err: toMuonError(error), kind, id }, 'something that is withdrawn is still in use');
      }
    }
    return removed;
  }
}
