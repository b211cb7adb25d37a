import { AsyncLocalStorage } from 'node:async_hooks';
import type { EntityManager, QueryRunner } from 'typeorm';
import type { PoolClient } from 'pg';
import { assert, MuonError } from '#core';
import { fromPostgres } from './client.js';
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

/**
 * One open transaction. It closes for good when its unit of work ends: whatever still holds it afterwards, by an
 * un-awaited call for instance, gets an error and not a stranger's transaction.
 */
export class Transaction implements Reader {
  private ended = false;
  private savepoints = 0;
  private readonly afterCommit: (() => void)[] = [];

  constructor(
    private readonly runner: QueryRunner,
    private readonly client: PoolClient,
  ) {}

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
    return (await this.run(query, parameters)).rows as Row[];
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
    return (await this.run(query, parameters)).rowCount ?? 0;
  }

  /** A text without a name of its own, for what is built from data (column lists); also what the queue's proxy uses. */
  async raw(text: string, values: readonly unknown[] = []): Promise<{ rows: unknown[]; rowCount: number | null }> {
    this.mustBeOpen();
    try {
      return await this.client.query(text, [...values]);
    } catch (error) {
      throw fromPostgres(error);
    }
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
      await this.raw(`ROLLBACK TO SAVEPOINT ${name}`);
      throw error;
    }
  }

  /** Runs after a successful commit only; must not throw and must not wait. */
  onCommit(callback: () => void): void {
    this.mustBeOpen();
    this.afterCommit.push(callback);
  }

  /** Called by the unit of work, before the connection goes back to the pool. */
  close(): void {
    this.ended = true;
  }

  runAfterCommit(): void {
    for (const callback of this.afterCommit) callback();
  }

  private async run(
    query: Statement<unknown, readonly unknown[]>,
    parameters: readonly unknown[],
  ): Promise<{ rows: unknown[]; rowCount: number | null }> {
    this.mustBeOpen();
    try {
      return await this.client.query({ name: query.name, text: query.text, values: [...parameters] });
    } catch (error) {
      throw fromPostgres(error);
    }
  }

  private mustBeOpen(): void {
    if (!this.ended) return;
    throw new MuonError('INTERNAL', 'An internal error occurred.', {
      detail: 'a query was made through a unit of work that has ended',
    });
  }
}
