import { AsyncLocalStorage } from 'node:async_hooks';
import type { EntityManager, QueryRunner } from 'typeorm';
import type { PoolClient } from 'pg';
import { assert, MuonError } from '#core';
import { fromPostgres, sqlState } from './client.js';
import { Pipeline, type Answer, type WireStatement } from './pipeline.js';
import type { Reader, Statement } from './statement.js';

/**
 * The unit of work that runs in this asynchronous context. The queue's connection proxy looks here, so that a job is
 * added by the same connection, in the same transaction, as the rows it speaks of.
 */
const current = new AsyncLocalStorage<Transaction>();

export function runInside<T>(transaction: Transaction, work: () => Promise<T>): Promise<T> {
  return current.run(transaction, work);
}

/** The unit of work of this context, ended or not; undefined outside of one. */
export function currentTransaction(): Transaction | undefined {
  return current.getStore();
}

/**
 * Drivers call this first: a backend call inside a transaction would hold row locks for as long as the backend likes.
 * @throws INTERNAL while a unit of work is open in this context.
 */
export function refuseInsideTransaction(what: string): void {
  const open = current.getStore();
  assert(open === undefined || open.closed, `${what} was called inside an open unit of work`);
}

/** PostgreSQL refuses whatever follows a failed statement. */
const IN_FAILED_TRANSACTION = '25P02';

/**
 * One open transaction. Statements that are given before an answer is waited for go out in one write (`Pipeline`), in the
 * order in which they were given; after one has failed, all others fail with its error. It closes for good when its unit of work ends: whatever still holds it afterwards, by an
 * un-awaited call for instance, gets an error and not a stranger's transaction.
 */
export class Transaction implements Reader {
  private ended = false;
  private savepoints = 0;
  /** Why the transaction cannot go on. */
  private failure: Error | undefined;
  private readonly pipeline: Pipeline;
  private readonly afterCommit: (() => void)[] = [];

  constructor(
    private readonly runner: QueryRunner,
    client: PoolClient,
  ) {
    this.pipeline = new Pipeline(client);
  }

  get closed(): boolean {
    return this.ended;
  }

  /** TypeORM's manager on this transaction, for writes by id. */
  get manager(): EntityManager {
    this.mustBeOpen();
    return this.runner.manager;
  }

  async rows<Row, Parameters extends readonly unknown[]>(
    query: Statement<Row, Parameters>,
    ...parameters: Parameters
  ): Promise<Row[]> {
    return (await this.answer(query, parameters)).rows as Row[];
  }

  async first<Row, Parameters extends readonly unknown[]>(
    query: Statement<Row, Parameters>,
    ...parameters: Parameters
  ): Promise<Row | undefined> {
    return (await this.rows(query, ...parameters))[0];
  }

  /** How many rows the statement touched. */
  async execute<Row, Parameters extends readonly unknown[]>(
    query: Statement<Row, Parameters>,
    ...parameters: Parameters
  ): Promise<number> {
    return (await this.answer(query, parameters)).rowCount ?? 0;
  }

  /** All that the driver says of a statement's outcome, for the queue's proxy. */
  answer(query: Statement<unknown>, parameters: readonly unknown[]): Promise<Answer> {
    return this.run({ name: query.name, text: query.text, values: [...parameters] });
  }

  /** A text without a name of its own. Without values it may hold several commands. */
  async raw(text: string, values: readonly unknown[] = []): Promise<{ rows: unknown[]; rowCount: number | null }> {
    return this.run({ text, values: [...values] }, values.length === 0);
  }

  /** Rolls back to here when the work throws; row locks taken inside are released with it. */
  async savepoint<T>(work: () => Promise<T>): Promise<T> {
    this.savepoints += 1;
    const name = `savepoint_${this.savepoints}`;
    await this.raw(`SAVEPOINT ${name}`);
    try {
      const result = await work();
      await this.raw(`RELEASE SAVEPOINT ${name}`);
      return result;
    } catch (error) {
      this.failure = undefined;
      await this.raw(`ROLLBACK TO SAVEPOINT ${name}`);
      throw error;
    }
  }

  /** Runs after a successful commit only; must not throw and must not wait. */
  onCommit(callback: () => void): void {
    this.mustBeOpen();
    this.afterCommit.push(callback);
  }

  /** Called by the unit of work; goes out together with the work's first statements. */
  begin(texts: readonly string[]): void {
    // Should one fail, so do the work's own.
    for (const text of texts) this.pipeline.send({ text, values: [] }).catch(() => undefined);
  }

  /** Called by the unit of work: from now on nothing can be asked of this transaction. */
  close(): void {
    this.ended = true;
  }

  /** @returns what PostgreSQL did: COMMIT, or ROLLBACK when a statement of the work had failed */
  async commit(): Promise<string> {
    return (await this.pipeline.send({ text: 'COMMIT', values: [] })).command;
  }

  async rollBack(): Promise<void> {
    // In one write with them it would be skipped with them.
    this.pipeline.discard(hasEnded());
    await this.pipeline.send({ text: 'ROLLBACK', values: [] });
  }

  runAfterCommit(): void {
    for (const callback of this.afterCommit) callback();
  }

  private async run(statement: WireStatement, isAlone = false): Promise<Answer> {
    this.mustBeOpen();
    try {
      return await (isAlone ? this.pipeline.sendAlone(statement.text) : this.pipeline.send(statement));
    } catch (error) {
      const state = sqlState(error);
      if (state === IN_FAILED_TRANSACTION && this.failure !== undefined) throw this.failure;
      const known = fromPostgres(error);
      if (state !== undefined && known instanceof Error) this.failure ??= known;
      throw known;
    }
  }

  private mustBeOpen(): void {
    if (this.ended) throw hasEnded();
  }
}

function hasEnded(): MuonError {
  return new MuonError('INTERNAL', 'An internal error occurred.', {
    detail: 'a query was made through a unit of work that has ended',
  });
}
