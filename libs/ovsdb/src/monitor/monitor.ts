import { EventEmitter } from 'node:events';
import { isUnknownMethod, MONITOR_METHODS, type Connection, type MonitorMethod } from '../client/connection.js';
import type { Deadline } from '../client/deadline.js';
import type { Host } from '../client/host.js';
import type { CallOptions } from '../client/options.js';
import { tell } from '../client/tell.js';
import { ClosedError, InvalidArgumentError, ProtocolError, RefusedError, UnavailableError, type OvsdbError } from '../errors.js';
import type { DatabaseSchema } from '../schema/schema.js';
import type { AnyTables, Row, TableName, Where } from '../schema/tables.js';
import { isList, type Json } from '../wire/json.js';
import { monitorTopic } from '../wire/notification-router.js';
import type { RpcSession } from '../wire/rpc-session.js';
import { Replica, type ReplicaChange, type UpdateFormat } from './replica.js';
import type { Transaction } from '../transaction/transaction.js';
import { Outcome } from '../transaction/outcome.js';
import { Selection } from './selection.js';
import { encodeConditions, encodeRequest, resolveTables, type Change, type Conditions, type MonitorRequest, type RequestedColumns } from './request.js';

/** Hears of changes, those of one transaction at once. */
export type ChangesListener<Tables> = (changes: readonly Change<Tables>[]) => void;

export interface MonitorOptions<Tables> extends CallOptions {
  /** Listens from the beginning: the rows that are there at first come as inserts. */
  readonly onChanges?: ChangesListener<Tables>;
}

export interface MonitorEvents<Tables> {
  /** At least one; also those that were missed while there was no connection, and those that new conditions make. */
  changes: [changes: readonly Change<Tables>[]];
  /** The replica is up to date again, and its changes have been told. `resumed` when the server sent what was missed only. */
  current: [how: { readonly resumed: boolean }];
  /** The connection is lost; the replica stays as it is. */
  stale: [reason: OvsdbError];
  /** A new connection refuses the monitor, as after a change of the schema. It is tried again on the next. */
  error: [error: unknown];
}

const NO_TRANSACTION = '00000000-0000-0000-0000-000000000000';

/**
 * A replica of parts of a database that the server keeps up to date, and that outlives connections. Before the answer to
 * a transaction comes, what the transaction changes is here (ovsdb-server(7) §4.1.5), unless the connection was lost or
 * left in between. A new connection asks only for what was missed where the server knows it (§4.1.15); otherwise it reads
 * everything and tells what really differs.
 *
 * Listeners are called while messages are handled: quick ones, please. What they throw comes to the client's `error`.
 */
export class Monitor<Tables extends object = AnyTables> extends EventEmitter<MonitorEvents<Tables>> {
  readonly #id: string;
  readonly #host: Host;
  readonly #columns: RequestedColumns;
  readonly #replica = new Replica(new Map());
  readonly #selection = new Selection((table) => this.#replica.rows(table));
  readonly #closing = new AbortController();
  #wanted: Conditions;
  /** What the server goes by; undefined while that is not known for sure. */
  #confirmed: Conditions | undefined;
  /** Condition changes go one after another. */
  #turn: Promise<unknown> = Promise.resolve();
  #schema: DatabaseSchema | undefined;
  #lastTransaction = NO_TRANSACTION;
  #format: UpdateFormat = 'table-updates2';
  #isCurrent = false;

  /** Use `OvsdbClient.monitor`. */
  constructor(host: Host, id: string, request: MonitorRequest<Tables>) {
    super();
    this.setMaxListeners(0);
    const tables = Object.entries(request) as [string, { columns?: readonly string[]; where?: readonly unknown[] }][];
    this.#id = id;
    this.#host = host;
    this.#columns = new Map(tables.map(([table, { columns }]) => [table, columns]));
    this.#wanted = new Map(tables.flatMap(([table, { where }]) => (where === undefined ? [] : [[table, where]])));
  }

  /** False while there is no connection, or while the replica is being caught up. */
  get isCurrent(): boolean {
    return this.#isCurrent;
  }

  /** The monitored rows of a table, by UUID. The map changes as the database does; its rows never do. */
  rows<Table extends TableName<Tables>>(table: Table): ReadonlyMap<string, Row<Tables[Table]>> {
    if (!this.#columns.has(table)) throw new InvalidArgumentError('table', `"${table}" is not monitored`);
    return this.#replica.rows(table) as unknown as ReadonlyMap<string, Row<Tables[Table]>>;
  }

  /**
   * Answers a transaction of selects from the replica, with the rows and columns that are monitored: at once, and without
   * asking the server. Of conditions it knows `==` and `includes`.
   * @throws InvalidArgumentError when it does anything else
   */
  answer(transaction: Transaction<Tables>): Outcome {
    return new Outcome(
      new Map(
        transaction.operations.map((operation) => {
          const { name, table, where } = operation;
          if (where === undefined || table === undefined) throw new InvalidArgumentError('operations', `a replica does not do "${name}"`);
          if (!this.#columns.has(table)) throw new InvalidArgumentError('table', `"${table}" is not monitored`);
          return [operation, this.#selection.rows(table, where)];
        }),
      ),
    );
  }

  /**
   * Resolves with the first answer of `find` that is not undefined; asks now, after every change, and when it is current again.
   * @throws TimeoutError, ClosedError, or the signal's reason
   */
  async until<Result>(find: (monitor: this) => Result | undefined, options: CallOptions = {}): Promise<Result> {
    const closing = this.#closing.signal;
    const signal = options.signal === undefined ? closing : AbortSignal.any([options.signal, closing]);
    const deadline = this.#host.deadline('what the monitor was to show', { ...options, signal });
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const look = (): void => {
      try {
        const found = find(this);
        if (found !== undefined) resolve(found);
      } catch (error) {
        reject(error as Error);
      }
    };
    this.on('changes', look).on('current', look);
    try {
      look();
      return await deadline.wait(promise);
    } finally {
      this.off('changes', look).off('current', look);
    }
  }

  /**
   * Other conditions for one table (ovsdb-server(7) §4.1.13), none meaning all rows. When it resolves, rows that are
   * newly met have come and others have gone. Without a connection it waits for one.
   * @throws RefusedError, InvalidArgumentError, UnavailableError: the conditions stay as they were. After TimeoutError or
   * the signal's reason it is open which ones hold on this connection; set them again.
   */
  async setConditions<Table extends TableName<Tables>>(table: Table, where: Where<Tables[Table]>, options: CallOptions = {}): Promise<void> {
    const deadline = this.#host.deadline('monitor_cond_change', options);
    return this.#host.limited(() => {
      const work = this.#turn.then(() => this.#changeConditions(table, where, deadline));
      this.#turn = work.catch(() => undefined);
      return work;
    });
  }

  /** Ends it; the replica stays as it is. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#host.forget(this);
    this.abandon(new ClosedError('the monitor is closed'));
    const connection = this.#host.current();
    if (connection !== undefined) await this.#cancel(connection);
  }

  async #cancel({ session, router }: Connection): Promise<void> {
    router.forget(monitorTopic(this.#id));
    try {
      const { timeoutMs } = this.#host.deadline('monitor_cancel', {});
      await session.call('monitor_cancel', [this.#id], { timeoutMs, decode: () => undefined });
    } catch (error) {
      // A connection that is gone has no monitors, and what the server refused to begin needs no end.
      if (!(error instanceof UnavailableError || error instanceof ClosedError || error instanceof RefusedError)) throw error;
    }
  }

  /** @internal The client is closed, or the monitor. */
  abandon(reason: ClosedError): void {
    this.#isCurrent = false;
    this.#closing.abort(reason);
  }

  /** @internal A new connection has refused the monitor. */
  refused(error: unknown): void {
    if (this.listenerCount('error') === 0) this.#host.report(error);
    else this.#tell('error', error);
  }

  /** @internal Takes the monitor over to a connection. @throws RefusedError, InvalidArgumentError, and errors of the connection */
  async synchronize(connection: Connection, deadline: Deadline): Promise<void> {
    const { schema, session, router } = connection;
    const tables = resolveTables(schema, this.#columns);
    const sent = this.#wanted;
    // A difference can be applied only to rows of the same kind that were met by the same conditions.
    if (this.#schema !== schema || this.#confirmed !== sent) this.#lastTransaction = NO_TRANSACTION;
    this.#schema = schema;
    this.#replica.retype(tables);
    const request = encodeRequest(schema, tables, sent);
    router.listen(monitorTopic(this.#id), (method, params) => this.#receive(method, params, session));
    session.onEnd((reason) => this.#goStale(reason));
    for (;;) {
      const method = connection.monitorMethod;
      if (method === 'monitor' && sent.size > 0) {
        throw new RefusedError({ method: 'monitor_cond', error: 'not supported', details: 'the server knows no monitors with conditions' });
      }
      const params = [this.#host.database, this.#id, request, ...(method === 'monitor_cond_since' ? [this.#lastTransaction] : [])];
      const decode = (result: Json): void => this.#begin(result, method, sent);
      try {
        await session.call(method, params, { timeoutMs: deadline.left(), signal: deadline.signal, decode });
        // Closed in between, when the connection could not be told yet.
        if (this.#closing.signal.aborted) await this.#cancel(connection);
        return;
      } catch (error) {
        const next = MONITOR_METHODS[MONITOR_METHODS.indexOf(method) + 1];
        if (!isUnknownMethod(error) || next === undefined) throw error;
        // Another monitor may have found out already.
        if (connection.monitorMethod === method) connection.monitorMethod = next;
      }
    }
  }

  #begin(result: Json, method: MonitorMethod, sent: Conditions): void {
    if (this.#closing.signal.aborted) return;
    let resumed = false;
    let updates = result;
    if (method === 'monitor_cond_since') {
      if (!isList(result) || typeof result[1] !== 'string') throw new ProtocolError('the answer to monitor_cond_since is not as it should be');
      resumed = result[0] === true && this.#lastTransaction !== NO_TRANSACTION;
      this.#lastTransaction = result[1];
      updates = result[2] ?? null;
    }
    this.#format = method === 'monitor' ? 'table-updates' : 'table-updates2';
    // Rows of a dump may have columns that they never had.
    if (!resumed) this.#selection.forget();
    const changes = this.#applied(() => (resumed ? this.#replica.update(updates, this.#format) : this.#replica.replace(updates, this.#format)));
    this.#confirmed = sent;
    this.#isCurrent = true;
    this.#tell('changes', changes);
    this.#tell('current', { resumed });
  }

  #receive(method: string, params: readonly Json[], session: RpcSession): void {
    if (method === 'monitor_canceled') {
      session.retire(new UnavailableError('the server has canceled a monitor: the database was removed or converted'));
      return;
    }
    // After a time-out of the request nobody knows what this would be a change of.
    if (!this.#isCurrent) return;
    const isSince = method === 'update3';
    const updates = params[isSince ? 2 : 1];
    const changes = this.#applied(() => this.#replica.update(updates ?? null, this.#format));
    if (isSince && typeof params[1] === 'string') this.#lastTransaction = params[1];
    this.#tell('changes', changes);
  }

  /** After an update that does not fit, only a whole dump can help. */
  #applied(apply: () => ReplicaChange[]): ReplicaChange[] {
    try {
      const changes = apply();
      this.#selection.follow(changes);
      return changes;
    } catch (error) {
      this.#lastTransaction = NO_TRANSACTION;
      throw error;
    }
  }

  async #changeConditions(table: string, where: readonly unknown[], deadline: Deadline): Promise<void> {
    if (!this.#columns.has(table)) throw new InvalidArgumentError('table', `"${table}" is not monitored`);
    const wanted = new Map(this.#wanted).set(table, where);
    for (;;) {
      this.#closing.signal.throwIfAborted();
      const { schema, session } = await this.#host.ready(deadline);
      const change = { [table]: [{ where: encodeConditions(schema, table, where) }] };
      if (!session.isOpen) continue;
      const confirmed = this.#confirmed;
      this.#confirmed = undefined;
      const decode = (): void => {
        this.#wanted = wanted;
        this.#confirmed = wanted;
      };
      try {
        return await session.call('monitor_cond_change', [this.#id, this.#id, change], { timeoutMs: deadline.left(), signal: deadline.signal, decode });
      } catch (error) {
        if (error instanceof RefusedError) this.#confirmed = confirmed;
        // The next connection begins with the conditions that held, in full; then these are asked for again.
        if (!(error instanceof UnavailableError)) throw error;
      }
    }
  }

  #goStale(reason: OvsdbError): void {
    if (!this.#isCurrent) return;
    this.#isCurrent = false;
    this.#tell('stale', reason);
  }

  #tell(name: keyof MonitorEvents<Tables>, subject: unknown): void {
    if (this.#closing.signal.aborted || (name === 'changes' && (subject as readonly unknown[]).length === 0)) return;
    tell(this.rawListeners(name), subject, (error) => this.#host.report(error));
  }
}
