import { backoffMs, sleep } from '#core';
import { ClosedError, UnavailableError, type OvsdbError } from '../errors.js';
import { formatEndpoint, type Endpoint } from '../wire/endpoint.js';
import type { RpcSession } from '../wire/rpc-session.js';
import { connect, type Connection, type ConnectionMemory } from './connection.js';
import type { Deadline } from './deadline.js';
import type { ClientSettings } from './options.js';

export interface ConnectorListener {
  /** Before anybody else may use a new connection. It does not reject; to refuse the connection it ends its session. */
  prepare(connection: Connection, closing: AbortSignal): Promise<void>;
  connected(endpoint: string): void;
  disconnected(endpoint: string, reason: OvsdbError): void;
  /** @param pauseMs how long it waits now; 0 while other endpoints are to be tried */
  failed(endpoint: string, error: OvsdbError, pauseMs: number): void;
}

/** Keeps one connection to any of the endpoints, for as long as it is open. */
export class Connector {
  readonly #settings: ClientSettings;
  readonly #listener: ConnectorListener;
  readonly #memory: ConnectionMemory = {};
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  /** Also those that only wait for last answers. */
  readonly #sessions = new Set<RpcSession>();
  #ready = newPromise();
  #current: Connection | undefined;
  #lastFailure: OvsdbError | undefined;

  constructor(settings: ClientSettings, listener: ConnectorListener) {
    this.#settings = settings;
    this.#listener = listener;
    this.#running = this.#run();
  }

  get current(): Connection | undefined {
    return this.#current;
  }

  /** The connection, as soon as there is one. @throws TimeoutError, UnavailableError, ClosedError, or the signal's reason */
  async ready(deadline: Deadline): Promise<Connection> {
    for (;;) {
      deadline.left();
      try {
        // While the end of one is being told, it is still the current one.
        const connection = this.#current?.session.isOpen === true ? this.#current : await deadline.wait(this.#ready.promise);
        if (connection.session.isOpen) return connection;
      } catch (error) {
        throw this.#explained(error, deadline);
      }
    }
  }

  async close(): Promise<void> {
    const reason = new ClosedError('the client is closed');
    this.#closing.abort(reason);
    const closed = [...this.#sessions].map((session) => session.closed);
    for (const session of this.#sessions) session.end(reason);
    this.#ready.reject(reason);
    await Promise.all([this.#running, ...closed]);
  }

  /** Who waited in vain for a connection wants to know what stands in its way. */
  #explained(error: unknown, deadline: Deadline): unknown {
    if (this.#lastFailure === undefined || (error as OvsdbError).code !== 'TIMEOUT') return error;
    return new UnavailableError(`${deadline.what} found no usable server within ${deadline.timeoutMs} ms: ${this.#lastFailure.message}`, this.#lastFailure);
  }

  async #run(): Promise<void> {
    const { endpoints, reconnectMinMs, reconnectMaxMs } = this.#settings;
    const order = shuffled(endpoints);
    const closing = this.#closing.signal;
    let failures = 0;
    for (let turn = 0; !closing.aborted; turn += 1) {
      const endpoint = order[turn % order.length] as Endpoint;
      const since = performance.now();
      const { reason, wasUp } = await this.#use(endpoint);
      if (closing.aborted) return;
      // A connection that has just come and is lost again counts as a failed one, or it would come again at once for ever.
      if (performance.now() - since > reconnectMaxMs && wasUp) failures = 0;
      failures += 1;
      const pauseMs = failures % order.length === 0 ? backoffMs(failures / order.length - 1, reconnectMinMs, reconnectMaxMs) : 0;
      this.#lastFailure = reason;
      if (!wasUp) this.#listener.failed(formatEndpoint(endpoint), reason, pauseMs);
      if (pauseMs > 0) await sleep(pauseMs, closing);
    }
  }

  /** Resolves when the connection to this endpoint is over, or did not come about. */
  async #use(endpoint: Endpoint): Promise<{ reason: OvsdbError; wasUp: boolean }> {
    const closing = this.#closing.signal;
    let connection: Connection;
    try {
      connection = await connect(endpoint, this.#settings, this.#memory, closing);
    } catch (error) {
      return { reason: error as OvsdbError, wasUp: false };
    }
    const { session } = connection;
    this.#sessions.add(session);
    void session.closed.then(() => this.#sessions.delete(session));
    const ended = new Promise<OvsdbError>((resolve) => session.onEnd(resolve));
    await this.#listener.prepare(connection, closing);
    if (closing.aborted) session.end(closing.reason as OvsdbError);
    const wasUp = session.isOpen;
    if (wasUp) this.#up(connection);
    return { reason: await ended, wasUp };
  }

  #up(connection: Connection): void {
    this.#current = connection;
    connection.session.onEnd((reason) => {
      this.#current = undefined;
      this.#ready = newPromise();
      if (this.#closing.signal.aborted) this.#ready.reject(reason);
      this.#listener.disconnected(connection.endpoint, reason);
    });
    this.#ready.resolve(connection);
    this.#listener.connected(connection.endpoint);
  }
}

/** It may be rejected with nobody waiting. */
function newPromise(): PromiseWithResolvers<Connection> {
  const made = Promise.withResolvers<Connection>();
  made.promise.catch(() => undefined);
  return made;
}

/** So that many clients do not all begin with the same server. */
function shuffled<Item>(items: readonly Item[]): Item[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((one, other) => one.at - other.at)
    .map(({ item }) => item);
}
