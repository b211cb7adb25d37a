/** What can go wrong with a call to a simulated backend. */
export const FaultKind = {
  /** The backend refuses for good: BACKEND_FAILED. */
  REFUSED: 'REFUSED',
  /** The backend cannot be reached: UNAVAILABLE, nothing happens. */
  UNAVAILABLE: 'UNAVAILABLE',
  /** The backend is busy: UNAVAILABLE with `data.retryAfterMs`, nothing happens. */
  BUSY: 'BUSY',
  /** No answer and no effect: TIMEOUT when the call's time is over, CANCELLED when its signal aborts. */
  HANG: 'HANG',
  /** It takes effect, but the answer is TIMEOUT. */
  LOST_ANSWER: 'LOST_ANSWER',
  /** The answer is TIMEOUT; it takes effect `delayMs` later, unless the resource is deleted first. */
  LATE_EFFECT: 'LATE_EFFECT',
  /** It is PENDING for `delayMs`, then takes effect. */
  STILL_RUNNING: 'STILL_RUNNING',
  /** For `delayMs` from now on, listings show what there was when the fault was added. */
  STALE_LISTING: 'STALE_LISTING',
  /** The host dies first: the named one, else the one that the call is about. The answer is UNAVAILABLE. */
  HOST_LOST: 'HOST_LOST',
} as const;
export type FaultKind = (typeof FaultKind)[keyof typeof FaultKind];

/** Kinds that can be drawn at random: they need nothing but the call itself. */
export const RANDOM_FAULT_KINDS = [
  FaultKind.BUSY,
  FaultKind.HANG,
  FaultKind.LATE_EFFECT,
  FaultKind.LOST_ANSWER,
  FaultKind.REFUSED,
  FaultKind.STILL_RUNNING,
  FaultKind.UNAVAILABLE,
] as const;

/** One scripted fault. What is not named matches every call. */
export interface FaultScript {
  kind: FaultKind;
  /** A driver method, as `createMachine`. */
  method?: string;
  /** A resource that the call names: a machine, disk, snapshot, port, guest run, host. */
  resourceId?: string;
  /** A part of the call's idempotency key: an operation's id, a step's name. */
  keyContains?: string;
  /** The first matching call that it acts on, counted from 1 (the default). */
  nth?: number;
  /** On how many calls from there; 1 by default, `Infinity` for all. */
  times?: number;
  /** Milliseconds of a late effect, of running, of a stale listing; 500 by default. */
  delayMs?: number;
  /**
   * A late effect that the backend itself does not know of until it comes, as of a request that was lost on its way: not
   * even a deletion that said DONE in the meantime stops it.
   */
  uncancellable?: boolean;
  /** The host that a HOST_LOST kills. */
  hostName?: string;
}

export interface FaultState {
  id: number;
  kind: FaultKind;
  method: string | null;
  resourceId: string | null;
  /** How many calls it matched, and on how many it acted. */
  seen: number;
  fired: number;
}
