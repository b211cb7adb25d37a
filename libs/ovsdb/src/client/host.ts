import type { CallOptions } from './options.js';
import type { Connection } from './connection.js';
import type { Deadline } from './deadline.js';

/** What monitors and locks need of their client. */
export interface Host {
  readonly database: string;
  /** The connection that is up, if one is. */
  current(): Connection | undefined;
  /** @throws TimeoutError, UnavailableError, ClosedError, or the signal's reason */
  ready(deadline: Deadline): Promise<Connection>;
  /** Counts the work among the calls that wait. @throws LimitError, ClosedError */
  limited<Result>(work: () => Promise<Result>): Promise<Result>;
  deadline(what: string, options: CallOptions): Deadline;
  /** Something that was called back has thrown: its defect, which must not disturb ours. */
  report(error: unknown): void;
  /** It is not to be taken over to new connections any more. */
  forget(what: object): void;
}
