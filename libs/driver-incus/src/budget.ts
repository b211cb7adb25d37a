import type { CallOptions } from '#incus';

/** What Incus may take to answer a question about a member that may be away. */
const IMPATIENT_MS = 5_000;
/** Kept back for looking again once an operation has been waited for. */
const MARGIN_MS = 2_000;
const SHORTEST_MS = 100;
/** Incus waits 30 s for a member that counts as online and says nothing, and then lists its instances without what they are. */
const SILENT_MEMBER_MS = 35_000;

/** The time that one driver call has, shared out among the requests that it makes. */
export class Budget {
  private readonly deadline: number;

  constructor(
    private readonly timeoutMs: number,
    readonly signal: AbortSignal,
  ) {
    this.deadline = Date.now() + timeoutMs;
  }

  get leftMs(): number {
    return Math.max(1, this.deadline - Date.now());
  }

  /** For one request. */
  get request(): CallOptions {
    return { signal: this.signal, timeoutMs: this.leftMs };
  }

  /** For a list of the whole cluster: there must be time to ask again, should the one who knows have died. */
  get list(): CallOptions {
    return { signal: this.signal, timeoutMs: Math.max(1, Math.min(this.leftMs, this.timeoutMs / 3)) };
  }

  /** For a list that each member is asked for. */
  get listOfMembers(): CallOptions {
    return { signal: this.signal, timeoutMs: Math.min(this.leftMs, Math.max(this.timeoutMs / 3, SILENT_MEMBER_MS)) };
  }

  /** For a look at something whose member may be away: there must be time left to look elsewhere. */
  get look(): CallOptions {
    return { signal: this.signal, timeoutMs: Math.min(IMPATIENT_MS, Math.max(SHORTEST_MS, this.leftMs / 2)) };
  }

  /** For the end of an operation. */
  get wait(): CallOptions {
    return { signal: this.signal, timeoutMs: Math.max(SHORTEST_MS, this.leftMs - MARGIN_MS) };
  }
}
