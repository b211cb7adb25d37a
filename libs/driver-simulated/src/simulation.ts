import pg from 'pg';
import { MuonError } from '#core';
import { sqlState, type Statement } from '#database';
import { installSimulation } from './schema/install.js';
import { forgetAttempts, settleWork } from './simulation.sql.js';

/** Deadlock, serialization failure, and two that made the same object at once: the whole function may be run again. */
const RESTARTABLE = new Set(['40P01', '40001', '23505']);
const MAX_ATTEMPTS = 6;
const SETTLE_BATCH = 200;
/** A lock or statement time-out, a lost connection, a server that starts or stops. */
const AWAY = /^(08...|57P0[123]|53300|57014|55P03)$/;

/** The connections of one process to the simulation's database. */
export class Simulation {
  private constructor(private readonly pool: pg.Pool) {}

  /** Makes the tables when they are missing. @throws UNAVAILABLE when the database does not answer, INVALID_INPUT when it refuses. */
  static async open(url: string, poolSize: number): Promise<Simulation> {
    const pool = new pg.Pool({
      connectionString: url,
      max: poolSize,
      application_name: 'muon-simulation',
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
      // A simulated datacenter may forget its last half second when PostgreSQL itself is killed, never when we are.
      options: [
        'search_path=simulation,pg_temp',
        'synchronous_commit=off',
        'statement_timeout=30000',
        'lock_timeout=10000',
        'idle_in_transaction_session_timeout=30000',
      ]
        .map((setting) => `-c ${setting}`)
        .join(' '),
    });
    // An idle connection that breaks is replaced by the next query.
    pool.on('error', () => undefined);
    const simulation = new Simulation(pool);
    try {
      const client = await pool.connect();
      try {
        await installSimulation(client);
      } finally {
        client.release();
      }
      await simulation.rows(forgetAttempts);
      return simulation;
    } catch (error) {
      await pool.end();
      throw away(error);
    }
  }

  async rows<Row, Parameters extends readonly unknown[]>(
    query: Statement<Row, Parameters>,
    ...parameters: Parameters
  ): Promise<Row[]> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const result = await this.pool.query({ name: query.name, text: query.text, values: [...parameters] });
        return result.rows as Row[];
      } catch (error) {
        if (attempt < MAX_ATTEMPTS && RESTARTABLE.has(sqlState(error) ?? '')) continue;
        throw away(error);
      }
    }
  }

  /** Lets everything take effect whose time has come. */
  async settle(backendId: string, signal?: AbortSignal): Promise<void> {
    while (signal?.aborted !== true) {
      const [row] = await this.rows(settleWork, backendId, SETTLE_BATCH);
      if (row === undefined || row.settled < SETTLE_BATCH) return;
    }
  }

  async close(): Promise<void> {
    await this.pool.end();
  }
}

function away(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof MuonError) return error;
  const state = sqlState(error);
  if (state?.startsWith('28') === true) {
    return new MuonError('INVALID_INPUT', 'The simulated backend refuses this user or password.', { field: 'input.secret', detail: error.message });
  }
  if (state === '3D000') {
    return new MuonError('INVALID_INPUT', 'The simulated backend has no such database.', { field: 'input.endpoint', detail: error.message });
  }
  // Without a SQLSTATE it never reached PostgreSQL: refused, reset, timed out, ended.
  if (state !== undefined && !AWAY.test(state)) return error;
  return new MuonError('UNAVAILABLE', 'The simulated backend cannot be reached.', { detail: error.message, cause: error });
}
