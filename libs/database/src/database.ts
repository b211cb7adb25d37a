import { DataSource, type MixedList, type EntitySchema } from 'typeorm';
import type pg from 'pg';
import { assert, backoffMs, MuonError, sleep } from '#core';
import { fromPostgres, pgTypes, sqlState } from './client.js';
import type { RoomSchema } from './room-schema.js';
import { derived, type Reader, type Statement } from './statement.js';
import { currentTransaction, runInside, Transaction } from './transaction.js';

export interface DatabaseOptions {
  /** `postgres://user:password@host:port/name` */
  url: string;
  rooms: readonly RoomSchema[];
  /** Connections of this process; every BullMQ worker holds one for LISTEN. */
  poolSize?: number;
  applicationName?: string;
  /** No transaction lives longer, so none holds the event stream back (DESIGN §10). */
  transactionTimeoutMs?: number;
  statementTimeoutMs?: number;
  lockTimeoutMs?: number;
}

export interface TransactionOptions {
  isolation?: 'READ COMMITTED' | 'REPEATABLE READ';
  readOnly?: boolean;
  /** How often a deadlock or serialization failure may restart the whole work. */
  attempts?: number;
  /**
   * Plans each statement once a connection, whatever its parameters: for work that looks rows up by keys, where
   * PostgreSQL would else plan lists of one key anew each time. Not for lists with filters that may be left out.
   */
  genericPlans?: boolean;
}

/** Serialization failure and deadlock: the whole transaction may be run again (PostgreSQL manual, 13.5). */
const RESTARTABLE = new Set(['40001', '40P01']);
const DEFAULT_ATTEMPTS = 6;

/** The door to PostgreSQL: reads on the pool, and units of work. */
export class Database implements Reader {
  private constructor(
    readonly dataSource: DataSource,
    private readonly pool: pg.Pool,
  ) {}

  static async open(options: DatabaseOptions): Promise<Database> {
    const settings = {
      search_path: 'public,bullmq',
      transaction_timeout: options.transactionTimeoutMs ?? 15_000,
      idle_in_transaction_session_timeout: options.transactionTimeoutMs ?? 15_000,
      statement_timeout: options.statementTimeoutMs ?? 10_000,
      lock_timeout: options.lockTimeoutMs ?? 5_000,
    };
    const dataSource = new DataSource({
      type: 'postgres',
      url: options.url,
      entities: options.rooms.flatMap((room) => [...room.entities]) as MixedList<string | Function | EntitySchema>,
      migrations: options.rooms.flatMap((room) => [...room.migrations]),
      migrationsTableName: 'migration',
      synchronize: false,
      poolSize: options.poolSize ?? 20,
      applicationName: options.applicationName ?? 'muon',
      connectTimeoutMS: 10_000,
      extra: {
        types: pgTypes,
        keepAlive: true,
        options: Object.entries(settings)
          .map(([name, value]) => `-c ${name}=${value}`)
          .join(' '),
      },
    });
    try {
      await dataSource.initialize();
    } catch (error) {
      throw fromPostgres(error);
    }
    const pool = (dataSource.driver as unknown as { master: pg.Pool }).master;
    // Every queue worker adds listeners to the one pool; the default of ten would only print warnings.
    pool.setMaxListeners(100);
    return new Database(dataSource, pool);
  }

  async rows<Row, Parameters extends readonly unknown[]>(
    query: Statement<Row, Parameters>,
    ...parameters: Parameters
  ): Promise<Row[]> {
    try {
      const result = await this.pool.query({ name: query.name, text: query.text, values: [...parameters] });
      return result.rows as Row[];
    } catch (error) {
      throw fromPostgres(error);
    }
  }

  async first<Row, Parameters extends readonly unknown[]>(
    query: Statement<Row, Parameters>,
    ...parameters: Parameters
  ): Promise<Row | undefined> {
    return (await this.rows(query, ...parameters))[0];
  }

  /**
   * Runs the work in one transaction, commits when it returns and rolls back when it throws. A deadlock or
   * serialization failure restarts the work from the beginning, a bounded number of times: it must be free of other effects.
   * @throws INTERNAL when called inside another unit of work.
   */
  async transaction<T>(work: (transaction: Transaction) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    const outer = currentTransaction();
    assert(outer === undefined || outer.closed, 'a unit of work was opened inside another one');
    const attempts = options.attempts ?? DEFAULT_ATTEMPTS;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.attempt(work, options);
      } catch (error) {
        if (!RESTARTABLE.has(sqlState(error) ?? '')) throw error;
        if (attempt >= attempts) {
          throw new MuonError('UNAVAILABLE', 'Too many others are changing the same things; try again.', { cause: error });
        }
        await sleep(backoffMs(attempt, 5, 200));
      }
    }
  }

  /**
   * The pool as the queue sees it: inside a unit of work its queries join that transaction, after the end of one they
   * throw, outside they use the pool (STACK §5.4).
   */
  queuePool(): pg.Pool {
    const query = (text: unknown, values?: unknown): unknown => {
      const transaction = currentTransaction();
      if (transaction === undefined) return this.pool.query(text as string, values as unknown[]);
      const { text: sql, values: parameters } =
        typeof text === 'string' ? { text, values } : (text as { text: string; values?: unknown });
      // The queue's texts are constants, a few dozen.
      return transaction.answer(derived('queue', sql), (parameters as unknown[] | undefined) ?? []);
    };
    return new Proxy(this.pool, {
      get: (target, property) => {
        if (property === 'query') return query;
        // The queue never owns the pool.
        if (property === 'end') return async () => undefined;
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }

  async close(): Promise<void> {
    if (this.dataSource.isInitialized) await this.dataSource.destroy();
  }

  private async attempt<T>(work: (transaction: Transaction) => Promise<T>, options: TransactionOptions): Promise<T> {
    const runner = this.dataSource.createQueryRunner();
    let client: pg.PoolClient;
    try {
      client = (await runner.connect()) as pg.PoolClient;
    } catch (error) {
      await runner.release();
      throw fromPostgres(error);
    }
    const transaction = new Transaction(runner, client);
    try {
      transaction.begin(beginTexts(options));
      const result = await runInside(transaction, () => work(transaction));
      transaction.close();
      // Where an error of PostgreSQL was caught inside the work, COMMIT rolls back, and says so in its tag only.
      assert((await transaction.commit()) === 'COMMIT', 'a unit of work went on after a failed statement; nothing of it was kept');
      transaction.runAfterCommit();
      return result;
    } catch (error) {
      transaction.close();
      // A connection that cannot roll back is broken: PostgreSQL undoes its transaction when it is gone.
      await transaction.rollBack().catch(() => undefined);
      throw fromPostgres(error);
    } finally {
      await runner.release();
    }
  }
}

function beginTexts(options: TransactionOptions): string[] {
  const begin = `BEGIN ISOLATION LEVEL ${options.isolation ?? 'READ COMMITTED'}${options.readOnly === true ? ' READ ONLY' : ''}`;
  return options.genericPlans === true ? [begin, 'SET LOCAL plan_cache_mode = force_generic_plan'] : [begin];
}
