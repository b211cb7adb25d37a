import { MuonError, sleep, withTimeout } from '#core';
import { IncusError, type CallOptions } from '#incus';

/** Of one list, for whoever waits for it. */
const LIMIT_MS = 20_000;
/** One that takes longer hangs on a member, and whoever comes then need not. */
const LATE_MS = 2_000;

/**
 * A list of the whole cluster, shared by those who ask for it at the same time: whoever asks while one is on its way gets
 * the next, since that one may have been read before they came. Two are on their way at most, unless they hang.
 */
export class Listing<Value> {
  private current: Promise<Value> | undefined;
  private next: Promise<Value> | undefined;

  constructor(private readonly read: (options: CallOptions) => Promise<Value>) {}

  /**
   * @param options whoever gives up does so for themselves
   * @throws IncusError, as of a list of one's own
   */
  async ask({ timeoutMs = LIMIT_MS, signal }: CallOptions = {}): Promise<Value> {
    const list = this.begunFromNowOn();
    try {
      return await withTimeout('Incus', timeoutMs, async () => list, signal);
    } catch (error) {
      if (!(error instanceof MuonError)) throw error;
      throw new IncusError(error.code === 'TIMEOUT' ? 'TIMEOUT' : 'CANCELLED', error.message, { cause: error });
    }
  }

  private async begunFromNowOn(): Promise<Value> {
    if (this.next !== undefined) return this.next;
    if (this.current === undefined) return this.begin();
    const ended = this.current.catch(() => undefined);
    this.next = Promise.race([ended, sleep(LATE_MS)]).then(async () => {
      this.next = undefined;
      return this.begin();
    });
    return this.next;
  }

  private async begin(): Promise<Value> {
    const list = this.read({ timeoutMs: LIMIT_MS }).finally(() => {
      if (this.current === list) this.current = undefined;
    });
    this.current = list;
    return list;
  }
}
