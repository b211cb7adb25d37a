import { EventEmitter } from 'node:events';
import { ClosedError, ProtocolError, UnavailableError, type OvsdbError } from '../errors.js';
import { isObject, type Json } from '../wire/json.js';
import { lockTopic } from '../wire/notification-router.js';
import type { Connection } from './connection.js';
import type { Deadline } from './deadline.js';
import type { Host } from './host.js';
import type { CallOptions } from './options.js';
import { tell } from './tell.js';

export interface LockEvents {
  held: [];
  /** Stolen by another client, or the connection is lost; it is asked for again on the next one. */
  lost: [];
}

export interface LockOptions extends CallOptions {
  /** Take it from whoever has it; only at first, not after a lost connection. */
  readonly steal?: boolean;
}

/**
 * A lock that clients of one server share by its name (RFC 7047 §4.1.8 to §4.1.10). It guards nothing by itself: put
 * `Transaction.assert` before what must only be done by its holder. The lock belongs to the connection, so it is lost
 * with it, and asked for anew.
 */
export class Lock extends EventEmitter<LockEvents> {
  readonly #host: Host;
  readonly #closing = new AbortController();
  #connection: Connection | undefined;
  #isHeld = false;
  #steal: boolean;

  /** Use `OvsdbClient.lock`. */
  constructor(
    host: Host,
    readonly name: string,
    steal: boolean,
  ) {
    super();
    this.setMaxListeners(0);
    this.#host = host;
    this.#steal = steal;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Resolves when the lock is held. @throws TimeoutError, ClosedError, or the signal's reason */
  async whenHeld(options: CallOptions = {}): Promise<void> {
    const closing = this.#closing.signal;
    const signal = options.signal === undefined ? closing : AbortSignal.any([options.signal, closing]);
    const deadline = this.#host.deadline(`the lock ${this.name}`, { ...options, signal });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.on('held', resolve);
    try {
      if (!this.#isHeld) await deadline.wait(promise);
    } finally {
      this.off('held', resolve);
    }
  }

  /** Gives the lock back, or stops waiting for it (§4.1.8). */
  async release(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#host.forget(this);
    this.abandon(new ClosedError(`the lock ${this.name} is released`));
    const connection = this.#host.current();
    if (connection !== undefined) await this.#unlock(connection);
  }

  async #unlock({ session, router }: Connection): Promise<void> {
    router.forget(lockTopic(this.name));
    try {
      const { timeoutMs } = this.#host.deadline('unlock', {});
      await session.call('unlock', [this.name], { timeoutMs, decode: () => undefined });
    } catch (error) {
      // A connection that is gone holds no locks.
      if (!(error instanceof UnavailableError || error instanceof ClosedError)) throw error;
    }
  }

  /** @internal */
  abandon(reason: OvsdbError): void {
    this.#isHeld = false;
    this.#closing.abort(reason);
  }

  /** @internal Asks for the lock, once on each connection. */
  async request(connection: Connection, deadline: Deadline): Promise<void> {
    if (this.#connection === connection) return;
    this.#connection = connection;
    const { session, router } = connection;
    router.listen(lockTopic(this.name), (notification) => this.#set(notification === 'locked'));
    session.onEnd(() => this.#set(false));
    await session.call(this.#steal ? 'steal' : 'lock', [this.name], { timeoutMs: deadline.left(), signal: deadline.signal, decode: (result) => this.#answered(result) });
    // Released in between, when the connection could not be told yet.
    if (this.#closing.signal.aborted) await this.#unlock(connection);
  }

  #answered(result: Json): void {
    if (!isObject(result) || typeof result['locked'] !== 'boolean') throw new ProtocolError('the answer does not say whether it is locked');
    this.#steal = false;
    this.#set(result['locked']);
  }

  #set(isHeld: boolean): void {
    if (this.#closing.signal.aborted || isHeld === this.#isHeld) return;
    this.#isHeld = isHeld;
    tell(this.rawListeners(isHeld ? 'held' : 'lost'), undefined, (error) => this.#host.report(error));
  }
}
