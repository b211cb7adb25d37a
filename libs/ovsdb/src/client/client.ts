import { EventEmitter } from 'node:events';
import { ClosedError, InvalidArgumentError, LimitError, OutcomeUnknownError, RefusedError, UnavailableError, type OvsdbError } from '../errors.js';
import { Monitor, type MonitorOptions } from '../monitor/monitor.js';
import type { MonitorRequest } from '../monitor/request.js';
import { stringList, type DatabaseSchema } from '../schema/schema.js';
import type { AnyTables } from '../schema/tables.js';
import { Outcome } from '../transaction/outcome.js';
import type { Transaction } from '../transaction/transaction.js';
import type { Connection } from './connection.js';
import { Connector } from './connector.js';
import { Deadline } from './deadline.js';
import type { Host } from './host.js';
import { Lock, type LockOptions } from './lock.js';
import { checkWhole, LONGEST_TIME_MS, settingsOf, type CallOptions, type ClientOptions, type ClientSettings } from './options.js';
import { tell } from './tell.js';

export interface ClientEvents {
  /** The database can be used, and all monitors are up to date again. */
  connected: [{ readonly endpoint: string }];
  disconnected: [{ readonly endpoint: string; readonly reason: OvsdbError }];
  /** An endpoint could not be used. After `pauseMs` the next one is tried. */
  failed: [{ readonly endpoint: string; readonly error: OvsdbError; readonly pauseMs: number }];
  /** A listener of the client, of a monitor or a lock has thrown, or a monitor without a listener for it was refused. */
  error: [error: unknown];
}

/**
 * A client of one OVSDB database (RFC 7047), with what Open vSwitch's server adds (ovsdb-server(7)). It connects when it is
 * made, goes on to the next endpoint and back whenever the connection is lost, until it is closed. Calls wait for a
 * connection as long as their time allows.
 *
 * ```ts
 * await using client = new OvsdbClient({ database: 'OVN_Northbound', endpoints: ['ssl:10.0.0.1:6641', 'ssl:10.0.0.2:6641'], tls });
 * const monitor = await client.monitor({ Logical_Switch: { columns: ['name'] } });
 * monitor.on('changes', (changes) => { … });
 * ```
 *
 * Nothing is sent twice that may have been done: a transaction whose answer is lost rejects with OutcomeUnknownError.
 * What only reads, monitors and locks are asked for again on the next connection.
 */
export class OvsdbClient<Tables extends object = AnyTables> extends EventEmitter<ClientEvents> {
  readonly #settings: ClientSettings;
  readonly #connector: Connector;
  readonly #host: Host;
  readonly #monitors = new Set<Monitor<Tables>>();
  readonly #locks = new Map<string, Lock>();
  #monitorCount = 0;
  #inFlight = 0;
  #closed: Promise<void> | undefined;

  /** @throws InvalidArgumentError */
  constructor(options: ClientOptions) {
    super();
    this.setMaxListeners(0);
    this.#settings = settingsOf(options);
    this.#connector = new Connector(this.#settings, {
      prepare: (connection, closing) => this.#takeOver(connection, closing),
      connected: (endpoint) => this.#tell('connected', { endpoint }),
      disconnected: (endpoint, reason) => this.#tell('disconnected', { endpoint, reason }),
      failed: (endpoint, error, pauseMs) => this.#tell('failed', { endpoint, error, pauseMs }),
    });
    this.#host = {
      database: this.#settings.database,
      current: () => this.#connector.current,
      ready: (deadline) => this.#connector.ready(deadline),
      limited: (work) => this.#limited(work),
      deadline: (what, call) => this.#deadline(what, call),
      report: (error) => this.#report(error),
      forget: (what) => this.#forget(what),
    };
  }

  /** The endpoint in use, with its port; undefined while there is none. */
  get endpoint(): string | undefined {
    return this.#connector.current?.endpoint;
  }

  /** Resolves when the database can be used. @throws UnavailableError that says what stands in the way */
  async ready(options: CallOptions = {}): Promise<void> {
    await this.#limited(() => this.#connector.ready(this.#deadline('the connection', options)));
  }

  /** The database's schema, as the server has it now (§4.1.2); read once for as long as it is the same. */
  async schema(options: CallOptions = {}): Promise<DatabaseSchema> {
    return this.#limited(async () => (await this.#connector.ready(this.#deadline('get_schema', options))).schema);
  }

  /** The names of all databases that the server in use has (§4.1.1). */
  async databases(options: CallOptions = {}): Promise<string[]> {
    return this.#again('list_dbs', options, ({ session }, { signal }, timeoutMs) =>
      session.call('list_dbs', [], { timeoutMs, signal, decode: (names) => stringList(names, 'the answer to list_dbs') }),
    );
  }

  /**
   * Does all of the transaction or nothing (§4.1.3).
   * @throws RefusedError with the operation at fault, InvalidArgumentError, LimitError, UnavailableError: nothing was
   * done. OutcomeUnknownError when the answer did not come, be it for a lost connection, the time, or the signal.
   */
  async transact(transaction: Transaction<Tables>, options: CallOptions = {}): Promise<Outcome> {
    return this.#again('transact', options, async ({ session, schema }, { signal }, timeoutMs) => {
      const operations = [...transaction.operations];
      const params = [this.#settings.database, ...transaction.encode(schema)];
      const decode = (answer: Parameters<typeof Outcome.read>[1]): Outcome => Outcome.read(operations, answer, schema);
      try {
        return await session.call('transact', params, { timeoutMs, signal, isTransaction: true, decode });
      } catch (error) {
        const isKnown = transaction.isReadOnly || error instanceof RefusedError || (error instanceof LimitError && error.limit === 'maxOutgoingBytes');
        throw isKnown ? error : new OutcomeUnknownError(error);
      }
    });
  }

  /**
   * Begins to monitor (§4.1.5; ovsdb-server(7) §4.1.12 and §4.1.15). Resolves when the rows are there.
   * @throws RefusedError, InvalidArgumentError, UnavailableError, TimeoutError, or the signal's reason
   */
  async monitor(request: MonitorRequest<Tables>, options: MonitorOptions<Tables> = {}): Promise<Monitor<Tables>> {
    const id = `monitor-${(this.#monitorCount += 1)}`;
    const monitor = new Monitor<Tables>(this.#host, id, request);
    if (options.onChanges !== undefined) monitor.on('changes', options.onChanges);
    await this.#again('monitor', options, async (connection, deadline) => {
      try {
        await monitor.synchronize(connection, deadline);
        this.#monitors.add(monitor);
      } catch (error) {
        // The server may have begun it. Nobody waits for its end.
        if (!(error instanceof UnavailableError)) monitor.close().catch(() => undefined);
        throw error;
      }
    });
    return monitor;
  }

  /**
   * Asks for a lock (§4.1.8); it may be held at once or when others release it. A client has one of each name.
   * @throws InvalidArgumentError when this client has it already, UnavailableError, TimeoutError, or the signal's reason
   */
  async lock(name: string, options: LockOptions = {}): Promise<Lock> {
    if (this.#locks.has(name)) throw new InvalidArgumentError('name', `this client has asked for the lock "${name}" already`);
    const lock = new Lock(this.#host, name, options.steal === true);
    this.#locks.set(name, lock);
    try {
      await this.#again('lock', options, (connection, deadline) => lock.request(connection, deadline));
    } catch (error) {
      // The server may have put it in the queue. Nobody waits until it is out.
      lock.release().catch(() => undefined);
      throw error;
    }
    return lock;
  }

  /** Ends the connection and everything that waits: calls with ClosedError, transactions under way with OutcomeUnknownError. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const reason = new ClosedError('the client is closed');
    for (const one of [...this.#monitors, ...this.#locks.values()]) one.abandon(reason);
    await this.#connector.close();
  }

  /** Bounded in number, and again on a new connection when one was lost before the answer. */
  #again<Result>(
    what: string,
    options: CallOptions,
    work: (connection: Connection, deadline: Deadline, timeoutMs: number) => Promise<Result>,
  ): Promise<Result> {
    return this.#limited(async () => {
      const deadline = this.#deadline(what, options);
      for (;;) {
        const connection = await this.#connector.ready(deadline);
        if (!connection.session.isOpen) continue;
        try {
          return await work(connection, deadline, deadline.left());
        } catch (error) {
          if (!(error instanceof UnavailableError) || connection.session.isOpen) throw error;
        }
      }
    });
  }

  async #limited<Result>(work: () => Promise<Result>): Promise<Result> {
    const { maxInFlight } = this.#settings;
    if (this.#closed !== undefined) throw new ClosedError('the client is closed');
    if (this.#inFlight >= maxInFlight) throw new LimitError('maxInFlight', maxInFlight, 'too many calls wait already');
    this.#inFlight += 1;
    try {
      return await work();
    } finally {
      this.#inFlight -= 1;
    }
  }

  /** @throws InvalidArgumentError */
  #deadline(what: string, { timeoutMs = this.#settings.timeoutMs, signal }: CallOptions): Deadline {
    checkWhole('timeoutMs', timeoutMs, LONGEST_TIME_MS);
    return new Deadline(what, timeoutMs, signal);
  }

  /** Monitors and locks, as they were before. */
  async #takeOver(connection: Connection, closing: AbortSignal): Promise<void> {
    const deadline = this.#deadline('catching up', { signal: closing });
    const catchUp = async (work: Promise<void>, refused: (error: unknown) => void): Promise<void> => {
      try {
        await work;
      } catch (error) {
        if (error instanceof RefusedError || error instanceof InvalidArgumentError) refused(error);
        else connection.session.end(new UnavailableError('monitors and locks could not be caught up', error));
      }
    };
    await Promise.all([
      ...[...this.#monitors].map((monitor) => catchUp(monitor.synchronize(connection, deadline), (error) => monitor.refused(error))),
      ...[...this.#locks.values()].map((lock) => catchUp(lock.request(connection, deadline), (error) => this.#report(error))),
    ]);
  }

  #forget(what: object): void {
    this.#monitors.delete(what as Monitor<Tables>);
    if (what instanceof Lock) this.#locks.delete(what.name);
  }

  #tell<Name extends keyof ClientEvents>(name: Name, subject: ClientEvents[Name][0]): void {
    tell(this.rawListeners(name), subject, (error) => this.#report(error));
  }

  /** Outside of what goes on here; without a listener it ends the process, as every unheard `error` does. */
  #report(error: unknown): void {
    queueMicrotask(() => this.emit('error', error));
  }
}
