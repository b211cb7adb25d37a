import type { Transaction } from '#database';

/**
 * Tells workers that there is something to do. Losing a ring loses no work: every worker also looks by itself.
 */
export interface Bell {
  /** Rings once when the transaction commits, however often it is called in it; not at all when it rolls back. */
  ring(transaction: Transaction): Promise<void>;
}

/** For processes without a queue: workers find the work by their sweep. */
export const silentBell: Bell = { ring: async () => undefined };
