import { MuonError } from '#core';
import type { Database } from '#database';
import { findPause, type SystemPauseRow } from './system-pause.sql.js';

/** A pause and its end take effect within this time on every process. */
const CACHE_MS = 300;

/** Whether an operator has paused the system; asked before every mutation and every claim, so that it is remembered for a moment. */
export class SystemPause {
  private known: { row: SystemPauseRow | undefined; at: number } | undefined;
  private asking: Promise<SystemPauseRow | undefined> | undefined;

  constructor(private readonly database: Database) {}

  /** @throws SYSTEM_PAUSED with the operator's message */
  async requireMutations(): Promise<void> {
    const pause = await this.current();
    if (pause?.mutations !== true) return;
    throw new MuonError('SYSTEM_PAUSED', `Nothing can be changed now: ${pause.message}`, {
      data: { message: pause.message, since: pause.since.toISOString() },
    });
  }

  /** Whether workers may take up operations. */
  async mayOperate(): Promise<boolean> {
    return (await this.current())?.operations !== true;
  }

  private async current(): Promise<SystemPauseRow | undefined> {
    if (this.known !== undefined && performance.now() - this.known.at < CACHE_MS) return this.known.row;
    this.asking ??= this.ask().finally(() => (this.asking = undefined));
    return this.asking;
  }

  private async ask(): Promise<SystemPauseRow | undefined> {
    const at = performance.now();
    const row = await this.database.first(findPause);
    this.known = { row, at };
    return row;
  }
}
